"""Colours, type and axes that all charts share.

`CONFIG` is a Vega-Lite configuration that the page hands to every chart once.
"""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from ._numbers import power_of_ten

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
_FAMILY = {"nice": "#7d5ba6", "realnvp": "#2b6c99", "spline": "#d1622b", "maf": "#3c8d5a", "iaf": "#a8842a"}
_FAMILY["nsf"] = "#b5476f"
_OTHER = ["#5a6e7f", "#c2557f", "#1f8a8a", "#8c5a3c", "#6b7d1e", "#40509c"]
_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"]
_GLYPHS = ["●", "■", "▲", "◆", "✚", "▼"]

CONFIG: dict[str, Any] = {
    "background": "#ffffff",
    "font": FONT,
    "view": {"stroke": None},
    "padding": 4,
    "axis": {
        "labelColor": MUTED, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 500,
        "gridColor": "#edf0f3", "domainColor": "#9aa5b1", "tickColor": "#9aa5b1", "tickSize": 4, "titlePadding": 8,
        "labelOverlap": "greedy", "titleLimit": 400,
    },
    "legend": {
        "labelColor": INK, "titleColor": MUTED, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 400,
        "orient": "top", "titleOrient": "left", "symbolSize": 70, "offset": 8, "titlePadding": 8, "labelLimit": 260,
    },
    "text": {"fontSize": 11, "color": INK},
}  # fmt: skip


def family_colour(families: Sequence[str], *, legend: bool = False) -> alt.Color:
    """Returns the colour encoding of field `family`; a family has the same colour in every chart."""
    colour = alt.Color("family:N", title="family", scale=family_scale(families))
    return colour if legend else colour.legend(None)


def family_scale(families: Sequence[str]) -> alt.Scale:
    """Returns the colour scale of the families."""
    return alt.Scale(domain=list(families), range=family_colours(families))


def family_shape(families: Sequence[str]) -> alt.Shape:
    """Returns the shape encoding of field `family`, so that colour is never the only difference."""
    shapes = [_SHAPES[index % len(_SHAPES)] for index in range(len(families))]
    return alt.Shape("family:N", scale=alt.Scale(domain=list(families), range=shapes), legend=None)


def family_glyphs(families: Sequence[str]) -> list[str]:
    """Returns the shape of each family as a character, for legends in text."""
    return [_GLYPHS[index % len(_GLYPHS)] for index in range(len(families))]


def depth_place(families: Sequence[str], family: str, depth: int) -> float:
    """Returns the place of a mark on the depth axis: the depth, moved a little so that families do not overlap."""
    step = list(families).index(family) - (len(families) - 1) / 2
    return round(depth * 2 ** (step * min(0.09, 0.36 / len(families))), 5)


def family_colours(families: Sequence[str]) -> list[str]:
    """Returns one colour for each family: the known ones are fixed, others take the next free one."""
    others = [family for family in families if family not in _FAMILY]
    return [_FAMILY.get(name) or _OTHER[others.index(name) % len(_OTHER)] for name in families]


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
    expression = f"{labels!r}[indexof({values!r}, datum.value)]"
    return alt.Axis(values=values, labelExpr=expression, **options)


def depth_axis(depths: Sequence[int]) -> alt.X:
    """Returns the depth axis: logarithmic to base 2, ticks at the depths that were trained; field `x`."""
    known = sorted(set(depths)) or [1]
    ends = [known[0] / 1.3, known[-1] * 1.3]
    axis = alt.Axis(values=known, format="d", grid=False)
    return alt.X(
        "x:Q", title="depth (layers)", scale=alt.Scale(type="log", base=2, domain=ends, nice=False), axis=axis
    )


def layered(
    layers: Sequence[alt.Chart], height: int, rows: Sequence[dict[str, Any]] | None = None
) -> alt.LayerChart:
    """Returns one chart of all layers, as wide as the page gives it room; `rows` is the data they share."""
    data = alt.Undefined if rows is None else alt.Data(values=list(rows))
    return alt.LayerChart(data=data, layer=list(layers), width="container", height=height)


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
