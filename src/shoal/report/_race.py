"""The race of chains: what every rung gained over the one before it in its chain, with its 95 % bounds.

Rungs stand by front in the order in which these began: the front alone, with its log-likelihood, then what stands on it.
"""

from typing import Any

import altair as alt

from ..records import FitRecord
from ._charts import NATS, Rows, dashed, known, layered, nats_axis, nats_scale, of, tips
from ._ladder import UNIT
from ._numbers import finite, finite_values, fixed, positive
from ._theme import INK, MUTED, series, series_colour, series_of, series_shape

ROW = 36  # height of a rung


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
    places = alt.Scale(domain=[row["place"] for row in rows], padding=0)
    y = alt.Y("place:O", title=None, axis=None, scale=places)
    zero = of({"at": 0.0}).mark_rule(color=MUTED)
    heads = [row for row in rows if row["head"] and row["place"]]
    parts = of(*heads).mark_rule(color="#d9dfe5", yOffset=-ROW / 2)
    style: dict[str, Any] = {"fontSize": 11.5, "dy": -9}
    halo = alt.Chart().mark_text(align="left", stroke="#ffffff", strokeWidth=5, **style)
    text = alt.Chart().mark_text(align="left", color=INK, **style)
    mark = alt.Chart().mark_text(align="right", fontWeight=600, color=INK, **style)
    points = known("gain").mark_point(size=70, filled=True, opacity=1, yOffset=6)
    figures = tips(NATS, gain="gain", low="at least (95 %)", high="at most (95 %)")
    tooltip = [*tips(rung="flow"), *figures, *tips(end="what followed")]
    bars = known("gain", "low").mark_rule(strokeWidth=2.2, yOffset=6)
    colour = series_colour(names)
    layers: list[alt.Chart] = [
        zero.encode(x=alt.X("at:Q")),
        *dashed("x", unit),
        parts.encode(y=y),
        *(words.encode(x=alt.XValue(2), y=y, text=alt.Text("said:N")) for words in (halo, text)),
        mark.encode(x=alt.XValue("width"), y=y, text=alt.Text("mark:N")),
        bars.encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=y, color=colour),
        points.encode(x=x, y=y, shape=series_shape(names), tooltip=tooltip, color=colour),
    ]
    return layered(layers, ROW * len(rows), rows)


def outcome(record: FitRecord, place: int) -> str:
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


def _rows(record: FitRecord) -> Rows:
    rungs = record.rungs
    fronts = list(dict.fromkeys(rung.front for rung in rungs))
    chains = list(dict.fromkeys(rung.family for rung in rungs))

    def order(place: int) -> tuple[int, bool, int, int]:
        rung = rungs[place]
        return fronts.index(rung.front), rung.depth > 0, chains.index(rung.family), rung.depth

    rows: Rows = []
    before = None
    for place in sorted(range(len(rungs)), key=order):
        rung, gain = rungs[place], rungs[place].gain
        value = fixed(rung.validation_log_likelihood)
        rows.append(
            {
                "place": len(rows),
                "head": rung.front != before,
                "rung": rung.name,
                "series": series(rung),
                "said": rung.name if rung.depth else f"{rung.name}: {value} nats per row",
                "mark": " · ".join(record.decision.marks(place)) or ("ended" if rung.dropped else ""),
                "gain": finite(gain and gain.mean),
                "low": finite(gain and gain.low),
                "high": finite(gain and gain.high),
                "end": outcome(record, place),
            }
        )
        before = rung.front
    return rows
