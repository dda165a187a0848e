"""Rows by seeded hashes: parts, samples and checksums of a stream that do not depend on where its blocks end.

The mixer is splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"), a bijection of 64 bits.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray
from shoal.tables._split import FRACTIONS

GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_PIECE = 8192  # rows that stay in the cache of a core


def mixed(bits: IntArray) -> IntArray:
    """Each of 64 bits by splitmix64; the array is overwritten."""
    bits += GAMMA
    for shift, factor in _MIX:
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits


def hashed_parts(values: FloatArray, seed: int, fractions: Sequence[float] = FRACTIONS) -> IntArray:
    """The part of each row, by a hash of its numbers: 0 training, 1 validation, 2 test.

    Equal rows fall in one part, in whatever block they are; each part has its share up to chance.

    **Arguments:** `values`: raw rows (rows, columns), float64, context columns beside them; 0.0 and -0.0 are equal. `seed`:
    the same seed gives the same parts. `fractions`: as in `split`.
    """
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise InputError(f"`fractions` must be three shares that sum to 1; got {tuple(fractions)}.")
    borders = np.array([min(round(f * 2.0**53), 2**53) for f in np.cumsum(fractions[:2])], np.uint64)
    parts = np.empty(len(values), np.int8)
    for start in range(0, len(values), _PIECE):
        some = np.ascontiguousarray(values[start : start + _PIECE].T, np.float64) + 0.0  # -0.0 is 0.0
        hashes = row_hashes(some.view(np.uint64), seed) >> np.uint64(11)
        parts[start : start + _PIECE] = np.searchsorted(borders, hashes, side="right")
    return parts


def row_hashes(columns: Sequence[IntArray] | IntArray, seed: int) -> IntArray:
    """A hash of each row of `columns`, of 64 bits a cell: (rows,)."""
    found = np.full(len(columns[0]), seed % 2**64, np.uint64)
    for column in columns:
        found = mixed(found ^ column)
    return mixed(found)


def numbered_hashes(first: int, rows: int, seed: int) -> IntArray:
    """A hash of each row number from `first` on; no two numbers have the same."""
    key = mixed(np.array([seed % 2**64], np.uint64))
    return mixed(np.arange(first, first + rows, dtype=np.uint64) ^ key)


def frame_checksum(frame: pl.DataFrame, seed: int = 0) -> int:
    """The sum of the hashes of all rows, modulo 2^64: the same for the same rows in any order."""
    if not frame.height:
        return 0
    with np.errstate(over="ignore"):
        hashes = row_hashes([_bits(column) for column in frame.get_columns()], seed)
        return int(hashes.sum(dtype=np.uint64))


def _bits(column: pl.Series) -> IntArray:
    """64 bits for each cell; those of a missing one differ from those of a number."""
    if column.dtype.is_float():
        bits = column.cast(pl.Float64).fill_null(0.0).to_numpy().view(np.uint64)
        return np.where(column.is_null().to_numpy(), GAMMA, bits) if column.null_count() else bits
    if column.dtype.is_nested() or column.dtype == pl.Object:
        column = column.cast(pl.String, strict=False)
    return column.hash(seed=1).to_numpy()
