"""Conditioning of one flow: its condition numbers and its singular values.

Condition numbers and singular values are exact ones (dense SVD) of latent -> standardised data at validation points.
"""

from typing import Any

import altair as alt

from ..records import FitRecord
from ..records.figures import ConditionSummary
from ._numbers import positive, short
from ._theme import ACCENT, ALARM, INK, layered, log_axis, log_domain

HEIGHT = 240


def histogram_chart(record: FitRecord) -> alt.LayerChart | None:
    """Counts of condition numbers at validation points, with those of the delivered seed; `None` without a histogram."""
    histogram = record.condition_histogram
    if histogram is None or not histogram.counts:
        return None
    edges = histogram.log10_edges
    bars = [
        {"low": 10**low, "high": 10**high, "count": count, "zero": 0}
        for low, high, count in zip(edges[:-1], edges[1:], histogram.counts, strict=True)
        if -300 < low < high < 300
    ]
    limit = positive(record.decision.max_condition)
    filled = [bar for bar in bars if bar["count"] > 0] or bars
    ends = [bar[key] for bar in filled for key in ("low", "high")]
    marks = _condition_marks(delivered_condition(record), limit, max(ends, default=1.0))
    domain = log_domain([*ends, *(mark["value"] for mark in marks)], room=0.02)
    scale = alt.Scale(type="log", domain=domain, nice=False)
    x = alt.X("low:Q", title="condition number κ", scale=scale, axis=log_axis(domain, grid=False))
    rectangles = alt.Chart(alt.Data(values=filled)).mark_rect(color=ACCENT, opacity=0.75, stroke="#ffffff")
    rectangles = rectangles.encode(
        x=x,
        x2="high:Q",
        y=alt.Y("zero:Q", title="validation points", axis=alt.Axis(tickMinStep=1)),
        y2="count:Q",
        tooltip=[
            alt.Tooltip("low:Q", title="κ from", format=",.3~r"),
            alt.Tooltip("high:Q", title="to", format=",.3~r"),
            alt.Tooltip("count:Q", title="points", format=",d"),
        ],
    )
    return layered([rectangles, *_rules(marks, scale)], HEIGHT)


def spectrum_chart(record: FitRecord) -> alt.LayerChart | None:
    """Singular values by index: median, and a band from the 1 % to the 99 % point; `None` without a spectrum."""
    found = record.spectrum
    if found is None:
        return None
    rows = [
        {"index": index, "median": middle, "low": positive(low), "high": positive(high)}
        for index, low, middle, high in zip(found.index, found.q01, found.median, found.q99, strict=True)
        if positive(middle) is not None
    ]
    if not rows:
        return None
    known = [row[key] for row in rows for key in ("low", "median", "high") if row[key] is not None]
    domain = log_domain(known)
    scale = alt.Scale(type="log", domain=domain, nice=False)
    count = len(rows)
    ticks = [row["index"] for row in rows] if count <= 12 else None
    x_scale = alt.Scale(domain=[rows[0]["index"] - 0.4, rows[-1]["index"] + 0.4], nice=False)
    axis = (
        alt.Axis(format="d", tickMinStep=1, grid=False)
        if ticks is None
        else alt.Axis(format="d", values=ticks)
    )
    x = alt.X("index:Q", title="index of the singular value (largest first)", scale=x_scale, axis=axis)
    y = alt.Y("median:Q", title="singular value σ", scale=scale, axis=log_axis(domain))
    base = alt.Chart()
    both = base.transform_filter("isValid(datum.low) && isValid(datum.high)")
    band = both.mark_rule(color=ACCENT, opacity=0.4, strokeWidth=7, strokeCap="butt")
    if count > 12:
        band = both.mark_area(color=ACCENT, opacity=0.22)
    band = band.encode(x=x, y=alt.Y("low:Q", scale=scale), y2="high:Q")
    line = base.mark_line(color=ACCENT, strokeWidth=1.5).encode(x=x, y=y)
    points = base.mark_point(color=ACCENT, filled=True, size=45, opacity=1).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("index:Q", title="index"),
            alt.Tooltip("low:Q", title="σ 1 %", format=",.3~r"),
            alt.Tooltip("median:Q", title="σ median", format=",.3~r"),
            alt.Tooltip("high:Q", title="σ 99 %", format=",.3~r"),
        ],
    )
    return layered([band, line, points], HEIGHT, rows)


def delivered_condition(record: FitRecord) -> ConditionSummary | None:
    """The condition numbers of the very seed that is delivered, whose histogram the page shows."""
    seed, rung = record.delivered_seed, record.delivered
    if seed is not None and seed.condition is not None:
        return seed.condition
    return None if rung is None else rung.condition


def _condition_marks(
    condition: ConditionSummary | None, limit: float | None, largest: float
) -> list[dict[str, Any]]:
    known = [] if condition is None else [("median", condition.median), ("99 %", condition.q99)]
    found = [(name, positive(value)) for name, value in known]
    marks = [
        {"value": value, "name": f"{name}: {short(value)}", "kind": "own"} for name, value in found if value
    ]
    if limit is not None and limit <= largest * 1e3:
        marks.append({"value": limit, "name": "limit for 99 %", "kind": "limit"})
    for place, mark in enumerate(marks):  # labels stand above the frame, one row each, so that none overlap
        mark["row"] = -7 - 13 * (len(marks) - 1 - place)
    return marks


def _rules(marks: list[dict[str, Any]], scale: alt.Scale) -> list[alt.Chart]:
    if not marks:
        return []
    base = alt.Chart(alt.Data(values=marks))
    x = alt.X("value:Q", scale=scale)
    kinds = alt.Scale(domain=["own", "limit"], range=[INK, ALARM])
    colour = alt.Color("kind:N", scale=kinds, legend=None)
    rule = base.mark_rule(strokeDash=[5, 4], strokeWidth=1.3).encode(x=x, color=colour)
    text = base.mark_text(fontSize=10.5)
    text = text.encode(x=x, y=alt.Y("row:Q", scale=None), text="name:N", color=colour)
    return [rule, text]
