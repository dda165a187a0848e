"""Writes docs/universal-conditioned.md from results/langevin.json.

python scripts/universal_conditioned_page.py [--check]
"""

import json
from pathlib import Path
from typing import Any

from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "universal-conditioned.md"


def figure(value: float) -> str:
    """Three digits."""
    return f"{value:.3g}"


def page(record: dict[str, Any]) -> str:
    """The whole page."""
    steps = []
    for name, by_steps in record["langevin"].items():
        before = None
        for count, row in by_steps.items():
            c, w2 = row["conditions"], row["w2_in_deviations"]
            fall = "" if before is None else f"{before / w2:.1f}"
            values = [c[k]["value"] for k in ("median", "at999", "box")]
            steps.append([name, count, figure(w2), fall, *map(figure, values)])
            before = w2
    zero = [
        [
            name,
            figure(r["contraction"]),
            *(figure(r[k]["value"]) for k in ("w2", "median", "at999", "largest")),
        ]
        for name, rows in record["zero_padded"].items()
        for r in rows
    ]
    gaussians = [
        [
            str(g["n"]),
            *(figure(g[k]) for k in ("condition", "log_det", "volume_preserving_kl")),
            f"{g['couplings_kl']:.0e}",
        ]
        for g in record["gaussians"]
    ]
    levels = [
        [name, str(r["n"]), *map(figure, (r["kl"]["value"], r["scale"], r["scaled_kl"]["value"]))]
        for name, r in record["levels"].items()
    ]
    change = figure(max(r["change"] for r in record["levels"].values()))
    parts = {
        "langevin": table(
            ["target", "steps", "W2", "fall", "κ median", "κ 99.9 %", "κ, all in the box, at most"], steps
        ),
        "zero padded": table(
            ["target", "delta", "W2, data's units, at most", "κ median", "κ 99.9 %", "κ, supremum"], zero
        ),
        "gaussians": table(
            ["n", "cond S", "log det S", "least KL, volume preserving", "KL, `linear.gaussian`"], gaussians
        ),
        "levels": table(
            ["law", "columns", "least KL, volume preserving", "best scaling layer", "least KL with it"],
            levels,
        )
        + f"\n\nBy sums over the sorted cells of a grid; halving the grid changes no figure by more than {change}.",
    }
    text = (ROOT / "scripts" / "universal_conditioned.md").read_text(encoding="utf-8")
    return filled(text, {name: part + "\n" for name, part in parts.items()})


if __name__ == "__main__":
    record = json.loads((ROOT / "results" / "langevin.json").read_text(encoding="utf-8"))
    write_or_check(__doc__, lambda: {PAGE: page(record)})
