"""A run record into one HTML page: charts, tables and words, put into the template.

The template escapes every text by itself (Jinja2 autoescape); chart data goes through `script_json`.
"""

from collections.abc import Mapping
from typing import Any

from ._charts_conditioning import histogram_chart, spectrum_chart
from ._charts_curves import any_below_floor, any_far_mean, curve_rows, overview_chart, rung_curve_chart
from ._charts_frontier import condition_chart, frontier_rows, likelihood_chart, trade_off_chart
from ._charts_layers import WITH_TEXT, heat_charts
from ._charts_race import race_chart, race_table
from ._charts_round_trip import round_trip_chart, round_trip_rows
from ._charts_scatter import AXIS, GAP, scatter_specifications
from ._layers import layer_section
from ._numbers import finite, positive, setting, short, whole
from ._points import Points, column_sets, points_of
from ._rungs import Rung, delivered_of, kept_seed, mapping, rungs_of
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


def render(record: Mapping[str, Any]) -> str:
    """Returns the whole page of a checked record as text."""
    rungs = rungs_of(record)
    decision = mapping(record.get("decision"))
    limit = finite(decision.get("max_condition"))
    curves = curve_rows(rungs)
    points = points_of(record)
    kept = delivered_of(rungs)
    condition = _kept_condition(record, kept)
    margin = positive(decision.get("margin"))
    layers = layer_section(record)
    charts = {
        "likelihood": likelihood_chart(rungs, margin),
        "condition": condition_chart(rungs, limit),
        "trade-off": trade_off_chart(rungs, limit, margin),
        "gains": race_chart(rungs, margin),
        "histogram": histogram_chart(record, condition),
        "spectrum": spectrum_chart(record),
        "round-trip": round_trip_chart(record, rungs),
        "overview": overview_chart(rungs, curves),
        "rung-curve": rung_curve_chart(rungs, curves),
        **heat_charts(layers.rows, None, None),
    }
    return rendered(
        "fit",
        ["layers.html", "report.html"],
        charts=charts,
        styles=["report.css", "layers.css"],
        datasets={"curves": _by_column(curves)},
        scatter=None if points is None else scatter_payload(points),
        title=_title(record),
        facts=facts(record),
        command=record.get("command") or "",
        sentence=str(decision.get("sentence") or "No sentence was recorded."),
        heading=heading(rungs),
        chosen=kept is not None and kept.chosen,
        caution=caution(rungs),
        tiles=tiles(record, rungs),
        rungs=rung_rows(rungs),
        legend=legend(rungs),
        unmeasured=_unmeasured(rungs),
        race=race_table(record, rungs),
        kept=kept.name if kept else "",
        untrained=kept is not None and not kept.depth,
        unresolved=whole(condition.get("unresolved")) if condition.get("unresolved") else "",
        far=far_rows(record),
        margin=setting(margin and float(f"{margin:.3g}")),
        far_mean=any_far_mean(curves),
        exact_zero=_exact_zero(rungs),
        floored=any_below_floor(curves),
        rollbacks=any(seed.get("rollbacks") for rung in rungs for seed in rung.seeds),
        seeds=seed_rows(rungs),
        lattice=lattice_rows(record),
        layers=layers,
        with_text=len(layers.rows) <= WITH_TEXT,
        points=points,
        sets=len(column_sets(len(points.names))) if points else 0,
        settings=settings(record),
        limit=setting(limit),
        trip=setting(decision.get("max_round_trip")),
    )


def _title(record: Mapping[str, Any]) -> str:
    source = str(mapping(record.get("data")).get("source") or "table")
    return last_part(source)


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


def _unmeasured(rungs: list[Rung]) -> str:
    """The rungs that a frontier chart can not show, in words."""
    absent = [
        rung.name if rung.complete else f"{rung.name} ({rung.status})"
        for rung, row in zip(rungs, frontier_rows(rungs), strict=True)
        if row["loss"] is None or row["q99"] is None
    ]
    return "; ".join(absent[:40])


def _kept_condition(record: Mapping[str, Any], kept: Rung | None) -> Mapping[str, Any]:
    """The condition numbers of the very seed that is delivered, whose histogram the page shows."""
    return {} if kept is None else mapping(kept_seed(record, kept).get("condition")) or kept.condition


def _exact_zero(rungs: list[Rung]) -> str:
    """The rungs whose round-trip error is not on the logarithmic chart (0 or not finite)."""
    drawn = {(row["rung"], row["dtype"]) for row in round_trip_rows(rungs)}
    absent = [
        f"{rung.name} in {dtype}: {short(mapping(errors).get('q999'))}"
        for rung in rungs
        for dtype, errors in rung.round_trip.items()
        if (rung.name, dtype) not in drawn
    ]
    return "; ".join(absent[:40])
