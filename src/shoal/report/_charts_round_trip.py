"""Round-trip error (data -> latent -> data) against depth, for each dtype it was computed in.

The mark is the error that 99.9 % of validation points do not exceed, the thin line goes from the median to the largest.
"""

from typing import Any

import altair as alt

from ..records import FitRecord
from ._numbers import positive
from ._rungs import series, series_of
from ._theme import (
    ALARM,
    INK,
    depth_axis,
    depth_place,
    layered,
    log_axis,
    log_domain,
    series_colour,
    series_shape,
)

HEIGHT = 270


def round_trip_rows(record: FitRecord) -> list[dict[str, Any]]:
    """Returns one row for each rung and dtype with its round-trip errors (positive ones only)."""
    names = series_of(record.rungs)
    return [
        {
            "rung": rung.name,
            "series": series(rung),
            "depth": rung.depth,
            "x": depth_place(names, series(rung), rung.depth),
            "dtype": dtype,
            "status": rung.status,
            "median": positive(errors.median),
            "q999": errors.q999,
            "max": positive(errors.max),
            "line": f"{rung.family} {dtype}",
        }
        for rung in record.rungs
        for dtype, errors in rung.round_trip.items()
        if positive(errors.q999) is not None
    ]


def round_trip_chart(record: FitRecord) -> alt.LayerChart | None:
    """Round-trip error against depth by dtype: 99.9 % point as mark, from median to largest as a thin line."""
    rows = round_trip_rows(record)
    if not rows:
        return None
    limit = positive(record.decision.max_round_trip)
    values = [row[key] for row in rows for key in ("median", "q999", "max") if row[key] is not None]
    domain = log_domain([*values, *([limit] if limit else [])])
    scale = alt.Scale(type="log", domain=domain, nice=False)
    names = series_of(record.rungs)
    dtypes = sorted({row["dtype"] for row in rows})
    base = alt.Chart()
    x = depth_axis([row["depth"] for row in rows])
    y = alt.Y("q999:Q", title="round-trip error", scale=scale, axis=log_axis(domain, ticks=8))
    colour = series_colour(names)
    dash = alt.StrokeDash(
        "dtype:N", scale=alt.Scale(domain=dtypes, range=[[1, 0], [5, 3], [2, 2]]), legend=None
    )
    line = base.mark_line(strokeWidth=1.5, opacity=0.6)
    line = line.encode(x=x, y=y, color=colour, strokeDash=dash, detail="line:N")
    spread = base.transform_filter("isValid(datum.median) && isValid(datum.max)")
    spread = spread.mark_rule(strokeWidth=1.5, opacity=0.5)
    spread = spread.encode(x=x, y=alt.Y("median:Q", scale=scale), y2="max:Q", color=colour)
    points = base.mark_point(filled=True, size=65, opacity=1).encode(
        x=x,
        y=y,
        color=colour,
        shape=series_shape(names),
        tooltip=[
            alt.Tooltip("rung:N", title="flow"),
            alt.Tooltip("status:N"),
            alt.Tooltip("dtype:N", title="computed in"),
            alt.Tooltip("median:Q", title="median", format=".2e"),
            alt.Tooltip("q999:Q", title="99.9 %", format=".2e"),
            alt.Tooltip("max:Q", title="largest", format=".2e"),
        ],
    )
    first = [max((row for row in rows if row["dtype"] == dtype), key=_shallow_and_large) for dtype in dtypes]
    words = alt.Chart(alt.Data(values=first)).mark_text(dy=-13, fontSize=11.5, fontWeight=600, color=INK)
    layers: list[alt.Chart] = [line, spread, points, words.encode(x=x, y=y, text="dtype:N")]
    if limit is not None:
        data = alt.Chart(alt.Data(values=[{"limit": limit}]))
        where = alt.Y("limit:Q", scale=scale)
        layers.append(data.mark_rule(color=ALARM, strokeDash=[5, 4]).encode(y=where))
        label = data.mark_text(
            text="limit for 99.9 % in float32", color=ALARM, align="left", dy=-6, fontSize=10.5
        )
        layers.append(label.encode(y=where, x=alt.value(5)))
    return layered(layers, HEIGHT, rows)


def _shallow_and_large(row: dict[str, Any]) -> tuple[int, float]:
    return -row["depth"], row["q999"]
