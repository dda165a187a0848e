"""The tables and figures in words of the page: plain dictionaries of text, escaped later by the template."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..records import FitRecord
from ..records.fit import Decision, Rollback, RungRecord
from ._numbers import MISSING, duration, fixed, setting, short, whole
from ._rungs import series, series_of
from ._theme import series_colours, series_glyphs

GATES = {
    "both gates": "it passes both limits, of κ and of the round trip",
    "round trip": "it passes the limit of the round trip, not that of κ",
    "none": "its float32 round trips do not pass: use it in float64",
}
FEW = 20  # far rows that the page lists


def rung_rows(record: FitRecord) -> list[dict[str, Any]]:
    """Returns the table of rungs, in the record's order."""
    marks = {entry["name"]: entry for entry in legend(record.rungs)}
    return [
        _rung_row(rung, marks[series(rung)], record.decision, place)
        for place, rung in enumerate(record.rungs)
    ]


def _rung_row(rung: RungRecord, mark: Mapping[str, str], decision: Decision, place: int) -> dict[str, Any]:
    kappa, trip = rung.condition, rung.round_trip.get("float32")
    best = place == decision.best
    return {
        "name": rung.name,
        "colour": mark["colour"],
        "glyph": mark["glyph"],
        "parameters": whole(rung.parameters),
        "validation": fixed(rung.validation_log_likelihood),
        "mean": fixed(rung.validation_mean),
        "difference": "0" if best else _difference(rung),
        "upper": "0" if best else fixed(rung.upper),
        "state": rung.state or MISSING,
        "measured": kappa is not None or trip is not None,
        "q99": MISSING if kappa is None else short(kappa.q99),
        "trip": MISSING if trip is None else short(trip.q999, 2),
        "status": rung.status,
        "complete": rung.complete,
        "ill": rung.well_conditioned is False and kappa is not None,
        "not_invertible": rung.invertible is False,
        "delivered": place == decision.kept,
        "marks": decision.marks(place),
    }


def legend(rungs: Sequence[RungRecord]) -> list[dict[str, str]]:
    """Returns colour and shape of each chain."""
    names = series_of(rungs)
    known = zip(names, series_colours(names), series_glyphs(names), strict=True)
    return [{"name": name, "colour": colour, "glyph": glyph} for name, colour, glyph in known]


def far_rows(record: FitRecord) -> dict[str, Any] | None:
    """Returns the rows whose round trip is beyond the limit: how many, and the farthest; None if not measured."""
    found = record.far_rows
    if found is None:
        return None
    listed = [
        {"row": whole(row), "error": short(error, 2), "log_prob": fixed(level)}
        for row, error, level in zip(found.row, found.error, found.log_prob, strict=True)
    ]
    return {"count": whole(found.count), "of": whole(found.of), "rows": listed[:FEW]}


def seed_rows(rungs: Sequence[RungRecord]) -> list[dict[str, str]]:
    """Returns one row for each trained seed of each rung."""
    return [
        {
            "name": rung.name,
            "seed": str(seed.seed),
            "status": seed.status,
            "message": seed.message,
            "epochs": f"{whole(seed.best_epoch)} of {whole(seed.epochs)}",
            "steps": whole(seed.steps),
            "seconds": duration(seed.seconds),
            "compile": duration(seed.compile_seconds),
            "first": fixed(seed.first_validation),
            "validation": fixed(seed.validation_log_likelihood),
            "mean": fixed(seed.validation_mean),
            "q99": short(seed.condition and seed.condition.q99),
            "user_q99": short(seed.condition_user_units and seed.condition_user_units.q99),
            "rollbacks": _rollbacks(seed.rollbacks),
        }
        for rung in rungs
        for seed in rung.seeds
    ]


def lattice_rows(record: FitRecord) -> list[dict[str, str]]:
    """Returns the lattice columns: repeated smallest step, share of tied rows, and whether noise was added."""
    return [
        {
            "column": lattice.column,
            "step": setting(lattice.step),
            "ties": f"{100 * lattice.ties:.1f} %",
            "dequantized": "yes" if lattice.dequantized else "no",
        }
        for lattice in record.data.lattice
    ]


def tiles(record: FitRecord) -> list[dict[str, str]]:
    """Returns the headline figures: each has a title, a value and a note, and names the flow that has the figure."""
    found, rung = [], record.delivered
    if rung is not None:
        found += [_delivered_tile(record, rung), _test_tile(record, rung)]
        seeds = f", the worst of {len(rung.seeds)} seeds" if len(rung.seeds) > 1 else ""
        found += [_condition_tile(rung, seeds), _trip_tile(record, rung, seeds)]
    if record.seconds is not None:
        trained = [r for r in record.rungs if r.depth]
        count, fronts = len(record.rungs), len(record.rungs) - len(trained)
        note = f"{fronts} in closed form; {sum(r.complete for r in trained)} of {len(trained)} others trained to their end"
        title = f"Time for {count} flow{'s' if count != 1 else ''}"
        found.append(_tile(title, "", duration(record.seconds), note))
    return found


def _tile(title: str, of: str, value: str, note: str) -> dict[str, str]:
    return {"title": title, "of": of, "value": value, "note": note}


def _delivered_tile(record: FitRecord, rung: RungRecord) -> dict[str, str]:
    decision = record.decision
    gate = GATES.get(str(decision.gate), "which limits it passes was not recorded")
    note = "as the rule chose it" if decision.kept == decision.chosen else f"not chosen: {gate}"
    if rung.parameters is not None:
        note = f"{whole(rung.parameters)} parameters; {note}"
    return _tile("Delivered flow", "", rung.name, note)


def _condition_tile(rung: RungRecord, seeds: str) -> dict[str, str]:
    kappa, user = rung.condition, rung.condition_user_units
    note = f"median {short(kappa and kappa.median)}, largest {short(kappa and kappa.max)}{seeds}"
    if user is not None:
        note += f"; in the data's own units {short(user.q99)}"
    return _tile("Condition number κ, 99 %", rung.name, short(kappa and kappa.q99), note)


def _trip_tile(record: FitRecord, rung: RungRecord, seeds: str) -> dict[str, str]:
    trip, allowed = rung.round_trip.get("float32"), record.decision.max_round_trip
    note = f"median {short(trip and trip.median, 2)}, largest {short(trip and trip.max, 2)}{seeds}"
    if allowed is not None:
        note += f"; allowed {setting(allowed)}"
    return _tile("Round trip in float32, 99.9 %", rung.name, short(trip and trip.q999, 2), note)


def _test_tile(record: FitRecord, rung: RungRecord) -> dict[str, str]:
    title, test = "Test log-likelihood", record.test
    if test is None:
        empty = record.data.parts.get("test") == 0
        return _tile(title, rung.name, MISSING, "there is no test part" if empty else "not measured")
    value = fixed(test.log_likelihood)
    if test.standard_error is not None:
        value += f" ± {fixed(test.standard_error)}"
    note = f"nats per row, plain mean of {whole(test.rows)} rows, used once"
    if test.winsorised is not None and fixed(test.winsorised) != fixed(test.log_likelihood):
        note += f"; robust mean {fixed(test.winsorised)}"
    return _tile(title, rung.name, value, note)


def heading(record: FitRecord) -> str:
    """Returns what the page says first: what was chosen, or what is delivered all the same."""
    rung, decision = record.delivered, record.decision
    if rung is None:
        return "No flow is delivered"
    if decision.kept == decision.chosen:
        return "Decision"
    return f"Nothing was chosen; delivered all the same: {rung.name}"


def caution(record: FitRecord) -> str:
    """Returns a sentence if the delivered rung was not trained to its end, with the steps it had; else nothing."""
    rung = record.delivered
    if rung is None or rung.complete:
        return ""
    steps = [seed.steps for seed in rung.seeds if seed.steps is not None]
    had = "" if not steps else f" after {whole(max(steps))} training steps"
    if steps and max(steps) == 0:
        had = " without one training step: its figures are those of an untrained flow"
    return f"The delivered flow, {rung.name}, was not trained to its end ({rung.status}){had}."


def facts(record: FitRecord) -> list[tuple[str, str]]:
    """Returns what the page's head says about the run: name and value."""
    data = record.data
    found = [("rows", whole(data.rows)), ("columns", f"{len(data.columns):,d}")]
    if data.parts:
        found.append((" / ".join(data.parts), " / ".join(whole(size) for size in data.parts.values())))
    if data.context_columns:
        found.append(("context", _listed(data.context_columns)))
    if data.weights_column:
        found.append(("weights", data.weights_column))
    found += [(name, value) for name, value in (("dtype", record.dtype), ("device", record.device)) if value]
    return [*found, ("made", record.created.replace("T", " ")[:16])] if record.created else found


def settings(record: FitRecord) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns the settings, versions and standardisation as titled lists of name and value."""
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


def _difference(rung: RungRecord) -> str:
    if rung.difference is None or rung.standard_error is None:
        return fixed(rung.difference)
    return f"{fixed(rung.difference)} ± {fixed(rung.standard_error)}"


def _rollbacks(events: Sequence[Rollback]) -> str:
    layers = list(dict.fromkeys(event.layer for event in events if event.layer))
    return f"{len(events)} ({_listed(layers, 2)})" if layers else str(len(events))


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", _plain(value)))
    return pairs[:400]


def _plain(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, (list, tuple)):
        return _listed([_plain(item) for item in value], 60)
    return str(value)


def _listed(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
