"""Writes docs/tables.md from scripts/tables.md, results/tables.json and results/tables/; with --picture also its picture.

    python scripts/tables_page.py [--check] [--picture]

`--check` writes nothing and exits with 1 where the page is not what it would write. `--picture` needs vl-convert-python.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from _pages import filled, table, write_or_check
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tables.md"
PICTURE = ROOT / "docs" / "images" / "tables.svg"
RESULTS = ROOT / "results"
ARMS = ("gaussian", "mixture", "kde", "vine", "zuko-nsf", "zuko-maf", "flowjax-nsf", "sbi", "shoal")
KNOWN = ("twonorm", "ring", "mixture-2", "mixture-8", "mixture-32")
BASE, CLEAR, MAIN = "mixture", 2.0, "0/120"
COLOURS = ("#9aa5b1", "#5b6876", "#b58900", "#6c8e3f", "#b3261e", "#d9776f", "#8e5ea2", "#c79fd0", "#2b6c99")
Cells = Mapping[str, Mapping[str, Any]]


@cache
def drawn(board: str = "tables") -> dict[str, Any]:
    """The tables of a leaderboard, by their short names."""
    return json.loads((RESULTS / f"{board}.json").read_text(encoding="utf-8"))["tables"]


@cache
def cells(arm: str, board: str = "tables") -> Cells:
    """The rows of an arm, by table, split and budget."""
    file = RESULTS / board / f"{arm}.json"
    return json.loads(file.read_text(encoding="utf-8"))["cells"] if file.exists() else {}


@cache
def scores(arm: str, board: str = "tables") -> Mapping[str, NDArray[np.float32]]:
    """The test log-likelihoods of an arm."""
    file = RESULTS / board / f"{arm}.npz"
    if not file.exists():
        return {}
    with np.load(file) as stored:
        return dict(stored)


def value(arm: str, cell: str, key: str = "mean") -> float | None:
    """A figure of a cell; None where it was not run or failed."""
    found = cells(arm).get(cell, {}).get(key)
    return None if found is None else float(found)


def paired(arm: str, other: str, cell: str, board: str = "tables") -> tuple[float, float] | None:
    """Mean and standard error of arm - other over the test rows of a cell."""
    a, b = scores(arm, board).get(cell), scores(other, board).get(cell)
    if a is None or b is None:
        return None
    gap = a.astype(float) - b.astype(float)
    return float(gap.mean()), float(gap.std() / math.sqrt(len(gap)))


def shown(x: float) -> str:
    """Three places below 100, one above, few digits beyond 10,000."""
    if not math.isfinite(x):
        return str(x)
    return f"{x:.3f}" if abs(x) < 100 else f"{x:.1f}" if abs(x) < 10_000 else f"{x:.2e}"


def number(x: float) -> str:
    """Three digits."""
    return f"{x:,.0f}" if 1000 <= abs(x) < 1e6 else f"{x:.3g}"


def best(cell: str) -> set[str]:
    """The best arm of a cell and those that are not clearly below it."""
    found = {arm: v for arm in ARMS if (v := value(arm, cell)) is not None and not math.isnan(v)}
    if not found:
        return set()
    top = max(found, key=lambda arm: found[arm])
    near = {top}
    for arm in found:
        gap = paired(top, arm, cell)
        if gap is not None and math.isfinite(gap[1]) and gap[0] < CLEAR * gap[1]:
            near.add(arm)
    return near


def run_arms() -> list[str]:
    """The arms that have a result."""
    return [arm for arm in ARMS if any(cell.endswith(MAIN) for cell in cells(arm))]


def by_table(cell_of: Callable[[str], str], show: Callable[[str, str], str], names: Sequence[str]) -> str:
    """A table of the tables by the arms."""
    arms = run_arms()
    lines = [[name, *(show(arm, cell_of(name)) for arm in arms)] for name in names]
    return table(["table", *arms], lines)


def nats(key: str = "mean") -> Callable[[str, str], str]:
    """How a figure of a cell is shown: bold where the mean is the best or near."""

    def show(arm: str, cell: str) -> str:
        found = value(arm, cell, key)
        if found is None:
            return "failed" if cell in cells(arm) else ""
        return f"**{shown(found)}**" if key == "mean" and arm in best(cell) else shown(found)

    return show


def difference(arm: str, cell: str) -> str:
    """Paired difference to the mixture."""
    gap = paired(arm, BASE, cell)
    if arm == BASE or gap is None:
        return "" if gap is None else "0"
    return f"{'+' if gap[0] > 0 else ''}{shown(gap[0])} ± {shown(gap[1])}"


def ranks(tail: str = MAIN) -> str:
    """How often each arm is best or near, over the tables that all arms of the page have, at a split and budget."""
    arms = run_arms()
    full = [n for n in drawn() if all(value(arm, f"{n}/{tail}") is not None for arm in arms)]
    if not full:
        return "No table has all arms yet."
    tops = Counter(arm for n in full for arm in best(f"{n}/{tail}"))
    places: dict[str, list[int]] = {arm: [] for arm in arms}
    for n in full:
        order = sorted(arms, key=lambda arm: -(value(arm, f"{n}/{tail}") or -math.inf))
        for arm in arms:
            places[arm].append(order.index(arm) + 1)
    lines = [[arm, tops[arm], f"{sum(places[arm]) / len(full):.1f}"] for arm in arms]
    lines.sort(key=lambda line: float(line[2]))
    return f"Over the {len(full)} tables that all these arms have:\n\n" + table(
        ["arm", "best or not clearly below", "mean rank"], lines
    )


def flows() -> str:
    """Depth, condition numbers, round trips and sampling of every arm that has them."""
    lines = []
    for arm in run_arms():
        rows = [r for c, r in cells(arm).items() if c.endswith(MAIN) and c.split("/")[0] in drawn()]

        lines.append([arm, *(middle([v for r in rows if (v := dig(r, p)) is not None]) for p in FIGURES)])
    head = ["arm", "depth", "parameters", "κ, median", "κ, 99 %", "round trip", "10,000 samples, s"]
    return table(head, lines)


FIGURES = (
    ("facts", "depth"),
    ("facts", "parameters"),
    ("condition", "median"),
    ("condition", "q99"),
    ("round_trip", "largest"),
    ("sample", "seconds"),
)


def dig(row: Any, path: Sequence[str]) -> float | None:
    """A figure inside a row."""
    for key in path:
        row = row.get(key) if isinstance(row, Mapping) else None
    return None if row is None else float(row)


def middle(values: Sequence[float]) -> str:
    """Median and range."""
    if not values:
        return ""
    low, high = min(values), max(values)
    more = "" if low == high else f" ({number(low)} to {number(high)})"
    return f"{number(median(values))}{more}"


def settings() -> str:
    """What the baselines chose, counted."""
    rows = {
        arm: [r["facts"] for c, r in cells(arm).items() if c.endswith(MAIN) and "facts" in r] for arm in ARMS
    }
    ks = Counter(f["k"] for f in rows["mixture"])
    words = (
        [f"mixtures of {', '.join(f'{k} ({n} times)' for k, n in sorted(ks.items()))} Gaussians"]
        if ks
        else []
    )
    if rows["kde"]:
        widths = [f["bandwidth"] for f in rows["kde"]]
        whitened = sum(f["columns"] == "whitened" for f in rows["kde"])
        words.append(
            f"kernels of {number(min(widths))} to {number(max(widths))} deviations, on whitened columns in {whitened} of "
            f"{len(widths)} cells"
        )
    if rows["vine"]:
        kinds = Counter(f["pairs"] for f in rows["vine"])
        words.append("vines: " + ", ".join(f"{kind} ({n})" for kind, n in kinds.most_common()))
    return "; ".join(words) + "." if words else "not run."


def known() -> str:
    """KL to the truth."""

    def show(arm: str, cell: str) -> str:
        found = cells(arm).get(cell, {}).get("kl")
        return "" if found is None else f"{shown(float(found['mean']))} ± {shown(float(found['error']))}"

    return by_table(lambda n: f"{n}/{MAIN}", show, KNOWN)


def more() -> str:
    """Second splits and the larger budget, where they were run."""
    parts = []
    for title, tail in (("Second split, 120 s", "1/120"), ("First split, 600 s", "0/600")):
        names = [n for n in drawn() if any(f"{n}/{tail}" in cells(arm) for arm in ARMS)]
        if names:
            figures = by_table(lambda n, tail=tail: f"{n}/{tail}", nats(), names)
            parts.append(f"**{title}**\n\n{figures}\n\n{ranks(tail)}")
    return "\n\n".join(parts) or "Not run."


def failed() -> str:
    """Every cell that did not end well."""
    lines = [
        [arm, cell, row["status"], row.get("message", "")[:160]]
        for arm in ARMS
        for cell, row in cells(arm).items()
        if row["status"] != "ok"
    ]
    return table(["arm", "cell", "status", "message"], lines) if lines else "Nothing."


def progress() -> str:
    """How many cells of the main budget there are."""
    counts = {arm: sum(f"{n}/{MAIN}" in cells(arm) for n in drawn()) for arm in ARMS}
    missing = [f"`{arm}` {n} of {len(drawn())}" for arm, n in counts.items() if n < len(drawn())]
    return f"Not all is run yet: {', '.join(missing)}." if missing else "All cells of 120 s are run."


def widths() -> dict[str, str]:
    """The hidden layers of zuko's flows and how they were chosen."""
    parts = {}
    for arm, name in (("zuko-nsf", "nsf-widths"), ("zuko-maf", "maf-widths")):
        found = {tuple(r["facts"]["widths"]) for r in cells(arm).values() if "facts" in r}
        parts[name] = " or ".join(str(list(w)) for w in sorted(found)) or "not run"
    file = RESULTS / "tables-widths.json"
    if not file.exists():
        return {**parts, "widths-note": ""}
    record = json.loads(file.read_text(encoding="utf-8"))
    means: dict[tuple[str, str], list[float]] = {}
    for row in record["rows"]:
        means.setdefault((row["arm"], str(row["widths"])), []).append(row["validation"])
    said = "; ".join(f"`{arm}` {w}: {sum(v) / len(v):.3f}" for (arm, w), v in means.items())
    names = ", ".join(dict.fromkeys(r["table"] for r in record["rows"]))
    return {**parts, "widths-note": f"Hidden layers of zuko's, mean validation nats on {names}: {said}."}


def tables() -> str:
    """The tables and where they are from."""
    lines = [[n, f"{t['rows']:,}", t["columns"], f"`{t['source']}`"] for n, t in drawn().items()]
    return table(["table", "rows", "columns", "source"], lines)


def page() -> str:
    """The whole page."""
    text = (ROOT / "scripts" / "tables.md").read_text(encoding="utf-8")
    names, cell = list(drawn()), lambda n: f"{n}/{MAIN}"
    parts = {
        "progress": progress(),
        **widths(),
        "nats": by_table(cell, nats(), names),
        "ranks": ranks(),
        "paired": by_table(cell, difference, names),
        "trimmed": by_table(cell, nats("trimmed"), names),
        "flows": flows(),
        "settings": settings(),
        "known": known(),
        "more": more(),
        "failed": failed(),
        "tables": tables(),
    }
    return filled(text, parts)


def picture() -> None:
    """The chart: one line a table, one mark an arm, paired differences to the mixture on a scale that is linear near 0."""
    import altair as alt
    import vl_convert

    from shoal.report import CONFIG

    data = []
    for name in drawn():
        for arm in run_arms():
            gap = paired(arm, BASE, f"{name}/{MAIN}")
            if gap is not None and math.isfinite(gap[0]):
                data.append({"table": name, "arm": arm, "nats": gap[0]})
    arms = run_arms()
    colours = dict(zip(ARMS, COLOURS, strict=True))
    chart = (
        alt.Chart(alt.Data(values=data))
        .mark_point(filled=True, size=55, opacity=0.85)
        .encode(
            alt.X(
                "nats:Q", scale=alt.Scale(type="symlog", constant=0.1), title="nats a row above the mixture"
            ).axis(values=[-100, -10, -3, -1, -0.3, 0, 0.3, 1, 3, 10], format="~g"),
            alt.Y("table:N", sort=list(drawn()), title=None).axis(grid=True),
            alt.Color("arm:N", scale=alt.Scale(domain=arms, range=[colours[a] for a in arms]), title=None),
            alt.Shape("arm:N", scale=alt.Scale(domain=arms), title=None),
        )
        .properties(width=560, height=460, padding={"left": 30, "right": 10, "top": 5, "bottom": 5})
        .configure(**CONFIG)
    )
    PICTURE.write_text(vl_convert.vegalite_to_svg(chart.to_json()), encoding="utf-8")


if __name__ == "__main__":
    if write_or_check(__doc__, lambda: {PAGE: page()}, ("--picture",)).picture:
        picture()
