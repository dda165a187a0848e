"""An audit record into one HTML page: charts, tables and words, put into the template.

The template escapes every text by itself (Jinja2 autoescape); chart data goes through `script_json`.
"""

from typing import Any

from ..records import AuditRecord
from . import _audit_words as words
from ._audit_points import audit_points
from ._charts_layers import WITH_TEXT, heat_charts, layer_label
from ._charts_spectrum import bands_chart
from ._charts_trips import trips_chart
from ._numbers import short, whole
from ._page import scatter_payload
from ._points import column_sets
from ._shell import last_part, rendered

TABLE = 200  # layers that the table lists


def render_audit(record: AuditRecord) -> str:
    """Returns the whole page of a record as text."""
    layers, start, worst = record.layers, record.start, record.diagnosis.worst_layer
    points = audit_points(record)
    charts: dict[str, Any] = {
        **heat_charts(layers, start, worst),
        "spectrum": bands_chart(record),
        "round-trip": trips_chart(record),
    }
    return rendered(
        "audit",
        ["layers.html", "audit.html"],
        charts=charts,
        styles=["report.css", "layers.css", "audit.css"],
        texts_of_records=True,
        scatter=None if points is None else scatter_payload(points),
        title=last_part(record.target or record.name or "map"),
        facts=words.facts(record),
        command=record.command,
        note=record.note,
        sentence=record.diagnosis.sentence,
        healthy=record.diagnosis.healthy,
        cause=record.diagnosis.cause,
        tiles=words.tiles(record),
        count=len(layers),
        with_text=len(layers) <= WITH_TEXT,
        worst=None if worst is None else layer_label(layers[worst], worst),
        table=words.layer_table(layers[:TABLE], worst),
        before=words.layer_table(start[:TABLE], None) if start else None,
        table_limit=TABLE,
        left_out=words.left_out(record),
        dense=record.dense,
        residual=short(record.residual, 2) if record.residual is not None else "",
        points=points,
        sets=len(column_sets(len(points.names))) if points else 0,
        total=whole(record.points),
        resolution=words.above_resolution(),
        worst_points=words.worst_points(record),
        trips=words.trip_table(record),
        attack=words.attack_words(record),
        traces=words.traces(record),
        kinds=words.kinds_table(record),
        unlisted=max(len(layers) - TABLE, 0),
    )
