"""The page of a run of the ladder: its charts, and the words that are not in the template."""

import shlex
from collections.abc import Mapping, Sequence

from ..records import FitRecord
from ..records.fit import LayersRecord, RungRecord, SeedRecord
from ._curves import curve_rows, overview_chart, rung_curve_chart
from ._ladder import condition_chart, likelihood_chart, round_trip_chart, rung_rows, trade_off_chart
from ._layers import QUANTITIES, heat_charts, shown_quantities
from ._numbers import MISSING, duration, fixed, positive, setting, short, whole
from ._page import Tile, last_part, rendered
from ._points import points_of
from ._race import outcome, race_chart
from ._scatter import scatter_payload
from ._spectra import delivered_condition, histogram_chart, spectrum_chart
from ._theme import series, series_colours, series_glyphs, series_of

GATES = {
    "both gates": "it passes both limits, of κ and of the round trip",
    "round trip": "it passes the limit of the round trip, not that of κ",
    "none": "its float32 round trips do not pass: use it in float64",
}
BOUNDS = {"lipschitz_bound", "inverse_lipschitz_bound"}  # known to an audit only


def render_fit(record: FitRecord) -> str:
    """The whole page of a record as text."""
    rungs, decision, kept = record.rungs, record.decision, record.delivered
    curves, points = curve_rows(record), points_of(record.points)
    chosen = kept is not None and decision.kept == decision.chosen
    remark, margin, names = caution(record), positive(decision.margin), series_of(rungs)
    layers = record.layers or LayersRecord()
    seeds = [(rung, seed) for rung in rungs for seed in rung.seeds]
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
        **heat_charts(layers.rows or [], None, None),
    }
    return rendered(
        "fit",
        "fit.html",
        charts=charts,
        datasets={"curves": {key: [row[key] for row in curves] for key in curves[0]} if curves else {}},
        scatter=points and scatter_payload(points),
        title=last_part(record.data.source or "table"),
        facts=facts(record),
        label=heading(record),
        sentence=decision.sentence or "No sentence was recorded.",
        mood="warning" if remark or not chosen else "",
        remark=remark,
        tiles=tiles(record),
        record=record,
        chosen=chosen,
        series=series,
        legend=dict(zip(names, zip(series_colours(names), series_glyphs(names), strict=True), strict=True)),
        unmeasured=_unmeasured(record),
        done={event.rung: event.at for event in record.race if event.event == "rung"},
        outcome=outcome,
        condition=delivered_condition(record),
        margin=setting(margin and float(f"{margin:.3g}")),
        off_axis=_off_axis(record),
        seeds=seeds,
        rollbacks=_rollbacks,
        layers=layers.rows or [],
        layers_note=_layers_note(record, layers),
        audit=f"shoal audit {shlex.join([record.run, record.data.source] if record.run else ['RUN', 'DATA'])}",
        points=points,
        settings=settings(record),
    )


def tiles(record: FitRecord) -> list[Tile]:
    """The headline figures, each with the name of the flow that has it."""
    found, rung = [], record.delivered
    if rung is not None:
        found = [_delivered_tile(record, rung), _test_tile(record, rung), *_numerical_tiles(record, rung)]
    if record.seconds is not None:
        trained = [r for r in record.rungs if r.depth]
        count, fronts = len(record.rungs), len(record.rungs) - len(trained)
        note = f"{fronts} in closed form; {sum(r.complete for r in trained)} of {len(trained)} others trained to their end"
        title = f"Time for {count} flow{'s' if count != 1 else ''}"
        found.append(Tile(title, duration(record.seconds), note))
    return found


def _delivered_tile(record: FitRecord, rung: RungRecord) -> Tile:
    decision = record.decision
    gate = GATES.get(str(decision.gate), "which limits it passes was not recorded")
    note = "as the rule chose it" if decision.kept == decision.chosen else f"not chosen: {gate}"
    if rung.parameters is not None:
        note = f"{whole(rung.parameters)} parameters; {note}"
    return Tile("Delivered flow", rung.name, note)


def _test_tile(record: FitRecord, rung: RungRecord) -> Tile:
    title, test = "Test log-likelihood", record.test
    if test is None:
        empty = record.data.parts.get("test") == 0
        return Tile(title, MISSING, "there is no test part" if empty else "not measured", rung.name)
    value = fixed(test.log_likelihood)
    if test.standard_error is not None:
        value += f" ± {fixed(test.standard_error)}"
    note = f"nats per row, plain mean of {whole(test.rows)} rows, used once"
    if test.winsorised is not None and fixed(test.winsorised) != fixed(test.log_likelihood):
        note += f"; robust mean {fixed(test.winsorised)}"
    return Tile(title, value, note, rung.name)


def _numerical_tiles(record: FitRecord, rung: RungRecord) -> list[Tile]:
    seeds = f", the worst of {len(rung.seeds)} seeds" if len(rung.seeds) > 1 else ""
    kappa, user, trip = rung.condition, rung.condition_user_units, rung.round_trip.get("float32")
    said = f"median {short(kappa and kappa.median)}, largest {short(kappa and kappa.max)}{seeds}"
    if user is not None:
        said += f"; in the data's own units {short(user.q99)}"
    lost = f"median {short(trip and trip.median, 2)}, largest {short(trip and trip.max, 2)}{seeds}"
    if record.decision.max_round_trip is not None:
        lost += f"; allowed {setting(record.decision.max_round_trip)}"
    return [
        Tile("Condition number κ, 99 %", short(kappa and kappa.q99), said, rung.name),
        Tile("Round trip in float32, 99.9 %", short(trip and trip.q999, 2), lost, rung.name),
    ]


def heading(record: FitRecord) -> str:
    """What the page says first: what was chosen, or what is delivered all the same."""
    rung, decision = record.delivered, record.decision
    if rung is None:
        return "No flow is delivered"
    if decision.kept == decision.chosen:
        return "Decision"
    return f"Nothing was chosen; delivered all the same: {rung.name}"


def caution(record: FitRecord) -> str:
    """A sentence if the delivered rung was not trained to its end, with the steps it had; else nothing."""
    rung = record.delivered
    if rung is None or rung.complete:
        return ""
    steps = [seed.steps for seed in rung.seeds if seed.steps is not None]
    had = "" if not steps else f" after {whole(max(steps))} training steps"
    if steps and max(steps) == 0:
        had = " without one training step: its figures are those of an untrained flow"
    return f"The delivered flow, {rung.name}, was not trained to its end ({rung.status}){had}."


def facts(record: FitRecord) -> list[tuple[str, str]]:
    """What the page's head says about the run: name and value."""
    data = record.data
    found = [
        ("rows", whole(data.rows)),
        ("columns", f"{len(data.columns):,d}"),
        (" / ".join(data.parts), " / ".join(whole(size) for size in data.parts.values())),
        ("context", _listed(data.context_columns)),
        ("weights", data.weights_column or ""),
        ("dtype", record.dtype),
        ("device", record.device),
        ("made", record.created.replace("T", " ")[:16]),
    ]
    return [(name, value) for name, value in found if value]


def settings(record: FitRecord) -> list[tuple[str, list[tuple[str, str]]]]:
    """The settings, versions and standardisation as titled lists of name and value."""
    data = record.data
    moments = [
        (name, f"{short(mean, 5)} ± {short(scale, 5)}")
        for name, mean, scale in zip(data.columns, data.means, data.scales, strict=False)
    ]
    groups = [
        ("Settings", _flat(record.config)),
        ("Versions", _flat(record.versions)),
        ("Mean and scale of each column (standardisation)", moments[:200]),
    ]
    return [(title, pairs) for title, pairs in groups if pairs]


def _unmeasured(record: FitRecord) -> str:
    """The rungs that a chart of the ladder can not show, in words."""
    absent = [
        row["rung"] if row["complete"] else f"{row['rung']} ({row['status']})"
        for row in rung_rows(record)
        if row["loss"] is None or row["q99"] is None
    ]
    return "; ".join(absent[:40])


def _off_axis(record: FitRecord) -> str:
    """The rungs whose round-trip error is not on the logarithmic chart (0 or not finite)."""
    absent = [
        f"{rung.name} in {dtype}: {short(errors.q999)}"
        for rung in record.rungs
        for dtype, errors in rung.round_trip.items()
        if positive(errors.q999) is None
    ]
    return "; ".join(absent[:40])


def _layers_note(record: FitRecord, found: LayersRecord) -> str:
    """Why there is no layer profile, or which quantities it lacks."""
    rows, note = found.rows or [], found.note
    absent = [k for k in QUANTITIES if k not in BOUNDS and k not in shown_quantities(rows)]
    if rows and absent:
        words = ", ".join(QUANTITIES[key].replace("/", " ") for key in absent)
        return f"{note} Not measured, out of time: {words}.".strip()
    if rows or note:
        return note
    if record.delivered is None:
        return "No flow is delivered, so there is no layer profile."
    return "The record has no layer profile."


def _rollbacks(seed: SeedRecord) -> str:
    layers = list(dict.fromkeys(event.layer for event in seed.rollbacks if event.layer))
    return f"{len(seed.rollbacks)} ({_listed(layers, 2)})" if layers else str(len(seed.rollbacks))


def _flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", _plain(value)))
    return pairs[:400]


def _plain(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, (list, tuple)):
        return _listed([_plain(item) for item in value], 60)
    return str(value)


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
