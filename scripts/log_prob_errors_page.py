"""Writes docs/log-prob-errors.md from its text in scripts/ and the figures in results/log_prob_errors.json.

    python scripts/log_prob_errors_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
import statistics
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "log-prob-errors.md", ROOT / "results" / "log_prob_errors.json"
BOUNDS = {
    "bound": "operations, independent",
    "worst_case": "operations, worst case",
    "by_layers": "layers, measured",
    "by_sizes": "layers, backward stable",
}
OTHERS: dict[str, str] = {
    "zuko": "zuko, NSF",
    "nflows": "nflows, spline couplings and LU",
    "normflows": "normflows, RealNVP",
    "FrEIA": "FrEIA, Glow blocks",
    "flowjax": "flowjax, spline couplings",
}


def line(row: dict[str, Any]) -> list[str]:
    """One flow."""
    bound, own = row["bound"], row["own_log_prob"]
    return [
        OTHERS.get(row["flow"], str(row["flow"])),
        f"{row['table']}, {row['columns']}",
        f"{row['measured']['median']:.1e}",
        f"{row['measured']['max']:.1e}",
        f"{bound['slack']:.1f} ({bound['least_slack']:.1f})",
        f"{bound['outside']} of {row['rows']}",
        f"{own['slack']:.1f}, {own['outside']}",
        f"{row['float64']:.1e}",
    ]


def tables(rows: list[dict[str, Any]], first: str) -> str:
    """The flows."""
    head = (
        first,
        "table, columns",
        "median",
        "largest",
        "slack",
        "beyond",
        "its own log p",
        "float64, at most",
    )
    return table(head, [line(row) for row in rows])


def page() -> str:
    """The whole page."""
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    rows, training = record["rows"], record["config"]["training"]
    wanted = [tuple(pair) for pair in record["config"]["flows"]]
    rows.sort(key=lambda row: wanted.index((row["flow"], row["table"])))
    shoal, foreign = [r for r in rows if r["flow"] not in OTHERS], [r for r in rows if r["flow"] in OTHERS]
    settings = (
        f"`benchmarks/log_prob_errors.py`, {len(shoal)} flows of Shoal and {len(foreign)} of other libraries, "
        f"{training['depth']} layers, conditioners of {training['hidden'][0]} by {training['hidden'][1]} units, trained for "
        f"about {training['steps']} steps."
    )
    slacks = [row["bound"]["slack"] for row in rows]
    outside = {name: sum(row[name]["outside"] for row in rows) for name in (*BOUNDS, "own_log_prob")}
    total = sum(row["rows"] for row in rows)
    summary = (
        f"Of {total:,d} rows {outside['bound']} exceed the bound; slack is {min(slacks):.1f} to {max(slacks):.1f} by flow, "
        f"{statistics.median(slacks):.1f} in the median. *Its own log p*: slack, and rows beyond, of the function that the "
        f"library itself compiles or runs ({outside['own_log_prob']} rows in all)."
    )
    bounds = table(
        ("bound", "slack, median over flows", "least and largest", "rows beyond"),
        [
            (
                words,
                f"{statistics.median(r[name]['slack'] for r in rows):.1f}",
                f"{min(r[name]['slack'] for r in rows):.1f} to {max(r[name]['slack'] for r in rows):.1f}",
                outside[name],
            )
            for name, words in BOUNDS.items()
        ],
    )
    text = (ROOT / "scripts" / "log_prob_errors.md").read_text(encoding="utf-8")
    parts = {"settings": settings, "shoal": tables(shoal, "family"), "foreign": tables(foreign, "library")}
    return filled(text, {**parts, "summary": summary, "bounds": bounds})


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
