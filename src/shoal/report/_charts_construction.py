"""Charts of a construction: points before and after each layer, both staircases, and the parts of the certificate.

A point has one colour in all pictures: y_1, the latent coordinate whose cell decides to which atom it goes.
"""

import math
from collections.abc import Mapping, Sequence

import altair as alt

from ..records.construction import Pictures, Steps, W2Certificate
from ._numbers import finite
from ._theme import ACCENT, INK, MUTED, layered, linear_domain

SIDE = 250
COLOURS = ["#2b3f8c", "#3f86c6", "#6fc0a5", "#d9b13b", "#d1622b", "#8c1d40"]
DOTTED = 400  # knots up to which they have dots
LATENT = [-4.2, 4.2]
PARTS = {
    "quantization": ("quantization", "#86b4d5"),
    "push": ("push", "#4a7fb5"),
    "scales": ("scales", "#6f5aa8"),
    "ramps": ("ramps and tails", "#b0306a"),
    "borders": ("borders", "#6d0b22"),
}


def point_charts(pictures: Pictures) -> dict[str, alt.LayerChart]:
    """The four pictures that the record has, of pairs of finite coordinates; fields x, y, c."""
    names = [name[:60] for name in pictures.names]
    rows = {
        "target": _rows(pictures.target),
        **{
            name: _rows([(*point, c) for point, c in zip(points, pictures.driver, strict=True)])
            for name, points in (
                ("latent", pictures.latent),
                ("first", pictures.first),
                ("second", pictures.second),
            )
        },
    }
    data = [row for name in ("target", "second") for row in rows[name]]
    across = linear_domain([row["x"] for row in [*data, *rows["first"]]])
    up = linear_domain([row["y"] for row in data])
    axes = {
        "target": (names[0], names[1], across, up),
        "latent": ("x, latent", "y, latent", LATENT, LATENT),
        "first": ("x′ = δ x + t₂(y)", "y, unchanged", across, LATENT),
        "second": ("x′, unchanged", "y′ = δ y + t₃(x′)", across, up),
    }
    return {name: _scatter(rows[name], *axes[name]) for name in rows if rows[name]}


def staircase_chart(steps: Steps, titles: tuple[str, str], coloured: bool) -> alt.LayerChart | None:
    """One staircase as a line through its knots; None without two finite knots."""
    pairs = [
        {"u": u, "t": t}
        for u, t in zip(steps.knots, steps.values, strict=True)
        if math.isfinite(u) and math.isfinite(t)
    ]
    if len(pairs) < 2:
        return None
    x = alt.X("u:Q", title=titles[0], scale=alt.Scale(domain=_ends(pairs, "u"), nice=False, zero=False))
    y = alt.Y("t:Q", title=titles[1], scale=alt.Scale(domain=linear_domain([p["t"] for p in pairs])))
    width = 1.6 if len(pairs) < DOTTED else 0.8
    line = alt.Chart().mark_line(color=INK if coloured else ACCENT, strokeWidth=width, interpolate="linear")
    parts = [line.encode(x=x, y=y, order="u:Q")]
    if coloured and len(pairs) < DOTTED:
        colour = alt.Color("u:Q", legend=None, scale=_colours())
        parts.append(alt.Chart().mark_circle(size=16, opacity=1).encode(x=x, y=y, color=colour))
    return layered(parts, SIDE, pairs)


def parts_chart(certificate: W2Certificate) -> alt.LayerChart | None:
    """The bound as a stack of its parts, beside what is measured and epsilon; None where the bound is no number."""
    terms, epsilon, measured = certificate.terms, certificate.epsilon, certificate.w2_measured
    if not finite(terms.total):
        return None
    lengths = {key: getattr(terms, key) for key in PARTS} | {"ramps": math.hypot(terms.ramps, terms.tails)}
    rows, start = [], 0.0
    for key, (title, _) in PARTS.items():
        value = lengths[key]
        rows.append({"bar": "bound", "part": title, "from": start, "to": start + value, "value": value})
        start += value
    value = finite(measured.value)
    shown = ["bound", "measured"] if value is not None else ["bound"]
    x_scale = alt.Scale(domain=[0, 1.06 * max(epsilon, terms.total)], nice=False)
    x = alt.X("from:Q", title="W₂ to the sample, in its units", scale=x_scale)
    bars = alt.Scale(domain=shown, paddingInner=0.3)
    axis = alt.Axis(ticks=False, domain=False, labelFontSize=12, labelPadding=6)
    y = alt.Y("bar:N", title=None, sort=None, scale=bars, axis=axis)
    titles = [title for title, _ in PARTS.values()]
    colours = alt.Scale(domain=titles, range=[colour for _, colour in PARTS.values()])
    colour = alt.Color("part:N", title="part of the bound", scale=colours, sort=None)
    tooltip = [alt.Tooltip("part:N"), alt.Tooltip("value:Q", format=".3~r")]
    parts = [alt.Chart().mark_bar().encode(x=x, x2="to:Q", y=y, color=colour, tooltip=tooltip)]
    if value is not None:
        ends = [measured.low, measured.high]
        row = {"bar": "measured", "from": 0.0, "to": value, "low": ends[0], "high": ends[1]}
        base = alt.Chart(alt.Data(values=[row]))
        parts.append(base.mark_bar(color=MUTED, opacity=0.6).encode(x=x, x2="to:Q", y=y))
        if None not in ends:
            rule = base.mark_rule(color=INK, strokeWidth=2.5)
            parts.append(rule.encode(x=alt.X("low:Q", scale=x_scale), x2="high:Q", y=y))
    limit = alt.Chart(alt.Data(values=[{"at": epsilon, "word": "ε"}]))
    at = alt.X("at:Q", scale=x_scale)
    parts += [
        limit.mark_rule(color=INK, strokeDash=[5, 4], strokeWidth=1.5).encode(x=at),
        limit.mark_text(dx=6, fontSize=14, color=INK, align="left").encode(
            x=at, y=alt.value(12), text="word:N"
        ),
    ]
    return layered(parts, 130, rows)


def _rows(points: Sequence[tuple[float, ...]]) -> list[dict[str, float]]:
    """x, y and colour of each point; points that are not finite are left out."""
    return [dict(zip("xyc", point, strict=True)) for point in points if all(map(math.isfinite, point))]


def _scatter(
    rows: Sequence[dict[str, float]], across: str, up: str, x_ends: list[float], y_ends: list[float]
) -> alt.LayerChart:
    x = alt.X("x:Q", title=across, scale=alt.Scale(domain=x_ends, nice=False, zero=False), axis=_axis())
    y = alt.Y("y:Q", title=up, scale=alt.Scale(domain=y_ends, nice=False, zero=False), axis=_axis())
    mark = alt.Chart().mark_circle(size=11 if len(rows) > 800 else 24, opacity=0.75, clip=True)
    colour = alt.Color("c:Q", legend=None, scale=_colours())
    return layered([mark.encode(x=x, y=y, color=colour)], SIDE, list(rows))


def _axis() -> alt.Axis:
    return alt.Axis(tickCount=5, grid=False)


def _colours() -> alt.Scale:
    return alt.Scale(domain=[-2.5, -1.0, -0.3, 0.3, 1.0, 2.5], range=COLOURS, clamp=True, interpolate="lab")


def _ends(pairs: Sequence[Mapping[str, float]], key: str) -> list[float]:
    return [min(pair[key] for pair in pairs), max(pair[key] for pair in pairs)]
