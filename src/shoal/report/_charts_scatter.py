"""Data against samples: a lower triangle of scatter plots with linked brushing.

Two charts of the same layout lie upon each other, because drawing takes the time: the back one has the samples, the
data in pale, and the axes, and is drawn once; the front one has the selected points and follows the drag.
All panels read the named datasets "points" and "samples", which the page fills in; fields are c0, c1, ... by slot.
Selections: `brush` (an interval in any panel) and `band` (an interval of condition numbers); points inside both stay
coloured in every panel.
"""

import copy
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
CONDITION = "condition"
BRUSH = {"fill": INK, "fillOpacity": 0.06, "stroke": INK, "strokeOpacity": 0.7, "strokeWidth": 1}
SIZE = 180


def scatter_specifications(points: Points, columns: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Returns the specifications of both charts for the given columns (1 to 6), slot i showing `columns[i]`.

    Altair makes one panel of each kind; the panels of all pairs are copies of it with other fields and axes, which
    is many times faster than making each by Altair. The front chart has the two selections declared on top.
    """
    back, front = _layout(points, columns, front=False), _layout(points, columns, front=True)
    encodings = ["x", "y"] if len(columns) > 1 else ["x"]
    params = [_selection("brush", encodings, [name for name in _view_names(front) if name != CONDITION])]
    if _has_condition(points):
        params.append(_selection("band", ["x"], [CONDITION]))
    return {"back": back, "front": {**front, "params": params}}


def _layout(points: Points, columns: Sequence[int], *, front: bool) -> dict[str, Any]:
    wide = [specification(_condition_panel(points, front))] if _has_condition(points) else []
    if len(columns) == 1:
        return {"hconcat": [specification(_marginal(points, columns[0], front)), *wide], "spacing": GAP + 20}
    panel = specification(_panel(points, front))
    last = len(columns) - 1
    rows = []
    for up in range(1, len(columns)):
        panels = [_placed(panel, points, columns, across, up, bottom=up == last) for across in range(up)]
        rows.append({"hconcat": panels + (wide if up == 1 else []), "spacing": GAP})
    return {"vconcat": rows, "spacing": GAP}


def _placed(
    panel: dict[str, Any], points: Points, columns: Sequence[int], across: int, up: int, *, bottom: bool
) -> dict[str, Any]:
    """A copy of the panel for slot `across` against slot `up`, with axes only at the left and at the bottom."""
    placed = copy.deepcopy(panel)
    for layer in placed["layer"]:
        if "name" in layer:
            layer["name"] = f"panel_{up}_{across}"
        for channel, slot, outer in (("x", across, bottom), ("y", up, across == 0)):
            encoding = layer["encoding"][channel]
            encoding["field"] = f"c{slot}"
            encoding["title"] = points.names[columns[slot]]
            encoding["scale"]["domain"] = points.domains[columns[slot]]
            if not outer:
                encoding["axis"] = None
    return placed


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


def _panel(points: Points, front: bool) -> alt.LayerChart:
    """The panel of slot 0 against slot 1, with both axes."""
    x_axis = alt.Axis(tickCount=4, labelBound=True, grid=False)
    y_axis = alt.Axis(tickCount=4, minExtent=AXIS, maxExtent=AXIS, titlePadding=2, grid=False)
    x = alt.X("c0:Q", axis=x_axis, scale=_scale(points, 0))
    y = alt.Y("c1:Q", axis=y_axis, scale=_scale(points, 1))
    if front:
        layers = _selected_layers(points, x, y, "panel")
    else:
        samples = alt.Chart(alt.NamedData("samples")).mark_circle(
            size=30, color=SAMPLES, opacity=0.35, clip=True
        )
        layers = [samples.encode(x=x, y=y), _pale_layer(x, y)]
    return _square(layers, front)


def _condition_panel(points: Points, front: bool) -> alt.LayerChart:
    domain = log_domain(finite_values(points.condition), room=0.03)
    x = alt.X(
        "k:Q",
        title="condition number κ of a data point (drag here)",
        scale=alt.Scale(type="log", domain=domain, nice=False),
        axis=log_axis(domain, grid=False),
    )
    levels, floor = finite_values(points.log_prob), points.level_floor
    y: alt.Y | alt.YValue = alt.YValue(SIZE / 2)
    if levels:
        shown = levels if floor is None else [level for level in levels if level >= floor]
        y = alt.Y(
            "l:Q",
            title=points.level_name,
            scale=alt.Scale(domain=linear_domain(shown), nice=False, zero=False, clamp=True),
        )
        y = y.axis(tickCount=4, grid=False)
    layers = _selected_layers(points, x, y, CONDITION) if front else [_pale_layer(x, y)]
    return _square(layers, front, name=WIDE)


def _selected_layers(points: Points, x: alt.X, y: alt.Y | alt.YValue, name: str) -> list[alt.Chart]:
    """The selected points, coloured; those without a resolved condition number are black."""
    base = alt.Chart(alt.NamedData("points")).transform_filter(_selected(points))
    mark = base.mark_circle(opacity=0.9, clip=True, color=ACCENT)
    coloured = mark.encode(x=x, y=y, size=_size(points), tooltip=_tooltip(points))
    if not _has_condition(points):
        return [coloured.properties(name=name)]
    coloured = coloured.encode(color=_condition_colour(points)).properties(name=name)
    if not points.unresolved:
        return [coloured]
    black = base.transform_filter("!isValid(datum.k)").mark_circle(opacity=0.9, clip=True, color="#000000")
    return [coloured, black.encode(x=x, y=y, size=_size(points), tooltip=_tooltip(points))]


def _tooltip(points: Points) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("r:Q", title="row in the file", format="d"),
        alt.Tooltip("k:Q", title="condition number κ", format=",.3~r"),
        alt.Tooltip("l:Q", title=points.level_name, format=".4f"),
    ]


def _pale_layer(x: alt.X, y: alt.Y | alt.YValue) -> alt.Chart:
    mark = alt.Chart(alt.NamedData("points")).mark_circle(size=8, color=UNSELECTED, opacity=0.6, clip=True)
    return mark.encode(x=x, y=y)


def _square(layers: list[alt.Chart], front: bool, **properties: Any) -> alt.LayerChart:
    """One panel; the page sets its size. The front chart has no fill: what lies behind it shows."""
    frame = alt.ViewBackground(stroke="transparent" if front else "#cfd6dd")
    return alt.LayerChart(layer=layers, width=SIZE, height=SIZE, view=frame, **properties)


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
    return _square([frame, drawn], front)


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


def _selected(points: Points) -> alt.LogicalAndPredicate:
    names = ["brush", "band"] if _has_condition(points) else ["brush"]
    return alt.LogicalAndPredicate(**{"and": [{"param": name} for name in names]})


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
