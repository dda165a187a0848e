"""Made-up audit records with every part that a real one has; all follows from a fixed seed."""

import math
from typing import Any

import numpy as np

from shoal.records import AuditRecord, as_record

SETS = ("data", "uniform noise", "samples", "tails x2", "tails x4", "tails x8")
UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8}
LEVELS = {"min": 0.2, "q05": 0.5, "q25": 0.8, "median": 1.0, "q75": 1.3, "q95": 2.0, "max": 5.0}


def make_layers(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "index": i,
            "name": ("LULinear", "Coupling(Affine)")[i % 2],
            "lipschitz": float(1 + rng.exponential()),
            "inverse_lipschitz": float(1 + rng.exponential()),
            "condition_median": 1.5 + i % 5,
            "condition_q99": float(10 ** rng.uniform(1, 3)),
            "condition_max": float(10 ** rng.uniform(3, 5)),
            "condition_worst": float(10 ** rng.uniform(2, 4)),
            "log_det": float(rng.normal()),
            "log_det_share": 1 / count,
            "amplification_forward": 1.0 + i,
            "amplification_reverse": 2.0 + i,
            "round_trip": 1e-7 * (1 + i),
            "gradient": None,
            "curvature": float(rng.exponential()),
            "lipschitz_bound": None,
            "inverse_lipschitz_bound": None,
        }
        for i in range(count)
    ]


def typed_audit(record: dict[str, Any]) -> AuditRecord:
    """The record as what the report takes."""
    return as_record(record, AuditRecord)


def make_audit(
    size: int = 3, count: int = 4, points: int = 300, *, dense: bool = True, seed: int = 0
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(points, size)) * 10.0 ** np.arange(size).clip(0, 3)
    kappa = 10.0 ** (1 + np.abs(x[:, 0]))
    middle = np.geomspace(20, 0.05, size) if dense else np.array([20.0, 0.05])
    ends = ("exact",) * 3 if dense else ("lower_bound", "upper_bound", "lower_bound")
    return {
        "format": 1,
        "kind": "audit",
        "name": "Scan",
        "size": size,
        "points": points,
        "seed": seed,
        "dense": dense,
        "scale": [1.0] * size,
        "kinds": {
            "singular_values": "exact" if dense else "estimate",
            "sigma_max": ends[0],
            "sigma_min": ends[1],
            "condition_numbers": ends[2],
            "residual": "estimate",
            "lipschitz": "lower_bound",
            "inverse_lipschitz": "lower_bound",
            "lipschitz_bound": "upper_bound",
            "curvature": "lower_bound",
            "gradient": "exact",
            "round_trip": "exact",
            "predicted": "estimate",
        },
        "limits": {"max_condition": 1e4, "max_round_trip": 1e-3},
        "condition": {"median": 54.3, "q99": 4321.0, "max": 98765.0, "unresolved": 0},
        "condition_user_units": {"median": 5.0, "q99": 43.0, "max": 98.0, "unresolved": 0},
        "log_det_gap": 3.3e-13 if dense else None,
        "residual": None if dense else 1.5e-4,
        "spectrum": {name: (factor * middle).tolist() for name, factor in LEVELS.items()} | {"left_out": 0},
        "layers": make_layers(count, seed),
        "start": make_layers(count, seed + 1),
        "round_trips": {
            name: {
                dtype: {
                    "median": 3 * u * 2.0**i,
                    "max": 40 * u * 2.0**i,
                    "nonfinite": 0,
                    "points": 200,
                    "predicted": 900 * u * 2.0**i,
                    "failed": None,
                }
                for dtype, u in UNITS.items()
            }
            for i, name in enumerate(SETS)
        },
        "predicted": {"data": 120.0, "latent": 340.0},
        "nonfinite": [],
        "diagnosis": {
            "healthy": False,
            "worst_layer": count - 1,
            "cause": "layer",
            "sentence": f"99 % κ is 1e+05, above 1e+04. Layer {count - 1} has most of it.",
        },
        "attack": {
            "start": x[0].tolist(),
            "point": (x[0] + 0.1).tolist(),
            "radius": 0.5,
            "start_error": 2e-6,
            "error": 4.4e-3,
            "start_stretch": 12.0,
            "stretch": 777.0,
            "way": "data",
            "precision": "float32",
        },
        "log_prob_errors": {
            "measured": {"median": 3.1e-7, "q999": 2.2e-6, "max": 2.4e-6},
            "bound": {"median": 2.3e-6, "q999": 9.1e-6, "max": 9.6e-6},
            "worst_case": {"median": 4.1e-5, "q999": 6.5e-4, "max": 6.7e-4},
            "float64": 1.9e-14,
            "outside": 0,
            "lost": 0,
            "layers": [0.9 / count] * count,
            "rows": [
                {
                    "row": 17 * i,
                    "log_prob": -31.5 + i,
                    "measured": 2.4e-6 / (i + 1),
                    "bound": 9.6e-6 / (i + 1),
                    "of_input": 0.0,
                }
                for i in range(4)
            ],
            "sentence": "log p in float32 is right to 2.4e-06 nats at every row (bound 9.6e-06).",
        },
        "shown": {
            "rows": list(range(points)),
            "x": x.tolist(),
            "z": x.tolist(),
            "condition": kappa.tolist(),
            "sigma_max": np.sqrt(kappa).tolist(),
            "sigma_min": (1 / np.sqrt(kappa)).tolist(),
        },
    }


def broken(record: dict[str, Any]) -> None:
    """Figures that are not finite or not resolved, wherever there can be some."""
    record["condition"].update(q99=math.inf, max=math.inf, unresolved=7)
    record["kinds"]["condition_numbers"] = "unresolved"
    record["log_det_gap"] = math.nan
    record["spectrum"]["left_out"] = 3
    record["shown"]["condition"][:7] = [math.nan, 1e17, math.inf, 1e16, 9e15, math.nan, 5e15]
    record["shown"]["sigma_min"][0] = math.nan
    record["layers"][0].update(condition_max=math.inf, round_trip=math.nan, curvature=0.0)
    record["round_trips"]["data"]["float32"].update(median=math.nan, max=math.nan, nonfinite=17)
    record["round_trips"]["tails x8"]["bfloat16"].update(
        median=math.nan, max=math.nan, failed="No bfloat16 here."
    )
    record["round_trips"]["samples"]["float64"].update(median=0.0, max=0.0)
    record["attack"].update(error=math.nan)
    record["log_prob_errors"].update(outside=3, lost=2)
    record["log_prob_errors"]["measured"].update(q999=math.nan, max=math.nan)
    record["log_prob_errors"]["rows"][0].update(measured=math.nan, log_prob=math.nan, bound=math.nan)
    record["start"] = None
    record["nonfinite"] = [
        {
            "layer": 1,
            "name": "Coupling(Affine)",
            "direction": "forward",
            "precision": "float32",
            "points": "tails x8",
            "rows": 17,
        }
    ]


def nothing(record: dict[str, Any]) -> None:
    """No figure at all is finite."""
    for row in record["layers"]:
        row.update({k: math.nan for k, v in row.items() if isinstance(v, float)})
    record["spectrum"] = {"left_out": record["points"]}
    for by in record["round_trips"].values():
        for trip in by.values():
            trip.update(median=math.nan, max=math.nan, predicted=math.nan, nonfinite=200)
    record["shown"].update(
        {k: [math.nan] * record["points"] for k in ("condition", "sigma_max", "sigma_min")}
    )
    record["predicted"] = {"data": math.nan, "latent": math.nan}
    record.update(start=None, attack=None, log_det_gap=math.nan)


def hostile(record: dict[str, Any]) -> None:
    """Texts that would end an element, a string or an expression."""
    bad = "</script><img src=x onerror=alert(1)>\"'\\ ${x}"
    record.update(
        target=bad, source=bad, command=bad, note=bad, columns=[f"{bad}{i}" for i in range(record["size"])]
    )
    record["diagnosis"]["sentence"] = record["log_prob_errors"]["sentence"] = bad
    for row in record["layers"]:
        row["name"] = bad
    record["round_trips"][bad] = record["round_trips"]["uniform noise"]
