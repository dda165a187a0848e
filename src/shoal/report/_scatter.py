"""Data against samples: a lower triangle of scatter plots with linked brushing.

Two charts of the same layout lie upon each other, because drawing takes the time: the back one has the samples, the
data in pale, and the axes, and is drawn once; the front one has the selected points and follows the drag.
All panels read the named datasets "points" and "samples". The fields are c0, c1, ... by slot; the page fills in the data,
titles and domains of the columns that the slots show, and lays out the panels, as large as there is room.
Selections: `brush` (an interval in any panel) and `band` (an interval of condition numbers); points inside both stay
coloured in every panel.
"""

from typing import Any

import altair as alt
import numpy as np

from ..records.fit import Numbers
from ._charts import KAPPA, linear_domain, log_domain, log_scale, tips
from ._numbers import finite_values
from ._page import specification
from ._points import Points, column_sets
from ._theme import ACCENT, CONDITION_RANGE, INK, SAMPLES, UNSELECTED

AXIS = 42
GAP = 8
BRUSH = {"fill": INK, "fillOpacity": 0.06, "stroke": INK, "strokeOpacity": 0.7, "strokeWidth": 1}
SIZE = 180


def scatter_payload(points: Points) -> dict[str, object]:
    """Points and samples by column, once; the two specifications, in which the page exchanges the columns."""
    return {
        "names": points.names,
        "domains": points.domains,
        "sets": column_sets(len(points.names)),
        "specs": scatter_specifications(points),
        "brush": BRUSH,
        "data": points.data,
        "samples": points.samples,
        "condition": points.condition,
        "logProb": points.log_prob,
        "row": points.row,
        "level": points.level_name,
        "axis": AXIS,
        "gap": GAP,
    }


def scatter_specifications(points: Points) -> dict[str, dict[str, Any]]:
    """The panels of both charts: of two columns or of one alone, and of condition numbers, if there are any.

    The page makes the panels of all pairs of columns from the one that is here.
    """
    one = len(points.names) == 1
    return {
        side: {
            "panel": specification((_marginal if one else _panel)(points, front)),
            "wide": specification(_condition_panel(points, front)) if _has_condition(points) else None,
            "brushes": _selections(points) if front else [],
        }
        for side, front in (("back", False), ("front", True))
    }


def _panel(points: Points, front: bool) -> alt.LayerChart:
    """The panel of slot 0 against slot 1, with both axes."""
    x_axis = alt.Axis(tickCount=4, labelBound=True, grid=False)
    y_axis = alt.Axis(tickCount=4, minExtent=AXIS, maxExtent=AXIS, titlePadding=2, grid=False)
    x, y = alt.X("c0:Q", axis=x_axis, scale=_slot()), alt.Y("c1:Q", axis=y_axis, scale=_slot())
    if front:
        return _square(_selected_layers(points, x, y, "panel"), front)
    samples = alt.Chart(alt.NamedData("samples"))
    samples = samples.mark_circle(size=30, color=SAMPLES, opacity=0.35, clip=True)
    return _square([samples.encode(x=x, y=y), _pale_layer(x, y)], front)


def _condition_panel(points: Points, front: bool) -> alt.LayerChart:
    scale, axis = log_scale(finite_values(points.condition), room=0.03, grid=False)
    title = "condition number κ of a data point (drag here)"
    x = alt.X("k:Q", title=title, scale=scale, axis=axis)
    levels, floor = finite_values(points.log_prob), points.level_floor
    y: alt.Y | alt.YValue = alt.YValue(SIZE / 2)
    if levels:
        domain = linear_domain([level for level in levels if floor is None or level >= floor])
        ends = alt.Scale(domain=domain, nice=False, zero=False, clamp=True)
        y = alt.Y("l:Q", title=points.level_name, scale=ends, axis=alt.Axis(tickCount=4, grid=False))
    layers = _selected_layers(points, x, y, "condition") if front else [_pale_layer(x, y)]
    return _square(layers, front, name="wide")


def _selected_layers(points: Points, x: alt.X, y: alt.Y | alt.YValue, name: str) -> list[alt.Chart]:
    """The selected points, coloured; those without a resolved condition number are black."""
    tooltip = [
        *tips("d", r="row in the file"),
        *tips(KAPPA, k="condition number κ"),
        *tips(".4f", l=points.level_name),
    ]
    base = alt.Chart(alt.NamedData("points")).transform_filter(_selected(points))
    base = base.encode(x=x, y=y, size=_size(points), tooltip=tooltip)
    coloured = base.mark_circle(opacity=0.9, clip=True, color=ACCENT).properties(name=name)
    if not _has_condition(points):
        return [coloured]
    coloured = coloured.encode(color=_condition_colour(points))
    if not points.unresolved:
        return [coloured]
    black = base.transform_filter("!isValid(datum.k)").mark_circle(opacity=0.9, clip=True, color="#000000")
    return [coloured, black]


def _pale_layer(x: alt.X, y: alt.Y | alt.YValue) -> alt.Chart:
    mark = alt.Chart(alt.NamedData("points")).mark_circle(size=8, color=UNSELECTED, opacity=0.6, clip=True)
    return mark.encode(x=x, y=y)


def _square(layers: list[alt.Chart], front: bool, **properties: Any) -> alt.LayerChart:
    """One panel; the page sets its size. The front chart has no fill: what lies behind it shows."""
    frame = alt.ViewBackground(stroke="transparent" if front else "#cfd6dd")
    return alt.LayerChart(layer=layers, width=SIZE, height=SIZE, view=frame, **properties)


def _marginal(points: Points, front: bool) -> alt.LayerChart:
    """One column: shares of the selected points (bars, in front) and of the samples (line) in forty bins."""
    title, (low, high) = points.names[0], points.domains[0]
    name, total = ("points", len(points.row)) if front else ("samples", len(points.samples[0]))
    shares = alt.Chart(alt.NamedData(name))
    if front:
        shares = shares.transform_filter(_selected(points))
    bins = alt.Bin(extent=[low, high], step=(high - low) / 40)
    shares = shares.transform_bin(["low", "high"], "c0", bin=bins)
    shares = shares.transform_aggregate(count="count()", groupby=["low", "high"])
    middle = "(datum.low + datum.high) / 2"
    shares = shares.transform_calculate(share=f"datum.count / {max(total, 1)}", middle=middle)
    tallest = max(_tallest(values, low, high) for values in (points.data[0], points.samples[0])) or 1.0
    y = alt.Y("share:Q", title="share of points", scale=alt.Scale(domain=[0, 1.1 * tallest], nice=False))
    if front:
        bars = shares.mark_bar(color=ACCENT, opacity=0.55)
        drawn = bars.encode(
            x=alt.X("low:Q", title=title, scale=_slot(), bin="binned"), x2=alt.X2("high:Q"), y=y
        )
    else:
        line = shares.mark_line(color=INK, interpolate="step", strokeWidth=1.5, opacity=0.7)
        drawn = line.encode(x=alt.X("middle:Q", title=title, scale=_slot()), y=y)
    # The brush needs a unit whose x is the column itself.
    frame = alt.Chart(alt.NamedData("points")).mark_point(opacity=0, tooltip=None)
    frame = frame.encode(x=alt.X("c0:Q", scale=_slot())).properties(name="panel_0")
    return _square([frame, drawn], front)


def _tallest(values: Numbers, low: float, high: float) -> float:
    """The largest share of the values in one of forty bins."""
    known = finite_values(values)
    counts, _ = np.histogram(known, bins=40, range=(low, high))
    return int(counts.max()) / max(len(known), 1)


def _selected(points: Points) -> alt.LogicalAndPredicate:
    return alt.LogicalAndPredicate(**{"and": [{"param": name} for name in _selections(points)]})


def _size(points: Points) -> alt.SizeValue:
    """Points are larger while something is selected."""
    active = {"or": [{"param": name, "empty": False} for name in _selections(points)]}
    return alt.SizeValue(8, condition={"test": active, "value": 20})


def _selections(points: Points) -> list[str]:
    return ["brush", "band"] if _has_condition(points) else ["brush"]


def _has_condition(points: Points) -> bool:
    return any(value is not None for value in points.condition)


def _condition_colour(points: Points) -> alt.Color:
    known = finite_values(points.condition)
    ends = np.quantile(known, [0.02, 0.98]).tolist()
    if not ends[0] < ends[1]:
        ends = log_domain(known)
    scale = alt.Scale(type="log", domain=ends, range=CONDITION_RANGE, clamp=True, interpolate="lab")
    return alt.Color("k:Q", scale=scale, legend=None)


def _slot() -> alt.Scale:
    """The scale of a slot; the page gives it the domain of a column."""
    return alt.Scale(nice=False, zero=False)
