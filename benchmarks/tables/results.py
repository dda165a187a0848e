"""Where the cells' results lie: for every arm a record and the test log-likelihoods of each cell, row by row.

`results/tables/ARM.json` maps a cell to its row; `results/tables/ARM.npz` maps it to float32 log-likelihoods in the order of
the test rows, which is the same for every arm: the paired error between two arms is the deviation of the differences over
the square root of their number. A cell is called `TABLE/SPLIT/BUDGET`. Both files are replaced in one step; an arm belongs
to one runner at a time.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.records import read_record, write_bytes, write_record

from .sources import ROOT

FOLDER = ROOT / "results" / "tables"


def key(table: str, number: int, budget: float) -> str:
    """The name of a cell."""
    return f"{table}/{number}/{budget:g}"


def cells(arm: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The rows of an arm."""
    file = folder / f"{arm}.json"
    return read_record(file)["cells"] if file.exists() else {}


def scores(arm: str, folder: Path = FOLDER) -> dict[str, NDArray[np.float32]]:
    """The test log-likelihoods of an arm."""
    file = folder / f"{arm}.npz"
    if not file.exists():
        return {}
    with np.load(file) as stored:
        return dict(stored)


def store(
    arm: str,
    cell: str,
    row: Mapping[str, Any],
    values: NDArray[np.float32] | None,
    head: Mapping[str, Any],
    folder: Path = FOLDER,
) -> None:
    """Adds a cell to the files of its arm."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = cells(arm, folder)
    rows[cell] = row
    kept = scores(arm, folder)
    kept.pop(cell, None)
    if values is not None:
        kept[cell] = values.astype(np.float32)
        packed = io.BytesIO()
        np.savez_compressed(packed, **dict(sorted(kept.items())))
        write_bytes(packed.getvalue(), folder / f"{arm}.npz")
    write_record({**head, "arm": arm, "cells": dict(sorted(rows.items()))}, folder / f"{arm}.json")


def paired(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[float, float]:
    """The mean of a - b over the test rows, and its standard error."""
    gap = a.astype(float) - b.astype(float)
    return float(gap.mean()), float(gap.std() / np.sqrt(len(gap)))
