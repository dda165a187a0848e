"""The tables and figures in words of the page: plain dictionaries of text, escaped later by the template."""

from collections.abc import Mapping, Sequence
from typing import Any

from ._numbers import MISSING, duration, finite, fixed, number, setting, short, whole
from ._rungs import Rung, delivered_of, mapping, sequence, series_of
from ._theme import series_colours, series_glyphs

GATES = {
    "both gates": "it passes both limits, of κ and of the round trip",
    "round trip": "it passes the limit of the round trip, not that of κ",
    "none": "its float32 round trips do not pass: use it in float64",
}
FEW = 20  # far rows that the page lists


def rung_rows(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    """Returns the table of rungs, in the record's order."""
    marks = {entry["name"]: entry for entry in legend(rungs)}
    return [_rung_row(rung, marks[rung.series]) for rung in rungs]


def _rung_row(rung: Rung, mark: Mapping[str, str]) -> dict[str, Any]:
    single = mapping(rung.round_trip.get("float32"))
    tail = number(rung.condition.get("q99"))
    return {
        "name": rung.name,
        "colour": mark["colour"],
        "glyph": mark["glyph"],
        "parameters": whole(rung.parameters),
        "validation": fixed(rung.validation),
        "mean": fixed(rung.validation_mean),
        "difference": _difference(rung),
        "upper": "0" if rung.best else fixed(rung.upper),
        "state": rung.state or MISSING,
        "measured": tail is not None or number(single.get("q999")) is not None,
        "q99": short(tail),
        "trip": short(single.get("q999"), 2),
        "status": rung.status,
        "complete": rung.complete,
        "ill": rung.well_conditioned is False and tail is not None,
        "not_invertible": rung.invertible is False,
        "delivered": rung.delivered,
        "marks": rung.marks,
    }


def legend(rungs: Sequence[Rung]) -> list[dict[str, str]]:
    """Returns colour and shape of each chain."""
    names = series_of(list(rungs))
    known = zip(names, series_colours(names), series_glyphs(names), strict=True)
    return [{"name": name, "colour": colour, "glyph": glyph} for name, colour, glyph in known]


def far_rows(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the rows whose round trip is beyond the limit: how many, and the farthest; None if not measured."""
    found = mapping(record.get("far_rows"))
    if finite(found.get("count")) is None:
        return None
    columns = [sequence(found.get(name)) for name in ("row", "error", "log_prob")]
    listed = [
        {"row": whole(row), "error": short(error, 2), "log_prob": fixed(level)}
        for row, error, level in zip(*columns, strict=False)
    ]
    return {"count": whole(found["count"]), "of": whole(found.get("of")), "rows": listed[:FEW]}


def seed_rows(rungs: Sequence[Rung]) -> list[dict[str, str]]:
    """Returns one row for each trained seed of each rung."""
    rows = []
    for rung in rungs:
        for seed in rung.seeds:
            user = mapping(seed.get("condition_user_units"))
            rows.append(
                {
                    "name": rung.name,
                    "seed": str(seed.get("seed", MISSING)),
                    "status": str(seed.get("status", MISSING)),
                    "message": str(seed.get("message") or ""),
                    "epochs": f"{whole(seed.get('best_epoch'))} of {whole(seed.get('epochs'))}",
                    "steps": whole(seed.get("steps")),
                    "seconds": duration(seed.get("seconds")),
                    "compile": duration(seed.get("compile_seconds")),
                    "first": fixed(seed.get("first_validation")),
                    "validation": fixed(seed.get("validation_log_likelihood")),
                    "mean": fixed(seed.get("validation_mean")),
                    "q99": short(mapping(seed.get("condition")).get("q99")),
                    "user_q99": short(user.get("q99")),
                    "rollbacks": _rollbacks(sequence(seed.get("rollbacks"))),
                }
            )
    return rows


def lattice_rows(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Returns the lattice columns: repeated smallest step, share of tied rows, and whether noise was added."""
    rows = []
    for entry in sequence(mapping(record.get("data")).get("lattice")):
        lattice = mapping(entry)
        ties = finite(lattice.get("ties"))
        done = lattice.get("dequantized")
        rows.append(
            {
                "column": str(lattice.get("column", MISSING)),
                "step": setting(lattice.get("step")),
                "ties": MISSING if ties is None else f"{100 * ties:.1f} %",
                "dequantized": MISSING if not isinstance(done, bool) else ("yes" if done else "no"),
            }
        )
    return rows


def tiles(record: Mapping[str, Any], rungs: Sequence[Rung]) -> list[dict[str, str]]:
    """Returns the headline figures: each has a title, a value and a note, and names the flow that has the figure."""
    rung = delivered_of(list(rungs))
    decision = mapping(record.get("decision"))
    found = []
    if rung is not None:
        seeds = f", the worst of {len(rung.seeds)} seeds" if len(rung.seeds) > 1 else ""
        note = "as the rule chose it" if rung.chosen else f"not chosen: {_gate(decision)}"
        if rung.parameters is not None:
            note = f"{whole(rung.parameters)} parameters; {note}"
        found += [
            {"title": "Delivered flow", "of": "", "value": rung.name, "note": note},
            _test_tile(record, rung),
        ]
        note = (
            f"median {short(rung.condition.get('median'))}, largest {short(rung.condition.get('max'))}{seeds}"
        )
        user = rung.condition_user_units.get("q99")
        if number(user) is not None:
            note += f"; in the data's own units {short(user)}"
        value = short(rung.condition.get("q99"))
        found.append({"title": "Condition number κ, 99 %", "of": rung.name, "value": value, "note": note})
        single = mapping(rung.round_trip.get("float32"))
        note = f"median {short(single.get('median'), 2)}, largest {short(single.get('max'), 2)}{seeds}"
        if number(decision.get("max_round_trip")) is not None:
            note += f"; allowed {setting(decision.get('max_round_trip'))}"
        value = short(single.get("q999"), 2)
        found.append(
            {"title": "Round trip in float32, 99.9 %", "of": rung.name, "value": value, "note": note}
        )
    if number(record.get("seconds")) is not None:
        trained = [r for r in rungs if r.depth]
        fronts = len(rungs) - len(trained)
        note = f"{fronts} in closed form; {sum(r.complete for r in trained)} of {len(trained)} others trained to their end"
        title = f"Time for {len(rungs)} flow{'s' if len(rungs) != 1 else ''}"
        found.append({"title": title, "of": "", "value": duration(record.get("seconds")), "note": note})
    return found


def heading(rungs: Sequence[Rung]) -> str:
    """Returns what the page says first: what was chosen, or what is delivered all the same."""
    rung = delivered_of(list(rungs))
    if rung is None:
        return "No flow is delivered"
    return "Decision" if rung.chosen else f"Nothing was chosen; delivered all the same: {rung.name}"


def caution(rungs: Sequence[Rung]) -> str:
    """Returns a sentence if the delivered rung was not trained to its end, with the steps it had; else nothing."""
    rung = delivered_of(list(rungs))
    if rung is None or rung.complete:
        return ""
    steps = [found for seed in rung.seeds if (found := finite(seed.get("steps"))) is not None]
    had = "" if not steps else f" after {whole(max(steps))} training steps"
    if steps and max(steps) == 0:
        had = " without one training step: its figures are those of an untrained flow"
    return f"The delivered flow, {rung.name}, was not trained to its end ({rung.status}){had}."


def facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns what the page's head says about the run: name and value."""
    data = mapping(record.get("data"))
    columns = [str(name) for name in sequence(data.get("columns"))]
    found = [("rows", whole(data.get("rows"))), ("columns", f"{len(columns):,d}")]
    removed = finite(data.get("removed_duplicates"))
    if removed:
        found.append(("duplicates removed", whole(removed)))
    parts = mapping(data.get("parts"))
    if parts:
        found.append(
            (" / ".join(str(name) for name in parts), " / ".join(whole(size) for size in parts.values()))
        )
    context = [str(name) for name in sequence(data.get("context_columns"))]
    if context:
        found.append(("context", _listed(context)))
    if data.get("weights_column"):
        found.append(("weights", str(data["weights_column"])))
    found += [(name, str(record[name])) for name in ("dtype", "device") if record.get(name)]
    created = str(record.get("created") or "").replace("T", " ")
    return [*found, ("made", created[:16])] if created else found


def settings(record: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Returns the settings, versions and standardisation as titled lists of name and value."""
    groups = [
        ("Settings", _flat(mapping(record.get("config")))),
        ("Versions", _flat(mapping(record.get("versions")))),
    ]
    data = mapping(record.get("data"))
    names, means, scales = (sequence(data.get(key)) for key in ("columns", "means", "scales"))
    moments = [
        (str(name), f"{short(mean, 5)} ± {short(scale, 5)}")
        for name, mean, scale in zip(names, means, scales, strict=False)
    ]
    groups.append(("Mean and scale of each column (standardisation)", moments[:200]))
    return [(title, pairs) for title, pairs in groups if pairs]


def _difference(rung: Rung) -> str:
    if rung.best or rung.difference is None:
        return "0" if rung.best else MISSING
    if rung.standard_error is None:
        return fixed(rung.difference)
    return f"{fixed(rung.difference)} ± {fixed(rung.standard_error)}"


def _rollbacks(events: list[Any]) -> str:
    if not events:
        return "0"
    layers = list(
        dict.fromkeys(str(mapping(event).get("layer")) for event in events if mapping(event).get("layer"))
    )
    return f"{len(events)} ({_listed(layers, 2)})" if layers else str(len(events))


def _test_tile(record: Mapping[str, Any], rung: Rung) -> dict[str, str]:
    tile = {"title": "Test log-likelihood", "of": rung.name}
    test = mapping(record.get("test"))
    if number(test.get("log_likelihood")) is None:
        empty = finite(mapping(mapping(record.get("data")).get("parts")).get("test")) == 0
        return tile | {"value": MISSING, "note": "there is no test part" if empty else "not measured"}
    value = fixed(test.get("log_likelihood"))
    if number(test.get("standard_error")) is not None:
        value += f" ± {fixed(test.get('standard_error'))}"
    note = f"nats per row, plain mean of {whole(test.get('rows'))} rows, used once"
    robust = number(test.get("winsorised"))
    if robust is not None and fixed(robust) != fixed(test.get("log_likelihood")):
        note += f"; robust mean {fixed(robust)}"
    return tile | {"value": value, "note": note}


def _gate(decision: Mapping[str, Any]) -> str:
    return GATES.get(str(decision.get("gate")), "which limits it passes was not recorded")


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
