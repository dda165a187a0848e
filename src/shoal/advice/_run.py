"""A finished ladder as input: what it measured, in sentences."""

import numpy as np
from msgspec.structs import asdict

from shoal._errors import InputError
from shoal.advice._line import Line
from shoal.records import FitRecord
from shoal.tables import Table


def run_table(record: FitRecord, label: str) -> Table:
    """The rows that the record holds: at most 1,500 of the validation part, with their noise on lattice columns."""
    points = record.points
    values = np.asarray([] if points is None else points.data, np.float64)
    if points is None or values.ndim != 2 or not np.isfinite(values).all():
        raise InputError(
            f"{label} holds no rows of its data, since none of its flows is finite; give the table instead."
        )
    return Table(tuple(points.columns), values, source=label)


def chosen_depth(record: FitRecord) -> int | None:
    """The depth that the ladder chose, or delivered where no rung qualified."""
    chosen, kept = record.decision.chosen, record.delivered
    rung = kept if chosen is None else record.rungs[chosen]
    return None if rung is None else rung.depth


def run_lines(record: FitRecord) -> list[Line]:
    """The decision of the ladder and the lattice columns that it found."""
    decision, lines = record.decision, []
    if decision.sentence:
        figures = {"depth": chosen_depth(record), "chosen": decision.chosen is not None}
        lines.append(Line(f"The ladder says: {decision.sentence}", "measured", "ladder", figures))
    for found in record.data.lattice:
        what = "the ladder has added" if found.dequantized else "let the ladder add"
        text = (
            f"Column {found.column!r} (step {found.step:.4g}) holds multiples of one step, on which a density has no "
            f"bound: {what} uniform noise of one step."
        )
        lines.append(Line(text, "measured", "lattice columns", asdict(found)))
    return lines
