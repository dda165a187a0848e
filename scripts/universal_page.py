"""Writes the generated part of docs/universal.md and docs/images/universal.svg from results/universal.json.

    python scripts/universal_page.py [--check]

The page's own text stands in docs/universal.md around the two marks; only what lies between them is written.
`--check` writes nothing and exits with 1 where page or picture are not what it would write.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _pages import between_marks, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURE = ROOT / "docs" / "universal.md", ROOT / "docs" / "images" / "universal.svg"
FIGURES = ROOT / "results" / "universal.json"
COLOURS = {
    "checkerboard": "#2b6c99",
    "moons": "#d1622b",
    "rings": "#3c8d5a",
    "eight-gaussians": "#7d5ba6",
    "pinwheel": "#a8842a",
}
LEFT, TOP, WIDTH, HEIGHT, GAP = 62, 34, 236, 220, 22
X_ENDS, Y_ENDS = (0.4, 2.1), (1.7, 6.2)  # log10


def number(x: float) -> str:
    """Three digits."""
    return f"{x:.3g}" if 1e-3 <= abs(x) < 1e6 or x == 0 else f"{x:.2g}"


def cells(row: dict[str, Any]) -> float:
    """kappa of the first layer on cells."""
    return row["conditions"]["layer 1"]["cells"]


def table(record: dict[str, Any], points: int) -> str:
    """One line for each target, number of columns and epsilon."""
    heads = (
        "sample",
        "columns",
        "ε",
        "bound",
        "measured",
        "atoms",
        "κ of a layer on cells",
        "largest κ, on ramps",
        "mass of ramps",
        "seconds",
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    rows = [row for row in record["rows"].values() if row["points"] == points]
    names = list(COLOURS)
    rows.sort(key=lambda row: (row["columns"], names.index(row["target"]), -row["epsilon"]))
    for row in rows:
        head = [row["target"], str(row["columns"])]
        if row["status"] != "reached":
            named = f"{number(row['epsilon'])}: out of reach; least {number(row['least_epsilon'])}"
            lines.append(line([*head, named, row["at_least_epsilon"]]))
            continue
        lines.append(line([*head, number(row["epsilon"]), row]))
    return "\n".join(lines)


def line(cells_and_row: Sequence[Any]) -> str:
    """A line of the table: texts, then the row that has the figures."""
    *texts, row = cells_and_row
    both = row["conditions"]["composition"]
    figures = (
        number(row["w2_bound"]["value"]),
        number(row["w2_measured"]["value"]),
        f"{row['atoms']:,d}",
        number(cells(row)),
        number(both["largest"]),
        number(both["mass"]),
        f"{row['seconds']:.1f}",
    )
    return "| " + " | ".join([*texts, *figures]) + " |"


def slopes(record: dict[str, Any]) -> str:
    """The fitted exponents in the plane."""
    lines = ["| sample | points | κ on cells | atoms | largest κ on ramps |", "|---|---:|---:|---:|---:|"]
    for name, entry in record["slopes"].items():
        target, columns, points = name.rsplit(" ", 2)
        if columns == "2":
            figures = " | ".join(f"{entry[key]:.2f}" for key in ("cells", "atoms", "ramps"))
            lines.append(f"| {target} | {int(points):,d} | {figures} |")
    return "\n".join(lines)


def reach(record: dict[str, Any]) -> str:
    """The smallest epsilon of each dtype."""
    lines = [
        "| sample | dtype | smallest ε | bound there | κ of a layer on cells |",
        "|---|---|---:|---:|---:|",
    ]
    for name, entry in record["reach"].items():
        target, dtype = name.rsplit(" ", 1)
        found = entry["at_least_epsilon"]
        figures = (entry["least_epsilon"], found["w2_bound"]["value"], cells(found))
        lines.append(f"| {target} | {dtype} | {' | '.join(map(number, figures))} |")
    return "\n".join(lines)


def generated(record: dict[str, Any]) -> str:
    """What stands between the marks."""
    big = record["large"]
    large = (
        f"{big['points']:,d} points of the {big['target']}, each an atom, ε = {big['epsilon']:g}: built and measured in "
        f"{big['seconds']:.0f} s with {big['peak_megabytes']:.0f} MB at the peak, bound {number(big['w2_bound']['value'])}, "
        f"measured {number(big['w2_measured']['value'])}, κ of a layer on cells {number(cells(big))}; "
        f"{big['samples']:,d} samples take {big['sample_seconds']:.1f} s."
    )
    few, many = record["config"]["points"]
    jax = record["versions"]["packages"]["jax"]
    where = f"`benchmarks/universal/constructions.py`, one core, JAX {jax}, seed {record['seed']}."
    return "\n\n".join(
        [
            f"{where} Samples of {few:,d} and {many:,d} points; products are 4 and 16 independent copies side by side.",
            "![κ of a layer on cells against 1 / ε](images/universal.svg)",
            "The exponents, by least squares of log κ on log 1/ε over the four ε in the plane:",
            slopes(record),
            f"Samples of {many:,d} points; those of {few:,d} are in `results/universal.json`. κ on cells is that of either "
            "layer, the largest one on ramps that of the composition; the mass is the probability of ramps and tails.",
            table(record, many),
            f"The smallest ε, for samples of {record['config']['reach']['points']:,d} points in the plane: the one that the "
            "message names when less is asked for, and the bound that is then reached with it.",
            reach(record),
            large,
        ]
    )


def picture(record: dict[str, Any]) -> str:
    """Three panels, one for each number of columns; dashed lines are the smaller samples."""
    columns = sorted({row["columns"] for row in record["rows"].values()})
    few = min(row["points"] for row in record["rows"].values())
    full = LEFT + len(columns) * (WIDTH + GAP) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full} {TOP + HEIGHT + 74}" '
        'font-family="sans-serif" font-size="11.5" fill="#1d2733">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for i, count in enumerate(columns):
        x0 = LEFT + i * (WIDTH + GAP)
        parts += panel(record, count, few, x0, labels=i == 0)
    for i, (name, colour) in enumerate(COLOURS.items()):
        x, y = LEFT + i * 118, TOP + HEIGHT + 62
        parts.append(
            f'<line x1="{x}" y1="{y - 4}" x2="{x + 18}" y2="{y - 4}" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{x + 23}" y="{y}">{name}</text>')
    parts.append(f'<text x="{LEFT + 5 * 118}" y="{TOP + HEIGHT + 62}">dashed: {few:,d} points</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def panel(record: dict[str, Any], columns: int, few: int, x0: float, *, labels: bool) -> list[str]:
    """Frame, grid, and one line for each sample."""
    across = lambda v: x0 + WIDTH * (v - X_ENDS[0]) / (X_ENDS[1] - X_ENDS[0])
    up = lambda v: TOP + HEIGHT * (1 - (v - Y_ENDS[0]) / (Y_ENDS[1] - Y_ENDS[0]))
    parts = [f'<text x="{x0}" y="{TOP - 12}" font-weight="600">{columns} columns</text>']
    for power in range(math.ceil(Y_ENDS[0]), math.floor(Y_ENDS[1]) + 1):
        y = up(power)
        parts.append(f'<line x1="{x0}" y1="{y:.1f}" x2="{x0 + WIDTH}" y2="{y:.1f}" stroke="#e1e6eb"/>')
        if labels:
            parts.append(
                f'<text x="{x0 - 8}" y="{y + 4:.1f}" text-anchor="end">10<tspan dy="-5" font-size="9">{power}</tspan></text>'
            )
    for epsilon in (0.3, 0.1, 0.03, 0.01):
        x = across(-math.log10(epsilon))
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{TOP + HEIGHT}" stroke="#e1e6eb"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{epsilon:g}</text>')
    parts.append(f'<text x="{x0 + WIDTH / 2}" y="{TOP + HEIGHT + 34}" text-anchor="middle">ε, falling</text>')
    if labels:
        middle = TOP + HEIGHT / 2
        parts.append(
            f'<text x="16" y="{middle}" text-anchor="middle" transform="rotate(-90 16 {middle})">'
            "κ of a layer on cells</text>"
        )
    for name, colour in COLOURS.items():
        for points in sorted({row["points"] for row in record["rows"].values()}):
            rows = [
                row
                for row in record["rows"].values()
                if (row["target"], row["columns"], row["points"], row["status"])
                == (name, columns, points, "reached")
            ]
            rows.sort(key=lambda row: -row["epsilon"])
            places = [(across(-math.log10(r["epsilon"])), up(math.log10(cells(r)))) for r in rows]
            dashes = ' stroke-dasharray="5 3"' if points == few else ""
            trace = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(
                f'<polyline points="{trace}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>'
            )
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in places]
    return [
        *parts,
        f'<rect x="{x0}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#9aa5b1"/>',
    ]


if __name__ == "__main__":
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    write_or_check(__doc__, lambda: {PAGE: between_marks(PAGE, generated(record)), PICTURE: picture(record)})
