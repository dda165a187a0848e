"""Cases of the registry: the glow family."""

from tests.laws.case import Case

CASES: tuple[Case, ...] = ()
OP_BY_OP: tuple[str, ...] = ()
