"""What looking at the conditioning at 16 points costs a training: with and without, in turn.

RealNVP of depth 8, hidden (64, 64), batch 512, float32, Adam. d = 2, 8, 64: whole Jacobians every 100 steps, 200 steps a
training, three looks; d = 128: Golub-Kahan every 800 steps, 1600 steps a training, three looks.
One process a dimension: it compiles both first, then trains A B B A A B ... from the same key, and checks that both give
the same bits. The ratio is taken per round, of wall and of processor seconds.

    taskset -c 1 python -m speed.monitor [--rounds 7] [--dims 2,8,64]

Writes `results/monitor.json`; dimensions that are not asked for keep their figures.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[2] / "results" / "monitor.json"
STEPS, BATCH, DEPTH, HIDDEN = 100, 512, 8, (64, 64)
LOOKS = 2  # beside the one before the first step


def measure(dim: int, rounds: int) -> dict[str, Any]:
    """Seconds of each round, and what compiling took."""
    import jax
    import msgspec
    import numpy as np

    from shoal.flows import realnvp
    from shoal.training import ConditioningMonitor, Settings, fit

    rng = np.random.default_rng(0)
    z = rng.normal(size=(STEPS * BATCH, dim))
    x = (z + 0.5 * np.roll(z, 1, axis=1) ** 2).astype(np.float32)
    flow = realnvp(jax.random.key(0), dim, DEPTH, hidden=HIDDEN)
    every = ConditioningMonitor().interval(dim)
    monitors = {"without": None, "with": ConditioningMonitor(max_condition=1e30)}

    def run(name: str) -> tuple[float, float, Any]:
        wall, processor = time.perf_counter(), time.process_time()
        result = fit(
            flow,
            x,
            key=jax.random.key(1),
            settings=Settings(batch_size=BATCH, max_epochs=LOOKS * every // STEPS),
            monitor=monitors[name],
        )
        return time.perf_counter() - wall, time.process_time() - processor, result

    first = {name: run(name)[2] for name in monitors}  # compiles
    rows, results = [], first
    for i in range(rounds):
        order = list(monitors)[:: 1 if i % 2 == 0 else -1]
        timed = {name: run(name) for name in order}
        results = {name: timed[name][2] for name in order}
        rows.append({name: {"wall": timed[name][0], "processor": timed[name][1]} for name in sorted(order)})
        print(dim, rows[-1], file=sys.stderr)
    bits = [
        [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(r.flow) if isinstance(leaf, jax.Array)]
        for r in results.values()
    ]
    return {
        "rounds": rows,
        "ratio": {
            kind: _spread([r["with"][kind] / r["without"][kind] for r in rows])
            for kind in ("wall", "processor")
        },
        "every": every,
        "steps": results["with"].steps,
        "looks": len(results["with"].conditioning),
        "same_bits": bits[0] == bits[1],
        "compile_seconds": {
            "training": first["without"].compile_seconds,
            "monitor": first["with"].compile_seconds,
        },
        "last_look": msgspec.to_builtins(results["with"].conditioning[-1]),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def main() -> None:
    """One process a dimension; the record on the disk is brought up to date after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dims", default="2,8,64,128")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(measure(given.one, given.rounds)))
        return
    from shoal.records import system_info
    from shoal.training import ConditioningMonitor

    cores = len(os.sched_getaffinity(0))
    for dim in map(int, given.dims.split(",")):
        command = [sys.executable, __file__, "--one", str(dim), "--rounds", str(given.rounds)]
        busy = os.getloadavg()[0]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
        record: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {"dims": {}}
        record |= {
            "what": "training with a conditioning monitor against training without, seconds without compilation, in turn",
            "setting": {
                "flow": "RealNVP",
                "depth": DEPTH,
                "hidden": HIDDEN,
                "batch": BATCH,
                "dtype": "float32",
                "device": "cpu",
                "points": ConditioningMonitor().points,
                "cores_of_both_arms": cores,
                "seed": 0,
            },
            "versions": system_info(),
        }
        record["dims"][str(dim)] = {**found, "load_before": busy}
        OUT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
