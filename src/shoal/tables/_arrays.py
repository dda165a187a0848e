"""From arrays in memory to a `Source`: what an array must be to hold a table."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from .._errors import InputError
from .._scalars import FloatArray
from ._source import Source


def numeric_matrix(array: np.ndarray, label: str) -> FloatArray:
    """Returns `array` as float64 of shape (rows, columns).

    **Raises:** `InputError` if it is not two-dimensional, has no column, or does not hold real numbers.
    """
    kinds = {
        "c": "complex numbers",
        "O": "Python objects",
        "b": "truth values",
        "V": "records with named fields",
    }
    if array.dtype.kind not in "iuf":
        found = kinds.get(array.dtype.kind, f"values of type {array.dtype}")
        cure = "split off the imaginary parts" if array.dtype.kind == "c" else "convert with `.astype(float)`"
        raise InputError(f"{label} holds {found} where real numbers are needed: {cure}.")
    if array.ndim != 2:
        cure = ": use `array.reshape(-1, 1)` for a single column" if array.ndim == 1 else ""
        raise InputError(f"{label} must be two-dimensional (rows, columns); found shape {array.shape}{cure}.")
    if array.shape[1] == 0:
        raise InputError(f"{label} has no columns; found shape {array.shape}.")
    return np.asarray(array, dtype=np.float64)


def array_source(
    matrix: FloatArray,
    names: Sequence[str] | None,
    label: str,
    kind: Literal["file", "array"],
    first_row: int,
) -> Source:
    """The columns of `matrix`, called `names`, or x0, x1, ... without."""
    names = tuple(names) if names is not None else tuple(f"x{i}" for i in range(matrix.shape[1]))
    columns = {f"c{i}": np.ascontiguousarray(matrix[:, i]) for i in range(matrix.shape[1])}
    return Source(label, kind, names, pl.DataFrame(columns), first_row)
