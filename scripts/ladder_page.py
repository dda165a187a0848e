"""Writes docs/ladder.md from scripts/ladder.md, results/fronts.json, results/diamonds.json and results/tables/shoal.json.

python scripts/ladder_page.py [--check]
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "results", ROOT / "docs" / "ladder.md"
FALL = 25.0  # nats below the best epoch so far: a collapse
NOT_RUN = "Not run."


def record(name: str) -> dict[str, Any]:
    """A record of results/; empty where there is none."""
    file = RESULTS / name
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def rows_of(name: str) -> Mapping[str, np.ndarray]:
    """The log-likelihoods of each row of a record of results/; empty where there is none."""
    file = RESULTS / name
    return dict(np.load(file)) if file.exists() else {}


def layers(row: dict[str, Any] | None) -> str:
    """Depth and κ of the shallowest flow that reaches the level."""
    return "more than 4" if row is None else f"{row['depth']} ({row['condition_q99']:.3g})"


def fronts(found: dict[str, Any]) -> str:
    """The fewest layers by target and front."""
    rows = found.get("depths", [])
    if not rows:
        return NOT_RUN
    names = list(rows[0]["needed"])
    lines = [
        [r["target"], r["columns"], f"{r['level']:.3f}", *(layers(r["needed"][n]) for n in names)]
        for r in rows
    ]
    return table(["target", "columns", "level", *names], lines)


def deepest(found: dict[str, Any]) -> str:
    """Test likelihoods at the deepest flows."""
    rows = found.get("depths", [])
    if not rows:
        return NOT_RUN
    names = list(rows[0]["rows"])
    lines = [[r["target"], *(f"{r['rows'][n][-1]['test']:.3f}" for n in names)] for r in rows]
    return table(["target", *names], lines)


def starts(found: dict[str, Any]) -> str:
    """Test likelihoods by start."""
    rows = found.get("starts", [])
    if not rows:
        return NOT_RUN
    names = list(rows[0]["rows"])
    return table(
        ["target", *names], [[r["target"], *(f"{r['rows'][n]['test']:.3f}" for n in names)] for r in rows]
    )


def foretold(cells: dict[str, Any], logs: Mapping[str, np.ndarray]) -> str:
    """What the next layer was said to gain after 120 s, beside what 600 s gained."""
    lines = []
    for cell, row in cells.items():
        later = cell.removesuffix("120") + "600"
        if not cell.endswith("/120") or later not in cells or "next_layer" not in row.get("facts", {}):
            continue
        facts, said = row["facts"], row["facts"]["next_layer"]
        gained = logs[later] - logs[cell]
        error = gained.std(ddof=1) / len(gained) ** 0.5
        ends = ["", "", ""] if said is None else [f"{said['gain'][k]:.3f}" for k in ("low", "value", "high")]
        deep = f"{facts['family']}, {facts['depth']} layers"
        lines.append([cell.split("/")[0], deep, *ends, f"{gained.mean():.3f} ± {error:.3f}"])
    head = ["table", "delivered after 120 s", "at least (99 %)", "about", "at most some", "600 s gained"]
    return table(head, lines) if lines else NOT_RUN


def falls(cells: dict[str, Any]) -> str:
    """How many trainings fell how far."""
    trainings = [(cell, t) for cell, row in cells.items() for t in row.get("facts", {}).get("trainings", [])]
    if not trainings:
        return NOT_RUN
    lines = []
    for name, key in (("mean", "fall"), ("winsorised mean", "fall_winsorised")):
        values = [float(t[key]) for _, t in trainings if t[key] is not None]  # "inf": a row of density 0
        counts = [sum(v > limit for v in values) for limit in (1.0, 5.0, FALL)]
        lines.append([name, len(values), *counts, f"{max(values):.3g}"])
    named = [
        f"{cell.split('/')[0]}, {t['chain']}, {t['depth']} layers"
        for cell, t in trainings
        if float(t["fall"]) > FALL
    ]
    said = f"\n\nBelow by more than {FALL:g}: {'; '.join(named)}." if named else ""
    return table(["of", "trainings", "> 1", "> 5", f"> {FALL:g}", "largest"], lines) + said


def demo(found: dict[str, Any]) -> str:
    """Choice, likelihood and lead over the mixture, seed by seed."""
    rows = found.get("seeds", [])
    if not rows:
        return NOT_RUN
    lines = []
    for row in rows:
        mixture, own = row["others"]
        lead = [
            f"{m[w]['flow_ahead']:.2f} ± {m[w]['paired_standard_error']:.2f}"
            for m in (mixture, own)
            for w in ("all", "plausible")
        ]
        own_rows = f"{row['flow']['all']['mean']:.2f} ± {row['flow']['all']['standard_error']:.2f}"
        lines.append([row["seed"], row["chosen"], f"{row['condition_q99']:.3g}", own_rows, *lead])
    head = [
        *("seed", "delivered", "κ, 99 %", "test"),
        *("above the mixture", "plausible rows", "above the likeliest rung of no layer", "plausible rows"),
    ]
    return table(head, lines)


def page() -> str:
    """The whole page."""
    text = (ROOT / "scripts" / "ladder.md").read_text(encoding="utf-8")
    found = record("fronts.json")
    config = found.get("config", {})
    scales = {name: config["scale"] for name in ("steps", "scratch", "shallow", "grown", "held") if config}
    numbers = {n: f"{round(scales.get(n, 1) * config[n]):,}" for n in config if n not in ("margin", "scale")}
    parts = {
        **{name: numbers.get(name, "?") for name in ("steps", "rows", "scratch", "shallow", "grown", "held")},
        "fronts": fronts(found),
        "deepest": deepest(found),
        "starts": starts(found),
        "foretold": foretold(record("tables/shoal.json").get("cells", {}), rows_of("tables/shoal.npz")),
        "falls": falls(record("tables/shoal.json").get("cells", {})),
        "demo": demo(record("diamonds.json")),
    }
    return filled(text, parts)


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
