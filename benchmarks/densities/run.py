"""Flows for known densities in equal time, and NUTS with and without a flow before it: `results/densities.json`.

    taskset -c 0 python -m densities.run [--seeds 2] [--only flow|nuts] [--targets funnel,...] [--arms "shoal;..."] [--fresh]

Every cell is a process of its own with so many processor seconds of one core, compilation included, so that what else the
machine does hurts no arm; the arms take turns. The run goes on where it stopped. The command pins nothing, `taskset` does.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from resume import RESULTS, Record

from shoal.records import system_info

from . import arms, nuts
from .targets import targets

PACKAGES = ("jax", "flowjax", "normflows", "torch", "blackjax", "arviz-stats")
NUTS_TARGETS = ("funnel", "gaussian")
SECONDS = {"flow": 30.0, "nuts": 40.0}
HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    args = _arguments()
    config = {"seconds": SECONDS, "batch": arms.BATCH, "draws": arms.DRAWS, "cores": 1}
    head = {
        "format": 1,
        "what": "flows for known densities in equal time; NUTS on a density and behind a flow",
        "command": "python -m densities.run",
        "config": config,
        "versions": {name: version(name) for name in PACKAGES},
        "system": system_info(),
        "targets": {name: {"dim": t.dim, "log_z": t.log_z} for name, t in targets().items()},
    }
    record = Record(args.out, head, {"flow": [], "nuts": []}, fresh=args.fresh)
    for seed in range(args.seeds):
        for kind, names, kinds in (
            ("flow", tuple(targets()), arms.ARMS),
            ("nuts", NUTS_TARGETS, nuts.ARMS),
        ):
            for name in names:
                if (args.only and kind != args.only) or (
                    args.targets and name not in args.targets.split(",")
                ):
                    continue
                for arm in kinds:
                    if not args.arms or arm in args.arms.split(";"):
                        _do(record, kind, name, arm, SECONDS[kind], seed)


def _do(record: Record, kind: str, name: str, arm: str, seconds: float, seed: int) -> None:
    """Run the cell and keep it, unless it is there."""
    key = {"target": name, "arm": arm, "seed": seed}
    if any(all(row[k] == v for k, v in key.items()) for row in record[kind]):
        return
    busy, started = os.getloadavg()[0], time.perf_counter()
    command = [sys.executable, "-m", "densities.cell", kind, name, arm, str(seconds), str(seed)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=HERE, env=env, capture_output=True, text=True, check=False)
    row: dict[str, Any] = {**key, "busy_before": busy}
    if done.returncode == 0:
        row |= json.loads(done.stdout.strip().splitlines()[-1])
    else:
        row["failed"] = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else str(done.returncode)
    record[kind].append(row)
    record.save()
    shown = {
        k: row.get(k)
        for k in ("ess", "kl", "pareto_k", "layers", "least_a_second", "first_a_second", "failed")
    }
    print(f"{kind} {name:10} {arm:26} {seed} {time.perf_counter() - started:6.1f} s {shown}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=("flow", "nuts"))
    parser.add_argument("--targets", default="")
    parser.add_argument("--arms", default="")
    parser.add_argument("--out", type=Path, default=RESULTS / "densities.json")
    parser.add_argument("--fresh", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
