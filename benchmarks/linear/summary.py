"""What the parts of `linear.run` share: their file, and tables of medians."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resume import Record

from shoal.records import system_info

PACKAGES = ("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox", "optax", "scikit-learn")
SEED = 0


def opened(letter: str, what: str, config: Mapping[str, Any], *, folder: Path, fresh: bool) -> Record:
    """`results/linear-<letter>.json`; rows are kept where configuration and versions are the same."""
    head = {
        "what": what,
        "command": f"cd benchmarks && python -m linear.run {letter}",
        "seed": SEED,
        "versions": system_info(PACKAGES),
        "config": config,
    }
    path = folder / f"linear-{letter}.json"
    return Record(path, head, {"rows": []}, same=("config", "versions"), fresh=fresh)


def show(title: str, header: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    """Print a table."""
    text = [[cell if isinstance(cell, str) else f"{cell:.3g}" for cell in line] for line in (header, *lines)]
    widths = [max(len(line[i]) for line in text) for i in range(len(header))]
    print(title)
    for line in text:
        print(
            "  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)), flush=True
        )


def median_of(rows: Sequence[Mapping[str, Any]], name: str, **where: Any) -> float:
    """The median of one field over the rows that agree with `where`; NaN where there are none."""
    values = sorted(row[name] for row in rows if all(row[k] == v for k, v in where.items()))
    if not values:
        return float("nan")
    half = len(values) // 2
    return float(values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2)
