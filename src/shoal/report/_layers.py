"""The layer profile in the report of a run: what the record has of it, and what it leaves out."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._audit_words import layer_table
from ._charts_layers import QUANTITIES
from ._numbers import number, whole
from ._rungs import delivered_of, mapping, rungs_of, sequence

TABLE = 200  # layers that the table lists
BOUNDS = ("lipschitz_bound", "inverse_lipschitz_bound")  # known to an audit only


@dataclass(frozen=True)
class Section:
    """`rows`: those of the record; `note`: why there are none, or which quantities are missing; may be empty."""

    rows: list[Mapping[str, Any]]
    points: str
    name: str
    note: str
    command: str
    table: dict[str, Any]
    unlisted: int


def layer_section(record: Mapping[str, Any]) -> Section:
    """The profile of a checked record."""
    found = mapping(record.get("layers"))
    rows = [row for row in sequence(found.get("rows")) if isinstance(row, Mapping)]
    note = str(found.get("note") or "")
    absent = [k for k in QUANTITIES if k not in BOUNDS and all(number(row.get(k)) is None for row in rows)]
    if rows and absent:
        words = ", ".join(QUANTITIES[key].replace("/", " ") for key in absent)
        note = f"{note} Not measured, out of time: {words}.".strip()
    kept = delivered_of(rungs_of(record))
    if not rows and not note:
        note = (
            "The record has no layer profile."
            if kept
            else "No flow is delivered, so there is no layer profile."
        )
    return Section(
        rows=rows,
        points=whole(found.get("points")),
        name=kept.name if kept else "",
        note=note,
        command=_command(record),
        table=layer_table(rows[:TABLE], None),
        unlisted=max(len(rows) - TABLE, 0),
    )


def _command(record: Mapping[str, Any]) -> str:
    """`shoal audit RUN DATA`, with the run's own names where the record has its command."""
    words = _words(str(record.get("command") or ""))
    named = words[:2] == ["shoal", "fit"] and len(words) > 4 and "--out" in words[:-1]
    run, data = (words[words.index("--out") + 1], words[2]) if named else ("RUN", "DATA")
    return f"shoal audit {shlex.quote(run)} {shlex.quote(data)}"


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a record may hold anything
        return []
