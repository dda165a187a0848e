"""An audit record into one HTML page: charts, tables and words, put into the template.

The template escapes every text by itself (Jinja2 autoescape); chart data goes through `script_json`.
"""

from collections.abc import Mapping
from typing import Any

from .._errors import InputError
from . import _audit_words as words
from ._audit_points import audit_points
from ._charts_layers import WITH_TEXT, heat_charts
from ._charts_spectrum import bands_chart
from ._charts_trips import trips_chart
from ._numbers import number
from ._page import scatter_payload
from ._points import column_sets
from ._rungs import mapping, sequence
from ._shell import last_part, rendered

FORMAT = 1
TABLE = 200  # layers that the table lists


def check_audit(record: Mapping[str, Any]) -> None:
    """**Raises:** InputError unless this is an audit record that this version draws."""
    if not isinstance(record, Mapping) or record.get("kind") != "audit" or record.get("format") != FORMAT:
        raise InputError(f"This is not an audit record of format {FORMAT}; make one by `Audit.to_record()`.")
    size = record.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InputError(f"The audit record's size must be a whole number of at least 1, got {size!r}.")
    for key, needed in (("layers", True), ("start", False)):
        rows = record.get(key)
        if rows is None and not needed:
            continue
        if not isinstance(rows, (list, tuple)) or not rows or not all(isinstance(r, Mapping) for r in rows):
            raise InputError(f"The audit record's {key} must be a list of dictionaries that is not empty.")


def render_audit(record: Mapping[str, Any]) -> str:
    """Returns the whole page of a checked record as text."""
    layers, start = record["layers"], record.get("start")
    diagnosis = mapping(record.get("diagnosis"))
    worst = diagnosis.get("worst_layer")
    worst = worst if isinstance(worst, int) and 0 <= worst < len(layers) else None
    points = audit_points(record)
    charts = {
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
        title=_title(record),
        facts=words.facts(record),
        command=str(record.get("command") or ""),
        note=str(record.get("note") or ""),
        sentence=str(diagnosis.get("sentence") or "No verdict was recorded."),
        healthy=diagnosis.get("healthy") is True,
        cause=str(diagnosis.get("cause") or ""),
        tiles=words.tiles(record),
        count=len(layers),
        with_text=len(layers) <= WITH_TEXT,
        worst=None if worst is None else words.layer_label(layers[worst], worst),
        table=words.layer_table(layers[:TABLE], worst),
        before=words.layer_table(start[:TABLE], None) if start else None,
        table_limit=TABLE,
        left_out=words.left_out(record),
        dense=record.get("dense") is not False,
        residual=words.short(record.get("residual"), 2) if number(record.get("residual")) is not None else "",
        points=points,
        sets=len(column_sets(len(points.names))) if points else 0,
        total=words.whole(record.get("points")),
        resolution=words.above_resolution(),
        worst_points=words.worst_points(record),
        trips=words.trip_table(record),
        attack=words.attack_words(record),
        traces=words.traces(record),
        kinds=words.kinds_table(record),
        unlisted=max(len(sequence(layers)) - TABLE, 0),
    )


def _title(record: Mapping[str, Any]) -> str:
    target = str(record.get("target") or record.get("name") or "map")
    return last_part(target)
