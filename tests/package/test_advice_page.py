"""docs/advice.md is what its script writes from results/advice.json, and its counts are those of the ranges and choices."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_counts_are_those_of_the_tables():
    record = json.loads((ROOT / "results" / "advice.json").read_text())
    page = (ROOT / "docs" / "advice.md").read_text()
    held_out = [e for e in record["tables"].values() if e["group"] == "held_out_2"]
    inside = [e for e in held_out if e["range"][0] <= e["depth"] <= e["range"][1]]
    held = {a: sum(a <= e["depth"] <= 4 * a for e in held_out) for a in (1, 2, 4, 8)}
    best = max(held, key=lambda a: held[a])
    assert f"| held out | {len(held_out)} | {len(inside)} | {best} to {4 * best} | {held[best]} |" in page
    assert f"{(len(inside) - held[best]) / len(held_out):.1%}" in page
    assert len(record["tables"]) == 100
    assert sorted(e["range"][1] / e["range"][0] for e in held_out)[len(held_out) // 2] == 4
    assert page.count("| inside |") == sum(
        e["range"][0] <= e["depth"] <= e["range"][1] for e in record["tables"].values()
    )
