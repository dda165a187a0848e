"""One cell in a process of its own: an arm on prepared rows within a budget; `run.py` starts it.

    python -m tables.cell ARM ROWS.npz BUDGET SEED OUT     # in benchmarks/; writes OUT.json and OUT.npy

ROWS.npz has `train`, `test` and, where it is known, `truth`: the true log-likelihoods of the test rows.

The arm's libraries are imported before its clock starts. Scores are written before what comes after them is measured, so
that an arm that fails in sampling keeps them; what an arm raises ends the process, and the runner records its last line.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .arms import Estimate, module
from .prepare import Rows, Split

# Processor seconds, of the budget and beside it, after which the system ends the process: no wait on a busy machine does.
OVER, SPARE = 3, 600
SAMPLES, TRIPS, CONDITIONS = 10_000, 1_000, 200


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call gives, its processor and its wall seconds."""
    wall, used = time.perf_counter(), time.process_time()
    made = call()
    return made, time.process_time() - used, time.perf_counter() - wall


def figures(scores: Rows) -> dict[str, Any]:
    """Mean, its standard error, the mean without the lowest hundredth, median and least of the test log-likelihoods."""
    ordered = np.sort(scores)
    return {
        "mean": scores.mean(),
        "error": scores.std() / np.sqrt(len(scores)),
        "trimmed": ordered[len(scores) // 100 :].mean(),
        "median": np.median(scores),
        "least": ordered[0],
        "nonfinite": int((~np.isfinite(scores)).sum()),
    }


def measured(estimate: Estimate, test: Rows) -> dict[str, Any]:
    """Sampling time, round trips and condition numbers, where the arm has them."""
    found: dict[str, Any] = {}
    if estimate.sample is not None:
        sample = estimate.sample
        _, used, wall = timed(lambda: sample(SAMPLES))
        found["sample"] = {"rows": SAMPLES, "seconds": used, "wall": wall}
    if estimate.round_trip is not None:
        errors = estimate.round_trip(test[:TRIPS])
        found["round_trip"] = {"median": np.median(errors), "largest": errors.max(), "rows": len(errors)}
    if estimate.condition is not None:
        values = estimate.condition(test[:CONDITIONS])
        found["condition"] = {
            "median": np.median(values),
            "q99": np.quantile(values, 0.99),
            "rows": len(values),
        }
    return found


def scored(
    arm: str, parts: Split, truth: Rows | None, budget: float, seed: int
) -> tuple[Estimate, dict[str, Any], Rows]:
    """The trained arm, its row so far, and the test log-likelihoods."""
    train = module(arm).train
    estimate, used, wall = timed(lambda: train(arm, parts.train, budget, seed))
    row: dict[str, Any] = {
        "columns": parts.train.shape[1],
        "train_rows": len(parts.train),
        "test_rows": len(parts.test),
        "seconds": used,
        "wall": wall,
        "facts": dict(estimate.facts),
    }
    scores, row["score_seconds"], _ = timed(lambda: np.asarray(estimate.log_prob(parts.test), float))
    if truth is not None:
        gap = truth - scores
        row["kl"] = {"mean": gap.mean(), "error": gap.std() / np.sqrt(len(gap))}
    return estimate, {**row, **figures(scores)}, scores


def main() -> None:
    arm, rows, budget, seed, out = sys.argv[1:]
    most = int(OVER * float(budget)) + SPARE
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))
    with np.load(rows) as stored:
        parts, truth = Split(stored["train"], stored["test"]), stored.get("truth")
    estimate, row, scores = scored(arm, parts, truth, float(budget), int(seed))
    np.save(f"{out}.npy", scores.astype(np.float32))
    written = Path(f"{out}.json")
    written.write_text(json.dumps(row, default=plain), encoding="utf-8")
    row |= measured(estimate, parts.test)
    written.write_text(json.dumps(row, default=plain), encoding="utf-8")


def plain(value: Any) -> Any:
    """What JSON has no word for."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)


if __name__ == "__main__":
    main()
