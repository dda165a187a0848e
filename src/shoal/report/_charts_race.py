"""The race of chains: what every rung gained over the one before it in its chain, with its 95 % bounds.

Rungs stand by front in the order in which these began: the front alone, with its log-likelihood, then what stands on it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ._numbers import MISSING, duration, finite, finite_values, fixed, number, short
from ._rungs import Rung, mapping, sequence, series_of
from ._theme import INK, MUTED, layered, nats_axis, nats_scale, series_colour, series_scale, series_shape

ROW = 36  # height of a rung
UNIT = 0.05


def race_chart(rungs: Sequence[Rung], margin: float | None) -> alt.LayerChart | None:
    """The gains of all rungs, one below the other; `None` where no rung has a gain."""
    rows = _rows(rungs)
    values = finite_values(row[key] for row in rows for key in ("gain", "low", "high"))
    if not values:
        return None
    unit = margin if margin is not None and margin > 0 else UNIT
    scale, names = nats_scale(values, unit), series_of(list(rungs))
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


def race_table(record: Mapping[str, Any], rungs: Sequence[Rung]) -> list[dict[str, str]]:
    """The rungs in the order in which they were run: when each was done, what it gained, what it led to."""
    done: dict[Any, Any] = {}
    for event in map(mapping, sequence(record.get("race"))):
        if event.get("event") == "rung":
            done[event.get("rung")] = event.get("at")
    return [
        {
            "name": rung.name,
            "value": fixed(rung.validation),
            "gain": _gain(rung),
            "at": duration(done.get(rung.index)),
            "seconds": MISSING if rung.status == "not started" else duration(rung.seconds),
            "end": _end(rung, rungs),
        }
        for rung in rungs
    ]


def _rows(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    order = list(dict.fromkeys(rung.front for rung in rungs))
    chains = list(dict.fromkeys(rung.chain for rung in rungs))
    ranked = sorted(rungs, key=lambda r: (order.index(r.front), r.depth > 0, chains.index(r.chain), r.depth))
    return [
        {
            "place": place,
            "head": not place or ranked[place - 1].front != rung.front,
            "rung": rung.name,
            "series": rung.series,
            "said": rung.name if rung.depth else f"{rung.name}: {fixed(rung.validation)} nats per row",
            "mark": " · ".join(rung.marks) or ("ended" if rung.dropped else ""),
            "gain": finite(rung.gain.get("mean")),
            "low": finite(rung.gain.get("low")),
            "high": finite(rung.gain.get("high")),
            "end": _end(rung, rungs),
        }
        for place, rung in enumerate(ranked)
    ]


def _gain(rung: Rung) -> str:
    if number(rung.gain.get("mean")) is None:
        return MISSING
    return f"{fixed(rung.gain.get('mean'))} ± {short(rung.gain.get('standard_error'), 2)}"


def _end(rung: Rung, rungs: Sequence[Rung]) -> str:
    """What came after the rung, in words."""
    words = [", ".join(rung.marks)] if rung.marks else []
    if not rung.complete:
        words.append(rung.status)
    if rung.dropped:
        words.append(f"chain ended: {rung.dropped}")
    elif not rung.depth and not any(other.depth and other.front == rung.front for other in rungs):
        words.append("no layers were tried on it")
    return "; ".join(words)
