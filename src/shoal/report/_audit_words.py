"""The figures and tables in words of an audit's page: plain dictionaries of text, escaped later by the template."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._audit_points import RESOLVED, column_names, resolved
from ._charts_layers import QUANTITIES, layer_label
from ._charts_trips import trip_rows
from ._numbers import MISSING, finite, finite_values, number, setting, short, whole
from ._rungs import mapping, sequence

KINDS = {
    "exact": "exact", "lower_bound": "lower bound", "upper_bound": "upper bound", "estimate": "estimate",
    "unresolved": "unresolved",
}  # fmt: skip
FIGURES = {
    "singular_values": "singular values", "sigma_max": "largest singular value σmax",
    "sigma_min": "smallest singular value σmin", "condition_numbers": "condition number κ",
    "residual": "residual of the matrix-free ends", "lipschitz": "Lipschitz constant of a layer, at least",
    "inverse_lipschitz": "Lipschitz constant of a layer's inverse, at least",
    "lipschitz_bound": "Lipschitz constant of a layer, at most",
    "inverse_lipschitz_bound": "Lipschitz constant of a layer's inverse, at most",
    "curvature": "norm of a layer's second derivative", "gradient": "gradient of the loss at these points",
    "round_trip": "round trips, observed", "predicted": "round trips, predicted",
    "amplification_forward": "round-off on its way to the data",
    "amplification_reverse": "round-off on its way to the latent",
}  # fmt: skip
WORST = 20
COORDINATES = 6


def kind_of(record: Mapping[str, Any], figure: str) -> str:
    """The kind of a figure in words; empty where the record does not say."""
    return KINDS.get(str(mapping(record.get("kinds")).get(figure)), "")


def tiles(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """The key figures with their kinds."""
    condition, limits = mapping(record.get("condition")), mapping(record.get("limits"))
    bands = mapping(record.get("spectrum"))
    largest, smallest = sequence(bands.get("max")), sequence(bands.get("min"))
    single = mapping(mapping(mapping(record.get("round_trips")).get("data")).get("float32"))
    gap = record.get("log_det_gap")
    lost = number(condition.get("unresolved")) or 0
    beyond = f"; not resolved at {whole(lost)} points" if lost else ""
    return [
        _tile("Condition number κ, 99 % of points", _kappa(condition.get("q99")), kind_of(record, "condition_numbers"),
              f"median {_kappa(condition.get('median'))}, largest {_kappa(condition.get('max'))}{beyond}; "
              f"healthy up to {setting(limits.get('max_condition'))}"),
        _tile("Largest stretch σmax", short(largest[0]) if largest else MISSING, kind_of(record, "sigma_max"),
              "over all points, latent → data in deviations"),
        _tile("Smallest stretch σmin", short(smallest[-1]) if smallest else MISSING, kind_of(record, "sigma_min"),
              "over all points"),
        _tile("Float32 round trip of the data", _trip(single), kind_of(record, "round_trip"),
              f"predicted {short(single.get('predicted'), 2)}; healthy up to {setting(limits.get('max_round_trip'))}"),
        _tile("log|det|, gap between ways", _gap(gap), "exact" if gap is not None else "",
              "the flow's own, of the matrix, sum of log σ" if gap is not None else "not measured: matrix-free"),
    ]  # fmt: skip


def _tile(title: str, value: str, kind: str, note: str) -> dict[str, str]:
    known = value != MISSING and not any(word in value for word in ("not", "nan"))
    return {"title": title, "value": value, "kind": kind if known else "", "note": note}


def _gap(value: Any) -> str:
    found = number(value)
    return MISSING if found is None else short(found, 2) if np.isfinite(found) else "not finite"


def _kappa(value: Any) -> str:
    found = number(value)
    return (
        MISSING
        if found is None
        else short(found)
        if resolved(found) is not None
        else f"> {above_resolution()}"
    )


def _trip(trip: Mapping[str, Any]) -> str:
    lost = number(trip.get("nonfinite"))
    if trip.get("failed"):
        return "not run"
    return f"{whole(lost)} points not finite" if lost else short(trip.get("max"), 2)


def layer_table(layers: Sequence[Mapping[str, Any]], worst: Any) -> dict[str, Any]:
    """Heads and rows of the table of all layers; quantities that no layer has are left out."""
    shown = {k: t for k, t in QUANTITIES.items() if any(number(row.get(k)) is not None for row in layers)}
    return {
        "heads": [title.replace("/", " ") for title in shown.values()],
        "rows": [
            {"name": layer_label(row, i), "cells": [short(row.get(k)) for k in shown], "worst": i == worst}
            for i, row in enumerate(layers)
        ],
    }


def trip_table(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Every round trip, as the chart has it and with what the chart can not show."""
    return [
        {
            "set": row["set"], "way": row["way"], "dtype": row["dtype"], "median": short(row["median"], 2),
            "max": short(row["max"], 2), "predicted": short(row["predicted"], 2), "layers": short(row["layers"], 2),
            "word": row["failed"] or row["word"],
        }
        for row in trip_rows(record)
    ]  # fmt: skip


def worst_points(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The worst-conditioned points: row, κ, both ends, and the coordinates furthest from the mean."""
    shown, names = mapping(record.get("shown")), column_names(record)
    x = [row for row in map(sequence, sequence(shown.get("x"))) if len(row) == len(names)]
    kappa = sequence(shown.get("condition"))
    if not x or len(kappa) != len(x):
        return None
    badness = [np.inf if (k := number(v)) is None or np.isnan(k) else k for v in kappa]
    order = sorted(range(len(x)), key=lambda i: -badness[i])[:WORST]
    values = np.array([[finite(v) or 0.0 for v in row] for row in x])
    deviation = values.std(axis=0)
    far = np.abs(values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    table = []
    for i in order:
        columns = range(len(names)) if len(names) <= COORDINATES else np.argsort(-far[i])[:COORDINATES]
        table.append(
            {
                "row": whole(_at(shown, "rows", i)), "condition": _kappa(kappa[i]),
                "max": short(_at(shown, "sigma_max", i)), "min": short(_at(shown, "sigma_min", i)),
                "at": ", ".join(f"{names[j]} = {short(x[i][j], 4)}" for j in columns),
            }
        )  # fmt: skip
    return {"rows": table, "all": len(names) <= COORDINATES}


def _at(shown: Mapping[str, Any], key: str, place: int) -> Any:
    values = sequence(shown.get(key))
    return values[place] if place < len(values) else None


def attack_words(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the attack found, and the coordinates that it moved most."""
    found = mapping(record.get("attack"))
    if not found:
        return None
    names, start, point = column_names(record), sequence(found.get("start")), sequence(found.get("point"))
    pairs = [(n, a, b) for n, a, b in zip(names, map(finite, start), map(finite, point), strict=False)]
    moved = sorted(
        ((n, a, b) for n, a, b in pairs if a is not None and b is not None), key=lambda p: -abs(p[2] - p[1])
    )
    way = "x → z → x" if found.get("way") == "data" else "z → x → z"
    return {
        "lead": f"Gradient search within a radius of {setting(found.get('radius'))} of the worst points for the input that "
        f"{way} in {found.get('precision')} loses most.",
        "start_error": _broken(found.get("start_error")), "error": _broken(found.get("error")),
        "start_stretch": short(found.get("start_stretch")), "stretch": short(found.get("stretch")),
        "moved": [{"name": n, "start": short(a, 5), "point": short(b, 5)} for n, a, b in moved[:COORDINATES]],
        "more": max(len(moved) - COORDINATES, 0),
    }  # fmt: skip


def _broken(error: Any) -> str:
    found = number(error)
    return (
        MISSING
        if found is None
        else short(found, 2)
        if np.isfinite(found)
        else "not finite: it does not come back"
    )


def traces(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """The first non-finite layer for each set and precision that met one."""
    return [
        {
            "layer": f"{whole(t.get('layer'))} {t.get('name') or ''}".strip(), "way": str(t.get("direction") or ""),
            "dtype": str(t.get("precision") or ""), "set": str(t.get("points") or ""), "rows": whole(t.get("rows")),
        }
        for t in map(mapping, sequence(record.get("nonfinite")))
    ]  # fmt: skip


def kinds_table(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Figure -> kind, in words."""
    known = mapping(record.get("kinds"))
    absent = {k for k in QUANTITIES if all(number(mapping(row).get(k)) is None for row in record["layers"])}
    known = {key: kind for key, kind in known.items() if key not in absent or key == "round_trip"}
    return [(name, KINDS[str(known[key])]) for key, name in FIGURES.items() if str(known.get(key)) in KINDS]


def facts(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What heads the page."""
    dense = record.get("dense") is not False
    source = str(record.get("source") or "")
    return [
        ("map", str(record.get("name") or MISSING)),
        ("coordinates", whole(record["size"])),
        ("layers", whole(len(record["layers"]))),
        ("points", whole(record.get("points"))),
        *([("data", source)] if source else []),
        ("spectrum", "whole (dense)" if dense else "two ends (matrix-free)"),
        ("seed", whole(record.get("seed"))),
    ]


def left_out(record: Mapping[str, Any]) -> str:
    """How many points have no finite spectrum, in words; empty for none."""
    values = finite_values(sequence(mapping(record.get("spectrum")).get("left_out")))
    return (
        f"{whole(values[0])} points whose Jacobian is not finite are left out."
        if values and values[0]
        else ""
    )


def above_resolution() -> str:
    """1/eps of float64."""
    return short(RESOLVED, 2)
