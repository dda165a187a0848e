"""The depth-likelihood-conditioning frontier: three charts of the same rungs.

Loss against depth, condition number against depth, and loss against condition number. The loss is what the rule looks at:
nats a row behind the best rung. Colour and shape are the chain, hollow marks are rungs that were not trained to their end,
the ring is the delivered rung. A line joins a chain's rungs, from its front alone on.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from ..records import FitRecord
from ._numbers import finite, finite_values, positive
from ._rungs import series, series_of
from ._theme import (
    ALARM,
    INK,
    MUTED,
    depth_axis,
    depth_place,
    layered,
    log_axis,
    log_domain,
    nats_axis,
    nats_scale,
    series_colour,
    series_scale,
    series_shape,
)

HEIGHT = 270
UNIT = 0.05  # nats: where the axis of losses bends without a margin

Rows = list[dict[str, Any]]


def frontier_rows(record: FitRecord) -> Rows:
    """Returns one row for each rung; `x` is the place of its depth, moved by a little so that chains do not overlap."""
    names, decision = series_of(record.rungs), record.decision
    rows = []
    for place, rung in enumerate(record.rungs):
        loss, upper, kappa = finite(rung.difference), finite(rung.upper), rung.condition
        rows.append(
            {
                "rung": rung.name,
                "front": rung.front,
                "chain": rung.family,
                "series": series(rung),
                "depth": rung.depth,
                "x": depth_place(names, series(rung), rung.depth),
                "status": rung.status,
                "complete": rung.complete,
                "delivered": place == decision.kept,
                "mark": "chosen" if place == decision.chosen else "delivered",
                "state": rung.state or "",
                "likelihood": finite(rung.validation_log_likelihood),
                "loss": loss,
                "low": None if loss is None or upper is None else 2 * loss - upper,
                "high": upper,
                "parameters": rung.parameters,
                "median": None if kappa is None else positive(kappa.median),
                "q99": None if kappa is None else positive(kappa.q99),
                "max": None if kappa is None else positive(kappa.max),
            }
        )
    return rows


def line_rows(rows: Rows, fields: Sequence[str]) -> Rows:
    """Returns what the lines are drawn from: every chain's rungs, and first that of its front alone."""
    chains = list(dict.fromkeys((row["chain"], row["front"]) for row in rows if row["depth"]))
    return [
        {"series": chain, "depth": row["depth"], **{field: row[field] for field in fields}}
        for chain, front in chains
        for row in rows
        if row["chain"] == chain or (not row["depth"] and front and row["front"] == front)
    ]


def likelihood_chart(record: FitRecord) -> alt.LayerChart | None:
    """Loss against depth, with its 95 % bounds, and the margin; `None` if no rung has a figure."""
    rows = [row for row in frontier_rows(record) if row["loss"] is not None]
    if not rows:
        return None
    margin = positive(record.decision.margin)
    names, (y, unit) = series_of(record.rungs), _loss(rows, margin)
    base, x = alt.Chart(), depth_axis([row["depth"] for row in rows])
    bars = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5)
    bars = bars.encode(x=x, y=alt.Y("low:Q", scale=y["scale"]), y2="high:Q", color=series_colour(names))
    layers = [_lines(rows, x, y, "x", "loss", names), bars, *_marks(base, x, y, names)]
    if margin is not None:
        data = alt.Chart(alt.Data(values=[{"margin": unit}]))
        at = alt.Y("margin:Q", scale=y["scale"])
        label = data.mark_text(text="margin", color=MUTED, fontSize=10.5, align="left", dy=7)
        rule = data.mark_rule(color=MUTED, strokeDash=[4, 3]).encode(y=at)
        layers = [rule, label.encode(y=at, x=alt.value(3)), *layers]
    return layered(layers, HEIGHT, rows)


def condition_chart(record: FitRecord) -> alt.LayerChart | None:
    """Condition number against depth: 99 % point as mark, from median to largest as a thin line."""
    rows = [row for row in frontier_rows(record) if row["q99"] is not None]
    if not rows:
        return None
    max_condition = positive(record.decision.max_condition)
    domain = _condition_domain(rows, max_condition)
    scale = alt.Scale(type="log", domain=domain, nice=False)
    base, names = alt.Chart(), series_of(record.rungs)
    x = depth_axis([row["depth"] for row in rows])
    y = alt.Y("q99:Q", title="condition number κ", scale=scale, axis=log_axis(domain))
    spread = base.mark_rule(strokeWidth=1.5, opacity=0.55).encode(
        x=x, y=alt.Y("median:Q", scale=scale), y2="max:Q", color=series_colour(names)
    )
    spread = spread.transform_filter("isValid(datum.median) && isValid(datum.max)")
    layers = [_lines(rows, x, y, "x", "q99", names), spread, *_marks(base, x, y, names)]
    return layered([*_limit(max_condition, "y", scale), *layers], HEIGHT, rows)


def trade_off_chart(record: FitRecord) -> alt.LayerChart | None:
    """Loss against the 99 % condition number; the number beside a mark is the depth."""
    rows = [row for row in frontier_rows(record) if row["loss"] is not None and row["q99"] is not None]
    if not rows:
        return None
    max_condition, margin = positive(record.decision.max_condition), positive(record.decision.margin)
    domain = _condition_domain(
        [{**row, "median": None, "max": None} for row in rows], max_condition, room=0.1
    )
    scale = alt.Scale(type="log", domain=domain, nice=False)
    base, names, (y, _) = alt.Chart(), series_of(record.rungs), _loss(rows, margin)
    x = alt.X("q99:Q", title="99 % condition number κ", scale=scale, axis=log_axis(domain, grid=False))
    labels = base.mark_text(align="left", dx=8, dy=10, fontSize=10.5).encode(
        x=x, y=y, text="depth:N", color=series_colour(names)
    )
    layers = [_lines(rows, x, y, "q99", "loss", names), labels, *_marks(base, x, y, names)]
    return layered([*_limit(max_condition, "x", scale), *layers], HEIGHT, rows)


def _lines(rows: Rows, x: alt.X, y: alt.Y, across: str, up: str, names: list[str]) -> alt.Chart:
    base = alt.Chart(alt.Data(values=line_rows(rows, [across, up])))
    line = base.mark_line(strokeWidth=1.5, opacity=0.5)
    return line.encode(x=x, y=y, color=series_colour(names), order="depth:Q")


def _marks(base: alt.Chart, x: alt.X, y: alt.Y, names: list[str]) -> list[alt.Chart]:
    fill = alt.when("datum.complete").then(alt.Fill("series:N", scale=series_scale(names), legend=None))
    points = base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
        x=x,
        y=y,
        stroke=alt.Stroke("series:N", scale=series_scale(names), legend=None),
        fill=fill.otherwise(alt.value("#ffffff")),
        shape=series_shape(names),
        tooltip=_tooltip(),
    )
    kept = base.transform_filter("datum.delivered")
    ring = kept.mark_point(shape="circle", size=380, stroke=INK, strokeWidth=1.8, fill=None)
    name = kept.mark_text(dy=-19, fontSize=12, fontWeight=600, color=INK).encode(x=x, y=y, text="mark:N")
    return [points, ring.encode(x=x, y=y), name]


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("rung:N", title="flow"),
        alt.Tooltip("status:N", title="status"),
        alt.Tooltip("parameters:Q", title="parameters", format=",d"),
        alt.Tooltip("likelihood:Q", title="validation log-likelihood", format=".4f"),
        alt.Tooltip("loss:Q", title="behind the best", format=".4f"),
        alt.Tooltip("high:Q", title="at most (95 %)", format=".4f"),
        alt.Tooltip("state:N", title="state"),
        alt.Tooltip("median:Q", title="κ median", format=",.3~r"),
        alt.Tooltip("q99:Q", title="κ 99 %", format=",.3~r"),
        alt.Tooltip("max:Q", title="κ largest", format=",.3~r"),
    ]


def _loss(rows: Rows, margin: float | None) -> tuple[alt.Y, float]:
    """The axis of losses, the best on top, and the loss at which it bends: the margin."""
    unit = UNIT if margin is None else margin
    scale = nats_scale(
        finite_values(row[key] for row in rows for key in ("loss", "low", "high")), unit, reverse=True
    )
    axis = nats_axis(scale, unit, ticks=9)
    return alt.Y("loss:Q", title="behind the best (nats per row)", scale=scale, axis=axis), unit


def _condition_domain(rows: Rows, max_condition: float | None, *, room: float = 0.06) -> list[float]:
    values = [row[key] for row in rows for key in ("median", "q99", "max") if row[key] is not None]
    if max_condition is not None:
        values.append(max_condition)
    return log_domain(values, room=room)


def _limit(max_condition: float | None, axis: str, scale: alt.Scale) -> list[alt.Chart]:
    if max_condition is None:
        return []
    base = alt.Chart(alt.Data(values=[{"limit": max_condition}]))
    rule = base.mark_rule(color=ALARM, strokeDash=[5, 4], strokeWidth=1.3)
    if axis == "y":
        text = base.mark_text(
            text="limit for the 99 % point", color=ALARM, fontSize=10.5, align="left", dy=-6
        )
        where = alt.Y("limit:Q", scale=scale)
        return [rule.encode(y=where), text.encode(y=where, x=alt.value(5))]
    text = base.mark_text(
        text="limit for the 99 % point", color=ALARM, fontSize=10.5, align="left", angle=270, dy=-6
    )
    where_x = alt.X("limit:Q", scale=scale)
    return [rule.encode(x=where_x), text.encode(x=where_x, y=alt.value(HEIGHT - 5))]
