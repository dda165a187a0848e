"""What has one colour and shape in every chart of a ladder: a chain, or all fronts alone together."""

from collections.abc import Sequence

from ..records.fit import RungRecord

NO_LAYER = "no layer"  # the series of all fronts alone


def series(rung: RungRecord) -> str:
    """The series of a rung: its chain, or the one of all fronts alone."""
    return rung.family if rung.depth else NO_LAYER


def series_of(rungs: Sequence[RungRecord]) -> list[str]:
    """Returns the chains in order of appearance, and last what all fronts alone share."""
    found = list(dict.fromkeys(rung.family for rung in rungs if rung.depth))
    return [*found, NO_LAYER] if any(not rung.depth for rung in rungs) else found
