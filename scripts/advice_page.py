"""Writes docs/advice.md from its text in scripts/ and the figures in results/advice.json.

    python scripts/advice_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

from _pages import filled, write_or_check

ROOT = Path(__file__).resolve().parents[1]
TEXT, PAGE, FIGURES = (ROOT / p for p in ("scripts/advice.md", "docs/advice.md", "results/advice.json"))
GROUPS = {"tuning": "tuning", "held_out": "held out", "all": "all"}
WANTED, MARGIN = 16, 3


def counts(record: dict[str, Any]) -> str:
    """How many choices each kind of range holds."""
    lines = [
        "| tables | number | advised range holds | best constant range | it holds |",
        "|---|---|---|---|---|",
    ]
    for group, name in GROUPS.items():
        c = record["counts"][group]
        if c:
            cells = (name, c["tables"], c["advised"], c["best_constant"], c["best_constant_holds"])
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def verdict(record: dict[str, Any]) -> str:
    """Wanted against reached."""
    c = record["counts"]["all"]
    enough = "reached" if c["advised"] >= WANTED else "not reached"
    margin = c["advised"] - c["best_constant_holds"]
    better = "reached" if margin >= MARGIN else "not reached"
    missing = 20 - c["tables"]
    words = [
        f"Wanted: at least {WANTED} of 20 choices inside, with ranges of at most two doublings at the median "
        f"({c['median_doublings']:g} here): **{enough}**, {c['advised']} of {c['tables']}.",
        f"Wanted: {MARGIN} tables or more beyond the best constant range: **{better}**, {margin:+d}.",
    ]
    if missing:
        words.append(f"The ladders of {missing} tables were not run, and these are not counted.")
    return " ".join(words)


def table(record: dict[str, Any]) -> str:
    """One row a table."""
    lines = ["| table | | rows | columns | range | ladder | |", "|---|---|---|---|---|---|---|"]
    shown = [(name, e) for name, e in record["tables"].items() if e["group"] in GROUPS]
    for name, e in sorted(shown, key=lambda item: (item[1]["group"] != "tuning", item[0])):
        low, high = e["range"]
        depth = str(e["depth"]) + ("" if e["chosen"] is not None else " (none qualified)")
        place = "inside" if e["inside"] else "outside"
        cells = (name, GROUPS[e["group"]], e["rows"], e["columns"], f"{low} to {high}", depth, place)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    head = "<!-- Written by scripts/advice_page.py from scripts/advice.md and results/advice.json. Do not edit. -->\n"
    parts = {"counts": counts(record), "verdict": verdict(record), "table": table(record)}
    return head + filled(TEXT.read_text(encoding="utf-8"), parts)


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
