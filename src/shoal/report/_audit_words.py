"""The figures and tables in words of an audit's page: plain dictionaries of text, escaped later by the template."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..records import AuditRecord
from ..records.audit import Trip
from ..records.figures import LayerProfile, kind_words
from ._audit_points import RESOLVED, column_names, resolved
from ._charts_layers import QUANTITIES, layer_label, shown_quantities
from ._charts_trips import trip_rows
from ._numbers import MISSING, finite, setting, short, whole

FIGURES = {
    "singular_values": "singular values",
    "sigma_max": "largest singular value σmax",
    "sigma_min": "smallest singular value σmin",
    "condition_numbers": "condition number κ",
    "residual": "residual of the matrix-free ends",
    "lipschitz": "Lipschitz constant of a layer, at least",
    "inverse_lipschitz": "Lipschitz constant of a layer's inverse, at least",
    "lipschitz_bound": "Lipschitz constant of a layer, at most",
    "inverse_lipschitz_bound": "Lipschitz constant of a layer's inverse, at most",
    "curvature": "norm of a layer's second derivative",
    "gradient": "gradient of the loss at these points",
    "round_trip": "round trips, observed",
    "predicted": "round trips, predicted",
    "amplification_forward": "round-off on its way to the data",
    "amplification_reverse": "round-off on its way to the latent",
}
WORST = 20
COORDINATES = 6


def kind_of(record: AuditRecord, figure: str) -> str:
    """The kind of a figure in words; empty where the record does not say."""
    kind = record.kinds.get(figure)
    return "" if kind is None else kind_words(kind)


def tiles(record: AuditRecord) -> list[dict[str, str]]:
    """The key figures with their kinds."""
    condition, limits, bands = record.condition, record.limits, record.spectrum
    single = record.round_trips.get("data", {}).get("float32")
    gap = record.log_det_gap
    beyond = f"; not resolved at {whole(condition.unresolved)} points" if condition.unresolved else ""
    return [
        _tile(
            "Condition number κ, 99 % of points",
            _kappa(condition.q99),
            kind_of(record, "condition_numbers"),
            f"median {_kappa(condition.median)}, largest {_kappa(condition.max)}{beyond}; "
            f"healthy up to {setting(limits.max_condition)}",
        ),
        _tile(
            "Largest stretch σmax",
            short(bands.max[0]) if bands.max else MISSING,
            kind_of(record, "sigma_max"),
            "over all points, latent → data in deviations",
        ),
        _tile(
            "Smallest stretch σmin",
            short(bands.min[-1]) if bands.min else MISSING,
            kind_of(record, "sigma_min"),
            "over all points",
        ),
        _tile(
            "Float32 round trip of the data",
            _trip(single),
            kind_of(record, "round_trip"),
            f"predicted {short(single and single.predicted, 2)}; healthy up to {setting(limits.max_round_trip)}",
        ),
        _tile(
            "log|det|, gap between ways",
            _or_not_finite(gap, "not finite"),
            "exact" if gap is not None else "",
            "the flow's own, of the matrix, sum of log σ" if gap is not None else "not measured: matrix-free",
        ),
    ]


def _tile(title: str, value: str, kind: str, note: str) -> dict[str, str]:
    known = value != MISSING and not any(word in value for word in ("not", "nan"))
    return {"title": title, "value": value, "kind": kind if known else "", "note": note}


def _or_not_finite(value: float | None, words: str) -> str:
    return short(value, 2) if value is None or np.isfinite(value) else words


def _kappa(value: float) -> str:
    return f"> {above_resolution()}" if resolved(value) is None else short(value)


def _trip(trip: Trip | None) -> str:
    if trip is None:
        return MISSING
    if trip.failed:
        return "not run"
    return f"{whole(trip.nonfinite)} points not finite" if trip.nonfinite else short(trip.max, 2)


def layer_table(layers: Sequence[LayerProfile], worst: int | None) -> dict[str, Any]:
    """Heads and rows of the table of all layers; quantities that no layer has are left out."""
    shown = shown_quantities(layers)
    return {
        "heads": [title.replace("/", " ") for title in shown.values()],
        "rows": [
            {
                "name": layer_label(row, i),
                "cells": [short(getattr(row, k)) for k in shown],
                "worst": i == worst,
            }
            for i, row in enumerate(layers)
        ],
    }


def trip_table(record: AuditRecord) -> list[dict[str, str]]:
    """Every round trip, as the chart has it and with what the chart can not show."""
    return [
        {
            "set": row["set"],
            "way": row["way"],
            "dtype": row["dtype"],
            "median": short(row["median"], 2),
            "max": short(row["max"], 2),
            "predicted": short(row["predicted"], 2),
            "layers": short(row["layers"], 2),
            "word": row["failed"] or row["word"],
        }
        for row in trip_rows(record)
    ]


def worst_points(record: AuditRecord) -> dict[str, Any] | None:
    """The worst-conditioned points: row, κ, both ends, and the coordinates furthest from the mean."""
    shown, names = record.shown, column_names(record)
    if not shown.x:
        return None
    x, kappa = shown.x, shown.condition
    badness = [np.inf if np.isnan(k) else k for k in kappa]
    order = sorted(range(len(x)), key=lambda i: -badness[i])[:WORST]
    values = np.array([[finite(v) or 0.0 for v in row] for row in x])
    deviation = values.std(axis=0)
    far = np.abs(values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
    table = []
    for i in order:
        columns = range(len(names)) if len(names) <= COORDINATES else np.argsort(-far[i])[:COORDINATES]
        table.append(
            {
                "row": whole(shown.rows[i]),
                "condition": _kappa(kappa[i]),
                "max": short(shown.sigma_max[i]),
                "min": short(shown.sigma_min[i]),
                "at": ", ".join(f"{names[j]} = {short(x[i][j], 4)}" for j in columns),
            }
        )
    return {"rows": table, "all": len(names) <= COORDINATES}


def attack_words(record: AuditRecord) -> dict[str, Any] | None:
    """What the attack found, and the coordinates that it moved most."""
    found = record.attack
    if found is None:
        return None
    pairs = zip(column_names(record), found.start, found.point, strict=True)
    moved = sorted((p for p in pairs if np.isfinite(p[1:]).all()), key=lambda p: -abs(p[2] - p[1]))
    way = "x → z → x" if found.way == "data" else "z → x → z"
    lost = "not finite: it does not come back"
    return {
        "lead": f"Gradient search within a radius of {setting(found.radius)} of the worst points for the input that "
        f"{way} in {found.precision} loses most.",
        "start_error": _or_not_finite(found.start_error, lost),
        "error": _or_not_finite(found.error, lost),
        "start_stretch": short(found.start_stretch),
        "stretch": short(found.stretch),
        "moved": [{"name": n, "start": short(a, 5), "point": short(b, 5)} for n, a, b in moved[:COORDINATES]],
        "more": max(len(moved) - COORDINATES, 0),
    }


def traces(record: AuditRecord) -> list[dict[str, str]]:
    """The first non-finite layer for each set and precision that met one."""
    return [
        {
            "layer": f"{whole(t.layer)} {t.name}",
            "way": t.direction,
            "dtype": t.precision,
            "set": t.points,
            "rows": whole(t.rows),
        }
        for t in record.nonfinite
    ]


def kinds_table(record: AuditRecord) -> list[tuple[str, str]]:
    """Figure -> kind, in words."""
    absent = QUANTITIES.keys() - shown_quantities(record.layers).keys() - {"round_trip"}
    known = {figure: kind_of(record, figure) for figure in FIGURES if figure not in absent}
    return [(FIGURES[figure], kind) for figure, kind in known.items() if kind]


def facts(record: AuditRecord) -> list[tuple[str, str]]:
    """What heads the page."""
    return [
        ("map", record.name or MISSING),
        ("coordinates", whole(record.size)),
        ("layers", whole(len(record.layers))),
        ("points", whole(record.points)),
        *([("data", record.source)] if record.source else []),
        ("spectrum", "whole (dense)" if record.dense else "two ends (matrix-free)"),
        ("seed", whole(record.seed)),
    ]


def left_out(record: AuditRecord) -> str:
    """How many points have no finite spectrum, in words; empty for none."""
    lost = record.spectrum.left_out
    return f"{whole(lost)} points whose Jacobian is not finite are left out." if lost else ""


def above_resolution() -> str:
    """1/eps of float64."""
    return short(RESOLVED, 2)
