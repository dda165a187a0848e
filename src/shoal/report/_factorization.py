"""The page of a factorization, with its frontier if there is one: condition numbers, and matrices as pictures.

Axes of condition numbers are logarithmic and start at 1, that of the identity. All pictures share one symmetric scale of
colours, sign(x) log(1 + |x| / c) with c the median of the entries that are neither 0 nor ±1: zero is white, signs have their
own colours, small entries stay visible.
"""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import altair as alt

from ..records import FactorizationRecord
from ..records.factorization import FrontierRow, LinearLayer, Matrix
from ..records.fit import Numbers
from ._charts import KAPPA, Rows, bent, known, labelled, layered, log_axis, of, straight, tips
from ._numbers import MISSING, finite, positive, short
from ._page import Tile, last_part, rendered
from ._theme import ACCENT, INK, LINE, MUTED

HEIGHT = 260
KINDS = {"lower": ACCENT, "upper": "#d1622b"}
SIGNED = ["#0b3c5d", "#4a8dbd", "#ffffff", "#e28b56", "#8c260c"]  # negative to positive
UNKNOWN = "#464646"

Picture: TypeAlias = tuple[str, str, Matrix]  # its id, its title, its entries


def render_factorization(record: FactorizationRecord) -> str:
    """The whole page as text."""
    layers, count = record.layers, len(record.layers)
    rows = [] if record.frontier is None else record.frontier.rows
    found = pictures(record)
    flips = any(sign < 0 for sign in record.signs)
    factors = " · ".join(f"{'L' if row.kind == 'lower' else 'U'}{i}" for i, row in enumerate(layers, 1))
    said = f"T = D · {factors}; D flips the sign of one coordinate" if flips else f"T = {factors}"
    return rendered(
        "factor",
        "factorization.html",
        charts={
            "layers": layer_chart(layers),
            "frontier": frontier_chart(rows, (count, record.largest_condition)) if rows else None,
            **(picture_charts(record, found) if found else {}),
        },
        datasets={name: {"entry": entries(matrix)} for name, _, matrix in found},
        title=last_part(record.source or f"Matrix of size {record.size}"),
        facts=_facts(record),
        label="Factorization into linear couplings",
        sentence=f"{said}; the rightmost layer acts first.",
        tiles=_tiles(record, rows, flips),
        record=record,
        rows=rows,
        pictures=[(name, title) for name, title, _ in found],
        colours=KINDS,
        ratio=_ratio,
    )


def _facts(record: FactorizationRecord) -> list[tuple[str, str]]:
    size, kept = record.size, record.kept
    listed = ", ".join(map(str, kept[:24])) + (" …" if len(kept) > 24 else "")
    if kept == list(range(len(kept))):
        listed = f"the first {len(kept)}"
    return [
        ("matrix", f"{size} × {size}"),
        ("layers", str(len(record.layers))),
        ("kept coordinates", listed if kept else "none"),
        ("route", record.route),
    ]


def _tiles(record: FactorizationRecord, rows: Sequence[FrontierRow], flips: bool) -> list[Tile]:
    count, residual, log_det = len(record.layers), record.residual, finite(record.log_abs_det)
    bound = next((finite(row.lower_bound) for row in rows if row.layers == count), None)
    note = "of a layer" if bound is None else f"of a layer; no {count} layers have less than {short(bound)}"
    return [
        Tile("Largest condition number", short(record.largest_condition), note),
        Tile("Residual, float64", short(residual.float64, 2), "|T − product| / |T|, Frobenius"),
        Tile("Residual, float32", short(residual.float32, 2), "factors and product in float32"),
        Tile("log |det T|", short(log_det, 5), f"the sign of det T is {'−' if flips else '+'}"),
    ]


def _ratio(row: FrontierRow) -> str:
    condition, bound = finite(row.condition), finite(row.lower_bound)
    return MISSING if condition is None or not bound else short(finite(condition / bound))


def layer_chart(layers: Sequence[LinearLayer]) -> alt.LayerChart | None:
    """A bar for each layer, its length the condition number; None if no layer has a finite one."""
    rows: Rows = [
        {"layer": place, "kind": layer.kind, "condition": value, "one": 1.0}
        for place, layer in enumerate(layers, 1)
        if (value := positive(layer.condition)) is not None
    ]
    if not rows:
        return None
    scale, axis = _from_one([row["condition"] for row in rows])
    places = alt.Scale(domain=list(range(1, len(layers) + 1)), paddingInner=0.3)
    x = alt.X("layer:O", title="layer, from left to right", scale=places, axis=alt.Axis(labelAngle=0))
    y = alt.Y("condition:Q", title="condition number κ", scale=scale, axis=axis)
    colours = alt.Scale(domain=list(KINDS), range=list(KINDS.values()))
    bars = alt.Chart().mark_bar(cornerRadiusEnd=2)
    bars = bars.encode(
        x=x,
        y=y,
        y2=alt.Y2("one:Q"),
        color=alt.Color("kind:N", title="kind", scale=colours),
        tooltip=[*tips(layer="layer", kind="kind"), *tips(KAPPA, condition="condition number κ")],
    )
    text = alt.Chart().mark_text(dy=-7, fontSize=11, color=INK)
    return layered([bars, text.encode(x=x, y=y, text=alt.Text("condition:Q", format=KAPPA))], HEIGHT, rows)


def frontier_chart(rows: Sequence[FrontierRow], shown: tuple[int, float | None]) -> alt.LayerChart | None:
    """Best condition number and lower bound against the number of layers; the ring is the factorization shown."""
    count, condition = shown[0], positive(shown[1])
    data: Rows = [
        {
            "layers": row.layers,
            "condition": positive(row.condition),
            "bound": positive(row.lower_bound),
            "route": row.route,
        }
        for row in rows
    ]
    if all(row["condition"] is None for row in data):
        return None
    scale, axis = _from_one([condition, *(row[key] for row in data for key in ("condition", "bound"))])
    places = alt.Scale(domain=sorted({count, *(row["layers"] for row in data)}))
    x = alt.X("layers:O", title="number of layers", scale=places, axis=alt.Axis(labelAngle=0))
    y = alt.Y("condition:Q", title="worst condition number of a layer", scale=scale, axis=axis)
    tooltip = [
        *tips(layers="layers", route="route"),
        *tips(KAPPA, condition="condition number κ", bound="lower bound"),
    ]
    below, best = alt.Chart().encode(x=x, y=alt.Y("bound:Q")), known("condition").encode(x=x, y=y)
    figures = best.mark_text(dy=-18, fontSize=11, color=INK)
    layers = [
        below.mark_area(color=LINE, opacity=0.55).encode(y2=alt.Y2Datum(1.0)),
        below.mark_line(color=MUTED, strokeDash=[5, 4], strokeWidth=1.5),
        below.mark_point(color=MUTED, size=22, filled=True, opacity=1).encode(tooltip=tooltip),
        best.mark_line(color=ACCENT, strokeWidth=1.8),
        best.mark_point(color=ACCENT, size=75, filled=True, opacity=1).encode(tooltip=tooltip),
        figures.encode(text=alt.Text("condition:Q", format=KAPPA)),
    ]
    if condition is not None:
        ring = of({"layers": count, "condition": condition})
        mark = ring.mark_point(shape="circle", size=330, stroke=INK, strokeWidth=1.6, fill=None)
        layers.append(mark.encode(x=x, y=y))
    return layered(layers, HEIGHT, data)


def _from_one(values: Sequence[float | None]) -> tuple[alt.Scale, alt.Axis]:
    top = max(1.5, *(value for value in values if value is not None))
    domain = [1.0, 10 ** min(math.log10(top) * 1.12, 300.0)]
    return alt.Scale(type="log", domain=domain, nice=False), log_axis(domain)


def pictures(record: FactorizationRecord) -> list[Picture]:
    """The matrices that the record holds, T first."""
    layers = [(f"layer {i}, {layer.kind}", layer.matrix) for i, layer in enumerate(record.layers, 1)]
    titled = [("T", record.target), ("product of the layers", record.product), *layers]
    return [(f"picture-{i}", title, m) for i, (title, m) in enumerate(titled) if m is not None]


def entries(matrix: Matrix) -> Numbers:
    """All entries to four digits, row by row, None for what is not finite."""
    return [None if (x := finite(cell)) is None else float(f"{x:.3e}") for row in matrix for cell in row]


def picture_charts(record: FactorizationRecord, found: Sequence[Picture]) -> dict[str, alt.LayerChart]:
    """A picture of each matrix, with data of its name, one cell an entry; and "scale", the bar of colours."""
    sizes = [abs(x) for _, _, matrix in found for x in entries(matrix) if x]
    limit = max(sizes, default=1.0)
    centre = statistics.median([x for x in sizes if x != 1.0] or [limit])
    ends: dict[str, Any] = {"domain": [-limit, limit], "nice": False}
    colours = alt.Scale(type="symlog", constant=centre, range=SIGNED, interpolate="rgb", **ends)
    charts = {name: _picture(record, name, colours) for name, _, _ in found}
    places = [bent(limit, centre) * (k / 60 - 1) for k in range(121)]
    bars: Rows = [
        {"low": straight(low, centre), "high": straight(high, centre)} for low, high in pairwise(places)
    ]
    inner = [centre] if bent(centre, centre) < 0.75 * bent(limit, centre) else []
    ticks = [-limit, *(-x for x in inner), 0.0, *inner, limit]
    axis = alt.Axis(values=ticks, labelExpr=labelled(ticks, [short(x) for x in ticks]), grid=False)
    x = alt.X("low:Q", title=None, scale=alt.Scale(type="symlog", constant=centre, **ends), axis=axis)
    fill = alt.Color("low:Q", scale=colours, legend=None)
    edge = alt.Stroke("low:Q", scale=colours, legend=None)
    bar = alt.Chart().mark_rect().encode(x=x, x2=alt.X2("high:Q"), color=fill, stroke=edge)
    return {**charts, "scale": layered([bar], 12, bars)}


def _picture(record: FactorizationRecord, name: str, colours: alt.Scale) -> alt.LayerChart:
    size, split = record.size, len(record.kept)
    order = [*record.kept, *(i for i in range(size) if i not in record.kept)]
    base = alt.Chart(alt.NamedData(name)).transform_window(n="row_number()")
    base = base.transform_calculate(i=f"floor((datum.n - 1) / {size})", j=f"(datum.n - 1) % {size}")
    base = base.transform_calculate(row=f"{order}[datum.i]", column=f"{order}[datum.j]")
    bands = alt.Scale(domain=list(range(size)), padding=0)
    x, y = alt.X("j:O", axis=None, scale=bands), alt.Y("i:O", axis=None, scale=bands)
    tooltip = [*tips(row="row", column="column"), *tips(".4~g", entry="entry")]
    base = base.encode(x=x, y=y, tooltip=tooltip)
    fill = alt.Fill("entry:Q", scale=colours, legend=None)
    cells = base.transform_filter("isValid(datum.entry)").mark_rect(strokeWidth=0.5)
    cells = cells.encode(fill=fill, stroke=alt.Stroke("entry:Q", scale=colours, legend=None))
    parts = [cells, base.transform_filter("!isValid(datum.entry)").mark_rect(color=UNKNOWN)]
    if 0 < split < size:
        rule = of({"at": split}).mark_rule(color=INK, opacity=0.45)
        parts += [rule.encode(x=alt.X("at:O", bandPosition=0)), rule.encode(y=alt.Y("at:O", bandPosition=0))]
    return alt.LayerChart(layer=parts, width="container", height="container", padding=0)
