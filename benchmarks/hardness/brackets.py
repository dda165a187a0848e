"""Brackets for the condition that the leaderboard's tables ask for, beside the condition numbers of its trained flows.

    python -m hardness.brackets [--out results/condition-brackets.json]

Every table of the leaderboard, in the training rows' deviations: sets and laws are chosen on the training rows of a split
that no setting was chosen on, and tested on its test rows. Of a flow trained on split 0 the leaderboard stores the condition
of its Jacobian at test rows (the largest, or the 99 % quantile where only that is stored). The product of a flow's two
Lipschitz constants is at least that, so a flow whose stored figure exceeds the lower end has a product above it. The lower
ends are of flows from one normal: flows with a mixture in the base are left out.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from tables.tables import names, prepared

from shoal.records import system_info, to_plain, write_record
from shoal.theory.hardness import condition_bracket

RESULTS = Path(__file__).resolve().parents[2] / "results"
ARMS = ("shoal", "zuko-maf", "zuko-nsf", "flowjax-nsf")
VARIATION, CONFIDENCE, SEED, SPLIT = 0.01, 0.99, 0, 2


def stored(table: str) -> list[dict[str, Any]]:
    """The condition figures of the flows that were trained on split 0."""
    found = []
    for arm in ARMS:
        cells = json.loads((RESULTS / "tables" / f"{arm}.json").read_text(encoding="utf-8"))["cells"]
        for name, cell in cells.items():
            family = str(cell.get("facts", {}).get("family", arm))
            figures = cell.get("condition") or cell.get("facts", {}).get("condition")
            if not name.startswith(f"{table}/0/") or not figures or "mixture" in family:
                continue
            largest = figures.get("max", figures["q99"])
            found.append({"arm": arm, "cell": name, "family": family, "condition": float(largest)})
    return found


def row(table: str) -> dict[str, Any]:
    """One table."""
    parts, _ = prepared(table, SPLIT)
    started = time.perf_counter()
    found = condition_bracket(parts.train, parts.test, variation=VARIATION, confidence=CONFIDENCE, seed=SEED)
    flows = stored(table)
    return {
        "table": table,
        "columns": parts.train.shape[1],
        "train_rows": len(parts.train),
        "test_rows": len(parts.test),
        **asdict(found),
        "ratio": found.condition.upper / found.condition.lower,
        "flows": flows,
        "flows_above": sum(f["condition"] >= found.condition.lower for f in flows),
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default=str(RESULTS / "condition-brackets.json"))
    options = parser.parse_args()
    rows = []
    for table in names():
        rows.append(row(table))
        print(table, rows[-1]["condition"], len(rows[-1]["flows"]), rows[-1]["flows_above"], flush=True)
    record = {
        "what": __doc__.strip().splitlines()[0],
        "command": "cd benchmarks && python -m hardness.brackets",
        "seed": SEED,
        "config": {"variation": VARIATION, "confidence": CONFIDENCE, "split": SPLIT, "arms": ARMS},
        "kinds": {"lower": "lower_bound", "upper": "estimate", "flows.condition": "lower_bound"},
        "rows": rows,
        "counts": {
            "tables": len(rows),
            "flows": sum(len(r["flows"]) for r in rows),
            "flows_above": sum(r["flows_above"] for r in rows),
            "median_ratio": median(r["ratio"] for r in rows),
        },
        "status": "done",
        "versions": system_info(("shoal", "numpy", "scipy")),
    }
    write_record(to_plain(record), options.out)
    print(record["counts"])


if __name__ == "__main__":
    main()
