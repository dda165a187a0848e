"""Round trips of an audit: a row for each set of points, a lane for each dtype, observed beside predicted.

What did not come back finite is written out in its lane and has no place on the axis; so has an error of exactly 0.
"""

from typing import Any

import altair as alt

from ..records import AuditRecord
from ..records.audit import Trip
from ._numbers import positive, whole
from ._theme import ALARM, INK, MUTED, layered, log_axis, log_domain

UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8}
COLOURS = {"float64": "#3c8d5a", "float32": "#2b6c99", "bfloat16": "#d1622b"}
_LATENT = ("samples", "tails")


def way_of(name: str) -> str:
    """The way of a set: "latent" (z → x → z) for samples and tails, else "data" (x → z → x)."""
    return "latent" if name.startswith(_LATENT) else "data"


def trip_rows(record: AuditRecord) -> list[dict[str, Any]]:
    """One row for each set and dtype; figures that are not there are None, and `word` says what can not be drawn."""
    rows = []
    for name, by in record.round_trips.items():
        layers = record.predicted.get(way_of(name)) if name in ("data", "samples") else None
        for dtype, trip in by.items():
            rows.append(
                {
                    "set": name[:60],
                    "dtype": dtype,
                    "way": "z → x → z" if way_of(name) == "latent" else "x → z → x",
                    "median": positive(trip.median),
                    "max": positive(trip.max),
                    "predicted": positive(trip.predicted),
                    "layers": None if layers is None else positive(layers * UNITS.get(dtype, 0.0)),
                    "word": _word(trip),
                    "failed": trip.failed or "",
                }
            )
    return rows


def trips_chart(record: AuditRecord) -> alt.LayerChart | None:
    """The chart of a record; None without round trips."""
    rows = trip_rows(record)
    if not rows:
        return None
    limit = positive(record.limits.max_round_trip)
    values = [r[k] for r in rows for k in ("median", "max", "predicted", "layers") if r[k] is not None]
    domain = log_domain([*values, *([limit] if limit else [])])
    scale, axis = alt.Scale(type="log", domain=domain, nice=False), log_axis(domain, ticks=10)
    sets, dtypes = list(dict.fromkeys(r["set"] for r in rows)), list(dict.fromkeys(r["dtype"] for r in rows))
    colours = [COLOURS.get(d, INK) for d in dtypes]
    x = alt.X("max:Q", title="round-trip error, largest coordinate", scale=scale, axis=axis)
    y = alt.Y(
        "set:N",
        title=None,
        sort=None,
        scale=alt.Scale(domain=sets, paddingInner=0.25),
        axis=alt.Axis(labelLimit=200, ticks=False, labelPadding=6),
    )
    lane = alt.YOffset("dtype:N", sort=None, scale=alt.Scale(domain=dtypes))
    colour = alt.Color("dtype:N", title="computed in", scale=alt.Scale(domain=dtypes, range=colours))
    tooltip = [
        alt.Tooltip("set:N"),
        alt.Tooltip("way:N"),
        alt.Tooltip("dtype:N", title="computed in"),
        alt.Tooltip("median:Q", format=".2e"),
        alt.Tooltip("max:Q", title="largest", format=".2e"),
        alt.Tooltip("predicted:Q", title="predicted, u κ |start|", format=".2e"),
        alt.Tooltip("layers:Q", title="predicted from the layers", format=".2e"),
    ]
    place = {"y": y, "yOffset": lane}
    drawn = alt.Chart().transform_filter("isValid(datum.max)")
    spread = drawn.transform_filter("isValid(datum.median)").mark_rule(strokeWidth=2, opacity=0.5)
    guess = alt.Chart().transform_filter("isValid(datum.predicted)")
    guess = guess.mark_point(shape="diamond", size=46, filled=False, strokeWidth=1.4)
    sums = alt.Chart().transform_filter("isValid(datum.layers)").mark_tick(thickness=2, size=11)
    parts: list[alt.Chart] = [
        spread.encode(x=x, x2="median:Q", color=colour, **place),
        guess.encode(x=alt.X("predicted:Q", scale=scale), color=colour, tooltip=tooltip, **place),
        sums.encode(x=alt.X("layers:Q", scale=scale), color=colour, tooltip=tooltip, **place),
        drawn.mark_point(filled=True, size=52, opacity=1).encode(x=x, color=colour, tooltip=tooltip, **place),
    ]
    words = (
        alt.Chart()
        .transform_filter("datum.word !== ''")
        .mark_text(align="left", dx=4, fontSize=10.5, color=ALARM)
    )
    parts.append(words.encode(x=alt.value(0), text="word:N", **place))
    if limit is not None:
        data = alt.Chart(alt.Data(values=[{"limit": limit}]))
        rule = data.mark_rule(color=MUTED, strokeDash=[5, 4]).encode(x=alt.X("limit:Q", scale=scale))
        parts.append(rule)
    return layered(parts, 46 * len(sets), rows)


def _word(trip: Trip) -> str:
    if trip.failed:
        return "not run"
    if trip.nonfinite:
        return f"✕ {whole(trip.nonfinite)} of {whole(trip.points)} points not finite"
    return "0: no error at all" if trip.max == 0 else ("" if positive(trip.max) else "✕ not finite")
