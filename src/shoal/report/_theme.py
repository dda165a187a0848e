"""Colours, type and axes that all charts share.

`CONFIG` is a Vega-Lite configuration that the page hands to every chart once.
"""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from ._numbers import power_of_ten, setting
from ._rungs import NO_LAYER

INK = "#1d2733"
MUTED = "#5b6876"
LINE = "#d9dfe5"
ACCENT = "#2b6c99"
ALARM = "#b3261e"
SAMPLES = "#a7b0b9"
UNSELECTED = "#dfe4ea"
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
# Low to high condition number; gets darker and redder, and stays visible on white at both ends.
CONDITION_RANGE = ["#7fb2d6", "#4a7fb5", "#6f5aa8", "#b0306a", "#6d0b22"]
_PALETTE = [
    *("#2b6c99", "#d1622b", "#3c8d5a", "#7d5ba6", "#a8842a", "#1f8a8a"),
    *("#c2557f", "#5a6e7f", "#8c5a3c", "#6b7d1e", "#40509c", "#8a3f5c"),
]
_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
_GLYPHS = ["●", "■", "▲", "◆", "✚", "▼", "▶"]

CONFIG: dict[str, Any] = {
    "background": "#ffffff",
    "font": FONT,
    "view": {"stroke": None},
    "padding": 4,
    "axis": {
        "labelColor": MUTED,
        "titleColor": INK,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "gridColor": "#edf0f3",
        "domainColor": "#9aa5b1",
        "tickColor": "#9aa5b1",
        "tickSize": 4,
        "titlePadding": 8,
        "labelOverlap": "greedy",
        "titleLimit": 400,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 400,
        "orient": "top",
        "titleOrient": "left",
        "symbolSize": 70,
        "offset": 8,
        "titlePadding": 8,
        "labelLimit": 260,
    },
    "text": {"fontSize": 11, "color": INK},
}


def series_colour(names: Sequence[str]) -> alt.Color:
    """Returns the colour encoding of field `series`; a chain has the same colour in every chart."""
    return alt.Color("series:N", title=None, scale=series_scale(names), legend=None)


def series_scale(names: Sequence[str]) -> alt.Scale:
    """Returns the colour scale of the chains."""
    return alt.Scale(domain=list(names), range=series_colours(names))


def series_shape(names: Sequence[str]) -> alt.Shape:
    """Returns the shape encoding of field `series`, so that colour is never the only difference."""
    shapes = [_SHAPES[place] for place in _shapes(names)]
    return alt.Shape("series:N", scale=alt.Scale(domain=list(names), range=shapes), legend=None)


def series_glyphs(names: Sequence[str]) -> list[str]:
    """Returns the shape of each chain as a character, for legends in text."""
    return [_GLYPHS[place] for place in _shapes(names)]


def series_colours(names: Sequence[str]) -> list[str]:
    """Returns one colour for each chain, in their order; fronts alone are grey."""
    return [
        MUTED if name == NO_LAYER else _PALETTE[index % len(_PALETTE)] for index, name in enumerate(names)
    ]


def _shapes(names: Sequence[str]) -> list[int]:
    """The place of each shape; that of fronts alone is the last, and the twelve colours come back with other shapes."""
    count = len(_SHAPES) - 1
    return [
        count if name == NO_LAYER else (index + index // len(_PALETTE)) % count
        for index, name in enumerate(names)
    ]


def depth_place(names: Sequence[str], name: str, depth: int) -> float:
    """Returns the place of a mark on the depth axis: log2 of the depth, -1 for none, moved a little by chain."""
    step = list(names).index(name) - (len(names) - 1) / 2 if depth else 0
    return round(_place(depth) + step * min(0.09, 0.36 / len(names)), 5)


def linear_domain(values: Sequence[float], *, padding: float = 0.06) -> list[float]:
    """Returns the ends of a linear axis that holds all `values` with a little room."""
    if not values:
        return [0.0, 1.0]
    low, high = min(values), max(values)
    room = (high - low) * padding or abs(low) * 0.05 or 0.5
    return [low - room, high + room]


def log_domain(values: Sequence[float], *, room: float = 0.06) -> list[float]:
    """Returns the ends of a logarithmic axis that holds all positive `values` with a little room."""
    logs = [math.log10(value) for value in values if value > 0]
    if not logs:
        return [1.0, 10.0]
    low, high = min(logs), max(logs)
    if high - low < 0.3:
        low, high = low - 0.15, high + 0.15
    extra = (high - low) * room
    return [10 ** max(low - extra, -300.0), 10 ** min(high + extra, 300.0)]


def log_axis(domain: Sequence[float], *, ticks: int = 6, **options: Any) -> alt.Axis:
    """Returns an axis with ticks at powers of ten (at 1, 2, 5 steps if there are few) and labels such as 10⁴."""
    low, high = math.log10(domain[0]), math.log10(domain[1])
    powers = list(range(math.ceil(low), math.floor(high) + 1))
    if len(powers) > ticks:
        stride = math.ceil(len(powers) / ticks)
        powers = [power for power in powers if power % stride == 0]
    values = [float(f"1e{power}") for power in powers]
    if len(values) < 3:
        values = _steps(domain, (1.0, 2.0, 5.0))
    if len(values) < 3:
        values = _steps(domain, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0))
    labels = [_tick(value) for value in values]
    return alt.Axis(values=values, labelExpr=_labels(values, labels), **options)


def depth_axis(depths: Sequence[int]) -> alt.X:
    """Returns the depth axis: ticks at the depths that there are, one step for each doubling; field `x`."""
    known = sorted(set(depths)) or [1]
    places = [_place(depth) for depth in known]
    axis = alt.Axis(values=places, labelExpr=_labels(places, [f"{depth}" for depth in known]), grid=False)
    ends = alt.Scale(domain=[places[0] - 0.4, places[-1] + 0.4], nice=False, zero=False)
    return alt.X("x:Q", title="layers", scale=ends, axis=axis)


def nats_scale(values: Sequence[float], unit: float, *, reverse: bool = False) -> alt.Scale:
    """Returns a scale for differences in nats: linear up to about `unit`, logarithmic beyond, of either sign."""
    ends = [min([0.0, *values]), max([unit, *values])]
    low, high = (_bent(end, unit) for end in ends)
    room = 0.06 * (high - low)
    domain = [_straight(low - room, unit), _straight(high + room, unit)]
    return alt.Scale(type="symlog", constant=unit, domain=domain, nice=False, zero=False, reverse=reverse)


def nats_axis(scale: alt.Scale, unit: float, *, ticks: int = 8, **options: Any) -> alt.Axis:
    """Returns the axis of `nats_scale`: ticks at 0, at `unit`, and at 1, 3, 10 steps as far as there is room."""
    domain = scale.to_dict()["domain"]
    low, high = (_bent(end, unit) for end in domain)
    powers = [10.0**power for power in range(-6, 7)]
    wanted = [0.0, unit, *powers, *(-power for power in powers), *(3 * power for power in powers)]
    kept: list[float] = []
    for value in wanted:
        at = _bent(value, unit)
        if low <= at <= high and all(abs(at - _bent(other, unit)) > (high - low) / ticks for other in kept):
            kept.append(value)
    kept.sort()
    labels = [setting(float(f"{value:.2g}")) for value in kept]
    return alt.Axis(values=kept, labelExpr=_labels(kept, labels), labelOverlap=False, **options)


def layered(
    layers: Sequence[alt.Chart], height: int, rows: Sequence[dict[str, Any]] | None = None
) -> alt.LayerChart:
    """Returns one chart of all layers, as wide as the page gives it room; `rows` is the data they share."""
    data = alt.Undefined if rows is None else alt.Data(values=list(rows))
    return alt.LayerChart(data=data, layer=list(layers), width="container", height=height)


def _labels(values: Sequence[float], labels: Sequence[str]) -> str:
    return f"{list(labels)!r}[indexof({list(values)!r}, datum.value)]"


def _place(depth: int) -> float:
    return math.log2(depth) if depth else -1.0


def _bent(value: float, unit: float) -> float:
    return math.copysign(math.log1p(abs(value) / unit), value)


def _straight(place: float, unit: float) -> float:
    return math.copysign(unit * math.expm1(abs(place)), place)


def _steps(domain: Sequence[float], digits: Sequence[float]) -> list[float]:
    powers = range(math.floor(math.log10(domain[0])), math.ceil(math.log10(domain[1])) + 1)
    values = (float(f"{digit}e{power}") for power in powers for digit in digits)
    return [value for value in values if domain[0] <= value <= domain[1]]


def _tick(value: float) -> str:
    power = round(math.log10(value))
    if 0.01 <= value < 9_999:
        return f"{value:,g}"
    if math.isclose(value, 10.0**power):
        return power_of_ten(power)
    below = math.floor(math.log10(value) + 1e-9)
    return f"{value / 10.0**below:.2g}·{power_of_ten(below)}"
