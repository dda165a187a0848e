"""`summarize`: medians over seeds, with their range, as rows that a table shows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .grid import Cell, Study
from .records import Records


@dataclass(frozen=True)
class Spread:
    """The median of a figure with its smallest and largest value; `missing`: runs in which it has no number.

    A figure without number (None) counts as larger than every number: a condition number that is unresolved is one. `median`
    or `high` is None where it falls on such a run. (The upper one of two middle values.)
    """

    median: float | None
    low: float | None
    high: float | None
    missing: int


@dataclass(frozen=True)
class Row:
    """The cells that differ in the entries `over` only: their common settings, how many, and the spread of each figure."""

    config: Mapping[str, Any]
    runs: int
    figures: Mapping[str, Spread]
    kinds: Mapping[str, str]


def summarize(study: Study, records: Records, *, smoke: bool = False) -> list[Row]:
    """One row for each setting of the grid with a finished cell, in the order of the grid; lists and texts are left out."""
    rows: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in study.smoke if smoke else study.cells:
        if records.figures(cell) is not None:
            rows.setdefault(_rest(study, cell), []).append(cell)
    return [_row(study, records, cells) for cells in rows.values()]


def spread(values: Sequence[float | int | None]) -> Spread:
    """The spread of some runs' figures. **Raises:** ValueError without any."""
    if not values:
        raise ValueError("`spread` needs at least one value.")
    known = np.sort([np.inf if v is None else float(v) for v in values])
    median, low, high = known[len(known) // 2], known[0], known[-1]
    return Spread(_number(median), _number(low), _number(high), sum(v is None for v in values))


def _number(value: float) -> float | None:
    return None if np.isinf(value) else float(value)


def _rest(study: Study, cell: Cell) -> tuple[Any, ...]:
    return tuple((k, v) for k, v in cell.config.items() if k not in study.over)


def _row(study: Study, records: Records, cells: list[Cell]) -> Row:
    found = [records.figures(cell) or {} for cell in cells]
    names = dict.fromkeys(name for figures in found for name in figures)
    kinds = records.latest[cells[0].hash]["kinds"]
    spreads = {}
    for name in names:
        values = [figures.get(name) for figures in found]
        if not any(isinstance(v, list | bool | str) for v in values):
            spreads[name] = spread([v if v is not None and math.isfinite(v) else None for v in values])
    return Row(dict(_rest(study, cells[0])), len(cells), spreads, {k: kinds.get(k, "exact") for k in spreads})
