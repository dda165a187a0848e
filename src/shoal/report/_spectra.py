"""Condition numbers and singular values over points: a histogram, and quantile bands by index, on logarithmic axes."""

from collections.abc import Mapping, Sequence

import altair as alt

from ..records import AuditRecord, FitRecord
from ..records.figures import ConditionSummary
from ._charts import KAPPA, Rows, known, layered, log_scale, of, tips
from ._numbers import positive, short
from ._theme import ACCENT, ALARM, INK

HEIGHT = 250
FEW = 12  # indices up to which each has bars of its own
ALL = {"min": "min", "q05": "05", "q25": "25", "median": "median", "q75": "75", "q95": "95", "max": "max"}


def histogram_chart(record: FitRecord) -> alt.LayerChart | None:
    """Counts of condition numbers at validation points, with those of the delivered seed; `None` without a histogram."""
    histogram = record.condition_histogram
    if histogram is None or not histogram.counts:
        return None
    edges = histogram.log10_edges
    bars: Rows = [
        {"low": 10**low, "high": 10**high, "count": count, "zero": 0}
        for low, high, count in zip(edges[:-1], edges[1:], histogram.counts, strict=True)
        if -300 < low < high < 300
    ]
    bars = [bar for bar in bars if bar["count"] > 0] or bars
    ends = [bar[key] for bar in bars for key in ("low", "high")]
    marks = _marks(record, max(ends, default=1.0))
    scale, axis = log_scale([*ends, *(mark["value"] for mark in marks)], room=0.02, grid=False)
    rectangles = (
        of(*bars)
        .mark_rect(color=ACCENT, opacity=0.75, stroke="#ffffff")
        .encode(
            x=alt.X("low:Q", title="condition number κ", scale=scale, axis=axis),
            x2=alt.X2("high:Q"),
            y=alt.Y("zero:Q", title="validation points", axis=alt.Axis(tickMinStep=1)),
            y2=alt.Y2("count:Q"),
            tooltip=[*tips(KAPPA, low="κ from", high="to"), *tips(",d", count="points")],
        )
    )
    kinds = alt.Scale(domain=["own", "limit"], range=[INK, ALARM])
    colour = alt.Color("kind:N", scale=kinds, legend=None)
    rules = of(*marks).mark_rule(strokeDash=[5, 4], strokeWidth=1.3).encode(x=alt.X("value:Q"), color=colour)
    words = of(*marks).mark_text(fontSize=10.5)
    words = words.encode(
        x=alt.X("value:Q"), y=alt.Y("row:Q", scale=None), text=alt.Text("name:N"), color=colour
    )
    return layered([rectangles, rules, words] if marks else [rectangles], HEIGHT)


def delivered_condition(record: FitRecord) -> ConditionSummary | None:
    """The condition numbers of the very seed that is delivered, whose histogram the page shows."""
    seed, rung = record.delivered_seed, record.delivered
    if seed is not None and seed.condition is not None:
        return seed.condition
    return None if rung is None else rung.condition


def spectrum_chart(record: FitRecord) -> alt.LayerChart | None:
    """Singular values by index: median, and a band from the 1 % to the 99 % point; `None` without a spectrum."""
    found = record.spectrum
    if found is None:
        return None
    bands = {"q01": found.q01, "median": found.median, "q99": found.q99}
    titles = {"q01": "σ 1 %", "median": "σ median", "q99": "σ 99 %"}
    return _bands(bands, titles, [("q01", "q99", 0.3, 9)])


def audit_spectrum_chart(record: AuditRecord) -> alt.LayerChart | None:
    """Bands of all points, 5 to 95 %, 25 to 75 %, and the median; a matrix-free audit has the two ends only."""
    bands = {name: getattr(record.spectrum, name) for name in ALL}
    pairs = [("min", "max", 0.16, 3), ("q05", "q95", 0.3, 9), ("q25", "q75", 0.5, 15)]
    return _bands(bands, ALL, pairs, ends=not record.dense and len(bands["median"]) == 2)


def _bands(
    bands: Mapping[str, Sequence[float]],
    titles: Mapping[str, str],
    pairs: Sequence[tuple[str, str, float, int]],
    *,
    ends: bool = False,
) -> alt.LayerChart | None:
    """Quantiles of singular values by index; None without a finite one.

    `bands`: name -> values, "median" among them; `titles`: of the tooltip; `pairs`: two names, the opacity of what lies
    between them, and its width where few indices have bars of their own; `ends`: only the largest and smallest are there.
    """
    count = len(bands["median"])
    labels = ["largest", "smallest"] if ends else [str(i) for i in range(1, count + 1)]
    rows: Rows = [
        {"index": i + 1, "name": labels[i], **{name: positive(bands[name][i]) for name in bands}}
        for i in range(count)
    ]
    values = [row[name] for row in rows for name in bands if row[name] is not None]
    if not values:
        return None
    few = count <= FEW
    scale, axis = log_scale(values)
    y = alt.Y("median:Q", title="singular value σ", scale=scale, axis=axis)
    title = "end of the spectrum" if ends else "index of the singular value (largest first)"
    x = alt.X("name:O", sort=None, title=title, axis=alt.Axis(labelAngle=0))
    if not few:
        places = alt.Scale(domain=[1, count], nice=False)
        x = alt.X("index:Q", title=title, scale=places, axis=alt.Axis(format="d", grid=False))
    layers: list[alt.Chart] = []
    for low, high, opacity, width in pairs:
        both, style = known(low, high), {"color": ACCENT, "opacity": opacity}
        band = (
            both.mark_rule(strokeWidth=width, strokeCap="butt", **style) if few else both.mark_area(**style)
        )
        layers.append(band.encode(x=x, y=alt.Y(f"{low}:Q"), y2=alt.Y2(f"{high}:Q")))
    if not few:
        layers.append(alt.Chart().mark_line(color=INK, strokeWidth=1.5).encode(x=x, y=y))
    size = 70 if few else 14 if count <= 300 else 4
    points = alt.Chart().mark_point(color=INK, filled=True, size=size, opacity=1)
    layers.append(points.encode(x=x, y=y, tooltip=[*tips(name="σ"), *tips(KAPPA, **titles)]))
    return layered(layers, HEIGHT, rows)


def _marks(record: FitRecord, largest: float) -> Rows:
    """Median, 99 % point and limit; their labels stand above the frame, one row each, so that none overlap."""
    found, limit = delivered_condition(record), positive(record.decision.max_condition)
    figures = {} if found is None else {"median": found.median, "99 %": found.q99}
    marks: Rows = [
        {"value": value, "name": f"{name}: {short(value)}", "kind": "own"}
        for name, value in figures.items()
        if positive(value)
    ]
    if limit is not None and limit <= largest * 1e3:
        marks.append({"value": limit, "name": "limit for 99 %", "kind": "limit"})
    return [{**mark, "row": -7 - 13 * (len(marks) - 1 - place)} for place, mark in enumerate(marks)]
