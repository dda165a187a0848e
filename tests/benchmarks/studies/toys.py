"""A study that computes nothing hard: figures are functions of the settings, and runs are counted."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studies.grid import Cell, ErrorBar, Study


def cells(mark: str = "", size: int = 4, seeds: int = 3) -> tuple[Cell, ...]:
    return tuple(
        Cell(f"{kind}/{seed}{mark}", {"kind": kind, "seed": seed, "size": size})
        for kind in ("a", "b")
        for seed in range(seeds)
    )


def figures(cell: Cell) -> dict[str, Any]:
    config: Any = cell.config
    value = config["size"] * (10.0 if config["kind"] == "a" else 20.0) + config["seed"]
    return {"value": value, "curve": [1.0, None, value], "word": cell.words()[0], "ended": "finished"}


@dataclass
class Toy:
    """`calls`: the names of the cells of each call; `before(cell)` may raise, or return a result of its own."""

    before: Callable[[Cell], Any] = lambda cell: None
    calls: list[list[str]] = field(default_factory=list)

    def run(self, group: tuple[Cell, ...], tell: Callable[[float, str], None]) -> list[Any]:
        self.calls.append([cell.name for cell in group])
        tell(0.5, "half of it")
        return [self.before(cell) or figures(cell) for cell in group]

    def study(self, **settings: Any) -> Study:
        defaults: dict[str, Any] = {
            "name": "toy",
            "title": "A toy",
            "cells": cells(),
            "smoke": cells("/smoke", size=1, seeds=1),
            "run": self.run,
            "together": ("seed",),
            "kinds": {"value": "estimate"},
            "bars": {"value": ErrorBar(absolute=0.5)},
            "packages": ("numpy",),
        }
        return Study(**{**defaults, **settings})


@contextmanager
def changed(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The records of the cells in a file, in order, to be changed there."""
    whole = json.loads(path.read_text())
    yield list(whole["cells"].values())
    path.write_text(json.dumps(whole))
