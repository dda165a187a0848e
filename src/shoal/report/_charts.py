"""The vocabulary of the charts: scales with their axes, lines of tooltips, layers of marks, dashed lines with words.

A function that gives a scale and an axis takes all values that must fit in it. Layers of one chart share their scales, so
only one layer has to name them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import altair as alt

from ._numbers import power_of_ten, setting
from ._theme import MUTED

Rows: TypeAlias = list[dict[str, Any]]
KAPPA, NATS, ERROR = ",.3~r", ".4f", ".2e"  # formats of condition numbers, log-likelihoods, round trips


def layered(layers: Sequence[alt.Chart], height: int, rows: Rows | None = None) -> alt.LayerChart:
    """One chart of all layers, as wide as the page gives it room; `rows` is the data they share."""
    data = alt.Undefined if rows is None else alt.Data(values=rows)
    return alt.LayerChart(data=data, layer=list(layers), width="container", height=height)


def known(*fields: str) -> alt.Chart:
    """A layer of the rows that have all these figures."""
    return alt.Chart().transform_filter(" && ".join(f"isValid(datum.{field})" for field in fields))


def of(*rows: Mapping[str, object]) -> alt.Chart:
    """A layer with rows of its own."""
    return alt.Chart(alt.Data(values=list(rows)))


def tips(number: str = "", **titles: str) -> list[alt.Tooltip]:
    """Lines of a tooltip, field -> title: numbers in the format `number`, texts without one."""
    if not number:
        return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
    return [alt.Tooltip(f"{field}:Q", title=title, format=number) for field, title in titles.items()]


def dashed(
    axis: Literal["x", "y"], at: float | None, colour: str = MUTED, words: str = "", *, dy: int = -6
) -> list[alt.Chart]:
    """A dashed line across the chart at a value of one axis, and words along it; nothing for None."""
    if at is None:
        return []
    base = of({"at": at})
    across = axis == "x"
    where = alt.X("at:Q") if across else alt.Y("at:Q")
    start = alt.YValue("height") if across else alt.XValue(0)  # pyright: ignore[reportArgumentType]
    rule = base.mark_rule(color=colour, strokeDash=[5, 4], strokeWidth=1.3).encode(where)
    turn = 270 if across else 0
    text = base.mark_text(color=colour, fontSize=10.5, align="left", dx=5, dy=dy, angle=turn, text=words)
    return [rule, text.encode(where, start)] if words else [rule]


def linear_domain(values: Sequence[float]) -> list[float]:
    """The ends of a linear axis that holds all `values` with a little room."""
    if not values:
        return [0.0, 1.0]
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(low) * 0.05 or 0.5
    return [low - room, high + room]


def log_domain(values: Sequence[float], *, room: float = 0.06) -> list[float]:
    """The ends of a logarithmic axis that holds all positive `values` with a little room."""
    logs = [math.log10(value) for value in values if value > 0]
    if not logs:
        return [1.0, 10.0]
    low, high = min(logs), max(logs)
    if high - low < 0.3:
        low, high = low - 0.15, high + 0.15
    extra = (high - low) * room
    return [10 ** max(low - extra, -300.0), 10 ** min(high + extra, 300.0)]


def log_scale(
    values: Sequence[float | None], *, room: float = 0.06, **axis: Any
) -> tuple[alt.Scale, alt.Axis]:
    """The logarithmic scale that holds all values that are there, and its axis."""
    domain = log_domain([value for value in values if value is not None], room=room)
    return alt.Scale(type="log", domain=domain, nice=False), log_axis(domain, **axis)


def log_axis(domain: Sequence[float], *, ticks: int = 6, **options: Any) -> alt.Axis:
    """An axis with ticks at powers of ten (at 1, 2, 5 steps if there are few) and labels such as 10⁴."""
    values = _steps(domain, [1.0])
    stride = math.ceil(len(values) / ticks)
    if stride > 1:
        values = [value for value in values if round(math.log10(value)) % stride == 0]
    for digits in ([1.0, 2.0, 5.0], [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]):
        if len(values) < 3:
            values = _steps(domain, digits)
    return alt.Axis(values=values, labelExpr=labelled(values, [_tick(value) for value in values]), **options)


def depth_place(names: Sequence[str], name: str, depth: int) -> float:
    """The place of a mark on the depth axis: log2 of the depth, -1 for none, moved a little by chain."""
    step = list(names).index(name) - (len(names) - 1) / 2 if depth else 0
    return round(_place(depth) + step * min(0.09, 0.36 / len(names)), 5)


def depth_axis(depths: Sequence[int]) -> alt.X:
    """The depth axis: ticks at the depths that there are, one step for each doubling; field `x`."""
    known = sorted(set(depths)) or [1]
    places = [_place(depth) for depth in known]
    axis = alt.Axis(values=places, labelExpr=labelled(places, [f"{depth}" for depth in known]), grid=False)
    ends = alt.Scale(domain=[places[0] - 0.4, places[-1] + 0.4], nice=False, zero=False)
    return alt.X("x:Q", title="layers", scale=ends, axis=axis)


def nats_scale(values: Sequence[float], unit: float, *, reverse: bool = False) -> alt.Scale:
    """A scale for differences in nats: linear up to about `unit`, logarithmic beyond, of either sign."""
    ends = [min([0.0, *values]), max([unit, *values])]
    low, high = (bent(end, unit) for end in ends)
    room = 0.06 * (high - low)
    domain = [straight(low - room, unit), straight(high + room, unit)]
    return alt.Scale(type="symlog", constant=unit, domain=domain, nice=False, zero=False, reverse=reverse)


def nats_axis(scale: alt.Scale, unit: float, *, ticks: int = 8, **options: Any) -> alt.Axis:
    """The axis of `nats_scale`: ticks at 0, at `unit`, and at 1, 3, 10 steps as far as there is room."""
    domain = scale.to_dict()["domain"]
    low, high = (bent(end, unit) for end in domain)
    powers = [10.0**power for power in range(-6, 7)]
    wanted = [0.0, unit, *powers, *(-power for power in powers), *(3 * power for power in powers)]
    kept: list[float] = []
    for value in wanted:
        at = bent(value, unit)
        if low <= at <= high and all(abs(at - bent(other, unit)) > (high - low) / ticks for other in kept):
            kept.append(value)
    kept.sort()
    labels = [setting(float(f"{value:.2g}")) for value in kept]
    return alt.Axis(values=kept, labelExpr=labelled(kept, labels), labelOverlap=False, **options)


def labelled(values: Sequence[float], labels: Sequence[str]) -> str:
    """The expression that gives the ticks at `values` these labels."""
    return f"{list(labels)!r}[indexof({list(values)!r}, datum.value)]"


def _place(depth: int) -> float:
    return math.log2(depth) if depth else -1.0


def bent(value: float, unit: float) -> float:
    """The place of a value of either sign on an axis that is logarithmic beyond `unit`."""
    return math.copysign(math.log1p(abs(value) / unit), value)


def straight(place: float, unit: float) -> float:
    """The value at a place: the inverse of `bent`."""
    return math.copysign(unit * math.expm1(abs(place)), place)


def _steps(domain: Sequence[float], digits: Sequence[float]) -> list[float]:
    powers = range(math.floor(math.log10(domain[0])), math.ceil(math.log10(domain[1])) + 1)
    values = (float(f"{digit}e{power}") for power in powers for digit in digits)
    return [value for value in values if domain[0] <= value <= domain[1]]


def _tick(value: float) -> str:
    if 0.01 <= value < 9_999:
        return f"{value:,g}"
    power = math.floor(math.log10(value) + 1e-9)
    factor = f"{value / 10.0**power:.2g}"
    return ("" if factor == "1" else f"{factor}·") + power_of_ten(power)
