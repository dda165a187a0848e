"""`check`: the smoke grid, or the whole one, once more against its stored figures."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shoal._errors import InputError
from shoal.records import to_plain

from .cells import results_of
from .grid import Cell, ErrorBar, Failure, Study
from .records import place, read_records


@dataclass(frozen=True)
class Difference:
    """A figure of a cell that is not within its error bar. `figure`: with its place in a list."""

    cell: str
    figure: str
    stored: Any
    found: Any
    bar: ErrorBar


def check(
    study: Study,
    folder: str | os.PathLike[str],
    *,
    whole: bool = False,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> list[Difference]:
    """Runs the smoke grid and compares each figure with the stored one; nothing is written.

    **Arguments:** `whole`: the grid itself in place of the smoke grid, which takes as long as it took to run; cells
    without figures are left out. `progress`: called with events, as by `run`.

    **Returns:** the figures outside their error bars (`study.bars`): none if all is as it was. A figure that is there on
    one side only, and a cell that fails now, are differences.

    **Raises:** `InputError` where a smoke cell, or with `whole` every cell, has no finished record.
    """
    records, path = read_records(study, folder), place(study, folder)
    missing = [cell.name for cell in study.smoke if records.figures(cell) is None]
    stored_cells = [cell for cell in study.cells if records.figures(cell) is not None]
    if whole and not stored_cells:
        raise InputError(f"{path} has no figures; store them by `python -m studies.run run {study.name}`.")
    if not whole and (missing or not study.smoke):
        which = missing[0] if missing else "smoke grid"
        raise InputError(
            f"{path} has no figures of {which}; store them by `python -m studies.run run {study.name} --smoke`."
        )
    found: list[Difference] = []
    groups = study.groups(stored_cells if whole else study.smoke)
    for done, group in enumerate(groups):

        def tell(fraction: float, words: str, done: int = done) -> None:
            if progress is not None:
                progress({"stage": "working", "fraction": (done + fraction) / len(groups), "words": words})

        for cell, result in zip(group, results_of(study, group, tell), strict=True):
            stored = to_plain(records.figures(cell) or {})
            if isinstance(result, Failure):
                found.append(Difference(cell.name, "status", "done", f"failed: {result.reason}", study.bar))
            else:
                found += differences(study, cell, stored, to_plain(result))
    return found


def differences(
    study: Study, cell: Cell, stored: Mapping[str, Any], found: Mapping[str, Any]
) -> list[Difference]:
    """The figures of one cell that are outside their bars; lists are compared entry by entry."""
    out = []
    for name in dict.fromkeys((*stored, *found)):
        bar = study.bars.get(name, study.bar)
        for place_of, a, b in _pairs(name, stored.get(name, _ABSENT), found.get(name, _ABSENT)):
            if not _agree(a, b, bar):
                out.append(Difference(cell.name, place_of, a, b, bar))
    return out


_ABSENT = "absent"


def _pairs(name: str, a: Any, b: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [p for i in range(len(a)) for p in _pairs(f"{name}[{i}]", a[i], b[i])]
    return [(name, a, b)]


def _agree(a: Any, b: Any, bar: ErrorBar) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (a, b))
    return bar.holds(float(a), float(b)) if numbers else a == b
