"""A factorization record, with its frontier if there is one, into one HTML page.

The template escapes every text by itself (Jinja2 autoescape); chart and picture data go through `script_json`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .._errors import InputError
from ._charts_factorization import KINDS, frontier_chart, layer_chart
from ._numbers import MISSING, duration, finite, number, short
from ._pictures import pictures
from ._rungs import mapping, sequence
from ._shell import last_part, rendered

FORMAT = 1


def check_factorization(record: Mapping[str, Any], frontier: Mapping[str, Any] | None) -> None:
    """**Raises:** InputError unless these are records that this version draws."""
    _check(record, "factorization", "layers", ("kind",))
    if any(layer["kind"] not in KINDS for layer in record["layers"]):
        raise InputError("The factorization record has a layer that is neither lower nor upper.")
    size = record.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InputError(
            f"The factorization record's size must be a whole number of at least 1, got {size!r}."
        )
    if frontier is not None:
        _check(frontier, "frontier", "rows", ("layers",))


def _check(record: Mapping[str, Any], kind: str, key: str, needed: Sequence[str]) -> None:
    if not isinstance(record, Mapping) or record.get("kind") != kind or record.get("format") != FORMAT:
        raise InputError(f"This is not a {kind} record of format {FORMAT}; make one by `to_record()`.")
    entries = record.get(key)
    if not isinstance(entries, (list, tuple)) or not entries:
        raise InputError(f"The {kind} record's {key} must be a list that is not empty.")
    if not all(isinstance(entry, Mapping) and all(name in entry for name in needed) for entry in entries):
        raise InputError(f"The {kind} record's {key} must be dictionaries with {', '.join(needed)}.")


def render_factorization(record: Mapping[str, Any], frontier: Mapping[str, Any] | None) -> str:
    """Returns the whole page of checked records as text."""
    layers = record["layers"]
    rows = [] if frontier is None else frontier["rows"]
    charts = {
        "layers": layer_chart(layers),
        "frontier": frontier_chart(rows, (len(layers), finite(record.get("largest_condition"))))
        if rows
        else None,
    }
    pictured = pictures(record)
    return rendered(
        "factor",
        ["factorization.html"],
        charts=charts,
        styles=["report.css", "factorization.css"],
        scripts=["report.js", "factorization.js"],
        more={"pictures": pictured},
        title=_title(record),
        facts=_facts(record),
        command=str(record.get("command") or ""),
        sentence=_sentence(record),
        tiles=_tiles(record, rows),
        pictures=pictured["items"] if pictured else [],
        layers=[_layer_row(place, layer) for place, layer in enumerate(layers, 1)],
        rows=[_frontier_row(row, len(layers)) for row in rows],
    )


def _title(record: Mapping[str, Any]) -> str:
    source = str(record.get("source") or f"Matrix of size {record['size']}")
    return last_part(source)


def _facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    size, kept = record["size"], sequence(record.get("kept"))
    first = list(kept) == list(range(len(kept)))
    listed = (
        f"the first {len(kept)}"
        if first
        else ", ".join(str(i) for i in kept[:24]) + (" …" if len(kept) > 24 else "")
    )
    return [
        ("matrix", f"{size} × {size}"),
        ("layers", str(len(record["layers"]))),
        ("kept coordinates", listed if kept else "none"),
        ("route", str(record.get("route") or MISSING)),
    ]


def _sentence(record: Mapping[str, Any]) -> str:
    names = " · ".join(
        f"{'L' if layer['kind'] == 'lower' else 'U'}{place}"
        for place, layer in enumerate(record["layers"], 1)
    )
    sign = "D · " if _negative(record) else ""
    what = "; D flips the sign of one coordinate" if sign else ""
    return f"T = {sign}{names}{what}; the rightmost layer acts first."


def _negative(record: Mapping[str, Any]) -> bool:
    return any((number(sign) or 1.0) < 0 for sign in sequence(record.get("signs")))


def _tiles(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    residual = mapping(record.get("residual"))
    same = next((row for row in rows if row["layers"] == len(record["layers"])), {})
    bound = finite(same.get("lower_bound"))
    note = (
        "of a layer"
        if bound is None
        else f"of a layer; no {len(record['layers'])} layers have less than {short(bound)}"
    )
    log_det = finite(record.get("log_abs_det"))
    return [
        {"title": "Largest condition number", "value": short(record.get("largest_condition")), "note": note},
        {
            "title": "Residual, float64",
            "value": short(residual.get("float64"), 2),
            "note": "|T − product| / |T|, Frobenius",
        },
        {
            "title": "Residual, float32",
            "value": short(residual.get("float32"), 2),
            "note": "factors and product in float32",
        },
        {
            "title": "log |det T|",
            "value": MISSING if log_det is None else short(log_det, 5),
            "note": f"the sign of det T is {'−' if _negative(record) else '+'}",
        },
    ]


def _layer_row(place: int, layer: Mapping[str, Any]) -> dict[str, str]:
    low, high = [*map(finite, sequence(layer.get("log_scale_range"))), None, None][:2]
    spread = MISSING if low is None or high is None else f"{short(low)} … {short(high)}"
    additive = low == 0 and high == 0
    return {
        "place": str(place),
        "kind": str(layer["kind"]),
        "colour": KINDS[layer["kind"]],
        "norm": short(layer.get("block_norm")),
        "scales": "none (additive)" if additive else spread,
        "condition": short(layer.get("condition"), 4),
    }


def _frontier_row(row: Mapping[str, Any], shown: int) -> dict[str, Any]:
    condition, bound = finite(row.get("condition")), finite(row.get("lower_bound"))
    ratio = None if condition is None or not bound else condition / bound
    return {
        "layers": str(row["layers"]),
        "condition": short(condition, 4),
        "bound": short(bound, 4),
        "ratio": short(ratio) if ratio is not None and math.isfinite(ratio) else MISSING,
        "float64": short(row.get("residual_float64"), 2),
        "float32": short(row.get("residual_float32"), 2),
        "first": str(row.get("first") or MISSING),
        "route": str(row.get("route") or MISSING),
        "seconds": duration(row.get("seconds")),
        "reason": str(row.get("reason") or ""),
        "shown": row["layers"] == shown,
    }
