"""Which hidden layers zuko's flows get: the best mean validation over three tables, seed 1, half the budget.

    cd benchmarks && python -m tables.widths     # writes results/tables-widths.json

zuko's default is (64, 64), its front page has (128, 128, 128); (128, 128) lies between. Only validation rows are looked at;
the seed, and so these rows, are others than the leaderboard's.
"""

import os
from typing import Any

import torch

from shoal.records import read_record, system_info, write_record

from .arms.zuko_flows import train
from .sources import ROOT
from .tables import prepared

TABLES, BUDGET, SEED = ("phoneme", "magic", "weather"), 60.0, 1
CHOICES = ((64, 64), (128, 128), (128, 128, 128))
OUT = ROOT / "results" / "tables-widths.json"


def main() -> None:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows = read_record(OUT)["rows"] if OUT.exists() else []
    done = {(r["arm"], tuple(r["widths"]), r["table"]) for r in rows}
    for arm in ("zuko-nsf", "zuko-maf"):
        for widths in CHOICES:
            for table in [t for t in TABLES if (arm, widths, t) not in done]:
                made = train(arm, prepared(table, 0)[0].train, BUDGET, SEED, widths)
                rows.append(
                    {
                        "arm": arm,
                        "widths": list(widths),
                        "table": table,
                        "validation": made.facts["validation"],
                    }
                )
                print(rows[-1], flush=True)
                store(rows)


def store(rows: list[dict[str, Any]]) -> None:
    """Writes the file after every training."""
    record = {
        "what": __doc__.splitlines()[0],
        "command": "python -m tables.widths",
        "seed": SEED,
        "versions": system_info(("torch", "zuko", "numpy")),
        "config": {"budget": BUDGET, "split": 0},
        "rows": rows,
    }
    write_record(record, OUT)


if __name__ == "__main__":
    main()
