"""A run record into one HTML page: charts, tables and words, put into the template.

The template escapes every text by itself (Jinja2 autoescape); chart data goes through `script_json`.
"""

from typing import Any

from ..records import FitRecord
from ._charts_conditioning import delivered_condition, histogram_chart, spectrum_chart
from ._charts_curves import any_below_floor, any_far_mean, curve_rows, overview_chart, rung_curve_chart
from ._charts_frontier import condition_chart, frontier_rows, likelihood_chart, trade_off_chart
from ._charts_layers import WITH_TEXT, heat_charts
from ._charts_race import race_chart, race_table
from ._charts_round_trip import round_trip_chart
from ._charts_scatter import AXIS, GAP, scatter_specifications
from ._layers import layer_section
from ._numbers import finite, positive, setting, short, whole
from ._points import Points, column_sets, points_of
from ._shell import last_part, rendered
from ._tables import (
    caution,
    facts,
    far_rows,
    heading,
    lattice_rows,
    legend,
    rung_rows,
    seed_rows,
    settings,
    tiles,
)


def render(record: FitRecord) -> str:
    """Returns the whole page of a record as text."""
    rungs, decision, kept = record.rungs, record.decision, record.delivered
    curves = curve_rows(record)
    points = points_of(record.points)
    condition = delivered_condition(record)
    margin = positive(decision.margin)
    layers = layer_section(record)
    charts = {
        "likelihood": likelihood_chart(record),
        "condition": condition_chart(record),
        "trade-off": trade_off_chart(record),
        "gains": race_chart(record),
        "histogram": histogram_chart(record),
        "spectrum": spectrum_chart(record),
        "round-trip": round_trip_chart(record),
        "overview": overview_chart(record, curves),
        "rung-curve": rung_curve_chart(record, curves),
        **heat_charts(layers.rows, None, None),
    }
    return rendered(
        "fit",
        ["layers.html", "report.html"],
        charts=charts,
        styles=["report.css", "layers.css"],
        datasets={"curves": _by_column(curves)},
        scatter=None if points is None else scatter_payload(points),
        title=last_part(record.data.source or "table"),
        facts=facts(record),
        command=record.command,
        sentence=decision.sentence or "No sentence was recorded.",
        heading=heading(record),
        chosen=kept is not None and decision.kept == decision.chosen,
        caution=caution(record),
        tiles=tiles(record),
        rungs=rung_rows(record),
        legend=legend(rungs),
        unmeasured=_unmeasured(record),
        race=race_table(record),
        kept=kept.name if kept else "",
        untrained=kept is not None and not kept.depth,
        unresolved=whole(condition.unresolved) if condition and condition.unresolved else "",
        far=far_rows(record),
        margin=setting(margin and float(f"{margin:.3g}")),
        far_mean=any_far_mean(curves),
        exact_zero=_exact_zero(record),
        floored=any_below_floor(curves),
        rollbacks=any(seed.rollbacks for rung in rungs for seed in rung.seeds),
        seeds=seed_rows(rungs),
        lattice=lattice_rows(record),
        layers=layers,
        with_text=len(layers.rows) <= WITH_TEXT,
        points=points,
        sets=len(column_sets(len(points.names))) if points else 0,
        settings=settings(record),
        limit=setting(finite(decision.max_condition)),
        trip=setting(decision.max_round_trip),
    )


def scatter_payload(points: Points) -> dict[str, Any]:
    """Points and samples by column, once; one specification, in which the page exchanges the columns."""
    sets = column_sets(len(points.names))
    return {
        "names": points.names,
        "domains": points.domains,
        "sets": sets,
        "specs": scatter_specifications(points, sets[0]),
        "data": points.data,
        "samples": points.samples,
        "condition": points.condition,
        "logProb": points.log_prob,
        "row": points.row,
        "level": points.level_name,
        "axis": AXIS,
        "gap": GAP,
    }


def _by_column(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {key: [row[key] for row in rows] for key in rows[0]} if rows else {}


def _unmeasured(record: FitRecord) -> str:
    """The rungs that a frontier chart can not show, in words."""
    absent = [
        rung.name if rung.complete else f"{rung.name} ({rung.status})"
        for rung, row in zip(record.rungs, frontier_rows(record), strict=True)
        if row["loss"] is None or row["q99"] is None
    ]
    return "; ".join(absent[:40])


def _exact_zero(record: FitRecord) -> str:
    """The rungs whose round-trip error is not on the logarithmic chart (0 or not finite)."""
    absent = [
        f"{rung.name} in {dtype}: {short(errors.q999)}"
        for rung in record.rungs
        for dtype, errors in rung.round_trip.items()
        if positive(errors.q999) is None
    ]
    return "; ".join(absent[:40])
