"""The rungs of a ladder in charts: loss, condition number and round trip against depth, and loss against conditioning.

The loss is what the rule looks at: nats a row behind the best rung. Colour and shape are the chain, hollow marks are rungs
that were not trained to their end, the ring is the delivered rung. A line joins a chain's rungs, from its front alone on.
"""

from collections.abc import Sequence

import altair as alt

from ..records import FitRecord
from ._charts import (
    ERROR,
    KAPPA,
    NATS,
    Rows,
    dashed,
    depth_axis,
    depth_place,
    known,
    layered,
    log_scale,
    nats_axis,
    nats_scale,
    of,
    tips,
)
from ._numbers import finite, finite_values, positive
from ._theme import ALARM, INK, MUTED, series, series_colour, series_of, series_scale, series_shape

HEIGHT = 270
UNIT = 0.05  # nats: where the axis of losses bends without a margin


def rung_rows(record: FitRecord) -> Rows:
    """One row for each rung; `x` is the place of its depth, moved by a little so that chains do not overlap."""
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
                **{name: positive(kappa and getattr(kappa, name)) for name in ("median", "q99", "max")},
            }
        )
    return rows


def line_rows(rows: Rows, fields: Sequence[str]) -> Rows:
    """What the lines are drawn from: every chain's rungs, and first that of its front alone."""
    chains = list(dict.fromkeys((row["chain"], row["front"]) for row in rows if row["depth"]))
    return [
        {"series": chain, "depth": row["depth"], **{field: row[field] for field in fields}}
        for chain, front in chains
        for row in rows
        if row["chain"] == chain or (not row["depth"] and front and row["front"] == front)
    ]


def likelihood_chart(record: FitRecord) -> alt.LayerChart | None:
    """Loss against depth, with its 95 % bounds, and the margin; `None` if no rung has a figure."""
    rows = [row for row in rung_rows(record) if row["loss"] is not None]
    if not rows:
        return None
    names, margin = series_of(record.rungs), positive(record.decision.margin)
    x, y = depth_axis([row["depth"] for row in rows]), _loss(rows, margin)
    bars = known("low").mark_rule(strokeWidth=1.5)
    bars = bars.encode(x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=series_colour(names))
    layers = [_lines(rows, x, y, ["x", "loss"], names), bars, *_marks(x, y, names)]
    return layered([*dashed("y", margin, MUTED, "margin", dy=7), *layers], HEIGHT, rows)


def condition_chart(record: FitRecord) -> alt.LayerChart | None:
    """Condition number against depth: 99 % point as mark, from median to largest as a thin line."""
    rows = [row for row in rung_rows(record) if row["q99"] is not None]
    if not rows:
        return None
    names, limit = series_of(record.rungs), positive(record.decision.max_condition)
    scale, axis = log_scale([limit, *_values(rows, "median", "q99", "max")])
    x = depth_axis([row["depth"] for row in rows])
    y = alt.Y("q99:Q", title="condition number κ", scale=scale, axis=axis)
    layers = [_lines(rows, x, y, ["x", "q99"], names), _spread(x, names), *_marks(x, y, names)]
    return layered([*dashed("y", limit, ALARM, "limit for the 99 % point"), *layers], HEIGHT, rows)


def trade_off_chart(record: FitRecord) -> alt.LayerChart | None:
    """Loss against the 99 % condition number; the number beside a mark is the depth."""
    rows = [row for row in rung_rows(record) if row["loss"] is not None and row["q99"] is not None]
    if not rows:
        return None
    names, limit = series_of(record.rungs), positive(record.decision.max_condition)
    scale, axis = log_scale([limit, *_values(rows, "q99")], room=0.1, grid=False)
    x = alt.X("q99:Q", title="99 % condition number κ", scale=scale, axis=axis)
    y = _loss(rows, positive(record.decision.margin))
    labels = alt.Chart().mark_text(align="left", dx=8, dy=10, fontSize=10.5)
    labels = labels.encode(x=x, y=y, text=alt.Text("depth:N"), color=series_colour(names))
    layers = [_lines(rows, x, y, ["q99", "loss"], names), labels, *_marks(x, y, names)]
    return layered([*dashed("x", limit, ALARM, "limit for the 99 % point"), *layers], HEIGHT, rows)


def round_trip_chart(record: FitRecord) -> alt.LayerChart | None:
    """Round-trip error (data → latent → data) against depth, for each dtype that it was computed in.

    The mark is the error that 99.9 % of the points do not exceed, the thin line goes from the median to the largest.
    """
    names = series_of(record.rungs)
    rows: Rows = [
        {
            **{key: row[key] for key in ("rung", "series", "depth", "x", "status")},
            "dtype": dtype,
            "median": positive(errors.median),
            "q999": errors.q999,
            "max": positive(errors.max),
            "line": f"{rung.family} {dtype}",
        }
        for rung, row in zip(record.rungs, rung_rows(record), strict=True)
        for dtype, errors in rung.round_trip.items()
        if positive(errors.q999) is not None
    ]
    if not rows:
        return None
    limit = positive(record.decision.max_round_trip)
    scale, axis = log_scale([limit, *_values(rows, "median", "q999", "max")], ticks=8)
    dtypes = sorted({row["dtype"] for row in rows})
    x = depth_axis([row["depth"] for row in rows])
    y = alt.Y("q999:Q", title="round-trip error", scale=scale, axis=axis)
    dashes = alt.Scale(domain=dtypes, range=[[1, 0], [5, 3], [2, 2]])
    dash = alt.StrokeDash("dtype:N", scale=dashes, legend=None)
    line = alt.Chart().mark_line(strokeWidth=1.5, opacity=0.6)
    line = line.encode(x=x, y=y, color=series_colour(names), strokeDash=dash, detail=alt.Detail("line:N"))
    texts = tips(rung="flow", status="status", dtype="computed in")
    texts += tips(ERROR, median="median", q999="99.9 %", max="largest")
    points = alt.Chart().mark_point(filled=True, size=65, opacity=1)
    points = points.encode(x=x, y=y, color=series_colour(names), shape=series_shape(names), tooltip=texts)
    by_place = sorted(rows, key=lambda row: (row["depth"], -row["q999"]))
    first = [next(row for row in by_place if row["dtype"] == dtype) for dtype in dtypes]
    words = of(*first).mark_text(dy=-13, fontSize=11.5, fontWeight=600, color=INK)
    layers = [line, _spread(x, names), points, words.encode(x=x, y=y, text=alt.Text("dtype:N"))]
    return layered([*layers, *dashed("y", limit, ALARM, "limit for 99.9 % in float32")], HEIGHT, rows)


def _values(rows: Rows, *fields: str) -> list[float | None]:
    return [row[field] for row in rows for field in fields]


def _loss(rows: Rows, margin: float | None) -> alt.Y:
    """The axis of losses, the best on top, which bends at the margin."""
    unit = UNIT if margin is None else margin
    scale = nats_scale(finite_values(_values(rows, "loss", "low", "high")), unit, reverse=True)
    axis = nats_axis(scale, unit, ticks=9)
    return alt.Y("loss:Q", title="behind the best (nats per row)", scale=scale, axis=axis)


def _lines(rows: Rows, x: alt.X, y: alt.Y, fields: list[str], names: list[str]) -> alt.Chart:
    line = of(*line_rows(rows, fields)).mark_line(strokeWidth=1.5, opacity=0.5)
    return line.encode(x=x, y=y, color=series_colour(names), order=alt.Order("depth:Q"))


def _spread(x: alt.X, names: list[str]) -> alt.Chart:
    spread = known("median", "max").mark_rule(strokeWidth=1.5, opacity=0.5)
    return spread.encode(x=x, y=alt.Y("median:Q"), y2=alt.Y2("max:Q"), color=series_colour(names))


def _marks(x: alt.X, y: alt.Y, names: list[str]) -> list[alt.Chart]:
    """The rungs, and a ring and a word for the delivered one."""
    scale = series_scale(names)
    fill = alt.when("datum.complete").then(alt.Fill("series:N", scale=scale, legend=None))
    points = alt.Chart().mark_point(size=80, strokeWidth=2, opacity=1)
    points = points.encode(
        x=x,
        y=y,
        stroke=alt.Stroke("series:N", scale=scale, legend=None),
        fill=fill.otherwise(alt.value("#ffffff")),
        shape=series_shape(names),
        tooltip=[
            *tips(rung="flow", status="status"),
            *tips(",d", parameters="parameters"),
            *tips(
                NATS, likelihood="validation log-likelihood", loss="behind the best", high="at most (95 %)"
            ),
            *tips(state="state"),
            *tips(KAPPA, median="κ median", q99="κ 99 %", max="κ largest"),
        ],
    )
    kept = alt.Chart().transform_filter("datum.delivered")
    ring = kept.mark_point(shape="circle", size=380, stroke=INK, strokeWidth=1.8, fill=None)
    name = kept.mark_text(dy=-19, fontSize=12, fontWeight=600, color=INK).encode(
        x=x, y=y, text=alt.Text("mark:N")
    )
    return [points, ring.encode(x=x, y=y), name]
