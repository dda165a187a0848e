"""Truth tables: verdicts of audits on thirty healthy and thirty sick maps whose right verdict is known.

    python -m failures.truth [--only exp,stale-maf] [--fresh]

The maps, verdicts and causes were written down before the rule was set (`_healthy_maps.py`, `_sick_maps.py`). The rule was
looked at with seed 0 and three coordinates; seed 4 and five coordinates are held out; the last pass was run once, when rule
and maps were final, and nothing was changed after it.
"""

import argparse
import time
import warnings
from typing import Any

import torch
from resume import RESULTS, Record

from failures._healthy_maps import HEALTHY
from failures._known import Known
from failures._sick_maps import SICK
from shoal.conditioning import audit
from shoal.records import system_info, to_plain

PASSES = {"looked at": (3, 0), "held out": (5, 4), "run once": (4, 11)}
PACKAGES = ("shoal", "numpy", "torch", "jax", "nflows", "normflows", "FrEIA", "zuko", "flowjax", "distrax")


def judged(known: Known, n: int, seed: int) -> dict[str, Any]:
    """The verdict on one map, beside the right one."""
    asked = known.make(n, seed)
    found = audit(asked.map, asked.x, **asked.arguments)
    wanted = None if known.layer is None else known.layer % len(found.layers)
    named = found.diagnosis.worst_layer
    return {
        "name": known.name,
        "what": known.what,
        "expected": known.cause,
        **to_plain(found.diagnosis),
        "right": found.diagnosis.cause == known.cause and (wanted is None or named == wanted),
    }


def counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """False alarms among the healthy, misses and right causes among the sick."""
    healthy = [r for r in rows if r["expected"] == "none"]
    sick = [r for r in rows if r["expected"] != "none"]
    return {
        "healthy": len(healthy),
        "false_alarms": sum(not r["healthy"] for r in healthy),
        "sick": len(sick),
        "missed": sum(r["healthy"] for r in sick),
        "right_cause": sum(r["right"] for r in sick),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="")
    parser.add_argument("--passes", default=",".join(PASSES))
    parser.add_argument("--out", default=RESULTS / "truth.json")
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*deprecated.*")
    torch.set_num_threads(1)
    head = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m failures.truth",
        "seed": {name: seed for name, (_, seed) in PASSES.items()},
        "versions": system_info(PACKAGES),
        "config": {"coordinates": {name: n for name, (n, _) in PASSES.items()}},
    }
    record = Record(options.out, head, {"rows": []}, fresh=options.fresh)
    for name in options.passes.split(","):
        n, seed = PASSES[name]
        for known in (*HEALTHY, *SICK):
            if options.only and known.name not in options.only.split(","):
                continue
            if record.has(name=known.name, expected=known.cause, table=name):
                continue
            began = time.perf_counter()
            row = {"table": name, **judged(known, n, seed)}
            rows = [*record.rows, row]
            record.add(row, counts={t: counts([r for r in rows if r["table"] == t]) for t in PASSES})
            mark = "" if row["right"] or (row["expected"] == "none" and row["healthy"]) else "WRONG "
            seconds = time.perf_counter() - began
            print(
                f"{mark}{name} {known.name} ({seconds:.0f} s): {row['cause']} {row['worst_layer']}. {row['sentence']}",
                flush=True,
            )
    print(record["counts"] if "counts" in record.entries else "")


if __name__ == "__main__":
    main()
