"""docs/advice.md is what its script writes from results/advice.json, and its counts are those of the ranges and choices."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_script_writes():
    command = [sys.executable, str(ROOT / "scripts" / "advice_page.py"), "--check"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0, "run scripts/advice_page.py"


def test_the_counts_are_those_of_the_tables():
    record = json.loads((ROOT / "results" / "advice.json").read_text())
    tables = [e for e in record["tables"].values() if e["group"] in ("tuning", "held_out")]  # the page's 20
    inside = [e for e in tables if e["range"][0] <= e["depth"] <= e["range"][1]]
    assert record["counts"]["all"]["advised"] == len(inside) == sum(e["inside"] for e in tables)
    held = {a: sum(a <= e["depth"] <= 4 * a for e in tables) for a in (1, 2, 4, 8)}
    assert record["counts"]["all"]["best_constant_holds"] == max(held.values())
    assert all(e["range"][1] == 4 * e["range"][0] for e in tables)
