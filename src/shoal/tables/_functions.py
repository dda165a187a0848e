"""Columns that are functions of one other column, such as y and exp(y) or y^2: they have no joint density either.

Sorted by y, a function's value is that of a polynomial through its neighbours' values, up to the rounding of both columns;
noise is not. A function of values that repeat is known by these: equal where they are, and in the same order.
"""

from typing import NamedTuple

import numpy as np

from shoal._scalars import BoolArray, FloatArray
from shoal.tables._relations import DIGIT_ROWS, MOST_COLUMNS

ROWS, QUICK = 8000, 300  # in which a function is looked for, and in which most pairs are told to be none
SIDES = (1, 2, 3, 4)  # neighbours on either side
DISTINCT = 20  # values of y, at least
STEPS = 100  # values of y that are looked at where the other's lie on steps
# Of the middle half of a column: how far its rounding may reach; second differences of a function in few rows, and how much
# more they may be in more rows; what is left of a function, and how much less with two more neighbours.
FINE = 0.01
ROUGH, NEARER = 0.4, 5.0
SMOOTH, FASTER = 1e-6, 0.1
MOST = 0.75  # of the values: as many are what their neighbours say
FLAT = 0.25  # of the values: no more are as the one before
TIED = 0.97  # of the rows with one value of y: as many have one value of its function
COARSER = 1e-3  # how far the rounding of one column reaches, by that of the other: one of fewer digits
DIGITS = 12  # numbers with more are not taken for rounded ones
EPS = float(np.finfo(np.float64).eps)


class Rounding(NamedTuple):
    """How far the numbers of a column are from those that they stand for: `place`, or `share` of each, or half of its last
    one of so many `digits`.
    """

    place: float
    share: float
    digits: int | None

    def reach(self, x: FloatArray) -> FloatArray:
        """How far each number is off, at most."""
        size = np.abs(x)
        found = np.maximum(self.place, self.share * size)
        if self.digits is None:
            return found
        return np.maximum(found, 0.5 * 10.0 ** (_exponents(size) - self.digits + 1))


def find_functions(values: FloatArray, dense: BoolArray, first: int = 0) -> dict[int, int]:
    """The columns that follow from one other column as a smooth function, or a monotone one of values that repeat.

    **Arguments:** `values`: (rows, columns); `dense`: where a value is a number with a density. `first`: the columns before
    it are context, which may follow from whatever is not modelled.

    **Returns:** for each such column the one that it follows from, by position; for one from which a context column follows
    that column.
    """
    width = values.shape[1]
    if not 1 < width <= MOST_COLUMNS:
        return {}
    some = np.sort(np.random.default_rng(0).permutation(len(values))[:ROWS])
    values, dense = values[some], dense[some]
    rounding = [_rounding(values[dense[:, i], i]) for i in range(width)]
    found, kept = dict[int, int](), list(range(first))
    for j in range(first, width):
        for i in list(kept):
            both = dense[:, i] & dense[:, j]
            x, y = values[both, i], values[both, j]
            if both.sum() < DISTINCT:
                continue
            dx, dy = rounding[i].reach(x), rounding[j].reach(y)
            later, earlier = _reach_of_base(x, y, dx, dy), _reach_of_base(y, x, dy, dx)
            if later is None and earlier is None:
                continue
            if i < first or earlier is None or (later is not None and later <= max(1.0, earlier)):
                found[j] = i
                break
            found[i] = j
            kept.remove(i)
        if j not in found:
            kept.append(j)
    return found


def function_of(name: str, base: str) -> str:
    """A sentence about a column that `find_functions` found, and the one that it follows from."""
    return f"column {name!r} follows from {base!r}, as a function of it"


def _is_rough(y: FloatArray, a: FloatArray, da: FloatArray) -> bool:
    """Whether a is no function of y, as neighbours by y differ too much: in few rows, or in all, where they are nearer."""
    for rows in (QUICK, len(y)):
        few = slice(None, None, max(len(y) // rows, 1))
        left = np.median(np.abs(np.diff(a[few][np.argsort(y[few], kind="stable")], 2)))
        if left > ROUGH * _middle_half(a) * min(1.0, NEARER * QUICK / rows) + 4 * np.median(da):
            return True
    return False


def _reach_of_base(y: FloatArray, a: FloatArray, dy: FloatArray, da: FloatArray) -> float | None:
    """None where a is no function of y; else how far the rounding of y reaches, by that of a."""
    if _is_rough(y, a, da):
        return None
    order = np.lexsort((a, y))
    y, a, dy, da = (part[order] for part in (y, a, dy, da))
    starts = np.flatnonzero(np.diff(y, prepend=-np.inf) > 0)
    if len(starts) < DISTINCT:
        return None
    u, b, du, db = (part[starts] for part in (y, a, dy, da))
    counts = np.diff(starts, append=len(y))
    apart = np.delete(a - np.repeat(b, counts), starts)  # rows that repeat a value of y
    slope = np.pad(np.abs(b[2:] - b[:-2]) / (u[2:] - u[:-2]), 1, "edge")
    base, reach = float(np.median(slope * du / db)), db + slope * du
    if not apart.any():  # the numbers may be as they are, whatever their digits
        rises = len(apart) >= DISTINCT and ((np.diff(b) > 0).all() or (np.diff(b) < 0).all())
        exact = 16 * EPS * (np.abs(b).max() + slope * np.abs(u).max())
        if rises or (_flat(b) <= FLAT and _is_smooth(u, b, exact)):
            # few digits are those that were measured
            return base if COARSER < base < 1 / COARSER else 1 / base
    near = apart <= np.delete(2 * np.repeat(reach, counts), starts)
    if np.median(reach) > FINE * _middle_half(b) or (near.size and near.mean() < TIED):
        return None
    # rounded values are flat where many rows are near each other
    every = 1 if _flat(b) <= FLAT else -(-len(b) // STEPS)
    u, b, reach = u[::every], b[::every], reach[::every]
    return base if _flat(b) <= FLAT and _is_smooth(u, b, reach) else None


def _flat(b: FloatArray) -> float:
    """The share of values that are as the one before."""
    return float(np.mean(np.diff(b) == 0))


def _is_smooth(u: FloatArray, b: FloatArray, reach: FloatArray) -> bool:
    """Whether most values are those of polynomials through their neighbours, up to rounding, or come ever nearer."""
    scale, margin, left = _middle_half(b), SIDES[-1], list[float]()
    middle = np.arange(margin, len(u) - margin)
    for side in SIDES:
        offsets = np.array([k for k in range(-side, side + 1) if k])
        places = middle[:, None] + offsets
        to_middle, between = u[middle][:, None] - u[places], u[places][:, :, None] - u[places][:, None, :]
        between[:, range(2 * side), range(2 * side)] = 1.0
        product = np.prod(to_middle, axis=1, keepdims=True)
        weights = product / (to_middle * np.prod(between, axis=2))
        rest = np.abs(b[middle] - (weights * b[places]).sum(axis=1))
        limit = (np.abs(weights) * reach[places]).sum(axis=1) + reach[middle]
        if np.mean((rest <= 0.5 * limit) & (limit <= FINE * scale)) >= MOST:
            return True
        left.append(float(np.median(rest)))
    return left[-1] <= SMOOTH * scale and left[-1] <= FASTER * left[-2]


def _middle_half(x: FloatArray) -> float:
    low, high = np.quantile(x, [0.25, 0.75])
    return float(high - low)


def _rounding(column: FloatArray) -> Rounding:
    """How a column is rounded, by at most `DIGIT_ROWS` of its numbers."""
    x = column[:: max(len(column) // DIGIT_ROWS, 1)]
    if not len(x):
        return Rounding(0.0, 0.0, None)
    largest = float(np.abs(x).max())
    exact = 16 * EPS * largest
    places = next((p for p in range(DIGITS + 1) if (np.abs(x - np.round(x, p)) <= exact / 4).all()), None)
    mantissas = np.abs(x) / 10.0 ** _exponents(np.abs(x))
    digits = next(
        (d for d in range(1, DIGITS) if (np.abs(mantissas - np.round(mantissas, d - 1)) <= 64 * EPS).all()),
        None,
    )
    single = digits is None and largest < 1e38 and bool((x == x.astype(np.float32)).all())
    place = max(exact, 0.0 if places is None else 0.5 * 10.0**-places)
    return Rounding(place, 2 * float(np.finfo(np.float32).eps) if single else 0.0, digits)


def _exponents(size: FloatArray) -> FloatArray:
    return np.floor(np.log10(np.maximum(size, np.finfo(np.float64).tiny)))
