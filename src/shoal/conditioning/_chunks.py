"""Rows in chunks of one size, so that one compiled program serves all of them."""

from collections.abc import Iterator

import numpy as np

from shoal._scalars import FloatArray

_NUMBERS = 1 << 19  # of one array of tangents in a chunk: rows x n x n
_ROWS = 1024
FEWEST = 16


def chunks(
    arrays: tuple[FloatArray, ...], context: FloatArray | None, size: int, fewest: int = FEWEST
) -> Iterator[tuple[tuple[FloatArray, ...], FloatArray | None, int]]:
    """(each array's rows, padded to one size by the last row), the context likewise, and the count of true rows.

    Sizes are powers of two, 16 or from `fewest` up, so that sets of similar length share a program. No rows at all give one
    chunk of one row of zeros and a count of 0, so that shapes come out right.
    """
    arrays = tuple(np.asarray(a) for a in arrays)
    context = None if context is None else np.asarray(context)
    rows = len(arrays[0])
    if rows == 0:
        blank = tuple(np.zeros((1, *a.shape[1:]), a.dtype) for a in arrays)
        yield blank, None if context is None else np.zeros((1, *context.shape[1:]), context.dtype), 0
        return
    least = fewest if rows > FEWEST else FEWEST
    step = min(_ROWS, max(least, 1 << (rows - 1).bit_length()), max(1, _NUMBERS // size**2))
    for start in range(0, rows, step):
        index = np.minimum(np.arange(start, start + step), rows - 1)
        yield (
            tuple(a[index] for a in arrays),
            None if context is None else context[index],
            min(step, rows - start),
        )
