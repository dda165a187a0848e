"""A made-up run record with every part that a real one has; all of it follows from a fixed seed."""

import math
from typing import Any

import numpy as np

from tests.report.audits import make_layers

COLUMNS = ["mass", "length", "width", "height", "speed", "charge", "age"]
DEPTHS = (1, 2, 4, 8, 16)
BEST = {"realnvp": -9.93, "spline": -9.80}


def make_record(
    *,
    columns: list[str] | None = None,
    points: int = 1500,
    samples: int = 1500,
    epochs: int = 40,
    seeds: int = 2,
    chosen: bool = True,
) -> dict[str, Any]:
    """Returns a record of two families at five depths; the last spline rung was not finished."""
    rng = np.random.default_rng(20251123)
    columns = COLUMNS if columns is None else columns
    rungs = [_rung(rng, family, depth, epochs, seeds) for family in BEST for depth in DEPTHS]
    _unfinished(rungs[-1])
    best = max(range(len(rungs) - 1), key=lambda index: rungs[index]["validation_log_likelihood"])
    for rung in rungs[:-1]:
        rung["difference"] = rungs[best]["validation_log_likelihood"] - rung["validation_log_likelihood"]
        rung["standard_error"] = 0.022 + 0.1 * rung["difference"]
        rung["as_good"] = rung["difference"] < rung["standard_error"]
    index = 7 if chosen else None
    if index is not None:
        rungs[index]["chosen"] = True
    sentence = (
        "Chosen: spline at depth 4. Its validation log-likelihood is within one standard error of the best rung "
        "(spline, depth 8), and 99 % of its condition numbers are below 10,000."
        if chosen
        else "No rung is as good as the best and within the largest condition number of 10,000."
    )
    return {
        "format": 1, "kind": "fit", "created": "2025-11-23T18:04:05+00:00",
        "versions": {"python": "3.11.2", "shoal": "0.1.0", "jax": "0.10.2", "numpy": "2.4.6"},
        "device": "cpu", "dtype": "float32", "seconds": 287.4,
        "command": "shoal fit made-up.csv --out run --families realnvp,spline --seeds 2 --time-limit 5m",
        "data": {
            "source": "tables/made-up.csv", "rows": 40000, "removed_duplicates": 0,
            "parts": {"train": 32000, "validation": 4000, "test": 4000},
            "columns": columns, "context_columns": [], "weights_column": None,
            "lattice": [
                {"column": columns[0], "step": 0.01, "ties": 0.994, "dequantized": True},
                {"column": columns[-1], "step": 0.1, "ties": 0.981, "dequantized": True},
            ],
            "means": [0.8] * len(columns), "scales": [0.47] * len(columns),
        },
        "config": {"hidden": [64, 64], "batch_size": 512, "seed": 0, "max_epochs": epochs, "time_limit": 300.0,
                   "fractions": [0.8, 0.1, 0.1]},
        "rungs": rungs,
        "decision": {"chosen": index, "best": best, "seed": 0, "max_condition": 1e4, "max_round_trip": 1e-3,
                     "sentence": sentence},
        "test": {"log_likelihood": -9.8123, "standard_error": 0.0312, "rows": 4000},
        "layers": {"rows": make_layers(4), "points": 64, "kinds": {}, "note": ""},
        "spectrum": _spectrum(len(columns)),
        "condition_histogram": _histogram(rng),
        "points": _points(rng, columns, points, samples),
    }  # fmt: skip


def _rung(rng: np.random.Generator, family: str, depth: int, epochs: int, seeds: int) -> dict[str, Any]:
    level = BEST[family] - 3.2 * math.exp(-1.4 * depth) + (0.008 if depth == 8 else 0.0)
    kappa = {"realnvp": 9.0, "spline": 22.0}[family] * depth**1.55
    condition = {"median": kappa, "q99": 14 * kappa, "max": 160 * kappa, "unresolved": 0}
    trips = {
        "float32": {"median": 3e-7 * depth, "max": 1.2e-8 * condition["max"]},
        "float64": {"median": 5e-16 * depth, "max": 8e-17 * condition["max"]},
    }
    parts = []
    for seed in range(seeds):
        epoch = np.arange(1, epochs + 1)
        curve = level - 30 * np.exp(-epoch * 1.4) - 0.7 * np.exp(-epoch / 9) + 0.01 * rng.normal(size=epochs)
        parts.append(
            {
                "seed": seed, "status": "finished", "message": "", "epochs": epochs, "best_epoch": epochs - 2,
                "steps": 84 * epochs, "seconds": 4.0 + 1.3 * depth, "compile_seconds": 1.9,
                "validation_log_likelihood": level + 0.004 * seed,
                "rollbacks": [{"epoch": 3, "step": 12, "layer": "layer 2: Coupling(Affine)", "learning_rate": 5e-4}]
                if seed == 1 and depth == 8 else [],
                "curve": {
                    "epoch": epoch.tolist(), "validation": curve.tolist(),
                    "train": (curve + 0.03 + 0.01 * rng.normal(size=epochs)).tolist(),
                    "learning_rate": (1e-3 * (1 - epoch / epochs)).tolist(),
                },
                "condition": condition,
                "condition_user_units": {**condition, "q99": 3.1e4 * kappa},
                "round_trip": trips,
            }
        )  # fmt: skip
    return {
        "family": family, "depth": depth, "parameters": 1180 * depth * (3 if family == "spline" else 1),
        "status": "finished", "seeds": parts, "validation_log_likelihood": level + 0.002, "difference": None,
        "standard_error": None, "as_good": None, "condition": condition, "round_trip": trips,
        "well_conditioned": condition["q99"] <= 1e4, "invertible": trips["float32"]["max"] <= 1e-3, "chosen": False,
    }  # fmt: skip


def _unfinished(rung: dict[str, Any]) -> None:
    rung["status"] = "unfinished"
    rung["validation_log_likelihood"] -= 0.25
    rung["difference"], rung["standard_error"], rung["as_good"] = 0.28, 0.05, False
    for seed in rung["seeds"]:
        seed["status"] = "unfinished"
        seed["curve"] = {key: values[:9] for key, values in seed["curve"].items()}


def _spectrum(count: int) -> dict[str, Any]:
    median = 3.0 * 10 ** np.linspace(0, -1.9, count) if count > 1 else np.array([0.9])
    return {
        "index": list(range(1, count + 1)),
        "q01": (median / 2.6).tolist(),
        "median": median.tolist(),
        "q99": (median * 2.2).tolist(),
    }


def _histogram(rng: np.random.Generator) -> dict[str, Any]:
    counts, edges = np.histogram(rng.normal(2.28, 0.45, 4000), bins=40)
    return {"log10_edges": edges.tolist(), "counts": counts.tolist()}


def _points(rng: np.random.Generator, columns: list[str], points: int, samples: int) -> dict[str, Any]:
    count = len(columns)
    mixing = rng.normal(size=(count, count)) * 0.5 + np.eye(count)

    def draw(number: int, noise: float) -> np.ndarray:
        base = rng.normal(size=(number, count)) @ mixing
        base[:, 0] = np.exp(0.5 * np.clip(base[:, 0], -9, 9))
        return base + noise * rng.normal(size=base.shape)

    data = draw(points, 0.0)
    condition = 10 ** (
        2.0 + 0.22 * np.abs(data[:, 0] - np.median(data[:, 0])) + 0.2 * rng.normal(size=points)
    )
    return {
        "columns": columns,
        "data": data.tolist(),
        "condition": condition.tolist(),
        "log_prob": (-9 - 0.5 * (data**2).sum(axis=1) / count + 0.3 * rng.normal(size=points)).tolist(),
        "row": (2 + rng.permutation(40000)[:points]).tolist(),
        "samples": draw(samples, 0.05).tolist(),
    }
