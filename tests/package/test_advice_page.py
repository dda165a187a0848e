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
    again = json.loads((ROOT / "results" / "advice-again.json").read_text())["tables"]
    pairs = [
        (record["tables"][name]["depth"], e["depth"]) for name, e in again.items() if e["depth"] is not None
    ]
    assert {record["tables"][name]["group"] for name in again} == {"held_out_2"}
    around = {1: (1, 4), 2: (1, 4), 4: (2, 8), 8: (4, 16), 16: (8, 32), 32: (8, 32)}
    assert f"| the same depth as the first ladder | {sum(a == b for a, b in pairs)} |" in page
    near = sum(around[a][0] <= b <= around[a][1] for a, b in pairs)
    assert f"around the first ladder's choice | {near} |" in page
    constant = sum(best <= b <= 4 * best for _, b in pairs)
    assert f"around the first ladder's choice holds {near - constant} more than the constant one" in page
    assert len(record["tables"]) == 100
    assert sorted(e["range"][1] / e["range"][0] for e in held_out)[len(held_out) // 2] == 4
    assert page.count("| inside |") == sum(
        e["range"][0] <= e["depth"] <= e["range"][1] for e in record["tables"].values()
    )
