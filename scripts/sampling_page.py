"""Writes docs/sampling.md from its text in scripts/ and the figures in results/densities.json.

    python scripts/sampling_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from _pages import filled, table, write_or_check

ROOT = Path(__file__).resolve().parents[1]
PAGE, FIGURES = ROOT / "docs" / "sampling.md", ROOT / "results" / "densities.json"
TITLES = {
    "funnel": "Neal's funnel, 10",
    "banana": "banana, 2",
    "modes": "eight modes, 2",
    "gaussian": "Gaussian, κ(Σ) = 1e4, 50",
    "regression": "regression posterior, 10",
}


def number(x: Any, digits: int = 3) -> str:
    """A figure; what JSON has no number for, as its text; nothing for None."""
    if x is None or isinstance(x, str):
        return "" if x is None else x
    if abs(x) >= 1000:
        return f"{x:,.0f}"
    return f"{x:.{digits}g}"


def middle(rows: list[dict[str, Any]], name: str) -> Any:
    """The median over seeds; the text of one that is not a number."""
    values = [row.get(name) for row in rows]
    if any(value is None for value in values):
        return None
    texts = [value for value in values if isinstance(value, str)]
    return texts[0] if texts else float(np.median(values))


def groups(rows: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """The rows of each target and arm, in order."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["target"], row["arm"]), []).append(row)
    return found


def flows(record: dict[str, Any]) -> str:
    """One line a target and arm."""
    head = (
        "density, n",
        "arm",
        "ESS",
        "Pareto k",
        "log Z off",
        "KL",
        "mean off",
        "deviation off",
        "layers",
        "κ 99 %",
        "steps",
        "s",
    )
    lines = []
    for (target, arm), rows in groups(record["flow"]).items():
        layers = "/".join(dict.fromkeys(str(row.get("layers", "failed")) for row in rows))
        shares = [row["ess"] for row in rows if isinstance(row.get("ess"), float)]
        span = f" ({min(shares):.2g} … {max(shares):.2g})" if len(shares) > 1 else ""
        steps = middle(rows, "steps")
        lines.append(
            [
                TITLES[target],
                f"**{arm}**" if arm == "shoal" else arm,
                number(middle(rows, "ess")) + span,
                number(middle(rows, "pareto_k"), 2),
                number(middle(rows, "log_z_off"), 2),
                number(middle(rows, "kl"), 2),
                number(middle(rows, "mean_off"), 2),
                number(middle(rows, "sd_off"), 2),
                layers,
                number(middle(rows, "condition")),
                "" if steps is None else f"{steps:,.0f}",
                number(middle(rows, "seconds")),
            ]
        )
    return table(head, lines)


def nuts(record: dict[str, Any]) -> str:
    """One line a target and arm of NUTS."""
    head = (
        *("density, n", "arm", "least ESS a second", "that of v a second", "draws", "gradients a draw"),
        *("divergent", "before the first draw, s", "layers", "mean off", "deviation off"),
    )
    lines = []
    for (target, arm), rows in groups(record["nuts"]).items():
        draws = middle(rows, "draws")
        lines.append(
            [
                TITLES[target],
                f"**{arm}**" if "flow" in arm else arm,
                number(middle(rows, "least_a_second")),
                number(middle(rows, "first_a_second")) if target == "funnel" else "",
                f"{draws:,.0f}",
                number(middle(rows, "gradients") / draws),
                f"{middle(rows, 'divergent'):,.0f}",
                number(middle(rows, "adapted_seconds")),
                "/".join(dict.fromkeys(str(row["layers"]) for row in rows if row["layers"] is not None)),
                number(middle(rows, "mean_error"), 2),
                number(middle(rows, "sd_error"), 2),
            ]
        )
    return table(head, lines)


def pays(record: dict[str, Any]) -> str:
    """How many times more effective draws, with the lowest and the highest seed, against each other arm."""
    found, parts = groups(record["nuts"]), []
    for target in dict.fromkeys(row["target"] for row in record["nuts"]):
        ours = {row["seed"]: row["least_a_second"] for row in found[target, "NUTS behind a flow"]}
        ratios = []
        for (name, arm), rows in found.items():
            if name == target and "flow" not in arm:
                each = [ours[row["seed"]] / row["least_a_second"] for row in rows if row["seed"] in ours]
                span = f" ({number(min(each))} … {number(max(each))})" if len(each) > 1 else ""
                ratios.append(f"{number(float(np.median(each)))} times {arm}{span}")
        parts.append(f"- {TITLES[target]} coordinates: {'; '.join(ratios)}.")
    return "\n".join(parts)


def counted(rows: list[dict[str, Any]]) -> str:
    """How many seeds an arm has on a target."""
    counts = sorted({len(group) for group in groups(rows).values()})
    return f"{' or '.join(map(str, counts))} seed{'s' * (counts[-1] > 1)} (medians)"


def missing(record: dict[str, Any]) -> str:
    """What was not run, in words."""
    found = {(row["target"], row["arm"]) for row in record["flow"]}
    names = list(dict.fromkeys(row["arm"] for row in record["flow"]))
    lost = {
        target: [arm for arm in names if (target, arm) not in found]
        for target in TITLES
        if any((target, arm) not in found for arm in names)
    }
    if not lost:
        return ""
    return "Not run: " + "; ".join(f"{TITLES[t]}: {' and '.join(arms)}" for t, arms in lost.items()) + "."


def page() -> str:
    """The whole page."""
    record = json.loads(FIGURES.read_text(encoding="utf-8"))
    versions, config = record["versions"], record["config"]
    seeds, seeds_of_nuts = (counted(record[kind]) for kind in ("flow", "nuts"))
    settings = (
        f"`benchmarks/densities`: {config['seconds']['flow']:g} processor seconds of one core each, compilation included, "
        f"every cell in a process of its own, {seeds}, {config['batch']} draws a step. normflows "
        f"{versions['normflows']} and flowjax {versions['flowjax']} have layers and nets "
        "after their own examples; batches and rates were chosen here."
    )
    nuts_settings = (
        f"blackjax {versions['blackjax']}, four chains, {config['seconds']['nuts']:g} processor seconds of one core for "
        "everything: fitting the flow, compiling, window adaptation, draws; "
        f"{seeds_of_nuts}. ESS is the least over the coordinates, of the bulk and of both "
        "tails (arviz-stats)."
    )
    text = (ROOT / "scripts" / "sampling.md").read_text(encoding="utf-8")
    parts = {
        "settings": settings,
        "flows": flows(record),
        "missing": missing(record),
        "nuts_settings": nuts_settings,
        "nuts": nuts(record),
        "pays": pays(record),
    }
    return filled(text, parts)


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
