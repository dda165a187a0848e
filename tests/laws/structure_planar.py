"""Structure laws: the planar family."""

from tests.laws.structure_types import Laws

LAWS: Laws = {}
