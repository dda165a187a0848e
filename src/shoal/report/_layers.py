"""The layer profile as a heat map: one row a layer in forward order, one column a quantity.

A colour is the place in its column's own range, logarithmic and at least one decade wide; what is not finite is black.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import altair as alt

from ..records.figures import LayerProfile
from ._charts import Rows, layered, of, tips
from ._numbers import MISSING
from ._theme import ALARM, INK

# Field of a layer's row -> heading of its column; "/" breaks the line.
QUANTITIES = {
    "condition_median": "κ/median",
    "condition_q99": "κ/99 %",
    "condition_max": "κ/largest",
    "condition_worst": "κ at the/worst points",
    "lipschitz": "Lipschitz/at least",
    "lipschitz_bound": "Lipschitz/at most",
    "inverse_lipschitz": "Lipschitz of/inverse/at least",
    "inverse_lipschitz_bound": "Lipschitz of/inverse/at most",
    "log_det": "log-det/mean",
    "log_det_share": "log-det/share",
    "amplification_forward": "round-off/to the data",
    "amplification_reverse": "round-off/to the latent",
    "round_trip": "own trip/in float32",
    "gradient": "gradient/of the loss",
    "curvature": "curvature/at least",
}
WITH_TEXT = 40  # layers up to which every cell has its figure
TABLE = 200  # layers that the table lists
TALLEST = 900
_RANGE = ["#f4f7fa", "#c7dbea", "#86b4d5", "#6f5aa8", "#b0306a", "#6d0b22"]
_NOT_FINITE = "#16191d"

Layers: TypeAlias = Sequence[LayerProfile]


def shown_quantities(layers: Layers) -> dict[str, str]:
    """The quantities that some layer has, with their headings."""
    return {k: title for k, title in QUANTITIES.items() if any(getattr(row, k) is not None for row in layers)}


def heat_charts(layers: Layers, start: Layers | None, worst: int | None) -> dict[str, alt.LayerChart]:
    """The charts "layers" and, with `start`, "start", in one scale of colours; none where nothing was measured."""
    both = [*layers, *(start or ())]
    shown = shown_quantities(both)
    if not shown:
        return {}
    ranges = {key: _range([getattr(row, key) for row in both]) for key in shown}
    charts = {"layers": _chart(layers, shown, ranges, worst)}
    return charts if not start else {**charts, "start": _chart(start, shown, ranges, None)}


def layer_label(row: LayerProfile, place: int) -> str:
    """For example "3 Coupling(Affine)"."""
    return f"{place} {row.name[:40]}"


def compact(value: float | None) -> str:
    """At most seven characters: "12.3", "1.2e-7", "∞", "nan"."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0 or 0.01 <= abs(value) < 999.5:
        return f"{value + 0.0:.3g}".replace("-", "−")
    mantissa, power = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(power)}".replace("-", "−")


def _range(values: Sequence[float | None]) -> tuple[float, float]:
    logs = [math.log10(abs(v)) for v in values if v is not None and math.isfinite(v) and v != 0]
    low, high = min(logs, default=0.0), max(logs, default=0.0)
    return low, max(high, low + 1.0)


def _chart(
    layers: Layers, shown: Mapping[str, str], ranges: Mapping[str, tuple[float, float]], worst: int | None
) -> alt.LayerChart:
    labels = [layer_label(row, place) for place, row in enumerate(layers)]
    cells: Rows = [
        {"y": labels[place], "x": title, **_cell(getattr(row, key), ranges[key])}
        for place, row in enumerate(layers)
        for key, title in shown.items()
    ]
    few = len(labels) <= WITH_TEXT
    bare: dict[str, Any] = {"ticks": False, "domain": False, "grid": False}
    stride = math.ceil(len(labels) / 45)
    y_axis = alt.Axis(values=labels[::stride], labelLimit=190, labelPadding=6, **bare)
    # the lines of a label run down from its place, so all labels have as many, the first ones blank, and stand higher
    lines = 1 + max(title.count("/") for title in shown.values())
    blanks = " /" * (lines - 1)
    words = f"split(slice('{blanks}', 2 * (length(split(datum.label, '/')) - 1)) + datum.label, '/')"
    above: dict[str, Any] = {
        "labelLineHeight": 12,
        "labelPadding": 6 + 12 * (lines - 1),
        "labelOverlap": False,
    }
    x_axis = alt.Axis(orient="top", labelAngle=0, labelExpr=words, **above, **bare)
    y = alt.Y("y:O", title=None, scale=alt.Scale(domain=labels), axis=y_axis)
    x = alt.X("x:O", title=None, scale=alt.Scale(domain=list(shown.values())), axis=x_axis)
    tooltip = tips(y="layer", x="quantity", t="value")
    colour = alt.Color("s:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=_RANGE, interpolate="lab"))
    edge: dict[str, Any] = {"stroke": "#ffffff", "strokeWidth": int(few)}
    measured = alt.Chart().transform_filter("isValid(datum.s)").mark_rect(**edge)
    lost = alt.Chart().transform_filter("datum.f === 1").mark_rect(color=_NOT_FINITE, **edge)
    parts: list[alt.Chart] = [
        measured.encode(x=x, y=y, color=colour, tooltip=tooltip),
        lost.encode(x=x, y=y, tooltip=tooltip),
    ]
    if few:
        white = "(isValid(datum.s) && datum.s > 0.5) || datum.f === 1"
        ink = alt.condition(white, alt.value("#ffffff"), alt.value(INK))
        text = alt.Chart().mark_text(fontSize=10.5)
        parts.append(text.encode(x=x, y=y, text=alt.Text("t:N"), color=ink, tooltip=tooltip))
    if worst is not None and 0 <= worst < len(labels):
        frame = of({"y": labels[worst]}).mark_rect(fill=None, stroke=ALARM, strokeWidth=2)
        parts.append(frame.encode(y=y, x=alt.XValue(0), x2=alt.X2Value("width")))
    return layered(parts, 24 * len(labels) if few else max(TALLEST, len(labels)), cells)


def _cell(value: float | None, ends: tuple[float, float]) -> dict[str, object]:
    """s: the place in the range, null where there is none; f: 1 where a value is there and not finite; t: its text."""
    lost = value is not None and not math.isfinite(value)
    if value is None or lost:
        return {"s": None, "f": int(lost), "t": compact(value)}
    place = 0.0 if value == 0 else (math.log10(abs(value)) - ends[0]) / (ends[1] - ends[0])
    return {"s": round(max(place, 0.0), 3), "f": 0, "t": compact(value)}
