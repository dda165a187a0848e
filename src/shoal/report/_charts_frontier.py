"""The depth-likelihood-conditioning frontier: three charts of the same rungs.

Likelihood against depth, condition number against depth, and likelihood against condition number. Colour and shape
are the family; hollow marks are rungs that were not trained to their end; the ring is the chosen rung.
"""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from ._numbers import finite, positive
from ._rungs import Rung, best_of, families_of
from ._theme import (
    ALARM,
    INK,
    MUTED,
    depth_axis,
    depth_place,
    family_colour,
    family_scale,
    family_shape,
    layered,
    linear_domain,
    log_axis,
    log_domain,
)

HEIGHT = 270


def frontier_rows(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    """Returns one row for each rung; `x` is the depth, moved by a few per cent so that families do not overlap."""
    families = families_of(list(rungs))
    rows = []
    for rung in rungs:
        value, error = finite(rung.validation), finite(rung.standard_error)
        rows.append(
            {
                "rung": rung.index,
                "family": rung.family,
                "depth": rung.depth,
                "x": depth_place(families, rung.family, rung.depth),
                "status": rung.status,
                "complete": rung.complete,
                "chosen": rung.chosen,
                "likelihood": value,
                "low": None if value is None or error is None else value - error,
                "high": None if value is None or error is None else value + error,
                "error": error,
                "parameters": finite(rung.parameters),
                "median": positive(rung.condition.get("median")),
                "q99": positive(rung.condition.get("q99")),
                "max": positive(rung.condition.get("max")),
            }
        )
    return rows


def likelihood_chart(rungs: Sequence[Rung]) -> alt.LayerChart | None:
    """Validation log-likelihood against depth, with one standard error; `None` if no rung has a figure."""
    rows = [row for row in frontier_rows(rungs) if row["likelihood"] is not None]
    if not rows:
        return None
    base = alt.Chart()
    y = alt.Y("likelihood:Q", title="validation log-likelihood (nats per row)", scale=_likelihood_scale(rows))
    x = depth_axis([rung.depth for rung in rungs])
    families = families_of(list(rungs))
    bars = base.mark_rule(strokeWidth=1.5).encode(
        x=x, y=alt.Y("low:Q", scale=_likelihood_scale(rows)), y2="high:Q"
    )
    bars = bars.encode(color=family_colour(families)).transform_filter("isValid(datum.low)")
    layers = [_lines(base, x, y, families), bars, *_marks(base, x, y, families, rows)]
    best = best_of(list(rungs))
    level = finite(best.validation) if best is not None else None
    if level is not None:
        rule = alt.Chart(alt.Data(values=[{"level": level}])).mark_rule(color=MUTED, strokeDash=[4, 3])
        layers.insert(0, rule.encode(y=alt.Y("level:Q", scale=_likelihood_scale(rows))))
    return layered(layers, HEIGHT, rows)


def condition_chart(rungs: Sequence[Rung], max_condition: float | None) -> alt.LayerChart | None:
    """Condition number against depth: 99 % point as mark, from median to largest as a thin line."""
    rows = [row for row in frontier_rows(rungs) if row["q99"] is not None]
    if not rows:
        return None
    domain = _condition_domain(rows, max_condition)
    scale = alt.Scale(type="log", domain=domain, nice=False)
    base = alt.Chart()
    families = families_of(list(rungs))
    x = depth_axis([rung.depth for rung in rungs])
    y = alt.Y("q99:Q", title="condition number κ", scale=scale, axis=log_axis(domain))
    spread = base.mark_rule(strokeWidth=1.5, opacity=0.55).encode(
        x=x, y=alt.Y("median:Q", scale=scale), y2="max:Q", color=family_colour(families)
    )
    spread = spread.transform_filter("isValid(datum.median) && isValid(datum.max)")
    layers = [_lines(base, x, y, families), spread, *_marks(base, x, y, families, rows)]
    layers = [*_limit(max_condition, "y", scale), *layers]
    return layered(layers, HEIGHT, rows)


def trade_off_chart(rungs: Sequence[Rung], max_condition: float | None) -> alt.LayerChart | None:
    """Validation log-likelihood against the 99 % condition number; the number beside a mark is the depth."""
    rows = [row for row in frontier_rows(rungs) if row["likelihood"] is not None and row["q99"] is not None]
    if not rows:
        return None
    domain = _condition_domain(
        [{**row, "median": None, "max": None} for row in rows], max_condition, room=0.1
    )
    scale = alt.Scale(type="log", domain=domain, nice=False)
    families = families_of(list(rungs))
    base = alt.Chart()
    x = alt.X("q99:Q", title="99 % condition number κ", scale=scale, axis=log_axis(domain, grid=False))
    y = alt.Y("likelihood:Q", title="validation log-likelihood (nats per row)", scale=_likelihood_scale(rows))
    labels = base.mark_text(align="left", dx=8, dy=10, fontSize=10.5).encode(
        x=x, y=y, text="depth:N", color=family_colour(families)
    )
    layers = [_lines(base, x, y, families), labels, *_marks(base, x, y, families, rows)]
    layers = [*_limit(max_condition, "x", scale), *layers]
    return layered(layers, HEIGHT, rows)


def _lines(base: alt.Chart, x: alt.X, y: alt.Y, families: list[str]) -> alt.Chart:
    line = base.mark_line(strokeWidth=1.5, opacity=0.5)
    return line.encode(x=x, y=y, color=family_colour(families), order="depth:Q")


def _marks(
    base: alt.Chart, x: alt.X, y: alt.Y, families: list[str], rows: list[dict[str, Any]]
) -> list[alt.Chart]:
    fill = alt.when("datum.complete").then(alt.Fill("family:N", scale=family_scale(families), legend=None))
    points = base.mark_point(size=80, strokeWidth=2, opacity=1).encode(
        x=x,
        y=y,
        stroke=alt.Stroke("family:N", scale=family_scale(families), legend=None),
        fill=fill.otherwise(alt.value("#ffffff")),
        shape=family_shape(families),
        tooltip=_tooltip(),
    )
    if not any(row["chosen"] for row in rows):
        return [points]
    chosen = base.transform_filter("datum.chosen")
    ring = chosen.mark_point(shape="circle", size=380, stroke=INK, strokeWidth=1.8, fill=None).encode(
        x=x, y=y
    )
    name = chosen.mark_text(dy=-19, fontSize=12, fontWeight=600, color=INK, text="chosen").encode(x=x, y=y)
    return [points, ring, name]


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("family:N", title="family"),
        alt.Tooltip("depth:Q", title="depth"),
        alt.Tooltip("status:N", title="status"),
        alt.Tooltip("parameters:Q", title="parameters", format=",d"),
        alt.Tooltip("likelihood:Q", title="validation log-likelihood", format=".4f"),
        alt.Tooltip("error:Q", title="standard error of the difference", format=".4f"),
        alt.Tooltip("median:Q", title="κ median", format=",.3~r"),
        alt.Tooltip("q99:Q", title="κ 99 %", format=",.3~r"),
        alt.Tooltip("max:Q", title="κ largest", format=",.3~r"),
    ]


def _likelihood_scale(rows: Sequence[dict[str, Any]]) -> alt.Scale:
    values = [row[key] for row in rows for key in ("likelihood", "low", "high") if row[key] is not None]
    return alt.Scale(domain=linear_domain(values, padding=0.1), nice=False, zero=False)


def _condition_domain(
    rows: Sequence[dict[str, Any]], max_condition: float | None, *, room: float = 0.06
) -> list[float]:
    values = [row[key] for row in rows for key in ("median", "q99", "max") if row[key] is not None]
    if max_condition is not None and math.isfinite(max_condition) and max_condition > 0:
        values.append(max_condition)
    return log_domain(values, room=room)


def _limit(max_condition: float | None, axis: str, scale: alt.Scale) -> list[alt.Chart]:
    if max_condition is None or not math.isfinite(max_condition) or max_condition <= 0:
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
