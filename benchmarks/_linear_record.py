"""A study's file: rows under the keys they are found by, written whole after every new row, so that a run resumes."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shoal.records import read_record, system_info, to_plain, write_record

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox", "optax", "scikit-learn")
SEED = 0


class Study:
    """`results/linear-<letter>.json`: what, command, seed, versions, config, rows.

    Rows of an earlier run with the same config and versions are kept, unless `fresh`; `has(key)` says which are there.
    """

    def __init__(
        self,
        letter: str,
        what: str,
        config: Mapping[str, Any],
        keys: Sequence[str],
        *,
        folder: Path,
        fresh: bool,
    ):
        self.path, self.keys = folder / f"linear-{letter}.json", tuple(keys)
        self.record: dict[str, Any] = {
            "what": what,
            "command": f"python benchmarks/linear.py {letter}",
            "seed": SEED,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "versions": system_info(PACKAGES),
            "config": to_plain(dict(config)),
            "rows": [],
        }
        if self.path.exists() and not fresh:
            before = read_record(self.path)
            if all(before.get(name) == self.record[name] for name in ("config", "versions")):
                self.record["rows"], self.record["created"] = before["rows"], before["created"]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows so far."""
        return self.record["rows"]

    def has(self, *key: Any) -> bool:
        """Whether the row with this key is there."""
        return any(tuple(row[name] for name in self.keys) == key for row in self.rows)

    def add(self, *rows: Mapping[str, Any]) -> None:
        """Add rows and write the file."""
        self.rows.extend(to_plain(dict(row)) for row in rows)
        self.save()

    def save(self, **more: Any) -> None:
        """Write the file, with further entries such as a summary."""
        self.record |= more
        write_record(self.record, self.path)


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
