"""The two couplings of Theorem D for given atoms and a budget, or the reason why a dtype can not hold them."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm

from shoal._scalars import FloatArray
from shoal.theory.universal._atoms import Atoms
from shoal.theory.universal._inputs import DType
from shoal.theory.universal._staircase import Staircase, cell_borders, main_direction, pushed, widest_gap
from shoal.theory.universal._terms import box_diameter, terms

PUSH, SCALE, RAMPS, TAILS = 0.35, 0.25, 0.3, 0.1  # how the budget of the construction is shared
LEAST_Z, MOST_Z = 3.0, 9.0  # rho / 4 delta


@dataclass(frozen=True)
class Unresolved:
    """Why the dtype does not resolve a construction."""

    reason: str


def staircase(atoms: Atoms, budget: float, extra: int, dtype: DType) -> Staircase | Unresolved:
    """Both layers so that push + scales + ramps + tails stay within `budget`, with the largest delta that was found.

    `extra`: 1 for odd n, whose last y coordinate is padding with the value 0: it becomes N(0, delta^2), independent of the
    rest. All arrays are numbers of `dtype`, held in float64.
    """
    n = atoms.points.shape[1]
    d = (n + extra) // 2
    a, b = atoms.points[:, :d], atoms.points[:, d:]
    v = _rounded(main_direction(a, atoms.weights), dtype)
    order = np.argsort(a @ v, kind="stable")
    a, b, w = a[order], b[order], atoms.weights[order]
    u = a @ v
    gap = widest_gap(u, w, PUSH * budget)
    a = a + (pushed(u, w, gap) - u)[:, None] * v / (v @ v)
    diameter = box_diameter(b)
    share = min((TAILS * budget / diameter) ** 2 / 2, 0.5) if diameter > 0 else 0.5
    z = float(np.clip(-ndtri(share), LEAST_Z, MOST_Z))
    delta = min(gap / (4 * z) * 0.98, SCALE * budget / n**0.5)
    delta = float(np.exp(_rounded(np.log([delta]), dtype)[0]))  # the layer stores log delta
    a, b = _rounded(a, dtype), _rounded(np.pad(b, ((0, 0), (0, extra))), dtype)
    position = _rounded(a, dtype) @ v
    borders = _rounded(cell_borders(w), dtype)
    half = _ramps(a, b, w, borders, RAMPS * budget)
    made = Staircase(a, b, w, order, v, borders, half, position, gap / 4, delta)
    return _resolved(made, dtype) or made


def _ramps(a: FloatArray, b: FloatArray, w: FloatArray, borders: FloatArray, budget: float) -> FloatArray:
    """Half widths: each ramp has the same share of the lesser of its cells, at most 0.8 of it."""
    if len(borders) == 0:
        return np.zeros(0)
    jumps = np.square(np.diff(a, axis=0)).sum(axis=1) / 4 + np.square(np.diff(b, axis=0)).sum(axis=1)
    least = np.minimum(w[:-1], w[1:])
    total = float(least @ jumps)
    share = min(0.8, 0.9 * budget**2 / total) if total > 0 else 0.8
    width = share * least / (2 * norm.pdf(borders))
    room = np.diff(borders)
    ends = np.concatenate([[np.inf], room, [np.inf]])
    return np.minimum(width, 0.4 * np.minimum(ends[:-1], ends[1:]))


def _resolved(made: Staircase, dtype: DType) -> Unresolved | None:
    """The three places where digits run out: the steps of u, the inverse of layer 1, and the ramps of y_1."""
    eps, d = float(np.finfo(dtype).eps), made.a.shape[1]
    size = float(np.abs(made.a).max()) + made.delta
    if made.plateau < 50 * eps * (d + 2) * size:
        return Unresolved("the steps of the second layer lie closer than its input is rounded")
    if made.delta < 20 * eps * size:
        return Unresolved("the first layer's scale is lost beside its shift")
    if len(made.borders) and (made.half < 4 * eps * np.maximum(np.abs(made.borders), 0.1)).any():
        return Unresolved("the ramps of the first layer are narrower than its input is rounded")
    return None


def least_budget(atoms: Atoms, extra: int, dtype: DType) -> float:
    """The smallest budget, to 5 %, for which the dtype resolves a construction that keeps it; infinite if there is none."""
    high = 2 * max(box_diameter(atoms.points), 1e-12)
    low, found = 1e-12 * high, np.inf
    while high / low > 1.05:
        middle = float(np.sqrt(low * high))
        made = staircase(atoms, middle, extra, dtype)
        if isinstance(made, Unresolved) or terms(made, atoms, extra, dtype).construction > middle:
            low = middle
        else:
            high = found = middle
    return found


def _rounded(array: FloatArray, dtype: DType) -> FloatArray:
    return array.astype(dtype).astype(np.float64)
