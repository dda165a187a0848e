"""Writes docs/architectures.md from the catalogue in `_architectures.py` and the figures in results/.

    python scripts/architectures_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

from _architectures import ARCHITECTURES
from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architectures.md"
NEAR = 0.1
Rows = list[dict[str, Any]]


def read(name: str) -> dict[str, Any]:
    """A record of results/, or an empty one."""
    path = ROOT / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": [], "config": {}}


def number(x: Any) -> str:
    """Three digits; what JSON has no number for, as its text."""
    return x if isinstance(x, str) else f"{x:.3g}"


def costs() -> str:
    """The catalogue."""
    head = ["recipe", "layer", "log-det", "inverse", "singular values of a layer", "it can not", "from"]
    return table(
        head,
        [
            [f"`{a.recipe}`", a.layer, a.log_det, a.inverse, a.bounds, a.limits, a.paper]
            for a in ARCHITECTURES
        ],
    )


def reached(rows: Rows) -> str:
    """For every family and target: the first depth within NEAR of the best, or the gap at the deepest; κ there."""
    targets = list(dict.fromkeys(r["target"] for r in rows))
    best = {t: max(r["log_likelihood"] for r in rows if r["target"] == t) for t in targets}
    by_family: dict[str, Rows] = defaultdict(list)
    for r in rows:
        by_family[r["family"]].append(r)
    lines = []
    for architecture in ARCHITECTURES:
        mine = by_family.get(architecture.recipe, [])
        if not mine:
            continue
        cells = [f"`{architecture.recipe}`", str(max(r["parameters_per_layer"] for r in mine))]
        for t in targets:
            here = sorted((r for r in mine if r["target"] == t), key=lambda r: r["depth"])
            near = [r for r in here if best[t] - r["log_likelihood"] <= NEAR]
            if not here:
                cells += ["not run", ""]
                continue
            shown = near[0] if near else max(here, key=lambda r: r["log_likelihood"])
            gap = best[t] - shown["log_likelihood"]
            text = f"{shown['depth']} (gap {gap:.2f})" if near else f"**gap {gap:.2f}** at {shown['depth']}"
            cells += [text, number(shown["kappa_99"])]
        tails = max((r["round_trip_8_sigma"] for r in mine), key=lambda v: float(v))
        failed = sum(r["not_converged"] for r in mine)
        lines.append([*cells, number(float(tails)), str(failed)])
    head = ["recipe", "p"]
    for t in targets:
        head += [t, "κ 99 %"]
    best_text = ", ".join(f"{t} {best[t]:.3f}" for t in targets)
    return (
        table([*head, "round trip at 8 σ", "rows not converged"], lines)
        + f"\n\nBest, nats a row: {best_text}."
    )


def partitions(rows: Rows) -> str:
    """Medians over the seeds."""
    keys = list(dict.fromkeys((r["table"], r["depth"]) for r in rows))
    lines = []
    for name in dict.fromkeys(r["partition"] for r in rows):
        cells = [name]
        for key in keys:
            here = [r for r in rows if (r["table"], r["depth"]) == key and r["partition"] == name]
            values = [r["log_likelihood"] for r in here]
            cells.append(f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})")
            cells.append(number(median(float(r["kappa_99"]) for r in here)))
        lines.append(cells)
    head = ["partition"]
    for name, depth in keys:
        head += [f"{name}, {depth} layers", "κ 99 %"]
    return table(head, lines)


def images(name: str) -> str:
    """Bits per dimension under the budget."""
    record = read(f"images-{name}")
    lines = [
        [
            r["model"],
            str(r["parameters"]),
            str(r["epochs"]),
            f"{r['test_bits']:.3f} ± {r['test_standard_error']:.3f}",
            f"{r['test_bits_importance_weighted']:.3f}",
            f"{r['train_bits']:.3f}",
            str(r["samples_not_finite"]),
        ]
        for r in record["rows"]
    ]
    head = [
        "model",
        "parameters",
        "epochs",
        "test bits",
        "importance-weighted",
        "train bits",
        "samples not finite",
    ]
    seconds = record["config"].get("seconds", "?")
    return (
        f"Budget: {seconds:g} seconds of training each, one core.\n\n" + table(head, lines)
        if lines
        else "Not run."
    )


def gallery(folder: str, names: list[tuple[str, str]], width: int) -> str:
    """Pictures that exist, with their names."""
    found = [(title, file) for title, file in names if (ROOT / "docs" / "images" / folder / file).exists()]
    place = f"images/{folder}/" if folder else "images/"
    return "\n\n".join(
        f"**{title}**\n\n![{title}]({place}{file}){{ width={width} }}" for title, file in found
    )


def page() -> str:
    """The whole page."""
    text = (ROOT / "scripts" / "architectures.md").read_text(encoding="utf-8")
    parts = {
        "costs": costs(),
        "reached": reached(read("architectures")["rows"]),
        "partitions": partitions(read("partitions")["rows"]),
        "digits": images("digits"),
        "mnist": images("mnist"),
        "gallery": gallery("architectures", [(a.recipe, f"{a.recipe}.png") for a in ARCHITECTURES], 520),
    }
    for data in ("digits", "mnist"):
        models = [r["model"] for r in read(f"images-{data}")["rows"]]
        files = [(m, f"{data}-{m.replace(', ', '-').replace(' ', '-')}.png") for m in models]
        parts[f"{data}-pictures"] = gallery("", [("data", f"{data}-data.png"), *files], 320)
    return filled(text, parts)


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
