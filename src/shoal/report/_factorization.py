"""A factorization record, with its frontier if there is one, into one HTML page.

The template escapes every text by itself (Jinja2 autoescape); chart and picture data go through `script_json`.
"""

import math
from collections.abc import Sequence
from typing import Any

from ..records import FactorizationRecord
from ..records.factorization import FrontierRow, LinearLayer
from ._charts_factorization import KINDS, frontier_chart, layer_chart
from ._numbers import MISSING, duration, finite, short
from ._pictures import pictures
from ._shell import last_part, rendered


def render_factorization(record: FactorizationRecord) -> str:
    """Returns the whole page as text."""
    layers = record.layers
    rows = [] if record.frontier is None else record.frontier.rows
    charts = {
        "layers": layer_chart(layers),
        "frontier": frontier_chart(rows, (len(layers), record.largest_condition)) if rows else None,
    }
    pictured = pictures(record)
    return rendered(
        "factor",
        ["factorization.html"],
        charts=charts,
        styles=["report.css", "factorization.css"],
        scripts=["report.js", "factorization.js"],
        more={"pictures": pictured},
        title=last_part(record.source or f"Matrix of size {record.size}"),
        facts=_facts(record),
        command=record.command,
        sentence=_sentence(record),
        tiles=_tiles(record, rows),
        pictures=pictured["items"] if pictured else [],
        layers=[_layer_row(place, layer) for place, layer in enumerate(layers, 1)],
        rows=[_frontier_row(row, len(layers)) for row in rows],
    )


def _facts(record: FactorizationRecord) -> list[tuple[str, str]]:
    size, kept = record.size, record.kept
    first = kept == list(range(len(kept)))
    listed = (
        f"the first {len(kept)}"
        if first
        else ", ".join(str(i) for i in kept[:24]) + (" …" if len(kept) > 24 else "")
    )
    return [
        ("matrix", f"{size} × {size}"),
        ("layers", str(len(record.layers))),
        ("kept coordinates", listed if kept else "none"),
        ("route", record.route),
    ]


def _sentence(record: FactorizationRecord) -> str:
    names = " · ".join(
        f"{'L' if layer.kind == 'lower' else 'U'}{place}" for place, layer in enumerate(record.layers, 1)
    )
    sign = "D · " if _negative(record) else ""
    what = "; D flips the sign of one coordinate" if sign else ""
    return f"T = {sign}{names}{what}; the rightmost layer acts first."


def _negative(record: FactorizationRecord) -> bool:
    return any(sign < 0 for sign in record.signs)


def _tiles(record: FactorizationRecord, rows: Sequence[FrontierRow]) -> list[dict[str, str]]:
    count = len(record.layers)
    bound = next((finite(row.lower_bound) for row in rows if row.layers == count), None)
    note = "of a layer" if bound is None else f"of a layer; no {count} layers have less than {short(bound)}"
    log_det = finite(record.log_abs_det)
    return [
        {"title": "Largest condition number", "value": short(record.largest_condition), "note": note},
        {
            "title": "Residual, float64",
            "value": short(record.residual.float64, 2),
            "note": "|T − product| / |T|, Frobenius",
        },
        {
            "title": "Residual, float32",
            "value": short(record.residual.float32, 2),
            "note": "factors and product in float32",
        },
        {
            "title": "log |det T|",
            "value": MISSING if log_det is None else short(log_det, 5),
            "note": f"the sign of det T is {'−' if _negative(record) else '+'}",
        },
    ]


def _layer_row(place: int, layer: LinearLayer) -> dict[str, str]:
    low, high = layer.log_scale_range
    return {
        "place": str(place),
        "kind": layer.kind,
        "colour": KINDS[layer.kind],
        "norm": short(layer.block_norm),
        "scales": "none (additive)" if low == high == 0 else f"{short(low)} … {short(high)}",
        "condition": short(layer.condition, 4),
    }


def _frontier_row(row: FrontierRow, shown: int) -> dict[str, Any]:
    condition, bound = finite(row.condition), finite(row.lower_bound)
    ratio = None if condition is None or not bound else condition / bound
    return {
        "layers": str(row.layers),
        "condition": short(condition, 4),
        "bound": short(bound, 4),
        "ratio": short(ratio) if ratio is not None and math.isfinite(ratio) else MISSING,
        "float64": short(row.residual_float64, 2),
        "float32": short(row.residual_float32, 2),
        "first": row.first or MISSING,
        "route": row.route or MISSING,
        "seconds": duration(row.seconds),
        "reason": row.reason,
        "shown": row.layers == shown,
    }
