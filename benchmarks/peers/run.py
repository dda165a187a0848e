"""Shoal against zuko, nflows, normflows, FrEIA (PyTorch, eager), flowjax and distrax (JAX) on one machine.

    python -m peers.run [--rounds 7] [--only shoal,zuko] [--tasks maf-8] [--quick] [--out results/peers.json]

In a round every library runs once, in a process of its own, one after the other (A B C A B C ...). A ratio is taken
within a round, peer over Shoal, and quoted as the median over rounds with its range. Needs
`benchmarks/requirements.txt`. After every process the file is written anew, so a stopped run keeps its rounds.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from resume import RESULTS

from shoal.records import system_info, to_plain

from .table import print_tables, summary
from .tasks import BATCH, BATCHES, LEARNING_RATE, POINTS, TASKS

HERE = Path(__file__).resolve().parent
TORCH = ("zuko", "nflows", "normflows", "FrEIA")
LIBRARIES = ("shoal", *TORCH, "flowjax", "distrax")
WITHOUT_MAF = ("FrEIA", "distrax")
PACKAGES = ("shoal", "jax", "jaxlib", "equinox", "optax", "torch", *LIBRARIES[1:], "numpy")
LARGE = str(1 << 32)
RAISED = {"MALLOC_MMAP_THRESHOLD_": LARGE, "MALLOC_TRIM_THRESHOLD_": LARGE, "MALLOC_TOP_PAD_": str(1 << 26)}


def main() -> None:
    options = arguments()
    jobs = [
        (library, task, malloc)
        for task in options.tasks
        for library in options.only
        for malloc in (("default", "raised") if library in TORCH else ("default",))
        if not (library in WITHOUT_MAF and TASKS[task].family == "maf")
    ]
    rows: list[dict[str, Any]] = []
    for turn in range(options.rounds):
        for library, task, malloc in jobs:
            busy = busy_share(options.wait)
            rows.append(
                {"round": turn, "library": library, "task": task, "malloc": malloc, "busy_before": busy}
            )
            rows[-1] |= run(library, task, malloc, quick=options.quick, limit=options.limit)
            print(line(rows[-1]), flush=True)
            if options.out:
                write(options, rows)
    print_tables(summary(rows))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    listed = lambda text: text.split(",")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", type=listed, default=list(LIBRARIES), help="libraries, comma separated")
    parser.add_argument("--tasks", type=listed, default=list(TASKS), help="tasks, comma separated")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the repetitions; not written to --out"
    )
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for one process")
    parser.add_argument(
        "--wait", type=float, default=0.0, help="wait at most so many seconds for an idle machine"
    )
    parser.add_argument("--out", type=Path, default=RESULTS / "peers.json")
    options = parser.parse_args()
    for given, known, name in ((options.only, LIBRARIES, "--only"), (options.tasks, tuple(TASKS), "--tasks")):
        if unknown := sorted(set(given) - set(known)):
            parser.error(f"{name} knows {', '.join(known)}; got {', '.join(unknown)}.")
    if options.quick:
        options.out = None
    return options


def run(library: str, task: str, malloc: str, *, quick: bool, limit: float) -> dict[str, Any]:
    """One library on one task in a fresh process; with raised malloc thresholds only log_prob and sample are timed."""
    command = [sys.executable, "-m", "peers.worker", library, task]
    command.append(json.dumps({"quick": quick, "train": malloc == "default"}))
    environment = os.environ | (RAISED if malloc == "raised" else {})
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took more than {limit:g} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1]) | {"process_s": time.perf_counter() - started}


def busy_share(wait: float) -> float | None:
    """The share of all cores that other processes use, once it is below 10 % or after `wait` seconds; None off Linux.

    Eager PyTorch loses far more to a busy machine than the compiled programs do, so such rounds would flatter Shoal.
    """
    counters, deadline = Path("/proc/stat"), time.monotonic() + wait
    if not counters.exists():
        return None
    while True:
        first = _ticks(counters)
        time.sleep(0.5)
        total, idle = (b - a for a, b in zip(first, _ticks(counters), strict=True))
        busy = round(1 - idle / max(total, 1), 3)
        if busy < 0.1 or time.monotonic() > deadline:
            return busy


def _ticks(counters: Path) -> tuple[int, int]:
    """All ticks since the start, and the idle ones."""
    ticks = [int(t) for t in counters.read_text().splitlines()[0].split()[1:9]]
    return sum(ticks), ticks[3] + ticks[4]


def line(row: dict[str, Any]) -> str:
    """What one process gave, for the terminal."""
    name = row["library"] + (" (malloc raised)" if row["malloc"] == "raised" else "")
    head = f"round {row['round'] + 1}  {row['task']:10s} {name:25s}"
    if "error" in row:
        return f"{head} failed: {row['error']}"
    times = (f"{k} {row[k + '_ms']:8.2f} ms" for k in ("step", "log_prob", "sample") if k + "_ms" in row)
    return f"{head} {'  '.join(times)}  (busy before: {row['busy_before']})"


def write(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Every process's figures and the ratios made from them, under a temporary name first."""
    record = {
        "what": "train step, log_prob and sample on one machine, milliseconds; ratios are peer / shoal within a round",
        "command": "cd benchmarks && python -m peers.run " + " ".join(sys.argv[1:]),
        "seed": 0,
        "device": "cpu",
        "dtype": "float32",
        "versions": system_info(PACKAGES),
        "config": {
            "batch": BATCH,
            "batches": BATCHES,
            "points": POINTS,
            "optimizer": "Adam",
            "learning_rate": LEARNING_RATE,
            "tasks": [asdict(TASKS[name]) for name in options.tasks],
            "malloc_raised": RAISED,
            "rounds": options.rounds,
        },
        "summary": summary(rows),
        "rows": rows,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = options.out.with_suffix(".tmp")
    temporary.write_text(json.dumps(to_plain(record), indent=1) + "\n")
    temporary.replace(options.out)


if __name__ == "__main__":
    main()
