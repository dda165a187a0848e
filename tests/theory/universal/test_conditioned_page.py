"""docs/universal-conditioned.md is what its script writes from results/langevin.json, and the results say what it claims."""

import json
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_w2_falls_at_every_doubling_and_kappa_is_bounded() -> None:
    record = json.loads((ROOT / "results" / "langevin.json").read_text(encoding="utf-8"))
    assert len(record["langevin"]) == 5
    for name, rows in record["langevin"].items():
        assert list(rows) == ["10", "20", "40", "80"]
        distances = [row["w2"]["value"] for row in rows.values()]
        assert all(fine < coarse / 3 for coarse, fine in pairwise(distances))
        bounds = [row["conditions"]["box"] for row in rows.values()]
        assert {b["kind"] for b in bounds} == {"upper_bound"}
        assert max(b["value"] for b in bounds) < (17 if " x " in name else 6)
        assert all(row["w2_error"] < 0.1 * row["w2"]["value"] for row in rows.values())
