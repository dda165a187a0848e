"""A made-up run record with every part that a real one has; all of it follows from a fixed seed."""

import math
from typing import Any

import numpy as np

from shoal.records import FitRecord, as_record
from tests.report.audits import make_layers

COLUMNS = ["mass", "length", "width", "height", "speed", "charge", "age"]
ALONE = {"gaussian": -13.0, "marginals+gaussian": -11.0, "mixture": -11.8}
LIMITS = {"margin": 0.053, "max_condition": 1e4, "max_round_trip": 1e-3}
FIRST, SECOND = "nsf on gaussian", "nsf on marginals+gaussian"
CHAINS = ((FIRST, 1), (SECOND, 1), (FIRST, 2), (SECOND, 2), (FIRST, 4), (SECOND, 4), (SECOND, 8))
CHOSEN, BEST, UNDECIDED = 8, 9, 7  # places among the rungs


def make_record(
    *,
    columns: list[str] | None = None,
    points: int = 1500,
    samples: int = 1500,
    epochs: int = 40,
    seeds: int = 2,
    depths: int = len(CHAINS),
) -> dict[str, Any]:
    """Returns a record of three fronts alone and of two chains on two of them, one dropped, the last rung unfinished.

    `depths`: how many of the seven rungs with layers there are.
    """
    rng = np.random.default_rng(20251123)
    columns = COLUMNS if columns is None else columns
    rungs = [_rung(rng, front, front, 0, epochs, seeds) for front in ALONE]
    rungs += [_rung(rng, family.split(" on ")[1], family, d, epochs, seeds) for family, d in CHAINS[:depths]]
    if depths == len(CHAINS):
        _unfinished(rungs[BEST])
        rungs[UNDECIDED]["dropped"] = f"behind {rungs[CHOSEN]['name']} by 0.051 ± 0.021 nats"
    for place in (2, 3, 5):
        if place < len(rungs):
            rungs[place].update(
                dict.fromkeys(("condition", "condition_user_units", "invertible", "well_conditioned"))
            )
            rungs[place]["round_trip"] = {}
    race = [
        {
            "event": "rung",
            "rung": i,
            "at": 4.0 + 20 * i,
            "seconds": rung["seconds"],
            "status": rung["status"],
            "validation": rung["validation_log_likelihood"],
        }
        for i, rung in enumerate(rungs)
    ]
    record = {
        "format": 2,
        "kind": "fit",
        "created": "2025-11-23T18:04:05+00:00",
        "versions": {"python": "3.11.2", "shoal": "0.1.0", "jax": "0.10.2", "numpy": "2.4.6"},
        "device": "cpu",
        "dtype": "float32",
        "seconds": 287.4,
        "run": "run",
        "command": "shoal fit tables/made-up.csv --out run --families nsf --seeds 2 --time-limit 5m",
        "data": {
            "source": "tables/made-up.csv",
            "rows": 40000,
            "parts": {"train": 32000, "validation": 4000, "test": 4000},
            "columns": columns,
            "context_columns": [],
            "weights_column": None,
            "lattice": [
                {"column": columns[0], "step": 0.01, "ties": 0.994, "dequantized": True},
                {"column": columns[-1], "step": 0.1, "ties": 0.981, "dequantized": True},
            ],
            "means": [0.8] * len(columns),
            "scales": [0.47] * len(columns),
        },
        "config": {
            "hidden": [64, 64],
            "batch_size": 512,
            "seed": 0,
            "max_epochs": epochs,
            "time_limit": 300.0,
            "parts": [0.8, 0.1, 0.1],
            "fronts": list(ALONE),
            "families": ["nsf"],
            "start": "grow",
            **LIMITS,
        },
        "rungs": rungs,
        "race": race,
        "far_rows": {"count": 0, "of": 4000, "row": [], "error": [], "log_prob": []},
        "test": {"log_likelihood": -9.8123, "standard_error": 0.0312, "winsorised": -9.8044, "rows": 4000},
        "layers": {"rows": make_layers(4), "points": 64, "kinds": {}, "note": ""},
        "spectrum": _spectrum(len(columns)),
        "condition_histogram": _histogram(rng),
        "points": _points(rng, columns, points, samples),
    }
    best = max(range(len(rungs)), key=lambda i: rungs[i]["validation_log_likelihood"])
    decide(record, chosen=CHOSEN if depths == len(CHAINS) else best, best=best)
    return record


def typed(record: dict[str, Any]) -> FitRecord:
    """The record as what the report takes."""
    return as_record(record, FitRecord)


def decide(
    record: dict[str, Any],
    *,
    chosen: int | None,
    best: int,
    kept: int | None = None,
    gate: str = "both gates",
) -> None:
    """Fills in the verdicts against `best`, the decision, and its sentence."""
    rungs = record["rungs"]
    top = rungs[best]["validation_log_likelihood"]
    for i, rung in enumerate(rungs):
        if rung["validation_log_likelihood"] is None:
            continue
        loss = top - rung["validation_log_likelihood"]
        error = 0.0 if i == best else 0.004 + 0.3 * loss if i == UNDECIDED else 0.004 + 0.02 * loss
        low, high = loss - 1.645 * error, loss + 1.645 * error
        state = "as good" if high < LIMITS["margin"] else "worse" if low >= LIMITS["margin"] else "undecided"
        rung.update(difference=loss, standard_error=error, upper=high, state=state)
        rung["as_good"] = state == "as good"
        line = [
            j for j in range(i) if rungs[j]["front"] == rung["front"] and rungs[j]["depth"] < rung["depth"]
        ]
        if line and rungs[line[-1]]["validation_log_likelihood"] is not None:
            gain = rung["validation_log_likelihood"] - rungs[line[-1]]["validation_log_likelihood"]
            error = 0.004 + 0.02 * gain
            ends = {"low": gain - 1.645 * error, "high": gain + 1.645 * error}
            rung["gain"] = {"over": line[-1], "mean": gain, "standard_error": error, **ends}
    kept = chosen if kept is None else kept
    record["decision"] = {
        "chosen": chosen,
        "best": best,
        "kept": kept,
        "seed": 0,
        "gate": gate,
        **LIMITS,
        "sentence": f"Chosen: {rungs[chosen]['name']}; as good as the best ({rungs[best]['name']})."
        if chosen is not None
        else f"No rung that is as good as the best has both. Delivered: {rungs[kept]['name']}, the likeliest so."
        if kept is not None
        else "No rung ended with a finite validation log-likelihood; nothing can be chosen.",
    }


def _rung(
    rng: np.random.Generator, front: str, family: str, depth: int, epochs: int, seeds: int
) -> dict[str, Any]:
    level, slope = {FIRST: (-9.86, 1.1), SECOND: (-9.80, 0.9)}.get(family, (0.0, 0.0))
    level = (
        ALONE[front] if not depth else level - {FIRST: 2.0, SECOND: 1.2}[family] * math.exp(-slope * depth)
    )
    kappa = 22.0 * (1 + depth) ** 1.55 * (1 + len(front) / 20)
    condition = {"median": kappa, "q99": 14 * kappa, "max": 160 * kappa, "unresolved": 0}
    trips = {
        "float32": {"median": 3e-7 * (1 + depth), "q999": 1e-8 * kappa, "max": 1.2e-8 * condition["max"]},
        "float64": {"median": 5e-16 * (1 + depth), "q999": 7e-17 * kappa, "max": 8e-17 * condition["max"]},
    }
    parts = []
    for seed in range(seeds if depth else 0):
        epoch = np.arange(1, epochs + 1)
        curve = (
            level - 0.7 * np.exp(-epoch * 1.4) - 0.3 * np.exp(-epoch / 9) + 0.004 * rng.normal(size=epochs)
        )
        far = (epoch % 5 == 0).astype(int) * seed
        parts.append(
            {
                "seed": seed,
                "status": "finished",
                "message": "",
                "epochs": epochs,
                "best_epoch": epochs - 2,
                "steps": 84 * epochs,
                "seconds": 4.0 + 1.3 * depth,
                "compile_seconds": 1.9,
                "validation_log_likelihood": level + 0.004 * seed,
                "validation_mean": level + 0.004 * seed - 0.03,
                "first_validation": level - 1.1,
                "rollbacks": [
                    {"epoch": 3, "step": 12, "layer": "layer 2: Coupling(Affine)", "learning_rate": 5e-4}
                ]
                if seed == 1 and depth == 4
                else [],
                "curve": {
                    "epoch": epoch.tolist(),
                    "validation": curve.tolist(),
                    "validation_mean": (curve - 0.2 * far).tolist(),
                    "far_rows": far.tolist(),
                    "train": (curve + 0.03 + 0.01 * rng.normal(size=epochs)).tolist(),
                    "learning_rate": (1e-3 * (1 - epoch / epochs)).tolist(),
                },
                "condition": condition,
                "condition_user_units": {**condition, "q99": 3.1e4 * kappa},
                "round_trip": trips,
            }
        )
    return {
        "front": front,
        "family": family,
        "depth": depth,
        "name": f"{family}, {depth} layer{'s' * (depth > 1)}" if depth else f"{front}, no layer",
        "parameters": 3540 * depth + 70,
        "status": "finished" if depth else "closed form",
        "seconds": 8 + 1.3 * depth,
        "seeds": parts,
        "validation_log_likelihood": level + 0.002,
        "validation_mean": level - 0.03,
        "difference": None,
        "standard_error": None,
        "upper": None,
        "state": None,
        "as_good": None,
        "dropped": "",
        "gain": None,
        "condition": condition,
        "condition_user_units": {**condition, "q99": 3.1e4 * kappa},
        "round_trip": trips,
        "well_conditioned": condition["q99"] <= LIMITS["max_condition"],
        "invertible": trips["float32"]["q999"] <= LIMITS["max_round_trip"],
    }


def _unfinished(rung: dict[str, Any]) -> None:
    rung["status"] = "unfinished"
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
