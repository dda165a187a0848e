"""The page of a construction: points before and after each layer, both staircases, and the parts of the certificate.

A point has one colour in all pictures: y_1, the latent coordinate whose cell decides to which atom it goes.
"""

import math
from collections.abc import Sequence

import altair as alt

from ..records import ConstructionRecord
from ..records.construction import Pictures, Steps, W2Certificate
from ..records.figures import Figure, kind_words
from ._charts import KAPPA, Rows, dashed, layered, linear_domain, of, tips
from ._numbers import duration, finite, setting, short, whole
from ._page import Tile, last_part, rendered
from ._theme import ACCENT, INK, MUTED

SIDE = 250
COLOURS = ["#2b3f8c", "#3f86c6", "#6fc0a5", "#d9b13b", "#d1622b", "#8c1d40"]
DOTTED = 400  # knots up to which they have dots
LATENT = [-4.2, 4.2]
PARTS = {
    "quantization": "#86b4d5",
    "push": "#4a7fb5",
    "scales": "#6f5aa8",
    "ramps and tails": "#b0306a",
    "borders": "#6d0b22",
}
TERMS = {
    "quantization": "the sample to its atoms: every row to the centre of its cluster",
    "push": "the atoms moved apart along v, and rounded to the dtype",
    "scales": "√n δ: the noise that both layers keep",
    "ramps": "points between two cells, whose atom is neither",
    "tails": "points whose x′ leaves its plateau, so that t₃ is not that of their atom",
    "borders": "cells whose probability is not exactly that of their atom",
    "total": "quantization + push + scales + √(ramps² + tails²) + borders",
}


def render_construction(record: ConstructionRecord) -> str:
    """The whole page of a record as text."""
    found, pictures = record.certificate, record.pictures
    first = "" if record.size == 2 else ", first coordinate"
    charts = {
        **point_charts(pictures),
        "t2": staircase_chart(pictures.t2, ("y₁, latent", f"t₂(y₁){first}"), coloured=True),
        "t3": staircase_chart(pictures.t3, ("u = ⟨v, x′⟩", f"t₃(u){first}"), coloured=False),
        "parts": parts_chart(found),
    }
    facts = [
        ("rows", whole(found.points)),
        ("columns", whole(record.size)),
        ("atoms", whole(found.atoms)),
        ("precision", found.dtype),
        *([] if record.seconds is None else [("time", duration(record.seconds))]),
    ]
    padding = (
        f"{record.size} columns are odd: the flow has one more coordinate, Gaussian padding of deviation "
        f"{short(record.delta)} that is independent of the columns. Samples leave it out."
    )
    return rendered(
        "construct",
        "construction.html",
        charts=charts,
        empty="The record has no points for this picture.",
        title=last_part(record.source or "sample"),
        facts=facts,
        label="Construction",
        sentence=(
            "Two affine couplings, written down and not trained, are within W₂ "
            f"{short(finite(found.w2_bound.value), 4)} of this sample of {whole(found.points)} rows."
        ),
        remark=padding if record.padded else "",
        tiles=_tiles(found),
        record=record,
        dotted=len(pictures.t2.knots) < DOTTED,
        terms=TERMS,
    )


def _tiles(found: W2Certificate) -> list[Tile]:
    cells = [row.cells for row in found.conditions.values()]
    worst = max((f for f in cells if finite(f.value) is not None), key=lambda f: f.value, default=cells[0])
    return [
        _tile(found.w2_bound, "W₂ to the sample, bound", f"ε was {setting(found.epsilon)}"),
        _tile(found.w2_measured, "W₂ to the sample, measured", "by an explicit coupling, from above"),
        _tile(found.statistical, "Sample against population", "not part of the bound: more rows lower it"),
        _tile(worst, "κ of a layer on cells", "1 / δ; on the ramps it is far larger"),
    ]


def _tile(found: Figure, title: str, note: str) -> Tile:
    if found.low is not None and found.high is not None:
        note = f"99 % interval {short(found.low, 4)} … {short(found.high, 4)}; {note}"
    return Tile(title, short(finite(found.value), 4), note, kind=kind_words(found.kind))


def point_charts(pictures: Pictures) -> dict[str, alt.LayerChart]:
    """The four pictures that the record has, of pairs of finite coordinates; fields x, y, c."""
    first, second = (name[:60] for name in pictures.names)
    rows = {"target": _rows(pictures.target)}
    for name in ("latent", "first", "second"):
        points = zip(getattr(pictures, name), pictures.driver, strict=True)
        rows[name] = _rows([(*point, c) for point, c in points])
    data = [*rows["target"], *rows["second"]]
    across = linear_domain([row["x"] for row in [*data, *rows["first"]]])
    up = linear_domain([row["y"] for row in data])
    axes = {
        "target": (first, second, across, up),
        "latent": ("x, latent", "y, latent", LATENT, LATENT),
        "first": ("x′ = δ x + t₂(y)", "y, unchanged", across, LATENT),
        "second": ("x′, unchanged", "y′ = δ y + t₃(x′)", across, up),
    }
    return {name: _scatter(rows[name], *axes[name]) for name in rows if rows[name]}


def _rows(points: Sequence[tuple[float, ...]]) -> Rows:
    """x, y and colour of each point; points that are not finite are left out."""
    return [dict(zip("xyc", point, strict=True)) for point in points if all(map(math.isfinite, point))]


def _scatter(rows: Rows, across: str, up: str, x_ends: list[float], y_ends: list[float]) -> alt.LayerChart:
    axis = alt.Axis(tickCount=5, grid=False)
    mark = alt.Chart().mark_circle(size=11 if len(rows) > 800 else 24, opacity=0.75, clip=True)
    mark = mark.encode(
        x=alt.X("x:Q", title=across, scale=alt.Scale(domain=x_ends, nice=False, zero=False), axis=axis),
        y=alt.Y("y:Q", title=up, scale=alt.Scale(domain=y_ends, nice=False, zero=False), axis=axis),
        color=alt.Color("c:Q", legend=None, scale=_colours()),
    )
    return layered([mark], SIDE, rows)


def staircase_chart(steps: Steps, titles: tuple[str, str], coloured: bool) -> alt.LayerChart | None:
    """One staircase as a line through its knots; None without two finite knots."""
    pairs: Rows = [
        {"u": u, "t": t}
        for u, t in zip(steps.knots, steps.values, strict=True)
        if math.isfinite(u) and math.isfinite(t)
    ]
    if len(pairs) < 2:
        return None
    knots = [pair["u"] for pair in pairs]
    ends = alt.Scale(domain=[min(knots), max(knots)], nice=False, zero=False)
    x = alt.X("u:Q", title=titles[0], scale=ends)
    y = alt.Y("t:Q", title=titles[1], scale=alt.Scale(domain=linear_domain([p["t"] for p in pairs])))
    width = 1.6 if len(pairs) < DOTTED else 0.8
    line = alt.Chart().mark_line(color=INK if coloured else ACCENT, strokeWidth=width)
    parts = [line.encode(x=x, y=y, order=alt.Order("u:Q"))]
    if coloured and len(pairs) < DOTTED:
        colour = alt.Color("u:Q", legend=None, scale=_colours())
        parts.append(alt.Chart().mark_circle(size=16, opacity=1).encode(x=x, y=y, color=colour))
    return layered(parts, SIDE, pairs)


def parts_chart(certificate: W2Certificate) -> alt.LayerChart | None:
    """The bound as a stack of its parts, beside what is measured and epsilon; None where the bound is no number."""
    terms, epsilon, measured = certificate.terms, certificate.epsilon, certificate.w2_measured
    if not finite(terms.total):
        return None
    both = math.hypot(terms.ramps, terms.tails)
    values = [terms.quantization, terms.push, terms.scales, both, terms.borders]
    rows: Rows = []
    for part, value in zip(PARTS, values, strict=True):
        start = rows[-1]["to"] if rows else 0.0
        rows.append({"bar": "bound", "part": part, "from": start, "to": start + value, "value": value})
    value = finite(measured.value)
    scale = alt.Scale(domain=[0, 1.06 * max(epsilon, terms.total)], nice=False)
    x = alt.X("from:Q", title="W₂ to the sample, in its units", scale=scale)
    bars = alt.Scale(domain=["bound", "measured"][: 1 if value is None else 2], paddingInner=0.3)
    axis = alt.Axis(ticks=False, domain=False, labelFontSize=12, labelPadding=6)
    y = alt.Y("bar:N", title=None, sort=None, scale=bars, axis=axis)
    colours = alt.Scale(domain=list(PARTS), range=list(PARTS.values()))
    colour = alt.Color("part:N", title="part of the bound", scale=colours, sort=None)
    tooltip = [*tips(part="part"), *tips(KAPPA, value="value")]
    parts = [alt.Chart().mark_bar().encode(x=x, x2=alt.X2("to:Q"), y=y, color=colour, tooltip=tooltip)]
    if value is not None:
        base = of({"bar": "measured", "from": 0.0, "to": value, "low": measured.low, "high": measured.high})
        parts.append(base.mark_bar(color=MUTED, opacity=0.6).encode(x=x, x2=alt.X2("to:Q"), y=y))
        if measured.low is not None and measured.high is not None:
            parts.append(
                base.mark_rule(color=INK, strokeWidth=2.5).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=y)
            )
    word = of({"at": epsilon}).mark_text(dx=6, fontSize=14, color=INK, align="left", text="ε")
    parts += [*dashed("x", epsilon, INK), word.encode(x=alt.X("at:Q"), y=alt.YValue(12))]
    return layered(parts, 130, rows)


def _colours() -> alt.Scale:
    return alt.Scale(domain=[-2.5, -1.0, -0.3, 0.3, 1.0, 2.5], range=COLOURS, clamp=True, interpolate="lab")
