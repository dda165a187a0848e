"""Atoms: single values that hold so many rows of a column of numbers that no density can stand for them."""

from itertools import product

import numpy as np

from shoal._scalars import FloatArray, IntArray
from shoal.tables._lattice import detect_lattice, off_lattice

ROWS, SHARE, TIMES = 10, 0.01, 10.0  # of an atom: rows, share of the rows, and times the rows of other values
FEW, MOST = 3, 12  # more than a few on a lattice are its heaps
SENTINELS, SENTINEL_ROWS, APART = (
    3,
    3,
    5.0,
)  # at an end: values, rows of each, and times the gaps between the others


def find_atoms(numbers: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The atoms of a column, NaN where there is no number, and the shares of all rows that they hold.

    1. Values that hold ten times the rows of the usual value: zeros, clipped ends, means in the place of gaps. 2. Sentinels:
    values at an end, each of three rows or more, beyond a gap of five times any gap between the others. 3. A value that many
    rows hold and without which the others lie on a coarser lattice: a mean in the gaps of a column of counts.
    """
    values, counts = np.unique(numbers[np.isfinite(numbers)] + 0.0, return_counts=True)  # -0.0 is 0.0
    places = _heaps(counts)
    if len(places) > FEW and detect_lattice(numbers[:, None], [""]):
        places = []
    places += [i for i in _sentinels(values, counts) if i not in places]
    rest = np.delete(np.arange(values.size), places)
    least = float(max(ROWS, SHARE * counts.sum()))
    places += [int(rest[i]) for i in off_lattice(values[rest], counts[rest], least)]
    places.sort(key=lambda i: -counts[i])
    return tuple(float(values[i]) for i in places), tuple(float(counts[i] / len(numbers)) for i in places)


def _heaps(counts: IntArray) -> list[int]:
    order, found = np.argsort(-counts), list[int]()
    for place, i in enumerate(order[:MOST]):
        rest = counts[order[place + 1 :]]
        usual = max(float(np.quantile(rest, 0.9)), 1.0) if len(rest) else np.inf
        if counts[i] < max(ROWS, SHARE * counts.sum(), TIMES * usual) or len(rest) < 3:
            break
        found.append(int(i))
    return found


def _sentinels(values: FloatArray, counts: IntArray) -> list[int]:
    for low, high in sorted(product(range(SENTINELS + 1), repeat=2), key=sum)[1:]:
        inner = values[low : values.size - high]
        outer = [*range(low), *range(values.size - high, values.size)]
        if inner.size < 3 or counts[outer].min() < SENTINEL_ROWS:
            continue
        gap = APART * np.diff(inner).max()
        below = low == 0 or inner[0] - values[low - 1] > gap
        above = high == 0 or values[values.size - high] - inner[-1] > gap
        if below and above:
            return outer
    return []
