"""Writes docs/mixed-tables.md from scripts/mixed.md, results/mixed.json and results/mixed/.

    python scripts/mixed_page.py [--check]

`--check` writes nothing and exits with 1 where the page is not what it would write.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean

import tables_page
from _pages import filled, table, write_or_check
from tables_page import CLEAR, dig, middle, shown

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "mixed-tables.md"
ARMS = ("independent", "latent", "mixture", "arf", "shoal")
NEAR = ("rows", *ARMS)  # of the figures that need no density
BASE, BUDGET = "latent", 60
Show = Callable[[str, str], str]


drawn, cells = partial(tables_page.drawn, "mixed"), partial(tables_page.cells, board="mixed")


def key(name: str) -> str:
    """The cell of a table."""
    return f"{name}/0/{BUDGET}"


def value(arm: str, name: str, figure: str = "mean") -> float | None:
    """A figure of an arm on a table; None where it was not run or failed."""
    return dig(cells(arm).get(key(name), {}), [figure])


def paired(arm: str, other: str, name: str) -> tuple[float, float] | None:
    """Mean and standard error of arm - other over the test rows."""
    return tables_page.paired(arm, other, key(name), "mixed")


def best(name: str) -> set[str]:
    """The best arm of a table and those that are not clearly below it."""
    found = {arm: v for arm in ARMS if (v := value(arm, name)) is not None and not math.isnan(v)}
    if not found:
        return set()
    top = max(found, key=lambda arm: found[arm])
    gaps = {arm: paired(top, arm, name) for arm in found}
    return {top} | {arm for arm, gap in gaps.items() if gap and gap[0] < CLEAR * gap[1]}


def run_tables() -> list[str]:
    """The tables that any arm has."""
    return [name for name in drawn() if any(key(name) in cells(arm) for arm in ARMS)]


def by_table(show: Show, among: Sequence[str] = ARMS) -> str:
    """A table of the tables by the arms."""
    arms = [arm for arm in among if cells(arm)]
    return table(["table", *arms], [[name, *(show(arm, name) for arm in arms)] for name in run_tables()])


def figures(figure: str, chosen: Callable[[str], set[str]] | None = None) -> Show:
    """How a figure is shown: bold where it is chosen."""

    def show(arm: str, name: str) -> str:
        found = value(arm, name, figure)
        if found is None:
            return "failed" if key(name) in cells(arm) else ""
        return f"**{shown(found)}**" if chosen is not None and arm in chosen(name) else shown(found)

    return show


def least(figure: str, floor: float = -math.inf) -> Callable[[str], set[str]]:
    """The arms with the least figure of a table, or with one below the floor."""

    def chosen(name: str) -> set[str]:
        found = {arm: v for arm in ARMS if (v := value(arm, name, figure)) is not None}
        return {arm for arm, v in found.items() if v <= max(floor, min(found.values()))}

    return chosen


def difference(arm: str, name: str) -> str:
    """Paired difference to the latent classes."""
    gap = paired(arm, BASE, name)
    if arm == BASE or gap is None:
        return "" if gap is None else "0"
    return f"{'+' if gap[0] > 0 else ''}{shown(gap[0])} ± {shown(gap[1])}"


def ranks() -> str:
    """Mean ranks in each figure, over the tables that all arms have; an area below 0.5 counts as 0.5."""
    arms = [arm for arm in ARMS if cells(arm)]
    orders = {"mean": lambda v: -v, "auc": lambda v: max(v, 0.5), "association": lambda v: v}
    full = [n for n in drawn() if all(value(arm, n, f) is not None for arm in arms for f in orders)]
    if not full or not arms:
        return "No table has all arms yet."
    lines = []
    for arm in arms:
        line: list[str] = []
        for figure, order in orders.items():
            at = [place(figure, order, arm, arms, n) for n in full]
            line.append(f"{mean(at):.2f}")
        lines.append([arm, sum(arm in best(n) for n in full), *line])
    lines.sort(key=lambda line: float(line[2]))
    head = ["arm", "best or not clearly below", "mean rank: nats", "detection", "association"]
    said = f"Over the {len(full)} tables that all these arms have (equal figures share a rank):\n\n"
    return said + table(head, lines)


def place(figure: str, order: Callable[[float], float], arm: str, arms: Sequence[str], name: str) -> float:
    """The rank of an arm on a table, 1 the best, the mean of the places of equal ones."""
    found = [order(v) for a in arms if (v := value(a, name, figure)) is not None]
    own = order(value(arm, name, figure) or 0.0)
    return 1 + sum(v < own for v in found) + 0.5 * (sum(v == own for v in found) - 1)


def longer() -> str:
    """The cells of Shoal with a larger budget."""
    rows = [
        (*c.split("/"), r["auc"], r["mean"])
        for c, r in cells("shoal").items()
        if not c.endswith(f"/{BUDGET}") and r["status"] == "ok"
    ]
    return "\n".join(
        f"In {seconds} s Shoal has an area of {area:.3f} on {name}, and a mean log p of {nats:.3f}."
        for name, _, seconds, area, nats in rows
    )


def sampling() -> str:
    """Seconds of sampling and of training."""
    lines = []
    for arm in ARMS:
        rows = [r for c, r in cells(arm).items() if c.endswith(f"/0/{BUDGET}") and "sample" in r]
        clock = "wall" if arm == "shoal" else "seconds"
        if rows:
            times = [r["sample"][clock] for r in rows]
            lines.append([arm, middle(times), middle([r[clock] for r in rows])])
    said = (
        "Seconds of the one call that draws the rows that detection needs (580 to 10,000), and of training; medians and "
        "ranges. Processor seconds; Shoal's are wall seconds of commands that start, compile and write files.\n\n"
    )
    return said + table(["arm", "sampling, s", "training, s"], lines)


def settings() -> str:
    """What the arms chose, table by table."""
    words = {
        "latent": lambda f: f"{f['k']} {f['covariance']}, {f['numbers']}",
        "mixture": lambda f: f"{f['k']}, {f['numbers']}",
        "arf": lambda f: (
            f"{f['trees']} trees, nodes of {f['node']}, {f['numbers']}, {f['alpha']:g}, {f['share']:g}"
        ),
        "shoal": lambda f: f"{f.get('family', 'none')}, {f.get('depth', 0)} layers",
    }

    def show(arm: str, name: str) -> str:
        facts = cells(arm).get(key(name), {}).get("facts")
        return words[arm](facts) if facts and arm in words else ""

    arms = [arm for arm in ARMS if cells(arm) and arm in words]
    return table(["table", *arms], [[name, *(show(arm, name) for arm in arms)] for name in run_tables()])


def failed() -> str:
    """Every cell that did not end well."""
    lines = [
        [arm, cell, row["status"], row.get("message", "")[:200]]
        for arm in ARMS
        for cell, row in cells(arm).items()
        if row["status"] != "ok"
    ]
    return table(["arm", "cell", "status", "message"], lines) if lines else "Nothing."


def progress() -> str:
    """How many cells there are."""
    counts = Counter({arm: sum(key(n) in cells(arm) for n in drawn()) for arm in ARMS})
    missing = [f"`{arm}` {n} of {len(drawn())}" for arm, n in counts.items() if n < len(drawn())]
    return f"Not all is run yet: {', '.join(missing)}." if missing else ""


def tables() -> str:
    """The tables and where they are from."""
    head = ["table", "rows", "columns", "of numbers", "with atoms", "missing cells", "source"]
    lines = [
        [
            n,
            f"{t['rows']:,}",
            t["columns"],
            t["numbers"],
            t["atoms"],
            f"{t['missing']:.1%}",
            f"`{t['source']}`",
        ]
        for n, t in drawn().items()
    ]
    return table(head, lines)


def page() -> str:
    """The whole page."""
    parts = {
        "progress": progress(),
        "budget": f"{BUDGET} s",
        "nats": by_table(figures("mean", best)),
        "paired": by_table(difference),
        "trimmed": by_table(figures("trimmed")),
        "auc": by_table(figures("auc", least("auc", 0.5)), NEAR),
        "association": by_table(figures("association", least("association")), NEAR),
        "ranks": ranks(),
        "sampling": sampling(),
        "longer": longer(),
        "settings": settings(),
        "failed": failed(),
        "tables": tables(),
    }
    return filled((ROOT / "scripts" / "mixed.md").read_text(encoding="utf-8"), parts)


if __name__ == "__main__":
    write_or_check(__doc__, lambda: {PAGE: page()})
