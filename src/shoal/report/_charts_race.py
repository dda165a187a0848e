"""The race of chains: what every rung gained over the one before it in its chain, with its 95 % bounds.

Rungs stand by front in the order in which these began: the front alone, with its log-likelihood, then what stands on it.
"""

from typing import Any

import altair as alt

from ..records import FitRecord
from ._numbers import MISSING, duration, finite, finite_values, fixed, positive, short
from ._rungs import series, series_of
from ._theme import INK, MUTED, layered, nats_axis, nats_scale, series_colour, series_scale, series_shape

ROW = 36  # height of a rung
UNIT = 0.05


def race_chart(record: FitRecord) -> alt.LayerChart | None:
    """The gains of all rungs, one below the other; `None` where no rung has a gain."""
    rows = _rows(record)
    values = finite_values(row[key] for row in rows for key in ("gain", "low", "high"))
    if not values:
        return None
    unit = positive(record.decision.margin) or UNIT
    scale, names = nats_scale(values, unit), series_of(record.rungs)
    axis = nats_axis(scale, unit, ticks=7, grid=False)
    x = alt.X("gain:Q", title="gain over the chain's rung before (nats per row)", scale=scale, axis=axis)
    places = [row["place"] for row in rows]
    y = alt.Y("place:O", title=None, axis=None, scale=alt.Scale(domain=places, padding=0))
    base = alt.Chart()
    text = base.mark_text(align="left", fontSize=11.5, dy=-9, color=INK)
    halo = base.mark_text(align="left", fontSize=11.5, dy=-9, stroke="#ffffff", strokeWidth=5)
    said = base.mark_text(align="right", fontSize=11.5, fontWeight=600, dy=-9, color=INK)
    known = base.transform_filter("isValid(datum.gain)")
    tooltip = [
        alt.Tooltip("rung:N", title="flow"),
        alt.Tooltip("gain:Q", format=".4f"),
        alt.Tooltip("low:Q", title="at least (95 %)", format=".4f"),
        alt.Tooltip("high:Q", title="at most (95 %)", format=".4f"),
        alt.Tooltip("end:N", title="what followed"),
    ]
    points = known.mark_point(size=70, filled=True, opacity=1, yOffset=6)
    bars = known.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=2.2, yOffset=6)
    edges = alt.Chart(alt.Data(values=[{"at": 0.0, "kind": "zero"}, {"at": unit, "kind": "margin"}]))
    dash = alt.when("datum.kind === 'margin'").then(alt.value([4, 3])).otherwise(alt.value([1, 0]))
    heads = [row for row in rows if row["head"] and row["place"]]
    lines = alt.Chart(alt.Data(values=heads)).mark_rule(color="#d9dfe5", yOffset=-ROW / 2)
    layers: list[alt.Chart] = [
        edges.mark_rule(color=MUTED).encode(x=alt.X("at:Q", scale=scale), strokeDash=dash),
        lines.encode(y=y),
        *(words.encode(x=alt.value(2), y=y, text="said:N") for words in (halo, text)),
        said.encode(x=alt.value("width"), y=y, text="mark:N"),
        bars.encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, color=series_colour(names)),
        points.encode(
            x=x,
            y=y,
            shape=series_shape(names),
            tooltip=tooltip,
            color=alt.Color("series:N", scale=series_scale(names), legend=None),
        ),
    ]
    return layered(layers, ROW * len(rows), rows)


def race_table(record: FitRecord) -> list[dict[str, str]]:
    """The rungs in the order in which they were run: when each was done, what it gained, what it led to."""
    done = {event.rung: event.at for event in record.race if event.event == "rung"}
    return [
        {
            "name": rung.name,
            "value": fixed(rung.validation_log_likelihood),
            "gain": MISSING
            if rung.gain is None
            else f"{fixed(rung.gain.mean)} ± {short(rung.gain.standard_error, 2)}",
            "at": duration(done.get(place)),
            "seconds": MISSING if rung.status == "not started" else duration(rung.seconds),
            "end": _end(record, place),
        }
        for place, rung in enumerate(record.rungs)
    ]


def _rows(record: FitRecord) -> list[dict[str, Any]]:
    rungs = list(enumerate(record.rungs))
    order = list(dict.fromkeys(rung.front for _, rung in rungs))
    chains = list(dict.fromkeys(rung.family for _, rung in rungs))
    ranked = sorted(
        rungs, key=lambda r: (order.index(r[1].front), r[1].depth > 0, chains.index(r[1].family), r[1].depth)
    )
    rows = []
    for row, (place, rung) in enumerate(ranked):
        ends = [None] * 3 if rung.gain is None else [rung.gain.mean, rung.gain.low, rung.gain.high]
        value = fixed(rung.validation_log_likelihood)
        rows.append(
            {
                "place": row,
                "head": not row or ranked[row - 1][1].front != rung.front,
                "rung": rung.name,
                "series": series(rung),
                "said": rung.name if rung.depth else f"{rung.name}: {value} nats per row",
                "mark": " · ".join(record.decision.marks(place)) or ("ended" if rung.dropped else ""),
                **dict(zip(("gain", "low", "high"), map(finite, ends), strict=True)),
                "end": _end(record, place),
            }
        )
    return rows


def _end(record: FitRecord, place: int) -> str:
    """What came after the rung, in words."""
    rung, marks = record.rungs[place], record.decision.marks(place)
    words = [", ".join(marks)] if marks else []
    if not rung.complete:
        words.append(rung.status)
    if rung.dropped:
        words.append(f"chain ended: {rung.dropped}")
    elif not rung.depth and not any(other.depth and other.front == rung.front for other in record.rungs):
        words.append("no layers were tried on it")
    return "; ".join(words)
