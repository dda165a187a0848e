"""What an arm of mixed tables gives back, and what several of them share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..mixed_rows import Columns, MixedRows
from ..prepare import Rows
from ._base import VALIDATION


@dataclass(frozen=True)
class MixedEstimate:
    """A law of mixed rows: log-densities of rows in the measure of `mixed_rows`, and `sample(n)`."""

    log_prob: Callable[[MixedRows], Rows]
    sample: Callable[[int], MixedRows]
    facts: Mapping[str, Any] = field(default_factory=dict)


def held_out(rows: MixedRows, seed: int) -> tuple[MixedRows, MixedRows]:
    """Training and validation rows, as the arms of numeric tables have them."""
    order = np.random.default_rng(seed).permutation(len(rows))
    cut = max(int(VALIDATION * len(rows)), 1)
    return rows[order[cut:]], rows[order[:cut]]


def frequencies(
    columns: Columns, rows: MixedRows, weights: Rows | None = None, prior: float = 1.0
) -> list[Rows]:
    """Shares of the states of each code, as if `prior` more rows were spread evenly over them."""
    found = []
    for j, size in enumerate(columns.sizes):
        counts = np.bincount(rows.codes[:, j], weights, size) + prior / size
        found.append(counts / counts.sum())
    return found


def filled(rows: MixedRows, rng: np.random.Generator, donors: Rows | None = None) -> Rows:
    """The values, with a draw from the column's own numbers where there is none."""
    values, donors = rows.values.copy(), rows.values if donors is None else donors
    for j in range(values.shape[1]):
        gone, there = np.isnan(values[:, j]), donors[:, j][np.isfinite(donors[:, j])]
        values[gone, j] = rng.choice(there, gone.sum())
    return values


def gated(columns: Columns, codes: Any, values: Rows) -> MixedRows:
    """Sampled rows: no number where the state is another."""
    values = values.copy()
    for j, gate in enumerate(columns.gates()):
        if gate >= 0:
            values[codes[:, gate] != 0, j] = np.nan
    return MixedRows(codes, values)


def patterns(values: Rows) -> list[tuple[Any, Any]]:
    """The rows, by which of their numbers are there: (columns that are there, places of the rows)."""
    there = np.isfinite(values)
    kinds, place = np.unique(there, axis=0, return_inverse=True)
    place = place.reshape(-1)
    order = np.argsort(place, kind="stable")
    cuts = np.cumsum(np.bincount(place, minlength=len(kinds)))[:-1]
    return [(np.flatnonzero(kind), rows) for kind, rows in zip(kinds, np.split(order, cuts), strict=True)]
