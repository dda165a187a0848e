"""Writes the generated part of docs/universal-deeper.md from results/transport.json and transport-columns.json.

    python scripts/deeper_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

from _pages import between_marks, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "universal-deeper.md", ROOT / "results" / "transport.json"
COLUMNS = ROOT / "results" / "transport-columns.json"


def best(row: dict[str, Any], layers: int) -> dict[str, Any]:
    """Of that depth, the mildest worst layer among the resolutions that can not be told from the nearest one."""
    made = [m for m in row["deeper"] if m["layers"] == layers]
    near = [m for m in made if m["w2"] <= min(m["high"] for m in made)]
    return min(near, key=lambda m: m["worst_layer_at99"])


def equal(row: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """The two-layer construction with the largest epsilon whose W2 lies below the end of that interval: the mildest."""
    within = [m for m in row["two"] if m["w2"] <= made["high"]]
    return max(within, key=lambda m: m["epsilon"]) if within else min(row["two"], key=lambda m: m["w2"])


def line(name: str, layers: str, made: dict[str, Any]) -> str:
    """One row of the table."""
    w2 = f"{made['w2']:.3f} [{made['low']:.3f}, {made['high']:.3f}]"
    kappas = [
        f"{made[k]:.3g}"
        for k in ("worst_layer_at99", "worst_layer_largest", "composition_at99", "composition_largest")
    ]
    return f"| {name} | {layers} | {w2} | " + " | ".join(kappas) + " |"


def written(record: dict[str, Any]) -> str:
    """The generated part."""
    config = record["config"]
    lines = [
        f"`benchmarks/universal/transport.py`, seed {record['seed']}, float64, samples of {config['rows']:,} rows. "
        f"W2 is measured for all depths alike, between {config['points']:,} points of the flow and fresh ones of the "
        f"target, {config['repeats']} times, with its 99 % interval; `fresh sample` is the same between two samples of the "
        "target. For two layers: the largest ε whose W2 is below the end of the "
        "interval of eight layers; for the others the mildest resolution that can not be told from the nearest one.",
        "",
        "| target | layers | W2 | κ of the worst layer, 99 % | largest | κ of the composition, 99 % | largest |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    ratios = []
    for row in record["rows"]:
        eight = best(row, 8)
        two = equal(row, eight)
        ratios.append((row["target"], two["worst_layer_at99"] / eight["worst_layer_at99"]))
        floor = row["floor"]
        lines.append(
            f"| {row['target']} | fresh sample | {floor['w2']:.3f} [{floor['low']:.3f}, {floor['high']:.3f}] | | | | |"
        )
        lines.append(line(row["target"], f"2 (ε = {two['epsilon']:g})", two))
        lines += [line(row["target"], str(layers), best(row, layers)) for layers in (4, 8, 16)]
    passed = [name for name, ratio in ratios if ratio >= 10]
    text = ", ".join(f"{name} {ratio:.3g}" for name, ratio in ratios)
    lines += [
        "",
        "κ of the worst layer (99 %), two layers over eight at W2 that can not be told apart: "
        + text
        + f". At least ten on {len(passed)} of {len(ratios)}.",
    ]
    return "\n".join(lines)


def distance(made: dict[str, Any]) -> str:
    return f"{made['w2']:.3f} [{made['low']:.3f}, {made['high']:.3f}]"


def more_columns(record: dict[str, Any]) -> str:
    """The section of 3 to 6 columns."""
    config = record["config"]
    lines = [
        "## Figures with three to six columns",
        "",
        f"`benchmarks/universal/columns.py`, seed {record['seed']}, float64, samples of {config['rows']:,} rows, splines of "
        f"{config['bins']} bins at {config['slices']} knots. W2 as above; *along* is the root mean square of W2 along "
        f"{config['directions']} directions, between {config['points_along']:,} points. *Changes*: how often the halves "
        "change. `normal`: the normal of the sample's mean and covariance. Two layers have a certificate: κ on cells of the "
        "construction for the ε that is named.",
        "",
        "| target, columns | layers (changes) | slopes | W2 | along | κ of the worst layer, 99 % | largest | κ of the "
        "composition, 99 % |",
        "|---|---|---|---|---:|---:|---:|---:|",
    ]
    near: dict[tuple[int, str], list[bool]] = {}
    for row in sorted(record["rows"], key=lambda r: r["columns"]):
        name, floor, two = f"{row['target']}, {row['columns']}", row["floor"], row["two"]
        lines += [
            f"| {name} | fresh sample | | {distance(floor)} | {floor['along']:.3f} | | | |",
            f"| {name} | normal | | {distance(row['normal'])} | | | | |",
            f"| {name} | 2 (ε = {two['epsilon']:g}) | | at most {two['epsilon']:g} to the sample | | "
            f"{two['worst_layer_cells']:.3g} | | 1 |",
        ]
        for made in row["deeper"]:
            slopes = "shared" if made["shared"] > 1 else "whole"
            if made["layers"] == 16:
                near.setdefault((row["columns"], slopes), []).append(made["low"] <= floor["high"])
            kappas = [
                f"{made[k]:.3g}" for k in ("worst_layer_at99", "worst_layer_largest", "composition_at99")
            ]
            lines.append(
                f"| {name} | {made['layers']} ({row['changes'][str(made['layers'])]}) | {slopes} | {distance(made)} | "
                f"{made['along']:.3f} | " + " | ".join(kappas) + " |"
            )
    counts = [f"{n} columns, {slopes}: {sum(met)} of {len(met)}" for (n, slopes), met in near.items()]
    lines += [
        "",
        "Targets on which W2 of 16 layers can not be told from a fresh sample's: " + "; ".join(counts) + ".",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    columns = json.loads(COLUMNS.read_text(encoding="utf-8"))
    text = written(record) + "\n\n" + more_columns(columns)
    write_or_check(__doc__, lambda: {PAGE: between_marks(PAGE, text)})
