"""One cell of the mixed leaderboard in a process of its own; `run.py` starts it.

    python -m tables.mixed_cell ARM ROWS.npz BUDGET SEED OUT     # in benchmarks/; writes OUT.json and OUT.npy

As in `cell.py`, scores are written before rows are sampled. As many rows as there are test rows are sampled, at most 10,000,
and set beside as many test rows; four times over where there are fewer than 2,000, and the mean counts.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .arms import MIXED, module
from .cell import OVER, SPARE, figures, plain, timed
from .mixed_measures import association_error, detection
from .mixed_rows import MixedSplit, load

MOST, FEW, SETS = 10_000, 2_000, 4


def sampled(estimate: Any, parts: MixedSplit) -> dict[str, Any]:
    """Sampling time, error of the associations, and the classifier's area."""
    real = parts.test[:MOST]
    count, n = SETS if len(real) < FEW else 1, len(real)
    made, used, wall = timed(lambda: estimate.sample(count * n))
    made = made[np.random.default_rng(0).permutation(len(made))]  # some arms draw part by part
    sets = [made[i * n : (i + 1) * n] for i in range(count)]
    areas = [detection(parts.columns, real, each) for each in sets]
    return {
        "sample": {"rows": count * n, "seconds": used, "wall": wall},
        "association": np.mean([association_error(parts.columns, real, each) for each in sets]),
        "auc": np.mean(areas),
        "areas": areas,
    }


def main() -> None:
    arm, rows, budget, seed, out = sys.argv[1:]
    most = int(OVER * float(budget)) + SPARE
    resource.setrlimit(resource.RLIMIT_CPU, (most, most + 5))
    parts, train = load(Path(rows)), module(arm, MIXED).train
    estimate, used, wall = timed(lambda: train(parts.columns, parts.train, float(budget), int(seed)))
    scores, score_seconds, _ = timed(lambda: np.asarray(estimate.log_prob(parts.test), float))
    row = {
        "columns": len(parts.columns.all),
        "train_rows": len(parts.train),
        "test_rows": len(parts.test),
        "seconds": used,
        "wall": wall,
        "facts": dict(estimate.facts),
        "score_seconds": score_seconds,
        **figures(scores),
    }
    np.save(f"{out}.npy", scores.astype(np.float32))
    written = Path(f"{out}.json")
    written.write_text(json.dumps(row, default=plain), encoding="utf-8")
    row |= sampled(estimate, parts)
    written.write_text(json.dumps(row, default=plain), encoding="utf-8")


if __name__ == "__main__":
    main()
