"""Structure laws: the glow family."""

from tests.laws.structure_types import Laws

LAWS: Laws = {}
