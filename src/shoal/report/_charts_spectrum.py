"""Singular values over the points of an audit: quantile bands by index, on a logarithmic axis.

Bands: all points, 5 to 95 %, 25 to 75 %, and the median. A matrix-free audit has the two ends only.
"""

from typing import Any

import altair as alt

from ..records import AuditRecord
from ._numbers import positive
from ._theme import ACCENT, INK, layered, log_axis, log_domain

HEIGHT = 270
FEW = 12  # indices up to which each has bars of its own
NAMES = ("min", "q05", "q25", "median", "q75", "q95", "max")
_BANDS = (("min", "max", 0.16, 3), ("q05", "q95", 0.3, 9), ("q25", "q75", 0.5, 15))


def bands_chart(record: AuditRecord) -> alt.LayerChart | None:
    """The chart of an audit record; None without a finite spectrum."""
    bands, count = record.spectrum, len(record.spectrum.median)
    labels = [str(i + 1) for i in range(count)] if record.dense or count != 2 else ["largest", "smallest"]
    rows: list[dict[str, Any]] = [
        {"index": i + 1, "name": labels[i], **{name: positive(getattr(bands, name)[i]) for name in NAMES}}
        for i in range(count)
    ]
    known = [row[name] for row in rows for name in NAMES if row[name] is not None]
    if not known:
        return None
    domain = log_domain(known)
    scale = alt.Scale(type="log", domain=domain, nice=False)
    y_axis = log_axis(domain)
    few = count <= FEW
    title = "index of the singular value (largest first)" if record.dense else "end of the spectrum"
    if few:
        x: Any = alt.X("name:O", sort=None, title=title, axis=alt.Axis(labelAngle=0))
    else:
        ends = alt.Scale(domain=[1, count], nice=False)
        x = alt.X("index:Q", title=title, scale=ends, axis=alt.Axis(format="d", grid=False))
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
