"""The tables and figures in words of the page: plain dictionaries of text, escaped later by the template."""

from collections.abc import Mapping, Sequence
from typing import Any

from ._numbers import MISSING, duration, finite, fixed, number, setting, short, whole
from ._rungs import Rung, best_of, chosen_of, families_of, mapping, sequence
from ._theme import family_colours, family_glyphs


def rung_rows(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    """Returns the table of rungs, in the record's order."""
    marks = {entry["name"]: entry for entry in legend(rungs)}
    return [_rung_row(rung, marks[rung.family]) for rung in rungs]


def _rung_row(rung: Rung, mark: Mapping[str, str]) -> dict[str, Any]:
    single = number(mapping(rung.round_trip.get("float32")).get("max"))
    tail = number(rung.condition.get("q99"))
    return {
        "family": rung.family,
        "colour": mark["colour"],
        "glyph": mark["glyph"],
        "depth": whole(rung.depth),
        "parameters": whole(rung.parameters),
        "validation": fixed(rung.validation),
        "difference": _difference(rung),
        "as_good": {True: "yes", False: "no", None: MISSING}[rung.as_good],
        "median": short(rung.condition.get("median")),
        "q99": short(tail),
        "largest": short(rung.condition.get("max")),
        "unresolved": whole(rung.condition.get("unresolved")),
        "float32": short(single, 2),
        "float64": short(mapping(rung.round_trip.get("float64")).get("max"), 2),
        "seconds": MISSING if rung.status == "not started" else duration(rung.seconds),
        "status": rung.status,
        "complete": rung.complete,
        "ill": rung.well_conditioned is False and tail is not None,
        "not_invertible": rung.invertible is False and single is not None,
        "chosen": rung.chosen,
        "best": rung.best,
    }


def legend(rungs: Sequence[Rung]) -> list[dict[str, str]]:
    """Returns colour and shape of each family."""
    families = families_of(list(rungs))
    known = zip(families, family_colours(families), family_glyphs(families), strict=True)
    return [{"name": name, "colour": colour, "glyph": glyph} for name, colour, glyph in known]


def seed_rows(rungs: Sequence[Rung]) -> list[dict[str, str]]:
    """Returns one row for each trained seed of each rung."""
    rows = []
    for rung in rungs:
        for seed in rung.seeds:
            user = mapping(seed.get("condition_user_units"))
            rows.append(
                {
                    "family": rung.family,
                    "depth": whole(rung.depth),
                    "seed": str(seed.get("seed", MISSING)),
                    "status": str(seed.get("status", MISSING)),
                    "message": str(seed.get("message") or ""),
                    "epochs": f"{whole(seed.get('best_epoch'))} of {whole(seed.get('epochs'))}",
                    "steps": whole(seed.get("steps")),
                    "seconds": duration(seed.get("seconds")),
                    "compile": duration(seed.get("compile_seconds")),
                    "validation": fixed(seed.get("validation_log_likelihood")),
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
    """Returns the headline figures: each has a title, a value and a note."""
    rung = chosen_of(list(rungs)) or best_of(list(rungs))
    decision = mapping(record.get("decision"))
    found = [_test_tile(record)]
    if rung is not None:
        word = "Chosen flow" if rung.chosen else "Best flow (not chosen)"
        note = f"{whole(rung.parameters)} parameters" if rung.parameters is not None else ""
        found.append({"title": word, "value": rung.name, "note": note})
        note = f"median {short(rung.condition.get('median'))}, largest {short(rung.condition.get('max'))}"
        user = rung.condition_user_units.get("q99")
        if number(user) is not None:
            note += f"; in the data's own units {short(user)}"
        found.append(
            {"title": "Condition number, 99 %", "value": short(rung.condition.get("q99")), "note": note}
        )
        single = mapping(rung.round_trip.get("float32"))
        note = f"median {short(single.get('median'), 2)}"
        if number(decision.get("max_round_trip")) is not None:
            note += f", allowed {setting(decision.get('max_round_trip'))}"
        value = short(single.get("max"), 2)
        found.append({"title": "Round trip in float32, largest error", "value": value, "note": note})
    if number(record.get("seconds")) is not None:
        finished = sum(rung.complete for rung in rungs)
        note = f"{finished} of {len(rungs)} rungs trained to their end"
        found.append({"title": "Time", "value": duration(record.get("seconds")), "note": note})
    return found


def caution(rungs: Sequence[Rung]) -> str:
    """Returns a sentence if the chosen rung was not trained to its end, with the steps it had; else nothing."""
    rung = chosen_of(list(rungs))
    if rung is None or rung.complete:
        return ""
    steps = [found for seed in rung.seeds if (found := finite(seed.get("steps"))) is not None]
    had = "" if not steps else f" after {whole(max(steps))} training steps"
    if steps and max(steps) == 0:
        had = " without one training step: its figures are those of an untrained flow"
    return f"The chosen rung was not trained to its end ({rung.status}){had}."


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
    if rung.difference is None:
        return MISSING
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


def _test_tile(record: Mapping[str, Any]) -> dict[str, str]:
    title = "Test log-likelihood"
    test = mapping(record.get("test"))
    if number(test.get("log_likelihood")) is None:
        return {"title": title, "value": MISSING, "note": "the test part was not used"}
    value = fixed(test.get("log_likelihood"))
    if number(test.get("standard_error")) is not None:
        value += f" ± {fixed(test.get('standard_error'))}"
    return {
        "title": title,
        "value": value,
        "note": f"nats per row, {whole(test.get('rows'))} rows, used once",
    }


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
