"""Flows for known densities in equal time, and NUTS with and without a flow before it: `results/densities.json`.

    taskset -c 0 python -m densities.run [--seconds 60] [--seeds 2] [--only flow|nuts] [--targets funnel,...] [--fresh]

Every cell is a process of its own with so many seconds of the wall clock, compilation included; the arms take turns. The run
goes on where it stopped. On one core: the command pins nothing, `taskset` does.
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
HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    args = _arguments()
    config = {"seconds": args.seconds, "batch": arms.BATCH, "draws": arms.DRAWS, "cores": 1}
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
                    _do(record, kind, name, arm, args.seconds, seed)


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
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", choices=("flow", "nuts"))
    parser.add_argument("--targets", default="")
    parser.add_argument("--out", type=Path, default=RESULTS / "densities.json")
    parser.add_argument("--fresh", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
