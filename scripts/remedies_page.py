"""Writes docs/remedies.md from its text in scripts/ and the figures in results/remedies.json.

    python scripts/remedies_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

from _pages import filled, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "remedies.md", ROOT / "results" / "remedies.json"
TITLES = {
    "moons-8": "Two moons written down four times (8 columns of rank 2)",
    "digits": "16 pixels of scikit-learn's digits (whole numbers from 0 to 16)",
    "breast-cancer": "scikit-learn's breast cancer (30 columns)",
}


def number(x: Any) -> str:
    """Three digits; what JSON has no number for, as its text."""
    return x if isinstance(x, str) else f"{x:.3g}"


def power(x: Any) -> str:
    """10^x to three digits."""
    return x if isinstance(x, str) else f"{10**x:.3g}"


def line(row: dict[str, Any]) -> str:
    """One remedy."""
    if not row["runs"]:
        return f"| {row['name']} | | | | | {row['status']} |"
    mean = row["mean"]
    cost = number(row["cost"]) if row["effects"] else ""
    effect = "; ".join(filter(None, (row["effect"], "" if row["status"] == "finished" else row["status"])))
    likelihood = f"{number(mean['log_likelihood'][0])} ± {number(mean['log_likelihood'][1])}"
    kind = " (estimate)" if row["runs"][0]["log_likelihood_kind"] == "estimate" else ""
    cells = [
        row["name"],
        power(mean["condition"][0]),
        power(mean["round_trip"][0]),
        likelihood + kind,
        cost,
        effect,
    ]
    return "| " + " | ".join(cells) + " |"


def section(name: str, entry: dict[str, Any]) -> str:
    """One table, and what was proposed for it."""
    names = ("remedy", "κ 99 %", "float32 round trip", "test log-likelihood, nats", "cost, nats", "effect")
    head = "| " + " | ".join(names) + " |\n|" + "---|" * len(names)
    rows = "\n".join(line(r) for r in entry["rows"].values())
    proposed = [p["remedy"] for p in entry["proposed"]]
    said = (
        f"`propose`, in order: {', '.join(proposed)}."
        if proposed
        else "`propose` says nothing: it is healthy."
    )
    return f"### {TITLES[name]}\n\n{entry['diagnosis']['sentence']} {said}\n\n{head}\n{rows}"


def page() -> str:
    """The whole page."""
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    c = record["config"]
    settings = (
        f"`benchmarks/remedies.py`: RealNVP of depth {c['depth']} with exponential scales and conditioners of "
        f"{c['hidden'][0]} by {c['hidden'][1]} units, {c['seeds']} seeds."
    )
    found = record["tables"]
    tables = "\n\n".join(section(name, found[name]) for name in TITLES if found.get(name, {}).get("rows"))
    text = (ROOT / "scripts" / "remedies.md").read_text(encoding="utf-8")
    return filled(text, {"settings": settings, "tables": tables})


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
