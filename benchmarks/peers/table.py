"""Ratios and tables from the rows of `peers.py`. A ratio is peer time / Shoal time within one round."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

QUANTITIES = ("step", "log_prob", "sample")
TORCH = ("zuko", "nflows", "normflows", "FrEIA")
# task, quantity, what it is compared with, least median ratio
TARGETS = (
    ("realnvp-2", "step", "fastest PyTorch", 2.5),
    ("realnvp-2", "step", "flowjax", 1.5),
    ("realnvp-2", "step", "distrax", 1 / 1.1),
    ("realnvp-64", "step", "fastest", 1 / 1.1),
    ("maf-8", "step", "zuko", 2.0),
    ("maf-8", "sample", "zuko", 2.0),
)

Row = dict[str, Any]


def summary(rows: Iterable[Row]) -> list[Row]:
    """For each task and quantity: Shoal's time, each peer's, and the ratio, as median, lowest and highest."""
    rows = [expanded for row in rows if "error" not in row for expanded in _expanded(row)]
    found = []
    for task in dict.fromkeys(r["task"] for r in rows):
        for quantity in QUANTITIES:
            values = {
                (r["label"], r["round"]): r[quantity] for r in rows if r["task"] == task and quantity in r
            }
            labels = dict.fromkeys(label for label, _ in values)
            rounds = sorted({n for label, n in values if label == "shoal"})
            for label in labels:
                times = [t for (name, _), t in values.items() if name == label]
                found.append({"task": task, "quantity": quantity, "library": label, "ms": spread(times)})
                both = [n for n in rounds if (label, n) in values]
                if label != "shoal" and both:
                    found[-1]["ratio"] = spread(values[label, n] / values["shoal", n] for n in both)
            for group, members in (("fastest PyTorch", _eager), ("fastest", _peer)):
                names = [label for label in labels if members(label)]
                turns = [n for n in rounds if any((m, n) in values for m in names)]
                best = {n: min(values[m, n] for m in names if (m, n) in values) for n in turns}
                if best:
                    ratio = spread(best[n] / values["shoal", n] for n in best)
                    entry = {
                        "task": task,
                        "quantity": quantity,
                        "library": group,
                        "ms": spread(best.values()),
                    }
                    found.append(entry | {"ratio": ratio})
    return found


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    values = list(values)
    return {"median": median(values), "low": min(values), "high": max(values)}


def _expanded(row: Row) -> Iterable[Row]:
    """The row under its own label; another optimizer loop of the same library counts as a library of its own."""
    times = {q: row[f"{q}_ms"] for q in QUANTITIES if f"{q}_ms" in row}
    base = {"task": row["task"], "round": row["round"]}
    yield base | {"label": row["library"] + (", malloc raised" if row["malloc"] == "raised" else "")} | times
    if "step_fused_ms" in row:
        yield base | {"label": row["library"] + ", fused Adam", "step": row["step_fused_ms"]}
    if "fit_step_ms" in row:
        yield base | {"label": "shoal.training.fit", "step": row["fit_step_ms"]}


def _eager(label: str) -> bool:
    return label.split(",")[0] in TORCH


def _peer(label: str) -> bool:
    return not label.startswith("shoal")


def print_tables(found: list[Row]) -> None:
    """One table a task, then the targets."""
    console = Console(width=140)
    at = {(r["task"], r["quantity"], r["library"]): r for r in found}
    for task in dict.fromkeys(r["task"] for r in found):
        table = Table(
            title=f"{task}: ms (lowest - highest), and time of the peer / time of Shoal (lowest - highest)"
        )
        for heading in ("library", *(h for q in QUANTITIES for h in (f"{q} ms", "ratio"))):
            table.add_column(heading, justify="left" if heading == "library" else "right")
        for library in dict.fromkeys(r["library"] for r in found if r["task"] == task):
            cells = [
                _cell((at.get((task, quantity, library)) or {}).get(key), digits)
                for quantity in QUANTITIES
                for key, digits in (("ms", 1 if quantity != "step" else 2), ("ratio", 2))
            ]
            table.add_row(library, *cells)
        console.print(table)
    for task, quantity, peer, least in TARGETS:
        if "ratio" in (row := at.get((task, quantity, peer), {})):
            _print_target(console.print, f"{task} {quantity} against {peer}", row["ratio"], least)


def _cell(value: dict[str, float] | None, digits: int) -> str:
    if value is None:
        return ""
    return f"{value['median']:.{digits}f} ({value['low']:.{digits}f} - {value['high']:.{digits}f})"


def _print_target(show: Callable[[str], None], what: str, ratio: dict[str, float], least: float) -> None:
    verdict = "met" if ratio["median"] >= least else "NOT met"
    show(f"{what}: {_cell(ratio, 2)}; target {least:.2f}: {verdict}")
