"""Structure laws: the continuous family."""

from tests.laws.structure_types import Laws

LAWS: Laws = {}
