"""A finished ladder as input: what it measured, in sentences."""

from pathlib import Path
from typing import Any

import numpy as np

from shoal._errors import InputError
from shoal.advice._line import Line
from shoal.records import read_record
from shoal.tables import Table

RECORD = "record.json"


def read_run(folder: Path) -> dict[str, Any]:
    """The record of a run that `shoal fit` made. **Raises:** `InputError` if there is none."""
    path = folder / RECORD
    if not path.is_file():
        raise InputError(
            f"{folder} holds no run: there is no {RECORD} in it; name a folder that `shoal fit` made, or a table."
        )
    try:
        record = read_record(path)
    except ValueError as error:
        raise InputError(f"{path} can not be read: {error}") from error
    if record.get("kind") != "fit" or not record.get("rungs"):
        raise InputError(f"{path} is no record of a ladder; name a folder that `shoal fit` made, or a table.")
    return record


def run_table(record: dict[str, Any], label: str) -> Table:
    """The rows that the record holds: at most 1,500 of the validation part, with their noise on lattice columns."""
    points = record.get("points") or {}
    values = np.asarray(points.get("data", []), np.float64)
    if values.ndim != 2 or not len(values) or not np.isfinite(values).all():
        raise InputError(
            f"{label} holds no rows of its data, since none of its flows is finite; give the table instead."
        )
    return Table(tuple(points["columns"]), values, source=label)


def chosen_depth(record: dict[str, Any]) -> int | None:
    """The depth that the ladder chose, or delivered where no rung qualified."""
    decision = record.get("decision") or {}
    index = decision.get("chosen")
    index = decision.get("kept") if index is None else index
    return None if index is None else int(record["rungs"][index]["depth"])


def run_lines(record: dict[str, Any]) -> list[Line]:
    """The decision of the ladder and the lattice columns that it found."""
    decision = record.get("decision") or {}
    lines = []
    if decision.get("sentence"):
        figures = {"depth": chosen_depth(record), "chosen": decision.get("chosen") is not None}
        lines.append(Line(f"The ladder says: {decision['sentence']}", "measured", "ladder", figures))
    for found in (record.get("data") or {}).get("lattice", []):
        what = "the ladder has added" if found["dequantized"] else "let the ladder add"
        text = (
            f"Column {found['column']!r} (step {found['step']:.4g}) holds multiples of one step, on which a density has no "
            f"bound: {what} uniform noise of one step."
        )
        lines.append(Line(text, "measured", "lattice columns", dict(found)))
    return lines
