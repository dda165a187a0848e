"""The page of an audit: its charts, and the words that are not in the template.

Round trips have a row for each set of points and a lane for each dtype, observed beside predicted. What did not come back
finite is written out in its lane and has no place on the axis; so has an error of exactly 0.
"""

import math
from typing import Any

import altair as alt
import numpy as np

from ..records import AuditRecord
from ..records.audit import Trip
from ..records.figures import kind_words
from ._charts import ERROR, Rows, dashed, known, layered, log_scale, tips
from ._layers import QUANTITIES, heat_charts, shown_quantities
from ._numbers import MISSING, RESOLVED, finite, positive, resolved, setting, short, whole
from ._page import Tile, last_part, rendered
from ._points import audit_points, column_names, standardised
from ._scatter import scatter_payload
from ._spectra import audit_spectrum_chart
from ._theme import ALARM, INK

FIGURES = {
    "singular_values": "singular values",
    "sigma_max": "largest singular value σmax",
    "sigma_min": "smallest singular value σmin",
    "condition_numbers": "condition number κ",
    "residual": "residual of the matrix-free ends",
    "lipschitz": "Lipschitz constant of a layer, at least",
    "inverse_lipschitz": "Lipschitz constant of a layer's inverse, at least",
    "lipschitz_bound": "Lipschitz constant of a layer, at most",
    "inverse_lipschitz_bound": "Lipschitz constant of a layer's inverse, at most",
    "curvature": "norm of a layer's second derivative",
    "gradient": "gradient of the loss at these points",
    "round_trip": "round trips, observed",
    "predicted": "round trips, predicted",
    "amplification_forward": "round-off on its way to the data",
    "amplification_reverse": "round-off on its way to the latent",
    "log_prob_measured": "error of log p in float32, measured",
    "log_prob_bound": "error of log p, bound (first order, roundings independent)",
}
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8}
COLOURS = {"float64": "#3c8d5a", "float32": "#2b6c99", "bfloat16": "#d1622b"}
WORST = 20
COORDINATES = 6


def render_audit(record: AuditRecord) -> str:
    """The whole page of a record as text."""
    diagnosis, points, cause = record.diagnosis, audit_points(record), record.diagnosis.cause
    verdict = "Verdict" if diagnosis.healthy else "Verdict: not healthy"
    charts = {
        **heat_charts(record.layers, record.start, diagnosis.worst_layer),
        "spectrum": audit_spectrum_chart(record),
        "round-trip": trips_chart(record),
    }
    return rendered(
        "audit",
        "audit.html",
        charts=charts,
        scatter=points and scatter_payload(points),
        title=last_part(record.target or record.name or "map"),
        facts=facts(record),
        label=verdict if diagnosis.healthy or cause == "none" else f"{verdict} (cause: {cause})",
        sentence=diagnosis.sentence,
        mood="healthy" if diagnosis.healthy else "warning",
        remark=" ".join(str(said) for said in (record.note, record.next_layer, record.coverage) if said),
        tiles=tiles(record),
        record=record,
        layers=record.layers,
        worst=diagnosis.worst_layer,
        trips=trip_rows(record),
        points=points,
        resolution=short(RESOLVED, 2),
        worst_points=worst_points(record),
        most_coordinates=COORDINATES,
        kappa=_kappa,
        lost_trip=lambda error: _finite(error, "not finite: it does not come back"),
        moved=moved(record),
        kinds=kinds(record),
    )


def facts(record: AuditRecord) -> list[tuple[str, str]]:
    """What heads the page."""
    return [
        ("map", record.name or MISSING),
        ("coordinates", whole(record.size)),
        ("layers", whole(len(record.layers))),
        ("points", whole(record.points)),
        *([("data", record.source)] if record.source else []),
        ("spectrum", "whole (dense)" if record.dense else "two ends (matrix-free)"),
        ("seed", whole(record.seed)),
    ]


def tiles(record: AuditRecord) -> list[Tile]:
    """The key figures with their kinds."""
    condition, limits, bands = record.condition, record.limits, record.spectrum
    single, gap = record.round_trips.get("data", {}).get("float32"), record.log_det_gap
    beyond = f"; not resolved at {whole(condition.unresolved)} points" if condition.unresolved else ""
    said = f"median {_kappa(condition.median)}, largest {_kappa(condition.max)}{beyond}"
    largest = short(bands.max[0]) if bands.max else MISSING
    smallest = short(bands.min[-1]) if bands.min else MISSING
    said += f"; healthy up to {setting(limits.max_condition)}"
    trip = (
        f"predicted {short(single and single.predicted, 2)}; healthy up to {setting(limits.max_round_trip)}"
    )
    found = []
    for title, value, figure, note in (
        ("Condition number κ, 99 % of points", _kappa(condition.q99), "condition_numbers", said),
        ("Largest stretch σmax", largest, "sigma_max", "over all points, latent → data in deviations"),
        ("Smallest stretch σmin", smallest, "sigma_min", "over all points"),
        ("Float32 round trip of the data", _trip(single), "round_trip", trip),
    ):
        known = value != MISSING and "not" not in value and "nan" not in value and figure in record.kinds
        found.append(Tile(title, value, note, kind=kind_words(record.kinds[figure]) if known else ""))
    ways = "not measured: matrix-free" if gap is None else "the flow's own, of the matrix, sum of log σ"
    exact = "exact" if finite(gap) is not None else ""
    return [*found, Tile("log|det|, gap between ways", _finite(gap, "not finite"), ways, kind=exact)]


def _kappa(value: float) -> str:
    return f"> {short(RESOLVED, 2)}" if resolved(value) is None else short(value)


def _trip(trip: Trip | None) -> str:
    if trip is None:
        return MISSING
    if trip.failed:
        return "not run"
    return f"{whole(trip.nonfinite)} points not finite" if trip.nonfinite else short(trip.max, 2)


def _finite(value: float | None, words: str) -> str:
    return short(value, 2) if value is None or math.isfinite(value) else words


def kinds(record: AuditRecord) -> list[tuple[str, str]]:
    """Figure and kind, in words, for the figures that are there."""
    absent = QUANTITIES.keys() - shown_quantities(record.layers).keys() - {"round_trip"}
    shown = [figure for figure in FIGURES if figure in record.kinds and figure not in absent]
    return [(FIGURES[figure], kind_words(record.kinds[figure])) for figure in shown]


def worst_points(record: AuditRecord) -> list[tuple[int, str]]:
    """The places of the worst-conditioned points, each with its coordinates, or those furthest from their mean."""
    x, names = record.shown.x, column_names(record)
    badness = [math.inf if math.isnan(k) else k for k in record.shown.condition]
    values = np.array([[finite(v) or 0.0 for v in row] for row in x]).reshape(len(x), record.size)
    far = np.abs(standardised(values))
    found = []
    for i in sorted(range(len(x)), key=lambda i: -badness[i])[:WORST]:
        columns = range(len(names)) if len(names) <= COORDINATES else np.argsort(-far[i])[:COORDINATES]
        found.append((i, ", ".join(f"{names[j]} = {short(x[i][j], 4)}" for j in columns)))
    return found


def moved(record: AuditRecord) -> list[tuple[str, float, float]]:
    """Name, start and end of each coordinate that the attack moved, what it moved most first."""
    if record.attack is None:
        return []
    ends = zip(column_names(record), record.attack.start, record.attack.point, strict=True)
    known = [end for end in ends if math.isfinite(end[1]) and math.isfinite(end[2])]
    return sorted(known, key=lambda end: -abs(end[2] - end[1]))


def trip_rows(record: AuditRecord) -> Rows:
    """One row for each set and dtype; figures that are not there are None, and `word` says what can not be drawn."""
    rows: Rows = []
    for name, by in record.round_trips.items():
        way = "latent" if name.startswith(("samples", "tails")) else "data"
        layers = record.predicted.get(way) if name in ("data", "samples") else None
        for dtype, trip in by.items():
            rows.append(
                {
                    "set": name[:60],
                    "dtype": dtype,
                    "way": "z → x → z" if way == "latent" else "x → z → x",
                    "median": positive(trip.median),
                    "max": positive(trip.max),
                    "predicted": positive(trip.predicted),
                    "layers": None if layers is None else positive(layers * UNITS.get(dtype, 0.0)),
                    "word": _word(trip),
                    "failed": trip.failed or "",
                }
            )
    return rows


def _word(trip: Trip) -> str:
    if trip.failed:
        return "not run"
    if trip.nonfinite:
        return f"✕ {whole(trip.nonfinite)} of {whole(trip.points)} points not finite"
    return "0: no error at all" if trip.max == 0 else ("" if positive(trip.max) else "✕ not finite")


def trips_chart(record: AuditRecord) -> alt.LayerChart | None:
    """The chart of a record; None without round trips."""
    rows = trip_rows(record)
    if not rows:
        return None
    limit = positive(record.limits.max_round_trip)
    figures = ("median", "max", "predicted", "layers")
    scale, axis = log_scale([limit, *(row[key] for row in rows for key in figures)], ticks=10)
    sets, dtypes = (list(dict.fromkeys(row[key] for row in rows)) for key in ("set", "dtype"))
    colours = alt.Scale(domain=dtypes, range=[COLOURS.get(dtype, INK) for dtype in dtypes])
    labels = alt.Axis(labelLimit=200, ticks=False, labelPadding=6)
    x = alt.X("max:Q", title="round-trip error, largest coordinate", scale=scale, axis=axis)
    place: dict[str, Any] = {
        "y": alt.Y(
            "set:N", title=None, sort=None, scale=alt.Scale(domain=sets, paddingInner=0.25), axis=labels
        ),
        "yOffset": alt.YOffset("dtype:N", sort=None, scale=alt.Scale(domain=dtypes)),
    }
    shown = place | {
        "color": alt.Color("dtype:N", title="computed in", scale=colours),
        "tooltip": [
            *tips(set="set", way="way", dtype="computed in"),
            *tips(ERROR, median="median", max="largest", predicted="predicted, u κ |start|"),
            *tips(ERROR, layers="predicted from the layers"),
        ],
    }
    spread = known("max", "median").mark_rule(strokeWidth=2, opacity=0.5)
    guess = known("predicted").mark_point(shape="diamond", size=46, filled=False, strokeWidth=1.4)
    sums = known("layers").mark_tick(thickness=2, size=11)
    words = alt.Chart().transform_filter("datum.word !== ''")
    words = words.mark_text(align="left", dx=4, fontSize=10.5, color=ALARM)
    parts: list[alt.Chart] = [
        spread.encode(x=x, x2=alt.X2("median:Q"), **shown),
        guess.encode(x=alt.X("predicted:Q"), **shown),
        sums.encode(x=alt.X("layers:Q"), **shown),
        known("max").mark_point(filled=True, size=52, opacity=1).encode(x=x, **shown),
        words.encode(x=alt.XValue(0), text=alt.Text("word:N"), **place),
    ]
    return layered([*parts, *dashed("x", limit)], 46 * len(sets), rows)
