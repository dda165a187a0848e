"""`split`: rows into training, validation and test parts, equal rows always in one part."""

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray

FRACTIONS = (0.8, 0.1, 0.1)


def row_groups(values: FloatArray) -> IntArray:
    """Number of the group of equal rows that each row belongs to; groups are counted in order of first appearance.

    Rows are compared as numbers, column by column, so scaling or shifting a column changes nothing as long as distinct
    values stay distinct.
    """
    values = values + 0.0  # -0.0 and 0.0 are one number
    order = np.lexsort(values.T[::-1])
    ordered = values[order]
    new = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)]
    first = order[new]  # lexsort is stable: the first of a group is its first row
    groups = np.empty(values.shape[0], dtype=np.int64)
    groups[order] = np.argsort(np.argsort(first))[np.cumsum(new) - 1]
    return groups


def split(
    values: FloatArray, seed: int, fractions: tuple[float, ...] = FRACTIONS, *, label: str = "The table"
) -> tuple[IntArray, IntArray, IntArray]:
    """Splits rows at random into training, validation and test; identical rows fall into the same part.

    **Arguments:** `values`: the raw rows, of shape (rows, columns), before noise is added or anything is scaled; put
    context columns beside them. `seed`: the same seed gives the same parts. `fractions`: three shares that sum to 1,
    the first two positive; a test share of 0 leaves that part empty. `label`: what an error calls the rows.

    **Returns:** three sorted arrays of row indices that together hold each row once.

    **Raises:** `InputError` if a part would be empty, as with too few distinct rows, or `fractions` are no shares.
    """
    if len(fractions) != 3 or min(fractions[:2]) <= 0 or fractions[2] < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise InputError(
            f"`fractions` must be three numbers that sum to 1, the first two positive, the last at least 0; got {fractions}."
        )
    if values.ndim != 2 or values.shape[0] == 0:
        raise InputError(
            f"`values` must have shape (rows, columns) with at least one row; found {values.shape}."
        )
    groups = row_groups(values)
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(sizes.size)
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    part_of_group = np.empty(sizes.size, dtype=np.int64)
    borders = np.cumsum(fractions[:2] if fractions[2] else fractions[:1]) * values.shape[0]
    part_of_group[order] = np.searchsorted(borders, middle, side="right")
    parts = part_of_group[groups]
    train, validation, test = (np.flatnonzero(parts == part) for part in range(3))
    if not (train.size and validation.size and (test.size or not fractions[2])):
        raise InputError(
            f"{label}: only {sizes.size} of {values.shape[0]} rows are distinct, too few for training, validation and "
            "test parts that share no row; give more distinct rows."
        )
    return train, validation, test
