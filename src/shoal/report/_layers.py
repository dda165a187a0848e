"""The layer profile in the report of a run: what the record has of it, and what it leaves out."""

import shlex
from dataclasses import dataclass
from typing import Any

from ..records import FitRecord
from ..records.figures import LayerProfile
from ..records.fit import LayersRecord
from ._audit_words import layer_table
from ._charts_layers import QUANTITIES, shown_quantities
from ._numbers import whole

TABLE = 200  # layers that the table lists
BOUNDS = ("lipschitz_bound", "inverse_lipschitz_bound")  # known to an audit only


@dataclass(frozen=True)
class Section:
    """`rows`: those of the record; `note`: why there are none, or which quantities are missing; may be empty."""

    rows: list[LayerProfile]
    points: str
    name: str
    note: str
    command: str
    table: dict[str, Any]
    unlisted: int


def layer_section(record: FitRecord) -> Section:
    """The profile of a record."""
    found, kept = record.layers or LayersRecord(), record.delivered
    rows, note = found.rows or [], found.note
    absent = [k for k in QUANTITIES if k not in BOUNDS and k not in shown_quantities(rows)]
    if rows and absent:
        words = ", ".join(QUANTITIES[key].replace("/", " ") for key in absent)
        note = f"{note} Not measured, out of time: {words}.".strip()
    if not rows and not note:
        note = (
            "The record has no layer profile."
            if kept
            else "No flow is delivered, so there is no layer profile."
        )
    run, data = (record.run, record.data.source) if record.run else ("RUN", "DATA")
    return Section(
        rows=rows,
        points=whole(found.points),
        name=kept.name if kept else "",
        note=note,
        command=f"shoal audit {shlex.quote(run)} {shlex.quote(data)}",
        table=layer_table(rows[:TABLE], None),
        unlisted=max(len(rows) - TABLE, 0),
    )
