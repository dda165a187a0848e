"""Writes docs/api/adapters.md from its text in scripts/ and the figures in results/adapters.json.

    python scripts/adapters_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "api" / "adapters.md", ROOT / "results" / "adapters.json"


def audits(found: dict[str, Any]) -> str:
    """One row a library."""
    rows = [
        [name, entry["what"], f"{entry['parity']:.1e}", len(entry["layers"]), entry["diagnosis"]["sentence"]]
        for name, entry in found.items()
    ]
    return table(["library", "flow", "parity", "layers", "audit"], rows)


def coverage(found: dict[str, Any]) -> str:
    """What was said of each."""
    told = {name: entry["coverage"] for name, entry in found.items() if entry["coverage"]}
    rows = []
    for name, entry in told.items():
        shares = [f"{s['value']:.0%} [{s['low']:.0%}, {s['high']:.0%}]" for s in entry["shares"]]
        width = entry["width"]
        wide = f"{width['value']:.2f} [{width['low']:.2f}, {width['high']:.2f}]"
        said = entry["sentence"].split(": ", 2)[2].split(". ")[0].rsplit(": ", 1)[-1]
        rows.append([name, *shares, wide, said])
    head = ["library", "50 % regions hold", "80 %", "95 %", "as wide as it should be", "expected coverage"]
    return table(head, rows)


def page() -> str:
    """The whole page."""
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    found, versions = dict(sorted(record["libraries"].items())), record["versions"]
    tested = record["tested"] | {entry["package"]: entry["version"] for entry in found.values()}
    parts = {
        "rows": str(max(entry["rows"] for entry in found.values())),
        "audits": audits(found),
        "coverage": coverage(found),
        "python": versions["python"],
        "beside": ", ".join(f"{name} {number}" for name, number in versions["packages"].items()),
        "versions": table(
            ["package", "version"], sorted(tested.items(), key=lambda item: str(item[0]).lower())
        ),
    }
    return filled((ROOT / "scripts" / "adapters.md").read_text(encoding="utf-8"), parts)


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
