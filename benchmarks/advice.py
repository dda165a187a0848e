"""The adviser on 100 tables: its range of depths against the ladder's choice, and against the best constant range.

    python benchmarks/advice.py ladders [GROUP ...]          # trains; resumable; one entry a table as it finishes
    python benchmarks/advice.py advise [GROUP ...]           # the adviser's ranges beside them, and the counts
    python benchmarks/advice.py export FILE.npz GROUP ...    # the tables themselves, for a machine without their sources

Groups: tuning, held_out (20 tables, both seen by now, and the default); tuning_2, held_out_2 (80 more, drawn).
Options of `ladders`: --jobs N tables at a time, each in one thread; --limit SECONDS after which those at work are ended;
--seed S for ladders of another seed, in a record of their own: results/advice-again.json has those of seed 1.
Of `ladders` and `advise`: --tables FILE.npz to take the tables from; --record PATH of another record.

The tables, the seeds and the settings below were fixed before the adviser was tuned; the 80 before it was tuned again,
because one range held nearly all of the 20, and the ten held-out ones had been seen. The ladder's choice is the depth
that `shoal.ladder` chose, or the one it delivers where no rung qualifies. The best constant range is the one of ratio
4 that holds most of the choices, found with the choices in sight.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import _advice_pool as pool
import numpy as np
from _advice_counts import choice, counts, within
from _advice_jobs import run
from _advice_tables import HELD_OUT, SEED, TUNING
from _advice_tables import table as old_table

import shoal
from shoal.records import read_record, write_record

PATH = Path(__file__).parents[1] / "results" / "advice.json"
SETTINGS: dict[str, Any] = {
    "families": ("realnvp",), "depths": (1, 2, 4, 8, 16, 32), "seeds": 2, "seed": 0, "hidden": (32, 32),
    "batch_size": 256, "max_epochs": 100, "patience": 15, "learning_rate": 3e-3, "max_condition": 1e4,
    "max_round_trip": 1e-3,
}  # fmt: skip
FIRST = ("tuning", "held_out")
GROUPS: dict[str, tuple[str, ...]] = {"tuning": TUNING, "held_out": HELD_OUT, **pool.groups()}
ALL = {"all": FIRST, "all_2": ("tuning_2", "held_out_2")}


def tables(groups: list[str], file: Path | None) -> dict[str, Any]:
    """The tables of the groups by name; with `file`, those of them that it holds."""
    names = [name for group in groups for name in GROUPS[group]]
    if file is None:
        first = {name for group in FIRST for name in GROUPS[group]}
        return {name: (old_table if name in first else pool.table)(name) for name in names}
    with np.load(file) as arrays:
        return {name: arrays[name] for name in names if name in arrays}


def load(path: Path, settings: dict[str, Any] = SETTINGS) -> dict[str, Any]:
    """The record so far; an empty one with these settings where there is none."""
    if path.exists():
        return read_record(path)
    return {"settings": settings, "tables": {}, "tables_seed": SEED, "tables_seed_2": pool.SEED}


def ladders(
    groups: list[str], file: Path | None, path: Path, jobs: int, limit: float | None, seed: int
) -> None:
    """Trains the ladders that are not done."""
    group_of = {name: group for group in groups for name in GROUPS[group]}
    settings = SETTINGS | {"seed": seed}
    path.parent.mkdir(exist_ok=True)
    before = load(path, settings)
    if before["settings"]["seed"] != seed:
        raise SystemExit(
            f"{path} holds ladders of seed {before['settings']['seed']}; name another by --record."
        )
    done = before["tables"]
    tasks = [(name, rows) for name, rows in tables(groups, file).items() if name not in done]
    for name, entry in run(tasks, partial(train, settings=settings), jobs, limit):
        if isinstance(entry, Exception):
            print(f"{name}: failed, {entry}", flush=True)
            continue
        record = load(path, settings)
        record["tables"][name] = {"group": group_of[name], **entry}
        write_record(record, path)
        print(f"{name}: {entry['seconds']:.0f} s", flush=True)  # not the choice: held-out ones stay unseen


def train(rows: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """The entry of one table."""
    start = time.perf_counter()
    moves = {name: settings[name] for name in ("batch_size", "max_epochs", "patience", "learning_rate")}
    rest = {name: value for name, value in settings.items() if name not in moves}
    made = shoal.ladder(
        rows, fronts="standardize", start="scratch", settings=shoal.training.Settings(**moves), **rest
    )
    return {
        "rows": len(rows),
        "columns": rows.shape[1],
        "seconds": time.perf_counter() - start,
        "threads": 1,
        "versions": {**shoal.records.package_versions(("numpy", "jax")), "shoal": shoal.__version__},
        **choice(made),
    }


def judge(groups: list[str], file: Path | None, path: Path) -> None:
    """The adviser's ranges beside the ladder's choices."""
    record, trained = load(path), tables(groups, file)
    for name, rows in trained.items():
        entry = record["tables"].get(name)
        if entry is None:
            continue
        start = time.perf_counter()
        made = shoal.advise(rows, max_condition=SETTINGS["max_condition"])
        entry["seconds_advice"] = time.perf_counter() - start
        entry["range"] = list(made.depth_range)
        entry["inside"] = None if entry["depth"] is None else within(entry["depth"], made.depth_range)
    judged = {n: e for n, e in record["tables"].items() if "range" in e and e["depth"] is not None}
    record["counts"] = {
        name: counts([e for e in judged.values() if e["group"] in members])
        for name, members in (ALL | {group: (group,) for group in GROUPS}).items()
    }
    write_record(record, path)
    for name in trained:
        entry = judged.get(name)
        if entry is not None:
            print(name, entry["range"], entry["depth"], "inside" if entry["inside"] else "OUTSIDE")
    print(json.dumps(record["counts"]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("ladders", "advise", "export"):
        sub = commands.add_parser(command)
        if command == "export":
            sub.add_argument("file", type=Path)
            sub.add_argument("groups", nargs="+", choices=list(GROUPS))
            continue
        sub.add_argument("groups", nargs="*", metavar="GROUP")
        sub.add_argument("--tables", type=Path)
        sub.add_argument("--record", type=Path, default=PATH)
        if command == "ladders":
            sub.add_argument("--jobs", type=int, default=1)
            sub.add_argument("--limit", type=float)
            sub.add_argument("--seed", type=int, default=SETTINGS["seed"])
    given = parser.parse_args()
    groups = given.groups or list(FIRST)
    if unknown := set(groups) - set(GROUPS):
        parser.error(f"unknown groups: {', '.join(sorted(unknown))}")
    if given.command == "export":
        np.savez_compressed(given.file, **tables(groups, None))
    elif given.command == "ladders":
        ladders(groups, given.tables, given.record, given.jobs, given.limit, given.seed)
    else:
        judge(groups, given.tables, given.record)


if __name__ == "__main__":
    main()
