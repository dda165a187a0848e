"""Writes docs/advice.md from its text in scripts/ and the figures in results/advice.json and advice-again.json.

    python scripts/advice_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
from _advice_counts import agreement  # noqa: E402
from _advice_counts import counts as count  # noqa: E402

TEXT, PAGE, FIGURES = (ROOT / p for p in ("scripts/advice.md", "docs/advice.md", "results/advice.json"))
AGAIN = ROOT / "results" / "advice-again.json"
GROUPS = {"fitted": ("tuning", "held_out", "tuning_2"), "held out": ("held_out_2",)}
WANTED, MARGIN = 0.8, 0.15  # 16 of 20 inside, 3 of 20 beyond the constant


def entries(record: dict[str, Any], group: str) -> list[dict[str, Any]]:
    """The tables of one group of the page; of all of them for "all"."""
    names = GROUPS.get(group, tuple(g for groups in GROUPS.values() for g in groups))
    return [e for e in record["tables"].values() if e["group"] in names]


def counts(record: dict[str, Any]) -> str:
    """How many choices each kind of range holds."""
    lines = []
    for group in (*GROUPS, "all"):
        c = count(entries(record, group))
        constant = c["best_constant"], c["best_constant_holds"], c["wider"]["4 to 32"]
        lines.append((group, c["tables"], c["advised"], *constant))
    head = ("tables", "number", "advised range holds", "best constant range", "it holds", "4 to 32 holds")
    return table(head, lines)


def verdict(record: dict[str, Any]) -> str:
    """Wanted against reached, on the tables held out."""
    c = count(entries(record, "held out"))
    share = c["advised"] / c["tables"]
    margin = (c["advised"] - c["best_constant_holds"]) / c["tables"]
    enough = "reached" if share >= WANTED else "not reached"
    better = "reached" if margin >= MARGIN else "not reached"
    return (
        f"Wanted on the tables held out: {WANTED:.0%} of the choices inside, with ranges of at most two doublings at the "
        f"median ({c['median_doublings']:g} here, {c['mean_doublings']:.3g} in the mean): **{enough}**, {share:.1%}. "
        f"Wanted: {MARGIN:.0%} of the tables beyond the best constant range: **{better}**, {margin:.1%}."
    )


def chance(record: dict[str, Any]) -> str:
    """The same tables, another seed: what of the choice is the table's."""
    again = json.loads(AGAIN.read_text(encoding="utf-8"))
    a = agreement(record["tables"], again["tables"])
    lines = [
        ("the same depth as the first ladder", a["same"]),
        ("the same or a neighbouring depth", a["neighbours"]),
        ("inside the range of two doublings around the first ladder's choice", a["around"]),
        ("inside the advised range", a["advised"]),
        (
            f"inside {a['constant']}, the constant range that held most of the first choices",
            a["constant_holds"],
        ),
    ]
    own, ours = a["around"] - a["constant_holds"], a["advised"] - a["constant_holds"]
    rows = table((f"choice of the second ladder, {a['tables']} tables held out", "number"), lines)
    return (
        f"{rows}\n\nThe range around the first ladder's choice holds {own} more than the constant one, and the "
        f"advised ranges,\nwhich are a little wider in the mean, {ours} more; {math.ceil(MARGIN * a['tables'])} were wanted."
    )


def ranges(record: dict[str, Any]) -> str:
    """One row a table."""
    lines = []
    place_of = {group: name for name, groups in GROUPS.items() for group in groups}
    shown = [(name, e) for name, e in record["tables"].items() if e["group"] in place_of]
    for name, e in sorted(shown, key=lambda item: (place_of[item[1]["group"]], item[0])):
        low, high = e["range"]
        depth = str(e["depth"]) + ("" if e["chosen"] is not None else " (none qualified)")
        place = "inside" if e["inside"] else "outside"
        lines.append((name, place_of[e["group"]], e["rows"], e["columns"], f"{low} to {high}", depth, place))
    return table(("table", "", "rows", "columns", "range", "ladder", ""), lines)


def page() -> str:
    """The whole page."""
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    head = "<!-- Written by scripts/advice_page.py from scripts/advice.md and results/advice.json. Do not edit. -->\n"
    parts = {
        "counts": counts(record),
        "verdict": verdict(record),
        "chance": chance(record),
        "table": ranges(record),
    }
    return head + filled(TEXT.read_text(encoding="utf-8"), parts)


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
