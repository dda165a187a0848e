"""Columns that no density, or no well-conditioned flow, can have: constant, repeated, dependent, on a lattice.

All figures are of the rows given. Dependences are read off the singular values of the standardised columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal._scalars import BoolArray, FloatArray
from shoal.tables._lattice import Lattice, detect_lattice

NEAR = 1e-3  # of the largest singular value of the standardised columns: a smaller one counts as a near dependence
LOADING = 0.1  # of the largest weight: columns of a smaller weight are not named in a dependence
EXACT = 1e-8  # of a column's deviation: what earlier columns leave of a column that depends on them
FAR, FAR_SHARE = (
    1e4,
    0.01,
)  # of the quartiles' distance: rows beyond are no measure, if they are at most this share
CONSTANT = 1e-12  # of the largest absolute value: a column that varies less counts as constant


@dataclass(frozen=True)
class Dependence:
    """sum_i weights_i * (standardised column i) is nearly constant.

    `deviation`: of that sum, over the first column's for an exact dependence, over the largest one of a unit combination
    for a near one.
    """

    columns: tuple[str, ...]
    weights: tuple[float, ...]
    deviation: float


@dataclass(frozen=True)
class Examined:
    """What was found. `duplicates`: (the first column, the one that repeats it). `kept`: positions of the columns to model.

    `kept` leaves out constant and repeated columns and, of each exact dependence, the last column, named by `dropped`.
    `repeated_rows`: the share of rows that repeat an earlier row.
    """

    constant: tuple[str, ...]
    duplicates: tuple[tuple[str, str], ...]
    lattices: tuple[Lattice, ...]
    dependences: tuple[Dependence, ...]
    dropped: tuple[str, ...]
    kept: tuple[int, ...]
    repeated_rows: float


def examine_columns(values: FloatArray, names: Sequence[str]) -> Examined:
    """Examines the columns of `values`, finite, of shape (rows, columns); a repeat may be a multiple plus a shift."""
    spread, size = np.ptp(values, axis=0), np.abs(values).max(axis=0)
    constant = [i for i in range(len(names)) if spread[i] <= CONSTANT * size[i]]
    varying = [i for i in range(len(names)) if i not in constant]
    near = near_rows(values[:, varying])
    unit = _standardised(values[near][:, varying])
    first: list[int] = []  # positions in `varying` of the columns that repeat none before them
    duplicates = []
    for place, i in enumerate(varying):
        twin = next((j for j in first if _same(unit[:, j], unit[:, place])), None)
        if twin is None:
            first.append(place)
        else:
            duplicates.append((names[varying[twin]], names[i]))
    kept = [varying[place] for place in first]
    within, exact = _exact(unit[:, first], [names[i] for i in kept])
    dropped = tuple(found.columns[0] for found in exact)
    near = _near(unit[:, [first[j] for j in within]], [names[kept[j]] for j in within])
    distinct = len(np.unique(values + 0.0, axis=0))
    return Examined(
        tuple(names[i] for i in constant),
        tuple(duplicates),
        detect_lattice(values, names),
        (*exact, *near),
        dropped,
        tuple(kept[j] for j in within),
        1.0 - distinct / len(values),
    )


def near_rows(values: FloatArray) -> BoolArray:
    """The rows that no slip of the pen has put so far off that all others are as one beside them."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    near = (np.abs(values / 2 - middle / 2) <= FAR * np.maximum(high / 2 - low / 2, 1e-300)).all(axis=1)
    return near if near.mean() > 1 - FAR_SHARE else np.ones(len(values), bool)


def _standardised(values: FloatArray) -> FloatArray:
    values = values / np.maximum(np.abs(values).max(axis=0), 1e-300)
    centred = values - values.mean(axis=0)
    return centred / centred.std(axis=0)


def _same(a: FloatArray, b: FloatArray) -> bool:
    """Equal up to sign and rounding, after standardisation."""
    return bool(min(np.abs(a - b).max(), np.abs(a + b).max()) < 1e-9 * max(1.0, float(np.abs(a).max())))


def _exact(unit: FloatArray, names: Sequence[str]) -> tuple[list[int], list[Dependence]]:
    """Positions of the columns that do not depend on earlier ones, and how the others do; each is first in its own."""
    if len(unit) <= len(names):
        return list(range(len(names))), []
    within: list[int] = []
    found = []
    basis = np.empty((len(unit), 0))
    for j in range(len(names)):
        column = unit[:, j] / np.linalg.norm(unit[:, j])
        rest = column - basis @ (basis.T @ column)
        rest -= basis @ (basis.T @ rest)
        size = float(np.linalg.norm(rest))
        if size > EXACT:
            within.append(j)
            basis = np.column_stack([basis, rest / size])
            continue
        weights = np.linalg.lstsq(unit[:, within], unit[:, j], rcond=None)[0]
        order = [int(i) for i in np.argsort(-np.abs(weights)) if abs(weights[i]) > 1e-6]
        columns = (names[j], *(names[within[i]] for i in order))
        found.append(Dependence(columns, (1.0, *(-float(weights[i]) for i in order)), size))
    return within, found


def _near(unit: FloatArray, names: Sequence[str]) -> tuple[Dependence, ...]:
    if len(names) < 2 or len(unit) <= len(names):
        return ()
    _, singular, rows = np.linalg.svd(unit, full_matrices=False)
    found = []
    for value, weights in zip(singular[::-1], rows[::-1], strict=True):
        if value >= NEAR * singular[0]:
            break
        size = np.abs(weights)
        order = [int(i) for i in np.argsort(-size) if size[i] >= LOADING * size.max()]
        found.append(
            Dependence(
                tuple(names[i] for i in order),
                tuple(float(weights[i]) for i in order),
                float(value / singular[0]),
            )
        )
    return tuple(found)
