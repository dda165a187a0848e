"""Structure laws: the residual family."""

from tests.laws.structure_types import Laws

LAWS: Laws = {}
