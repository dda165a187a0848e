"""The records of a study in `results/NAME.json`: for each configuration, by its hash, how its last run ended.

A run that is done has figures, each with its kind.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from resume import RESULTS, Record

from .grid import Cell, Study

Status: TypeAlias = Literal["done", "failed", "interrupted"]


@dataclass(frozen=True)
class Records:
    """`latest`: the last record of each configuration, by its hash."""

    latest: Mapping[str, Mapping[str, Any]]

    def status(self, cell: Cell) -> Status | None:
        """How the last run of the cell ended; None where there was none."""
        found = self.latest.get(cell.hash)
        return None if found is None else found["status"]

    def figures(self, cell: Cell) -> Mapping[str, Any] | None:
        """The figures of the cell; None unless it is done."""
        return self.latest[cell.hash]["figures"] if self.status(cell) == "done" else None


@dataclass(frozen=True)
class Tally:
    """How many cells of a grid are `done`, have `failed`, or are `open` (never run, or interrupted)."""

    done: int
    failed: int
    open: int

    @property
    def total(self) -> int:
        """All cells."""
        return self.done + self.failed + self.open


def tally(cells: Sequence[Cell], records: Records) -> Tally:
    """How far the cells have come."""
    found = [records.status(cell) for cell in cells]
    done, failed = found.count("done"), found.count("failed")
    return Tally(done, failed, len(found) - done - failed)


def place(study: Study, folder: str | os.PathLike[str] = RESULTS) -> Path:
    """Where the records of the study lie."""
    return Path(folder) / f"{study.name}.json"


def opened(study: Study, folder: str | os.PathLike[str]) -> Record:
    """The file of the study. A cell's record says what its figures depend on, so none is dropped for a change of others."""
    head = {"what": study.title, "command": f"cd benchmarks && python -m studies.run run {study.name}"}
    return Record(place(study, folder), {**head, "source": study.source}, {"cells": {}}, same=())


def read_records(study: Study, folder: str | os.PathLike[str] = RESULTS) -> Records:
    """The records of the study in `folder`; none where there is no file. **Raises:** `InputError` for a damaged file."""
    return Records(opened(study, folder)["cells"])


def record_of(
    cell: Cell,
    status: Status,
    *,
    figures: Mapping[str, Any] | None = None,
    kinds: Mapping[str, str] | None = None,
    reason: str | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """One record: the cell and its seed, how it ended, and its figures with their kinds."""
    figures = {} if figures is None else dict(figures)
    kinds = {} if kinds is None else kinds
    return {
        "cell": cell.name,
        "config": dict(cell.config),
        "seed": list(cell.words()),
        "status": status,
        "reason": reason,
        **facts,
        "figures": figures,
        "kinds": {name: kinds.get(name, "exact") for name in figures},
    }
