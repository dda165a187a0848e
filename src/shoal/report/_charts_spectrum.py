"""Singular values over the points of an audit: quantile bands by index, on a logarithmic axis.

Bands: all points, 5 to 95 %, 25 to 75 %, and the median. A matrix-free audit has the two ends only.
"""

from collections.abc import Mapping
from typing import Any

import altair as alt

from ._numbers import positive
from ._rungs import mapping, sequence
from ._theme import ACCENT, INK, layered, log_axis, log_domain

HEIGHT = 270
FEW = 12  # indices up to which each has bars of its own
NAMES = ("min", "q05", "q25", "median", "q75", "q95", "max")
_BANDS = (("min", "max", 0.16, 3), ("q05", "q95", 0.3, 9), ("q25", "q75", 0.5, 15))


def bands_chart(record: Mapping[str, Any]) -> alt.LayerChart | None:
    """The chart of a checked audit record, or of the part `audit` of a fit's; None without a finite spectrum."""
    bands = mapping(record.get("spectrum"))
    columns = {name: sequence(bands.get(name)) for name in NAMES}
    count = len(columns["median"])
    rows = [_row(columns, place, count, dense=record.get("dense") is not False) for place in range(count)]
    known = [row[name] for row in rows for name in NAMES if row[name] is not None]
    if not known:
        return None
    domain = log_domain(known)
    scale = alt.Scale(type="log", domain=domain, nice=False)
    y_axis = log_axis(domain)
    few = count <= FEW
    if few:
        x: Any = alt.X("name:O", sort=None, title=_title(record), axis=alt.Axis(labelAngle=0))
    else:
        ends = alt.Scale(domain=[1, count], nice=False)
        x = alt.X("index:Q", title=_title(record), scale=ends, axis=alt.Axis(format="d", grid=False))
    layers: list[alt.Chart] = []
    for low, high, opacity, width in _BANDS:
        both = alt.Chart().transform_filter(f"isValid(datum.{low}) && isValid(datum.{high})")
        mark = (
            both.mark_rule(color=ACCENT, opacity=opacity, strokeWidth=width, strokeCap="butt")
            if few
            else both.mark_area(color=ACCENT, opacity=opacity)
        )
        layers.append(mark.encode(x=x, y=alt.Y(f"{low}:Q", scale=scale), y2=f"{high}:Q"))
    y = alt.Y("median:Q", title="singular value σ", scale=scale, axis=y_axis)
    tooltip = [
        alt.Tooltip("name:N", title="σ"),
        *(alt.Tooltip(f"{name}:Q", title=name.replace("q", ""), format=",.3~r") for name in NAMES),
    ]
    if not few:
        layers.append(alt.Chart().mark_line(color=INK, strokeWidth=1.5).encode(x=x, y=y))
    size = 70 if few else 14 if count <= 300 else 4
    points = alt.Chart().mark_point(color=INK, filled=True, size=size, opacity=1)
    layers.append(points.encode(x=x, y=y, tooltip=tooltip))
    return layered(layers, HEIGHT, rows)


def _row(columns: Mapping[str, list[Any]], place: int, count: int, *, dense: bool) -> dict[str, Any]:
    values = {name: _at(column, place) for name, column in columns.items()}
    name = str(place + 1) if dense or count != 2 else ("largest", "smallest")[place]
    return {"index": place + 1, "name": name, **values}


def _at(column: list[Any], place: int) -> float | None:
    return positive(column[place]) if place < len(column) else None


def _title(record: Mapping[str, Any]) -> str:
    if record.get("dense") is False:
        return "end of the spectrum"
    return "index of the singular value (largest first)"
