"""Writes docs/accelerators.md from scripts/accelerators.md and results/accelerator.json.

    python scripts/accelerators_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "accelerators.md"


def number(found: dict[str, Any], name: str) -> str:
    """Two digits; rows that are not finite are said."""
    bad = found["rows_not_finite"]
    value = f"{found[name]:.1e}" if name in found else ""
    return f"{value} ({bad} rows not finite)" if bad and name == "round_trip" else value


def errors(rows: list[dict[str, Any]]) -> str:
    """Round trip and log-det, on the CPU and both ways."""
    lines = []
    for r in rows:
        trips = [number(r[way], "round_trip") for way in ("cpu", "full", "default")]
        log_dets = [number(r[way], "log_det") for way in ("full", "default")]
        lines.append([r["name"].replace("flowjax", "FlowJAX"), *trips, *log_dets])
    return table(["flow", "round trip, CPU", "full", "default", "log-det, full", "default"], lines)


def times(rows: list[dict[str, Any]]) -> str:
    """Milliseconds, and the ratio of the CPU to the full products."""
    lines = []
    for r in rows:
        cpu, full, default = (1e3 * r[way] for way in ("cpu", "full", "default"))
        lines.append([r["name"], *(f"{v:.3g}" for v in (cpu, full, default, cpu / full))])
    return table(["training", "CPU", "full", "default", "CPU / full"], lines)


def page() -> str:
    """The whole page."""
    found = json.loads((ROOT / "results" / "accelerator.json").read_text(encoding="utf-8"))
    parts = {
        "rows": str(found["config"]["rows"]),
        "device": f"one {found['device']}",
        "errors": errors(found["errors"]),
        "times": times(found["seconds_a_step"]),
    }
    return filled((ROOT / "scripts" / "accelerators.md").read_text(encoding="utf-8"), parts)


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
