"""A run record into one HTML page: charts, tables and words, put into the template.

The template escapes every text by itself (Jinja2 autoescape); chart data goes through `script_json`.
"""

from collections.abc import Mapping
from typing import Any

from ._charts_conditioning import histogram_chart, spectrum_chart
from ._charts_curves import any_below_floor, curve_rows, overview_chart, rung_curve_chart
from ._charts_frontier import condition_chart, frontier_rows, likelihood_chart, trade_off_chart
from ._charts_layers import WITH_TEXT, heat_charts
from ._charts_round_trip import round_trip_chart, round_trip_rows
from ._charts_scatter import AXIS, GAP, scatter_specifications
from ._layers import layer_section
from ._numbers import finite, fixed, setting, short, whole
from ._points import Points, column_sets, points_of
from ._rungs import Rung, best_of, chosen_of, mapping, rungs_of
from ._shell import last_part, rendered
from ._tables import caution, facts, lattice_rows, legend, rung_rows, seed_rows, settings, tiles


def render(record: Mapping[str, Any]) -> str:
    """Returns the whole page of a checked record as text."""
    rungs = rungs_of(record)
    decision = mapping(record.get("decision"))
    limit = finite(decision.get("max_condition"))
    curves = curve_rows(rungs)
    points = points_of(record)
    shown = chosen_of(rungs) or best_of(rungs)
    layers = layer_section(record)
    charts = {
        "likelihood": likelihood_chart(rungs),
        "condition": condition_chart(rungs, limit),
        "trade-off": trade_off_chart(rungs, limit),
        "histogram": histogram_chart(record, shown.condition if shown else {}),
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
        chosen=chosen_of(rungs) is not None,
        caution=caution(rungs),
        tiles=tiles(record, rungs),
        rungs=rung_rows(rungs),
        legend=legend(rungs),
        unmeasured=_unmeasured(rungs),
        best_line=_best_line(rungs),
        shown=shown.name if shown else "",
        unresolved=whole(shown.condition.get("unresolved"))
        if shown and shown.condition.get("unresolved")
        else "",
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
        f"{rung.name} ({rung.status})"
        for rung, row in zip(rungs, frontier_rows(rungs), strict=True)
        if row["likelihood"] is None or row["q99"] is None
    ]
    return "; ".join(absent[:40])


def _best_line(rungs: list[Rung]) -> str:
    best = best_of(rungs)
    return (
        f"{best.name}: {fixed(best.validation)}"
        if best is not None and finite(best.validation) is not None
        else ""
    )


def _exact_zero(rungs: list[Rung]) -> str:
    """The rungs whose largest round-trip error is not on the logarithmic chart (0 or not finite)."""
    drawn = {(row["family"], row["depth"], row["dtype"]) for row in round_trip_rows(rungs)}
    absent = [
        f"{rung.name} in {dtype}: {short(mapping(errors).get('max'))}"
        for rung in rungs
        for dtype, errors in rung.round_trip.items()
        if (rung.family, rung.depth, dtype) not in drawn
    ]
    return "; ".join(absent[:40])
