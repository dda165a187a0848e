"""Theorem A: residuals and block norms of `factor` for n = 2 ... 2048, and its time against the decompositions in it.

    python -m linear.rotations [--only accuracy|time] [--rounds 7] [--wait 600] [--out results/rotations.json]

The time of `factor` at n = 1024 is divided by that of one `scipy.linalg.cossin` of size n plus one `schur` of size n / 2
in the same round (wanted: at most 4); they take turns. `_processor` is the time of all processors, which a busy machine
changes less. `--only` measures one part and keeps the other. Set OPENBLAS_NUM_THREADS for other than all cores.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.linalg
from peers.run import busy_share
from resume import RESULTS, Record
from scipy.stats import special_ortho_group

from shoal.records import system_info
from shoal.theory.linear import factor

SIZES = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
PERTURBED = 1e-9
TIMED = 1024


def turns(angles: np.ndarray) -> np.ndarray:
    """Plane rotations by these angles, block diagonal, in a random orthogonal basis."""
    n = 2 * len(angles)
    c, s = np.repeat(np.cos(angles), 2), np.repeat(np.sin(angles), 2)
    out = np.diag(c)
    out[np.arange(0, n, 2), np.arange(1, n, 2)] = -s[::2]
    out[np.arange(1, n, 2), np.arange(0, n, 2)] = s[::2]
    return out if n == 2 else conjugated(out)


def conjugated(matrix: np.ndarray) -> np.ndarray:
    basis = rotation(len(matrix), seed=2)
    return basis @ matrix @ basis.T


def rotation(n: int, seed: int) -> np.ndarray:
    return special_ortho_group.rvs(n, random_state=seed)


def near(matrix: np.ndarray) -> np.ndarray:
    """A rotation at about `PERTURBED` from this one."""
    skew = np.random.default_rng(3).normal(size=matrix.shape) / len(matrix) ** 0.5
    return matrix @ scipy.linalg.expm(PERTURBED * (skew - skew.T))


KINDS: dict[str, Callable[[int], np.ndarray]] = {
    "random": lambda n: rotation(n, seed=0),
    "permutation": lambda n: np.eye(n)[np.random.default_rng(1).permutation(n)],
    "minus identity": lambda n: -np.eye(n),
    "half swap": lambda n: np.roll(np.eye(n), n // 2, axis=0),
    "cyclic shift": lambda n: np.roll(np.eye(n), 1, axis=0),
    "equal angles": lambda n: turns(np.full(n // 2, 0.7)),
    "angles near pi": lambda n: turns(np.pi - 1e-9 * np.random.default_rng(4).uniform(size=n // 2)),
    "near the identity": lambda n: near(np.eye(n)),
    "near the half swap": lambda n: near(np.roll(np.eye(n), n // 2, axis=0)),
}


def accuracy(sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """One row a kind and size."""
    rows = []
    for n in sizes:
        for kind, make in KINDS.items():
            made = factor(make(n))
            norms = [float(np.linalg.norm(layer.block, 2)) for layer in made.layers]
            rows.append(
                {
                    "n": n,
                    "kind": kind,
                    "route": made.route,
                    "residual_float64": made.residual.float64,
                    "residual_float32": made.residual.float32,
                    "largest_norm": max(norms),
                    "norms": norms,
                    "largest_condition": made.conditions.largest,
                }
            )
        most = largest(rows[-len(KINDS) :])
        print(f"n = {n:5d}  " + "  ".join(f"{key} {value:.10g}" for key, value in most.items()), flush=True)
    return rows


def largest(rows: list[dict[str, Any]]) -> dict[str, float]:
    keys = ("residual_float64", "residual_float32", "largest_norm", "largest_condition")
    return {key: max(row[key] for row in rows) for key in keys}


def timing(n: int, rounds: int, wait: float) -> dict[str, Any]:
    """Seconds of each call in each round, after one round to warm up; the ratio is taken within a round."""
    t, half = rotation(n, seed=0), rotation(n // 2, seed=1)
    calls: dict[str, Callable[[], Any]] = {
        "cossin": lambda: scipy.linalg.cossin(t, p=n // 2, q=n // 2, separate=True),
        "schur": lambda: scipy.linalg.schur(half, output="real"),
        "factor": lambda: factor(t),
    }
    found: list[dict[str, Any]] = []
    for turn in range(rounds + 1):
        row: dict[str, Any] = {"busy_before": busy_share(wait)}
        for name, call in calls.items():
            started, processor = time.perf_counter(), time.process_time()
            call()
            row[name] = time.perf_counter() - started
            row[f"{name}_processor"] = time.process_time() - processor
        for kind in ("", "_processor"):
            row[f"ratio{kind}"] = row[f"factor{kind}"] / (row[f"cossin{kind}"] + row[f"schur{kind}"])
        if turn:
            found.append(row)
            print(
                "  ".join(f"{key} {value:.3g}" for key, value in row.items() if value is not None), flush=True
            )
    ratios = {key: spread([row[key] for row in found]) for key in found[0] if key.startswith("ratio")}
    for key, value in ratios.items():
        print(f"{key}: {value['median']:.2f} ({value['low']:.2f} - {value['high']:.2f})")
    seconds = {key: median(row[key] for row in found) for key in calls}
    threads = os.environ.get("OPENBLAS_NUM_THREADS", "all cores")
    return {"n": n, "target": 4.0, "threads": threads, "ratios": ratios, "seconds": seconds, "rounds": found}


def spread(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "low": min(values), "high": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("accuracy", "time"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--wait", type=float, default=0.0, help="wait at most so long for an idle machine, each round"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "rotations.json")
    options = parser.parse_args()
    head = {
        "what": "Theorem A: relative residuals, block norms, and seconds of `factor` against cossin plus schur",
        "seed": "fixed in the script: 0 ... 4",
    }
    record = Record(options.out, head, {"accuracy": None, "time": None}, same=())
    about = {
        "command": "cd benchmarks && python -m linear.rotations " + " ".join(sys.argv[1:]),
        "versions": system_info(),
    }
    if options.only != "time":
        rows = accuracy(SIZES)
        config = {"sizes": SIZES, "kinds": list(KINDS)}
        record.save(accuracy=about | {"config": config, "largest": largest(rows), "rows": rows})
    if options.only != "accuracy":
        record.save(time=about | timing(TIMED, options.rounds, options.wait))


if __name__ == "__main__":
    main()
