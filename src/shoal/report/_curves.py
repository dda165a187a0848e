"""Training curves: validation log-likelihood of every rung, and all curves of one rung chosen from a list.

Epoch 0 is the flow before its first step. "Validation" is the robust mean that rungs are compared by; the plain mean is
drawn where it differs and is not too far below.
"""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from ..records import FitRecord
from ..records.fit import SeedRecord
from ._charts import NATS, Rows, layered, of, tips
from ._numbers import finite
from ._theme import MUTED, series, series_colour, series_of

HEIGHT = 260
MAX_POINTS = 8_000
EARLY = 0.05
FIELDS = ("train", "validation", "validation_mean", "far_rows", "learning_rate")
DASHES = {"validation": [1, 0], "train": [4, 3], "plain mean": [1, 2]}


def curve_rows(record: FitRecord) -> Rows:
    """One row for each rung, seed and epoch from 0 on; long curves are thinned evenly, their ends kept."""
    count = sum(bool(seed.curve.epoch) for rung in record.rungs for seed in rung.seeds)
    allowed = max(20, MAX_POINTS // max(1, count))
    rows: Rows = []
    for place, rung in enumerate(record.rungs):
        about = {"rung": rung.name, "series": series(rung), "depth": rung.depth}
        own: Rows = []
        for seed in rung.seeds:
            all_epochs = _seed_rows(seed, about | {"seed": seed.seed, "curve": f"{place}/{seed.seed}"})
            stride = max(1, math.ceil(len(all_epochs) / allowed))
            last = len(all_epochs) - 1
            own += [row for i, row in enumerate(all_epochs) if i % stride == 0 or i == last]
        rows += _with_floor(own)
    return rows


def overview_chart(record: FitRecord, rows: Rows) -> alt.LayerChart | None:
    """Validation log-likelihood by epoch, one line for each rung and seed; a click on a chain shows it alone."""
    values = [row["validation"] for row in rows if row["validation"] is not None]
    if not values:
        return None
    trained = {row["series"] for row in rows}
    names = series_of(record.rungs)
    click = alt.selection_point(name="chain", fields=["series"], bind="legend")
    base = alt.Chart(alt.NamedData("curves")).transform_filter(f"datum.validation >= {_floor(values)!r}")
    x, y = _axes("validation", rows)
    line = base.mark_line(clip=True).encode(
        x=x,
        y=y,
        color=series_colour(names).legend(columns=1, values=[name for name in names if name in trained]),
        strokeWidth=alt.StrokeWidth("depth:O", scale=alt.Scale(range=[0.8, 2.6]), legend=None),
        detail=alt.Detail("curve:N"),
        opacity=alt.when(click).then(alt.value(0.8)).otherwise(alt.value(0.06)),
    )
    tooltip = [*tips(rung="rung", seed="seed", epoch="epoch"), *tips(NATS, validation="validation")]
    hover = base.mark_point(size=60, opacity=0).encode(x=x, y=y, tooltip=tooltip)
    return layered([line.add_params(click), hover], HEIGHT)


def rung_curve_chart(record: FitRecord, rows: Rows) -> alt.LayerChart | None:
    """Every log-likelihood by epoch for one rung; a list on the page chooses the rung, the delivered one is first."""
    names = list(dict.fromkeys(row["rung"] for row in rows))
    if not names:
        return None
    kept = record.delivered
    start = kept.name if kept is not None and kept.name in names else names[-1]
    rung = alt.param(name="rung", value=start, bind=alt.binding_select(options=names, name="rung "))
    base = alt.Chart(alt.NamedData("curves")).transform_filter("datum.rung === rung")
    base = base.transform_fold(["validation", "train", "plain mean"], as_=["which", "value"])
    base = base.transform_filter(
        "isValid(datum.value) && (!isValid(datum.floor) || datum.value >= datum.floor || datum.which === 'plain mean')"
    )
    x, y = _axes("value", rows)
    drawn = [key for key in DASHES if key != "plain mean" or any(row[key] is not None for row in rows)]
    dashes = alt.Scale(domain=drawn, range=[DASHES[key] for key in drawn])
    line = base.mark_line(strokeWidth=1.6, clip=True).encode(
        x=x,
        y=y,
        color=alt.Color("seed:N", title="seed", scale=alt.Scale(scheme="dark2")),
        strokeDash=alt.StrokeDash("which:N", title="part", scale=dashes),
        detail=alt.Detail("curve:N"),
    )
    tooltip = [
        *tips(rung="rung", seed="seed", epoch="epoch", which="part"),
        *tips(NATS, value="log-likelihood", validation_mean="plain mean"),
        *tips(far_rows="far rows"),
        *tips(".2e", learning_rate="learning rate"),
    ]
    layers: list[alt.Chart] = [
        line.add_params(rung),
        base.mark_point(size=60, opacity=0).encode(x=x, y=y, tooltip=tooltip),
    ]
    marks: Rows = [
        {"rung": rung.name, "seed": seed.seed, "epoch": event.epoch, "layer": event.layer or ""}
        for rung in record.rungs
        for seed in rung.seeds
        for event in seed.rollbacks[:50]
    ]
    if marks:
        ticks = of(*marks).transform_filter("datum.rung === rung").mark_rule(color=MUTED, strokeDash=[2, 3])
        words = tips(epoch="rolled back at epoch", seed="seed", layer="first non-finite")
        layers.append(ticks.encode(x=x, tooltip=words))
    return layered(layers, HEIGHT)


def _axes(field: str, rows: Rows) -> tuple[alt.X, alt.Y]:
    epochs = [row["epoch"] for row in rows] or [0]
    ends = alt.Scale(domain=[min(epochs), max(max(epochs), min(epochs) + 1)], nice=False)
    axis = alt.Axis(grid=False, tickMinStep=1, tickCount=8, format="d")
    x = alt.X("epoch:Q", title="epoch", axis=axis, scale=ends)
    scale = alt.Scale(zero=False, nice=False, padding=6)
    return x, alt.Y(f"{field}:Q", title="log-likelihood (nats per row)", scale=scale)


def _seed_rows(seed: SeedRecord, about: dict[str, object]) -> Rows:
    curve, before = seed.curve, _rounded(seed.first_validation)
    rows: Rows = []
    if curve.epoch and before is not None:
        rows.append({**about, "epoch": 0, **dict.fromkeys(FIELDS), "validation": before})
    columns = {key: getattr(curve, key) or [None] * len(curve.epoch) for key in FIELDS}
    for place, epoch in enumerate(curve.epoch):
        figures = {key: _rounded(values[place]) for key, values in columns.items()}
        rows.append({**about, "epoch": epoch, **figures})
    return rows


def _with_floor(rows: Rows) -> Rows:
    """Adds `floor`, the lowest value of a rung that is drawn: the first epochs would otherwise flatten everything else.

    And `plain mean`, on curves where it is not the robust one throughout, unless it is a chart's height below the floor.
    """
    values = _values(rows)
    floor = _floor(values) if values else None
    lowest = -math.inf if floor is None else 2 * floor - max(values)
    apart = {row["curve"] for row in rows if _differs(row)}
    found = []
    for row in rows:
        mean = row["validation_mean"] if row["curve"] in apart else None
        drawn = mean is not None and mean >= lowest
        found.append({**row, "floor": floor, "plain mean": mean if drawn else None})
    return found


def _values(rows: Rows) -> list[float]:
    return [row[key] for row in rows for key in ("train", "validation") if row[key] is not None]


def _differs(row: dict[str, Any]) -> bool:
    mean, robust = row["validation_mean"], row["validation"]
    return mean is not None and (robust is None or abs(mean - robust) > 1e-4 * max(1.0, abs(robust)))


def _floor(values: Sequence[float]) -> float:
    low = float(np.quantile(values, EARLY))
    long_tail = max(values) - min(values) > 8 * (max(values) - low)
    return low if long_tail else min(values)


def _rounded(value: float | int | None) -> float | None:
    found = finite(value)
    return None if found is None else float(f"{found:.7g}")
