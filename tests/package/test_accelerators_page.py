"""docs/accelerators.md is what its script writes; the record's full products are as good as a CPU's."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_full_products_lose_no_more_than_a_cpu():
    """Within a factor of 5, the order of sums being another one; the default loses more in most families."""
    record = json.loads((ROOT / "results" / "accelerator.json").read_text())
    assert record["accelerator"]
    own = [r for r in record["errors"] if not r["name"].startswith("flowjax")]
    assert len(own) >= 8
    for row in own:
        assert row["full"]["rows_not_finite"] == 0
        assert row["full"]["round_trip"] <= 5 * row["cpu"]["round_trip"] + 1e-6, row["name"]
    worse = [r for r in own if r["default"].get("round_trip", 1.0) > 5 * r["full"]["round_trip"]]
    assert len(worse) >= 4
