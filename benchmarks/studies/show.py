"""What `python -m studies.run` prints: the list of studies, medians over seeds, and figures that are not reproduced."""

import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from .check import Difference
from .grid import Study
from .records import Records, tally
from .summary import Spread, summarize

WIDTH = 120  # where the output is no terminal
FIGURES = 3  # in one table, so that medians and ranges fit a line


def print_list(found: Sequence[tuple[Study, Records]]) -> None:
    """One row for each (study, records)."""
    table = Table(title="Studies", title_justify="left")
    for name in ("name", "cells done", "failed", "title"):
        table.add_column(name, justify="left" if name in ("name", "title") else "right")
    for study, records in found:
        at = tally(study.cells, records)
        table.add_row(study.name, f"{at.done}/{at.total}", str(at.failed or ""), study.title)
    _print(table)


def print_summary(study: Study, records: Records, *, smoke: bool = False) -> None:
    """One row for each setting: the settings that differ, how many runs, and the chosen figures (`study.shown`)."""
    rows = summarize(study, records, smoke=smoke)
    settings = _differing([row.config for row in rows])
    names = [n for n in study.shown if any(n in row.figures for row in rows)] if study.shown else None
    if names is None:
        names = list(dict.fromkeys(name for row in rows for name in row.figures))
    title = f"{study.title}\nMedians over {', '.join(study.over)} (smallest to largest)"
    for start in range(0, len(names), FIGURES):
        part = names[start : start + FIGURES]
        table = Table(title=title if start == 0 else None, title_justify="left")
        for name in (*settings, "runs", *part):
            table.add_column(name, justify="left" if name in settings else "right", overflow="fold")
        for row in rows:
            cells = [_spread(row.figures[n], row.kinds[n]) if n in row.figures else "" for n in part]
            table.add_row(*(str(row.config[s]) for s in settings), str(row.runs), *cells)
        _print(table)
    at = tally(study.smoke if smoke else study.cells, records)
    print(f"{at.done} of {at.total} cells are done, {at.failed} failed, {at.open} are open.")


def print_differences(found: Sequence[Difference]) -> None:
    """One row for each figure that is not within its error bar."""
    table = Table(title="Not as stored", title_justify="left")
    for name in ("cell", "figure", "stored", "found", "error bar"):
        table.add_column(name, justify="left" if name in ("cell", "figure") else "right")
    for d in found:
        bar = f"{d.bar.absolute:g} + {d.bar.relative:g} x |stored|"
        table.add_row(d.cell, d.figure, _number(d.stored), _number(d.found), bar)
    _print(table)


def _differing(configs: Sequence[Any]) -> list[str]:
    """The settings that are not the same in all rows, but those that another one with fewer values tells already."""
    names = [n for n in configs[0] if len({c.get(n) for c in configs}) > 1] if configs else []
    if len(names) > 2:
        names = [n for n in names if n in names[:2] or not _told(n, names[:2], configs)]
    return names or (list(configs[0])[:1] if configs else [])


def _told(name: str, by: Sequence[str], configs: Sequence[Any]) -> bool:
    """True if rows that agree in `by` agree in `name`."""
    return len({tuple(c[b] for b in by) for c in configs}) == len(
        {(*(c[b] for b in by), c.get(name)) for c in configs}
    )


def _spread(spread: Spread, kind: str) -> str:
    mark = {"exact": "", "lower_bound": "≥ ", "upper_bound": "≤ ", "estimate": "~ "}.get(kind, "")
    low, high = _number(spread.low, 3), _number(spread.high, 3)
    span = f" ({low} to {high})" if low != high else ""
    return f"{mark}{_number(spread.median)}{span}"


def _number(value: Any, digits: int = 4) -> str:
    if value is None:
        return "none"
    return (
        f"{value:.{digits}g}"
        if isinstance(value, int | float) and not isinstance(value, bool)
        else str(value)
    )


def _print(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)
