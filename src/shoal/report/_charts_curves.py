"""Training curves: validation log-likelihood of every rung, and all curves of one rung chosen from a list.

Epoch 0 is the flow before its first step. "Validation" is the robust mean that rungs are compared by; the plain mean is
drawn where it differs and is not too far below.
"""

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from ..records import FitRecord
from ._numbers import finite, quantile
from ._rungs import series, series_of
from ._theme import MUTED, layered, series_colour

HEIGHT = 260
MAX_POINTS = 8_000
EARLY = 0.05
FIELDS = ("train", "validation", "validation_mean", "far_rows", "learning_rate")


def curve_rows(record: FitRecord) -> list[dict[str, Any]]:
    """Returns one row for each rung, seed and epoch from 0 on; long curves are thinned evenly, their ends kept."""
    curves = []
    for place, rung in enumerate(record.rungs):
        for seed in rung.seeds:
            epochs = list(seed.curve.epoch)
            lists = {key: list(getattr(seed.curve, key)) or [None] * len(epochs) for key in FIELDS}
            if epochs and finite(seed.first_validation) is not None:
                epochs = [0, *epochs]
                lists = {key: [None, *values] for key, values in lists.items()}
                lists["validation"][0] = seed.first_validation
            if epochs:
                about = {"rung": rung.name, "series": series(rung), "depth": rung.depth, "seed": seed.seed}
                curves.append((about | {"curve": f"{place}/{seed.seed}"}, epochs, lists))
    allowed = max(20, MAX_POINTS // max(1, len(curves)))
    rows = []
    for about, epochs, lists in curves:
        stride = math.ceil(len(epochs) / allowed)
        kept = sorted({*range(0, len(epochs), stride), len(epochs) - 1})
        for place in kept:
            figures = {key: _rounded(values[place]) for key, values in lists.items()}
            rows.append(about | {"epoch": epochs[place], **figures})
    return _with_floor(rows)


def any_far_mean(rows: Sequence[dict[str, Any]]) -> bool:
    """Returns whether some plain mean differs from the robust one and lies too far below to be drawn."""
    return any(_differs(row) and row["plain mean"] is None for row in rows)


def any_below_floor(rows: Sequence[dict[str, Any]]) -> bool:
    """Returns whether some value is left out of the chart of one rung."""
    values = ((row[key], row["floor"]) for row in rows for key in ("train", "validation"))
    return any(value is not None and floor is not None and value < floor for value, floor in values)


def overview_chart(record: FitRecord, rows: Sequence[dict[str, Any]]) -> alt.LayerChart | None:
    """Validation log-likelihood by epoch, one line for each rung and seed; a click on a chain shows it alone."""
    known = [row["validation"] for row in rows if row["validation"] is not None]
    if not known:
        return None
    trained = {row["series"] for row in rows}
    names = series_of(record.rungs)
    click = alt.selection_point(name="chain", fields=["series"], bind="legend")
    base = alt.Chart(alt.NamedData("curves")).transform_filter(f"datum.validation >= {_floor(known)!r}")
    x, y = _axes("validation", rows)
    tooltip = [*_names(), alt.Tooltip("validation:Q", format=".4f")]
    line = base.mark_line(clip=True).encode(
        x=x,
        y=y,
        color=series_colour(names).legend(columns=1, values=[name for name in names if name in trained]),
        strokeWidth=alt.StrokeWidth("depth:O", scale=alt.Scale(range=[0.8, 2.6]), legend=None),
        detail="curve:N",
        opacity=alt.when(click).then(alt.value(0.8)).otherwise(alt.value(0.06)),
    )
    hover = base.mark_point(size=60, opacity=0).encode(x=x, y=y, tooltip=tooltip)
    return layered([line.add_params(click), hover], HEIGHT)


def rung_curve_chart(record: FitRecord, rows: Sequence[dict[str, Any]]) -> alt.LayerChart | None:
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
    drawn = ["validation", "train"] + ["plain mean"] * any(row["plain mean"] is not None for row in rows)
    which = alt.Scale(domain=drawn, range=[[1, 0], [4, 3], [1, 2]][: len(drawn)])
    line = base.mark_line(strokeWidth=1.6, clip=True).encode(
        x=x,
        y=y,
        color=alt.Color("seed:N", title="seed", scale=alt.Scale(scheme="dark2")),
        strokeDash=alt.StrokeDash("which:N", title="part", scale=which),
        detail="curve:N",
    )
    hover = base.mark_point(size=60, opacity=0).encode(
        x=x,
        y=y,
        tooltip=[
            *_names(),
            alt.Tooltip("which:N", title="part"),
            alt.Tooltip("value:Q", title="log-likelihood", format=".4f"),
            alt.Tooltip("validation_mean:Q", title="plain mean", format=".4f"),
            alt.Tooltip("far_rows:Q", title="far rows"),
            alt.Tooltip("learning_rate:Q", title="learning rate", format=".2e"),
        ],
    )
    layers: list[alt.Chart] = [line.add_params(rung), hover]
    marks = _rollbacks(record)
    if marks:
        ticks = alt.Chart(alt.Data(values=marks)).transform_filter("datum.rung === rung")
        layers.append(
            ticks.mark_rule(color=MUTED, strokeDash=[2, 3]).encode(
                x=x,
                tooltip=[
                    alt.Tooltip("epoch:Q", title="rolled back at epoch"),
                    alt.Tooltip("seed:N"),
                    alt.Tooltip("layer:N", title="first non-finite"),
                ],
            )
        )
    return layered(layers, HEIGHT)


def _rollbacks(record: FitRecord) -> list[dict[str, Any]]:
    return [
        {"rung": rung.name, "seed": seed.seed, "epoch": event.epoch, "layer": event.layer or ""}
        for rung in record.rungs
        for seed in rung.seeds
        for event in seed.rollbacks[:50]
    ]


def _axes(field: str, rows: Sequence[dict[str, Any]]) -> tuple[alt.X, alt.Y]:
    epochs = [row["epoch"] for row in rows] or [0]
    ends = alt.Scale(domain=[min(epochs), max(max(epochs), min(epochs) + 1)], nice=False)
    scale = alt.Scale(zero=False, nice=False, padding=6)
    axis = alt.Axis(grid=False, tickMinStep=1, tickCount=8, format="d")
    x = alt.X("epoch:Q", title="epoch", axis=axis, scale=ends)
    return x, alt.Y(f"{field}:Q", title="log-likelihood (nats per row)", scale=scale)


def _names() -> list[alt.Tooltip]:
    return [alt.Tooltip("rung:N"), alt.Tooltip("seed:N"), alt.Tooltip("epoch:Q")]


def _rounded(value: float | int | None) -> float | None:
    found = finite(value)
    return None if found is None else float(f"{found:.7g}")


def _with_floor(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds `floor`, the lowest value that is drawn: the first epochs would otherwise flatten everything else.

    And `plain mean`, on curves where it is not the robust one throughout, unless it is a chart's height below the floor.
    """
    by_rung: dict[str, list[float]] = {}
    for row in rows:
        values = (row[key] for key in ("train", "validation"))
        by_rung.setdefault(row["rung"], []).extend(value for value in values if value is not None)
    floors = {name: (_floor(values), max(values)) for name, values in by_rung.items() if values}
    apart = {row["curve"] for row in rows if _differs(row)}
    found = []
    for row in rows:
        floor, top = floors.get(row["rung"], (None, None))
        mean = row["validation_mean"] if row["curve"] in apart else None
        if mean is not None and floor is not None and top is not None and mean < 2 * floor - top:
            mean = None
        found.append({**row, "floor": floor, "plain mean": mean})
    return found


def _differs(row: dict[str, Any]) -> bool:
    mean, robust = row["validation_mean"], row["validation"]
    return mean is not None and (robust is None or abs(mean - robust) > 1e-4 * max(1.0, abs(robust)))


def _floor(values: list[float]) -> float:
    low = quantile(values, EARLY)
    long_tail = max(values) - min(values) > 8 * (max(values) - low)
    return low if long_tail else min(values)
