"""Cases of the registry: the residual family."""

from tests.laws.case import Case

CASES: tuple[Case, ...] = ()
OP_BY_OP: tuple[str, ...] = ()
