"""Data against samples: a lower triangle of scatter plots with linked brushing.

Two charts of the same layout lie upon each other, because drawing takes the time: the back one has the samples, the
data in pale, and the axes, and is drawn once; the front one has the selected points and follows the drag.
All panels read the named datasets "points" and "samples", which the page fills in; fields are c0, c1, ... by slot.
Selections: `brush` (an interval in any panel) and `band` (an interval of condition numbers); points inside both stay
coloured in every panel.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt

from ._embed import specification
from ._numbers import finite_values, quantile
from ._points import Points
from ._theme import ACCENT, CONDITION_RANGE, INK, SAMPLES, UNSELECTED, linear_domain, log_axis, log_domain

AXIS = 42
GAP = 8
WIDE = "wide"
BRUSH = {"fill": INK, "fillOpacity": 0.06, "stroke": INK, "strokeOpacity": 0.7, "strokeWidth": 1}
SIZE = 180
TOOLTIP = [
    alt.Tooltip("r:Q", title="row in the file", format="d"),
    alt.Tooltip("k:Q", title="condition number κ", format=",.3~r"),
    alt.Tooltip("l:Q", title="log-likelihood", format=".4f"),
]


def scatter_specifications(points: Points, columns: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Returns the specifications of both charts; the front one has the two selections declared on top.

    Altair gives views of concatenated charts names of its own, so the names are read from what it made.
    """
    front = specification(scatter_chart(points, columns, front=True))
    names = _view_names(front)
    encodings = ["x", "y"] if len(columns) > 1 else ["x"]
    params = [_selection("brush", encodings, [name for name in names if name.startswith("panel")])]
    if _has_condition(points):
        params.append(_selection("band", ["x"], [name for name in names if name.startswith("condition")]))
    return {
        "back": specification(scatter_chart(points, columns, front=False)),
        "front": {**front, "params": params},
    }


def scatter_chart(
    points: Points, columns: Sequence[int], *, front: bool
) -> alt.HConcatChart | alt.VConcatChart:
    """Returns one of the two charts for the given columns (1 to 6 of them), slot i showing `columns[i]`."""
    if len(columns) == 1:
        parts = [_marginal(points, columns[0], front)]
        if _has_condition(points):
            parts.append(_condition_panel(points, front))
        return alt.hconcat(*parts, spacing=GAP + 20)
    rows = []
    for i in range(1, len(columns)):
        panels = [_panel(points, columns, j, i, front) for j in range(i)]
        if i == 1 and _has_condition(points):
            panels.append(_condition_panel(points, front))
        rows.append(alt.hconcat(*panels, spacing=GAP))
    return alt.vconcat(*rows, spacing=GAP)


def _selection(name: str, encodings: list[str], views: list[str]) -> dict[str, Any]:
    select = {"type": "interval", "resolve": "global", "encodings": encodings, "mark": BRUSH}
    return {"name": name, "select": select, "views": views}


def _view_names(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _view_names(item)]
    if not isinstance(node, dict):
        return []
    own = [node["name"]] if "mark" in node and isinstance(node.get("name"), str) else []
    return own + [name for item in node.values() for name in _view_names(item)]


def _panel(points: Points, columns: Sequence[int], across: int, up: int, front: bool) -> alt.LayerChart:
    last = up == len(columns) - 1
    x_axis = alt.Axis(tickCount=4, labelBound=True, grid=False) if last else None
    y_axis = (
        alt.Axis(tickCount=4, minExtent=AXIS, maxExtent=AXIS, titlePadding=2, grid=False)
        if across == 0
        else None
    )
    x = alt.X(
        f"c{across}:Q",
        title=points.names[columns[across]],
        axis=x_axis,
        scale=_scale(points, columns[across]),
    )
    y = alt.Y(f"c{up}:Q", title=points.names[columns[up]], axis=y_axis, scale=_scale(points, columns[up]))
    name = f"panel_{up}_{across}"
    if front:
        layers = _selected_layers(points, x, y, name)
    else:
        samples = alt.Chart(alt.NamedData("samples")).mark_circle(
            size=30, color=SAMPLES, opacity=0.35, clip=True
        )
        layers = [samples.encode(x=x, y=y), _pale_layer(x, y)]
    return alt.layer(*layers).properties(width=SIZE, height=SIZE, view=_frame(front))


def _condition_panel(points: Points, front: bool) -> alt.LayerChart:
    domain = log_domain(finite_values(points.condition), room=0.03)
    x = alt.X(
        "k:Q",
        title="condition number κ of a data point (drag here)",
        scale=alt.Scale(type="log", domain=domain, nice=False),
        axis=log_axis(domain, grid=False),
    )
    levels = finite_values(points.log_prob)
    y: alt.Y | alt.YValue = alt.YValue(SIZE / 2)
    if levels:
        y = alt.Y(
            "l:Q",
            title="log-likelihood",
            scale=alt.Scale(domain=linear_domain(levels), nice=False, zero=False),
        )
        y = y.axis(tickCount=4, grid=False)
    layers = _selected_layers(points, x, y, "condition") if front else [_pale_layer(x, y)]
    return alt.layer(*layers).properties(width=SIZE, height=SIZE, name=WIDE, view=_frame(front))


def _selected_layers(points: Points, x: alt.X, y: alt.Y | alt.YValue, name: str) -> list[alt.Chart]:
    """The selected points, coloured; those without a resolved condition number are black."""
    base = alt.Chart(alt.NamedData("points")).transform_filter(_selected(points))
    mark = base.mark_circle(opacity=0.9, clip=True, color=ACCENT)
    coloured = mark.encode(x=x, y=y, size=_size(points), tooltip=TOOLTIP)
    if not _has_condition(points):
        return [coloured.properties(name=name)]
    coloured = coloured.encode(color=_condition_colour(points)).properties(name=name)
    if not points.unresolved:
        return [coloured]
    black = base.transform_filter("!isValid(datum.k)").mark_circle(opacity=0.9, clip=True, color="#000000")
    return [coloured, black.encode(x=x, y=y, size=_size(points), tooltip=TOOLTIP)]


def _pale_layer(x: alt.X, y: alt.Y | alt.YValue) -> alt.Chart:
    mark = alt.Chart(alt.NamedData("points")).mark_circle(size=8, color=UNSELECTED, opacity=0.6, clip=True)
    return mark.encode(x=x, y=y)


def _frame(front: bool) -> alt.ViewBackground:
    """The front chart has no fill: what lies behind it shows."""
    return alt.ViewBackground(stroke="transparent") if front else alt.ViewBackground(stroke="#cfd6dd")


def _marginal(points: Points, column: int, front: bool) -> alt.LayerChart:
    """One column: shares of the selected points (bars, in front) and of the samples (line) in forty bins."""
    title = points.names[column]
    bins = alt.Bin(
        extent=points.domains[column], step=(points.domains[column][1] - points.domains[column][0]) / 40
    )
    name, total = ("points", points.count) if front else ("samples", points.sample_count)
    shares = alt.Chart(alt.NamedData(name))
    if front:
        shares = shares.transform_filter(_selected(points))
    shares = shares.transform_bin(["low", "high"], "c0", bin=bins)
    shares = shares.transform_aggregate(count="count()", groupby=["low", "high"])
    shares = shares.transform_calculate(
        share=f"datum.count / {max(total, 1)}", middle="(datum.low + datum.high) / 2"
    )
    y = alt.Y(
        "share:Q", title="share of points", scale=alt.Scale(domain=[0, _tallest(points, column)], nice=False)
    )
    if front:
        x = alt.X("low:Q", title=title, scale=_scale(points, column), bin="binned")
        drawn = shares.mark_bar(color=ACCENT, opacity=0.55).encode(x=x, x2="high:Q", y=y)
    else:
        x = alt.X("middle:Q", title=title, scale=_scale(points, column))
        drawn = shares.mark_line(color=INK, interpolate="step", strokeWidth=1.5, opacity=0.7).encode(x=x, y=y)
    # The brush needs a unit whose x is the column itself.
    frame = alt.Chart(alt.NamedData("points")).mark_point(opacity=0, tooltip=None)
    frame = frame.encode(x=alt.X("c0:Q", scale=_scale(points, column), title=title)).properties(
        name="panel_0"
    )
    return alt.layer(frame, drawn).properties(width=SIZE, height=SIZE, view=_frame(front))


def _tallest(points: Points, column: int) -> float:
    low, high = points.domains[column]
    tallest = 0.0
    for values in (points.data[column], points.samples[column]):
        known = finite_values(values)
        counts = Counter(
            min(39, int(40 * (value - low) / (high - low))) for value in known if low <= value <= high
        )
        tallest = max(tallest, max(counts.values(), default=0) / max(len(known), 1))
    return 1.1 * (tallest or 1.0)


def _selected(points: Points) -> dict[str, Any]:
    names = ["brush", "band"] if _has_condition(points) else ["brush"]
    return {"and": [{"param": name} for name in names]}


def _size(points: Points) -> dict[str, Any]:
    """Points are larger while something is selected."""
    names = ["brush", "band"] if _has_condition(points) else ["brush"]
    active = {"or": [{"param": name, "empty": False} for name in names]}
    return {"condition": {"test": active, "value": 20}, "value": 8}


def _has_condition(points: Points) -> bool:
    return bool(finite_values(points.condition))


def _condition_colour(points: Points) -> alt.Color:
    known = finite_values(points.condition)
    ends = [quantile(known, 0.02), quantile(known, 0.98)]
    if not ends[0] < ends[1]:
        ends = log_domain(known)
    scale = alt.Scale(type="log", domain=ends, range=CONDITION_RANGE, clamp=True, interpolate="lab")
    return alt.Color("k:Q", scale=scale, legend=None)


def _scale(points: Points, column: int) -> alt.Scale:
    return alt.Scale(domain=points.domains[column], nice=False, zero=False)
