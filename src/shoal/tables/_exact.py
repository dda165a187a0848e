"""Whole numbers that float64 can not hold: beyond 2^53 neighbours become one, and no column is rounded so silently."""

import re

import numpy as np
import polars as pl

from shoal._scalars import FloatArray

EXACT = 2**53


def first_rounded(column: pl.Series, numbers: FloatArray) -> int | None:
    """The first row whose whole number is not exactly the float64 in `numbers`; None if there is none."""
    large = np.flatnonzero(np.abs(np.nan_to_num(numbers, posinf=0, neginf=0)) >= EXACT)
    if not large.size or column.dtype.is_float():
        return None
    if column.dtype.is_integer():
        cells = column.gather(large).to_list()
    else:
        cells = column.gather(large).cast(pl.String()).str.strip_chars(' \t"').to_list()
    for row, cell in zip(large.tolist(), cells, strict=True):
        whole = cell if isinstance(cell, int) else _whole(cell)
        if whole is not None and whole != int(numbers[row]):
            return row
    return None


def _whole(text: str) -> int | None:
    return int(text.split(".")[0]) if re.fullmatch(r"[+-]?\d+(\.0*)?", text, re.ASCII) else None
