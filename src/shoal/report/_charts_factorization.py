"""Two charts of a factorization: the condition number of each layer, and the frontier of depth against conditioning.

Both have a logarithmic axis of condition numbers that starts at 1, the condition number of the identity.
"""

import math
from collections.abc import Sequence

import altair as alt

from ..records.factorization import FrontierRow, LinearLayer
from ._numbers import positive
from ._theme import ACCENT, INK, LINE, MUTED, layered, log_axis

HEIGHT = 260
KINDS = {"lower": ACCENT, "upper": "#d1622b"}


def layer_chart(layers: Sequence[LinearLayer]) -> alt.LayerChart | None:
    """A bar for each layer, its length the condition number; None if no layer has a finite one."""
    rows = [
        {"layer": place, "kind": layer.kind, "condition": value, "one": 1.0}
        for place, layer in enumerate(layers, 1)
        if (value := positive(layer.condition)) is not None
    ]
    if not rows:
        return None
    scale, axis = _condition_axis([row["condition"] for row in rows])
    places = alt.Scale(domain=list(range(1, len(layers) + 1)), paddingInner=0.3)
    x = alt.X("layer:O", title="layer, from left to right", scale=places, axis=alt.Axis(labelAngle=0))
    y = alt.Y("condition:Q", title="condition number κ", scale=scale, axis=axis)
    colours = alt.Scale(domain=list(KINDS), range=list(KINDS.values()))
    bars = alt.Chart().mark_bar(cornerRadiusEnd=2)
    bars = bars.encode(
        x=x,
        y=y,
        y2="one:Q",
        color=alt.Color("kind:N", title="kind", scale=colours),
        tooltip=_tooltip("layer", "kind"),
    )
    text = alt.Chart().mark_text(dy=-7, fontSize=11, color=INK)
    return layered([bars, text.encode(x=x, y=y, text=alt.Text("condition:Q", format=".3~r"))], HEIGHT, rows)


def frontier_chart(rows: Sequence[FrontierRow], shown: tuple[int, float | None]) -> alt.LayerChart | None:
    """Best condition number and lower bound against the number of layers; the ring is the factorization shown."""
    count, condition = shown[0], positive(shown[1])
    data = [
        {
            "layers": row.layers,
            "condition": positive(row.condition),
            "bound": positive(row.lower_bound),
            "route": row.route,
        }
        for row in rows
    ]
    found = [row["condition"] for row in data if row["condition"] is not None]
    if not found:
        return None
    bounds = [row["bound"] for row in data if row["bound"] is not None]
    scale, axis = _condition_axis([*found, *bounds, *([] if condition is None else [condition])])
    places = sorted({count, *(row["layers"] for row in data)})
    x = alt.X(
        "layers:O", title="number of layers", scale=alt.Scale(domain=places), axis=alt.Axis(labelAngle=0)
    )
    y = alt.Y("condition:Q", title="worst condition number of a layer", scale=scale, axis=axis)
    y_bound = alt.Y("bound:Q", scale=scale)
    base, best = alt.Chart(), alt.Chart().transform_filter("isValid(datum.condition)")
    below = base.mark_area(color=LINE, opacity=0.55).encode(x=x, y=y_bound, y2=alt.Y2Datum(1.0))
    tooltip = _tooltip("layers", "route", "bound")
    layers = [
        below,
        base.mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.5).encode(x=x, y=y_bound),
        base.mark_point(color=MUTED, size=22, filled=True, opacity=1).encode(x=x, y=y_bound, tooltip=tooltip),
        best.mark_line(color=ACCENT, strokeWidth=1.8).encode(x=x, y=y),
        best.mark_point(color=ACCENT, size=75, filled=True, opacity=1).encode(x=x, y=y, tooltip=tooltip),
        best.mark_text(dy=-18, fontSize=11, color=INK).encode(
            x=x, y=y, text=alt.Text("condition:Q", format=".3~r")
        ),
    ]
    if condition is not None:
        ring = alt.Chart(alt.Data(values=[{"layers": count, "condition": condition}]))
        mark = ring.mark_point(shape="circle", size=330, stroke=INK, strokeWidth=1.6, fill=None)
        layers.append(mark.encode(x=x, y=y))
    return layered(layers, HEIGHT, data)


def _condition_axis(values: Sequence[float]) -> tuple[alt.Scale, alt.Axis]:
    top = math.log10(max(*values, 1.5, 1.0))
    domain = [1.0, 10 ** min(top * 1.12, 300.0)]
    return alt.Scale(type="log", domain=domain, nice=False), log_axis(domain)


def _tooltip(*names: str) -> list[alt.Tooltip]:
    titles = {"layer": "layer", "layers": "layers", "kind": "kind", "route": "route", "bound": "lower bound"}
    numbers = {"condition": "condition number κ", "bound": "lower bound"}
    return [
        *(alt.Tooltip(f"{n}:N", title=titles[n]) for n in names if n not in numbers),
        *(
            alt.Tooltip(f"{n}:Q", title=t, format=",.4~r")
            for n, t in numbers.items()
            if n in ("condition", *names)
        ),
    ]
