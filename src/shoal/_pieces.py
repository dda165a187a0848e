"""Many rows through one compiled program: pieces of one size, the last one filled up by repeating its last row."""

from collections.abc import Callable, Iterator

import numpy as np


def piece(rows: int, smallest: int, largest: int) -> int:
    """The power of two that takes all rows, within the bounds: few sizes, few programs, and little work for few rows."""
    return min(max(1 << (rows - 1).bit_length(), smallest), largest)


def pieces(rows: int, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """For each piece the numbers of its `size` rows, the last row repeated at the end, and how many of them count."""
    for start in range(0, rows, size):
        yield np.minimum(np.arange(start, start + size), rows - 1), min(size, rows - start)


def in_pieces(
    function: Callable[..., object], size: int, first: np.ndarray, *others: np.ndarray | None
) -> tuple[np.ndarray, ...]:
    """What `function(first, *others)` gives, an array or a tuple of arrays, computed `size` rows at a time.

    **Arguments:** `first`, `others`: rows along the first axis; None is passed on as it is. Without any row the function
    gets one row of zeros, so that the shapes of its results are known.
    """
    arrays = (first, *others)
    if len(first) == 0:
        blank = (None if a is None else np.zeros((1, *a.shape[1:]), a.dtype) for a in arrays)
        return tuple(np.asarray(a)[:0] for a in _tuple(function(*blank)))
    parts = []
    for index, count in pieces(len(first), size):
        found = _tuple(function(*(None if a is None else a[index] for a in arrays)))
        parts.append([np.asarray(a)[:count] for a in found])
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _tuple(found: object) -> tuple[object, ...]:
    return found if isinstance(found, tuple) else (found,)
