"""Whole numbers beyond 2^53, which float64 can not tell apart, counted from the least one of their column."""

import numpy as np

from shoal._errors import InputError
from shoal._types import ArrayLike
from shoal.tables import EXACT


def find_offsets(X: ArrayLike) -> dict[int, int]:
    """The least whole number of each column, by its place, that holds some beyond 2^53 in size.

    **Raises:** `InputError` where they are farther than 2^53 apart.
    """
    found, is_table = {}, hasattr(X, "columns") or (isinstance(X, np.ndarray) and X.ndim == 2)
    for i in range(X.shape[1]) if is_table else ():
        column = _column(X, i)
        if column.dtype.kind not in "iu" or not column.size:
            continue
        least, most = int(column.min()), int(column.max())
        if max(-least, most) < EXACT:
            continue
        if most - least >= EXACT:
            raise InputError(
                f"column {i} (counted from 0) holds {least} and {most}, whole numbers that float64 can not hold, whatever "
                "is subtracted: leave that column out, or give its logarithm."
            )
        found[i] = least
    return found


def counted(X: ArrayLike, offsets: dict[int, int]) -> ArrayLike:
    """X, an array or a data frame, with its columns less the offsets, exactly."""
    for i, least in offsets.items():
        column = _column(X, i)
        less = np.array([float(v - least) for v in column.tolist()])
        if isinstance(X, np.ndarray):
            X = X.astype(object) if X.dtype != object else X
            X[:, i] = less
        elif hasattr(X, "isetitem"):
            X = X.copy()
            X.isetitem(i, less)
        else:
            X = X.with_columns(type(X[:, i])(X.columns[i], less))
    return X.astype(np.float64) if offsets and isinstance(X, np.ndarray) else X


def _column(X: ArrayLike, i: int) -> np.ndarray:
    """A column; without a NumPy type of whole numbers (gaps, words) as it is."""
    return np.asarray(X.iloc[:, i] if hasattr(X, "iloc") else X[:, i])
