"""Round-trip error (data -> latent -> data) against depth, for each dtype it was computed in.

The mark is the largest error over validation points, the thin line goes down to the median.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ._numbers import positive
from ._rungs import Rung, families_of, mapping
from ._theme import (
    ALARM,
    INK,
    depth_axis,
    depth_place,
    family_colour,
    family_shape,
    layered,
    log_axis,
    log_domain,
)

HEIGHT = 270


def round_trip_rows(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    """Returns one row for each rung and dtype with the median and largest round-trip error (positive ones only)."""
    families = families_of(list(rungs))
    rows = []
    for rung in rungs:
        for dtype, errors in rung.round_trip.items():
            figures = mapping(errors)
            median, largest = positive(figures.get("median")), positive(figures.get("max"))
            if largest is None:
                continue
            rows.append(
                {
                    "family": rung.family,
                    "depth": rung.depth,
                    "x": depth_place(families, rung.family, rung.depth),
                    "dtype": str(dtype),
                    "status": rung.status,
                    "median": median,
                    "max": largest,
                    "series": f"{rung.family} {dtype}",
                }
            )
    return rows


def round_trip_chart(record: Mapping[str, Any], rungs: Sequence[Rung]) -> alt.LayerChart | None:
    """Largest round-trip error against depth by dtype, with a thin line down to the median."""
    rows = round_trip_rows(rungs)
    if not rows:
        return None
    limit = positive(mapping(record.get("decision")).get("max_round_trip"))
    values = [row[key] for row in rows for key in ("median", "max") if row[key] is not None]
    domain = log_domain([*values, *([limit] if limit else [])])
    scale = alt.Scale(type="log", domain=domain, nice=False)
    families = families_of(list(rungs))
    dtypes = sorted({row["dtype"] for row in rows})
    base = alt.Chart()
    x = depth_axis([rung.depth for rung in rungs])
    y = alt.Y("max:Q", title="round-trip error", scale=scale, axis=log_axis(domain, ticks=8))
    colour = family_colour(families)
    dash = alt.StrokeDash(
        "dtype:N", scale=alt.Scale(domain=dtypes, range=[[1, 0], [5, 3], [2, 2]]), legend=None
    )
    line = base.mark_line(strokeWidth=1.5, opacity=0.6)
    line = line.encode(x=x, y=y, color=family_colour(families), strokeDash=dash, detail="series:N")
    spread = base.transform_filter("isValid(datum.median)").mark_rule(strokeWidth=1.5, opacity=0.5)
    spread = spread.encode(x=x, y=y, y2="median:Q", color=family_colour(families))
    points = base.mark_point(filled=True, size=65, opacity=1).encode(
        x=x,
        y=y,
        color=colour,
        shape=family_shape(families),
        tooltip=[
            alt.Tooltip("family:N"),
            alt.Tooltip("depth:Q"),
            alt.Tooltip("status:N"),
            alt.Tooltip("dtype:N", title="computed in"),
            alt.Tooltip("median:Q", title="median", format=".2e"),
            alt.Tooltip("max:Q", title="largest", format=".2e"),
        ],
    )
    first = [max((row for row in rows if row["dtype"] == dtype), key=_shallow_and_large) for dtype in dtypes]
    names = alt.Chart(alt.Data(values=first)).mark_text(dy=-13, fontSize=11.5, fontWeight=600, color=INK)
    layers: list[alt.Chart] = [line, spread, points, names.encode(x=x, y=y, text="dtype:N")]
    if limit is not None:
        data = alt.Chart(alt.Data(values=[{"limit": limit}]))
        where = alt.Y("limit:Q", scale=scale)
        layers.append(data.mark_rule(color=ALARM, strokeDash=[5, 4]).encode(y=where))
        label = data.mark_text(text="limit in float32", color=ALARM, align="left", dy=-6, fontSize=10.5)
        layers.append(label.encode(y=where, x=alt.value(5)))
    return layered(layers, HEIGHT, rows)


def _shallow_and_large(row: dict[str, Any]) -> tuple[int, float]:
    return -row["depth"], row["max"]
