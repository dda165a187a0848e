"""Colours and type that all charts share, and the colour and shape of each chain of a ladder.

`CONFIG` is a Vega-Lite configuration that the page hands to every chart once. All fronts alone are one grey series.
"""

from collections.abc import Sequence

import altair as alt

from ..records.fit import RungRecord

INK = "#1d2733"
MUTED = "#5b6876"
LINE = "#d9dfe5"
ACCENT = "#2b6c99"
ALARM = "#b3261e"
SAMPLES = "#a7b0b9"
UNSELECTED = "#dfe4ea"
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
# Low to high condition number; gets darker and redder, and stays visible on white at both ends.
CONDITION_RANGE = ["#7fb2d6", "#4a7fb5", "#6f5aa8", "#b0306a", "#6d0b22"]
_PALETTE = [
    *("#2b6c99", "#d1622b", "#3c8d5a", "#7d5ba6", "#a8842a", "#1f8a8a"),
    *("#c2557f", "#5a6e7f", "#8c5a3c", "#6b7d1e", "#40509c", "#8a3f5c"),
]
_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right"]
NO_LAYER = "no layer"  # the series of all fronts alone
_GLYPHS = ["●", "■", "▲", "◆", "✚", "▼", "▶"]

CONFIG: dict[str, object] = {
    "background": "#ffffff",
    "font": FONT,
    "view": {"stroke": None},
    "padding": 4,
    "axis": {
        "labelColor": MUTED,
        "titleColor": INK,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "gridColor": "#edf0f3",
        "domainColor": "#9aa5b1",
        "tickColor": "#9aa5b1",
        "tickSize": 4,
        "titlePadding": 8,
        "labelOverlap": "greedy",
        "titleLimit": 400,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": MUTED,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": 400,
        "orient": "top",
        "titleOrient": "left",
        "symbolSize": 70,
        "offset": 8,
        "titlePadding": 8,
        "labelLimit": 260,
    },
    "text": {"fontSize": 11, "color": INK},
}


def series(rung: RungRecord) -> str:
    """The series of a rung: its chain, or the one of all fronts alone."""
    return rung.family if rung.depth else NO_LAYER


def series_of(rungs: Sequence[RungRecord]) -> list[str]:
    """The chains in order of appearance, and last what all fronts alone share."""
    found = list(dict.fromkeys(rung.family for rung in rungs if rung.depth))
    return [*found, NO_LAYER] if any(not rung.depth for rung in rungs) else found


def series_scale(names: Sequence[str]) -> alt.Scale:
    """The colour scale of the chains; a chain has the same colour in every chart."""
    return alt.Scale(domain=list(names), range=series_colours(names))


def series_colour(names: Sequence[str]) -> alt.Color:
    """The colour encoding of field `series`."""
    return alt.Color("series:N", title=None, scale=series_scale(names), legend=None)


def series_shape(names: Sequence[str]) -> alt.Shape:
    """The shape encoding of field `series`, so that colour is never the only difference."""
    shapes = [_SHAPES[place] for place in _shapes(names)]
    return alt.Shape("series:N", scale=alt.Scale(domain=list(names), range=shapes), legend=None)


def series_glyphs(names: Sequence[str]) -> list[str]:
    """The shape of each chain as a character, for legends in text."""
    return [_GLYPHS[place] for place in _shapes(names)]


def series_colours(names: Sequence[str]) -> list[str]:
    """One colour for each chain, in their order; fronts alone are grey."""
    return [
        MUTED if name == NO_LAYER else _PALETTE[index % len(_PALETTE)] for index, name in enumerate(names)
    ]


def _shapes(names: Sequence[str]) -> list[int]:
    """The place of each shape; that of fronts alone is the last, and the twelve colours come back with other shapes."""
    count = len(_SHAPES) - 1
    return [
        count if name == NO_LAYER else (index + index // len(_PALETTE)) % count
        for index, name in enumerate(names)
    ]
