"""Writes docs/hardness.md from scripts/hardness.md and results/; with --picture also its pictures.

    python scripts/hardness_page.py [--check] [--picture]

`--check` writes nothing and exits with 1 where the page is not what it would write. `--picture` needs vl-convert-python.
"""

import json
from pathlib import Path
from typing import Any

from _hardness_whitening import whitening_table
from _pages import filled, table, write_or_check
from hardness_depth import depth_table, picture, picture_data, reach, smaller, verdict
from studies.records import read_records
from studies.registry import find

from shoal.theory.hardness import HeavyTails, local_planar_depth

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS, RESULTS, PAGE = ROOT / "scripts", ROOT / "results", ROOT / "docs" / "hardness.md"
IMAGES = ROOT / "docs" / "images"
STUDY, LARGE = find("depth"), find("depth-large")
TAILS, DIMENSIONS = (0.5, 1.0, 1.5), (8, 64, 256, 1024)


def record(name: str) -> dict[str, Any]:
    """A file of results/."""
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def bounds(found: dict[str, Any]) -> str:
    """Which of the tabulated settings say something, and the depths of the largest k at one deviation."""
    rows = found["rows"]
    known = [r for r in rows if not r["vacuous"]]
    most = max(r["k"] for r in rows)
    own = [r for r in known if r["distance_kind"] == "radius / sqrt(5)"]
    shown = [r for r in rows if r["k"] == most and r["distance_kind"] == "gamma sqrt(d)"]
    dims = sorted({r["d"] for r in shown})
    lines = []
    for family in dict.fromkeys(r["family"] for r in shown):
        depths = {r["d"]: f"{r['depth']} / {r['drawn']}" for r in shown if r["family"] == family}
        lines.append([family, *(depths[d] for d in dims)])
    less = sum(r["drawn"] < r["depth"] for r in rows)
    return (
        f"Of the {len(rows)} settings of `results/depth-bounds.json` (`benchmarks/hardness/bounds.py`; γ = 1, "
        f"δ = 0.5, confidence 99 %, parameters of a layer of norm at most 2) {len(known)} say something. "
        f"At the theorem's own distance r / √5 these are {len(own)}, "
        f"of depth {max(r['depth'] for r in own)} at most, with k = {most:,} only. "
        f"The drawn instance needs a smaller depth than the packing in {less} settings. Depths for "
        f"k = {most:,} at W1 = γ√d, of the packing / of the drawn instance:\n\n"
        + table(["family", *(f"d = {d}" for d in dims)], lines)
        + "\n\nRealNVP has no "
        "constants on all of R^d; its rows assume M = 3, K = 8, B = 10. `hardness.measured` reads the constants off a given "
        "flow."
    )


def tails() -> str:
    """Depths of the second bound."""
    lines = []
    for tail in TAILS:
        made = [local_planar_depth(HeavyTails(d, tail), radius=2.0, distance=0.25) for d in DIMENSIONS]
        lines.append([f"{tail:g}", *("vacuous" if m.vacuous else f"{m.depth:,}" for m in made)])
    return table(["tail τ", *(f"d = {d}" for d in DIMENSIONS)], lines)


def large() -> str:
    """The part of the larger grid that has been run."""
    found = read_records(LARGE, RESULTS)
    done = sum(found.figures(c) is not None for c in LARGE.cells)
    if not done:
        return "The study `depth-large` has the grid with sixteen times the steps, for an accelerator; it was not run."
    devices = sorted({str(r["device"]) for r in found.latest.values()})
    fewer, both = smaller(STUDY, read_records(STUDY, RESULTS), LARGE, found)
    deepest = max(most for _, most in reach(LARGE, found).values())
    return (
        "**More training.** The study `depth-large` (65,536 rows, 200 epochs, depths to 64, k to 256) is meant for an "
        f"accelerator; {done} of its {len(LARGE.cells)} cells are done ({', '.join(devices)}), up to depth "
        f"{deepest}. KL of at most 1 nat:\n\n{depth_table(LARGE, found, 'kl')}\n\nThe certified gap "
        f"closed:\n\n{depth_table(LARGE, found, 'gap_lower')}\n\n{verdict(LARGE, found)} With four times the rows and "
        f"sixteen times the steps the depth by KL is smaller in {fewer} of the {both} settings of both grids: part of the "
        "growth in the first tables is training or data, not depth."
    )


def pairs(found: dict[str, Any]) -> str:
    """The counts of the trained pairs, and the bound against transport by family."""
    counts, rows = found["counts"], found["rows"]
    lines = []
    for family in dict.fromkeys(r["family"] for r in rows):
        part = [r for r in rows if r["family"] == family]
        shares = sorted(r["lower"] / r["transported"] for r in part)
        above = sum(r["lower"] > 0 for r in part)
        middle = shares[len(shares) // 2]
        lines.append([family, f"{middle:.2f}", f"{shares[-1]:.2f}", f"{above} of {len(part)}"])
    sharpest = max(
        r["variation_bound"] / r["misplaced"] for r in rows if r.get("variation_bound") and r["misplaced"] > 0
    )
    return (
        f"`benchmarks/hardness/given_pairs.py` trains {counts['pairs']} flows (25 settings of family, instance and depth, "
        "four seeds each): the certified bound exceeds exact transport between fresh samples (itself too large in the "
        f"mean), by another library, for {counts['violations']} of them, and is above zero for "
        f"{counts['lower_above_zero']}. Of the {counts['with_lipschitz']} flows with a Lipschitz constant "
        f"{counts['variation_violations']} misplace less mass "
        f"than `total_variation_bound` says; {counts['variation_above_zero']} of these bounds are above zero, the "
        f"sharpest at {sharpest:.0%} of what is misplaced.\n\n"
        + table(["family", "certified / transported, median", "largest", "above 0"], lines)
    )


def brackets(found: dict[str, Any]) -> str:
    """Brackets of the leaderboard's tables, and the conditions of its flows."""
    counts, rows, config = found["counts"], found["rows"], found["config"]
    lines = []
    for r in rows:
        law, flows = r["law"], [f["condition"] for f in r["flows"]]
        ends = [
            f"{float(r[name][end]):.3g}"
            for end in ("lower", "upper")
            for name in ("lipschitz", "inverse", "condition")
        ]
        parts = f"{law['knots'] or 'no'} / {law['components']}"
        lines.append([r["table"], *ends, parts, f"{min(flows):.3g} to {max(flows):.3g}"])
    head = [
        "table",
        "L ≥",
        "M ≥",
        "L M ≥",
        "L of the map ≤",
        "M ≤",
        "L M ≤",
        "knots / normals",
        "κ of trained flows",
    ]
    return (
        f"`benchmarks/hardness/brackets.py`, {counts['tables']} tables of the [leaderboard](tables.md), total variation "
        f"{config['variation']:g}, confidence {config['confidence']:.0%}, columns in the training rows' deviations, chosen "
        "on the training rows and tested on the test rows. κ: the largest condition of the Jacobian that is stored for each "
        "trained flow from one normal (several libraries and budgets), or its 99 % quantile where only that is stored. A "
        f"flow's L M is at least its κ, and κ is above the lower end in {counts['flows_above']} of {counts['flows']} flows: "
        "their Lipschitz constants themselves are not stored. The ends are a factor "
        f"{float(counts['median_ratio']):.0f} apart in the median.\n\n" + table(head, lines)
    )


def page() -> str:
    """The whole page."""
    found = read_records(STUDY, RESULTS)
    whitening = (SCRIPTS / "hardness_whitening.md").read_text(encoding="utf-8")
    parts = {
        "bounds": bounds(record("depth-bounds.json")),
        "tails": tails(),
        "gap": depth_table(STUDY, found, "gap_lower"),
        "kl": depth_table(STUDY, found, "kl"),
        "verdict": verdict(STUDY, found),
        "large": large(),
        "brackets": brackets(record("condition-brackets.json")),
        "pairs": pairs(record("given-pairs.json")),
        "linear": filled(whitening, {"whitening": whitening_table(record("whitening.json"))}).rstrip(),
    }
    return filled((SCRIPTS / "hardness.md").read_text(encoding="utf-8"), parts)


def pictures() -> None:
    """One chart a dimension."""
    import vl_convert

    data = picture_data(STUDY, read_records(STUDY, RESULTS))
    for d in sorted({row["d"] for row in data}):
        chart = picture([row for row in data if row["d"] == d], f"d = {d}")
        (IMAGES / f"depth-{d}.svg").write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


if __name__ == "__main__":
    if write_or_check(__doc__, lambda: {PAGE: page()}, ("--picture",)).picture:
        pictures()
