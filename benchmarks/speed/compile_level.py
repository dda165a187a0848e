"""Compiling the training program at XLA's first level of optimisation against its own: seconds to compile, and of a step.

    python -m speed.compile_level [--rounds 3] [--out results/compile-level.json]

The program is the one of `shoal.training` (steps, validation, the best weights) at batch 256 and 8 columns. Every figure is
from a process of its own without JAX's persistent cache, in processor seconds; rounds are interleaved.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from shoal.records import system_info, write_record

COLUMNS, ROWS, BATCH, EPOCHS = 8, 20_000, 256, 8
CASES = (("nsf", 2), ("spline", 4), ("realnvp", 8), ("maf", 5))
LEVELS = ("1", "own")
OUT = Path(__file__).resolve().parents[2] / "results" / "compile-level.json"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--worker", nargs=3, metavar=("FAMILY", "DEPTH", "LEVEL"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        family, depth, level = options.worker
        print(json.dumps(once(family, int(depth), level)))
        return
    rows = []
    for turn in range(options.rounds):
        for family, depth in CASES:
            for level in LEVELS:
                rows.append({"round": turn, "family": family, "depth": depth, "level": level})
                rows[-1] |= run(family, depth, level)
                print(rows[-1], flush=True)
    record = {
        "what": (__doc__ or "").splitlines()[0],
        "command": "cd benchmarks && python -m speed.compile_level",
        "seed": 0,
        "versions": system_info(),
        "config": {"columns": COLUMNS, "rows": ROWS, "batch": BATCH, "epochs": EPOCHS},
        "summary": [summary(rows, family) for family, _ in CASES],
        "rows": rows,
    }
    write_record(record, options.out)
    for row in record["summary"]:
        print(row)


def run(family: str, depth: int, level: str) -> dict[str, Any]:
    """`once` in a fresh process on one core."""
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", family, str(depth), level]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JAX_COMPILATION_CACHE")}
    flags = "--xla_cpu_multi_thread_eigen=false"
    if level == "own":  # a level that the environment sets is left alone
        flags += " --xla_backend_optimization_level=3"
    environment |= {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def once(family: str, depth: int, level: str) -> dict[str, float]:
    """Seconds to compile, and of the fastest epoch's steps, of one training."""
    import jax
    import numpy as np

    import shoal.flows
    import shoal.training

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = np.random.default_rng(0).normal(size=(ROWS, COLUMNS))
    flow = getattr(shoal.flows, family)(jax.random.key(0), COLUMNS, depth)
    settings = shoal.training.Settings(batch_size=BATCH, max_epochs=EPOCHS)
    started = time.process_time()
    found = shoal.training.fit(flow, rows, validation=rows[:2000], key=jax.random.key(1), settings=settings)
    fastest = min(row.seconds for row in found.history)
    return {
        "compile_seconds": found.compile_seconds,
        "step_milliseconds": 1e3 * fastest / (ROWS // BATCH),
        "cpu_seconds": time.process_time() - started,
    }


def summary(rows: list[dict[str, Any]], family: str) -> dict[str, Any]:
    """Medians over the rounds, and of the ratios within a round (first level over XLA's own)."""
    mine = [r for r in rows if r["family"] == family]
    out: dict[str, Any] = {"family": family}
    for name in ("compile_seconds", "step_milliseconds"):
        by = {level: [r[name] for r in mine if r["level"] == level] for level in LEVELS}
        out |= {f"{name}_{level}": median(values) for level, values in by.items()}
        ratios = [a / b for a, b in zip(by["1"], by["own"], strict=True)]
        out[f"{name}_ratio"] = {"median": median(ratios), "low": min(ratios), "high": max(ratios)}
    return out


if __name__ == "__main__":
    main()
