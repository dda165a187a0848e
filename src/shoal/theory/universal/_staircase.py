"""The arrays of the two couplings of Theorem D for given atoms and a budget, before any flow is made of them.

Latent (x, y) ~ N(0, I), d coordinates each. u = <v, x'>. Atoms (a_i, b_i) of weights w_i, sorted by <v, a_i>, pushed
apart to gaps of at least rho along v.
    layer 1: x' = delta x + t2(y_1), a_i on cell i of y_1 (probability w_i), linear on ramps around the cells' borders
    layer 2: y' = delta y + t3(u), b_i where |u - <v, a_i>| <= rho / 4, linear between.
The push that moves the atoms least in mean square is an isotonic regression of <v, a_i> - i rho.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from shoal._scalars import FloatArray, IntArray
from shoal.theory.universal._atoms import Atoms
from shoal.theory.universal._inputs import DType

PUSH, SCALE, RAMPS, TAILS = 0.35, 0.25, 0.3, 0.1  # how the budget of the construction is shared
LEAST_Z, MOST_Z = 3.0, 9.0  # rho / 4 delta


@dataclass(frozen=True)
class Staircase:
    """Both layers. `a`, `b`: (N, d), the values on the steps, pushed and sorted; `order`: their places among the atoms.

    `direction`: v, (d,); `borders`: (N - 1,) cells' borders in y_1; `half`: (N - 1,) half widths of the ramps in y_1;
    `position`: (N,) <v, a_i>; `plateau`: rho / 4; `delta`, of both layers.
    """

    a: FloatArray
    b: FloatArray
    weights: FloatArray
    order: IntArray
    direction: FloatArray
    borders: FloatArray
    half: FloatArray
    position: FloatArray
    plateau: float
    delta: float

    def knots_of_first(self) -> tuple[FloatArray, FloatArray]:
        """Knots in y_1 and values of t2 there: two knots a border, one where there is no border."""
        if len(self.borders) == 0:
            return np.zeros(1), self.a
        knots = np.stack([self.borders - self.half, self.borders + self.half], axis=1).reshape(-1)
        return knots, np.stack([self.a[:-1], self.a[1:]], axis=1).reshape(-1, self.a.shape[1])

    def knots_of_second(self) -> tuple[FloatArray, FloatArray]:
        """Knots in u and values of t3 there."""
        if len(self.borders) == 0:
            return np.zeros(1), self.b
        low, high = self.position[:-1] + self.plateau, self.position[1:] - self.plateau
        knots = np.stack([low, high], axis=1).reshape(-1)
        return knots, np.stack([self.b[:-1], self.b[1:]], axis=1).reshape(-1, self.b.shape[1])

    def ramp_masses(self) -> FloatArray:
        """eta_i = Phi(c_i + h_i) - Phi(c_i - h_i), the probability of ramp i, on the side where it loses no digits."""
        c = -np.abs(self.borders)
        return ndtr(c + self.half) - ndtr(c - self.half)


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


def _rounded(array: FloatArray, dtype: DType) -> FloatArray:
    return array.astype(dtype).astype(np.float64)


def main_direction(a: FloatArray, weights: FloatArray) -> FloatArray:
    """The unit vector along which the atoms spread most, its largest entry positive."""
    centred = (a - weights @ a) * np.sqrt(weights)[:, None]
    v = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return v * np.sign(v[np.argmax(np.abs(v))])


def pushed(u: FloatArray, weights: FloatArray, gap: float) -> FloatArray:
    """The ascending positions nearest to u (ascending) in weighted mean square whose neighbours are `gap` apart."""
    offsets = gap * np.arange(len(u))
    return isotonic_regression(u - offsets, weights=weights).x + offsets


def push_cost(u: FloatArray, weights: FloatArray, gap: float) -> float:
    """The root mean square of the moves."""
    return float(np.sqrt(weights @ np.square(pushed(u, weights, gap) - u)))


def widest_gap(u: FloatArray, weights: FloatArray, cost: float) -> float:
    """The largest gap, to 1 %, whose push costs at most `cost`; at least cost / N, which always does."""
    n = len(u)
    if n == 1:
        return cost
    low, high = cost / n, max(float(u[-1] - u[0]) / (n - 1), cost / n) * 4
    while high / low > 1.01:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if push_cost(u, weights, middle) <= cost else (low, middle)
    return low


def cell_borders(weights: FloatArray) -> FloatArray:
    """The N - 1 points of the real line that cut N(0, 1) into cells of these probabilities."""
    below = np.cumsum(weights)[:-1]
    above = np.cumsum(weights[::-1])[::-1][1:]
    return np.where(below < 0.5, ndtri(np.minimum(below, 0.5)), -ndtri(np.minimum(above, 0.5)))


def box_diameter(points: FloatArray) -> float:
    """The diagonal of the bounding box: at least the diameter."""
    if points.shape[1] == 0:
        return 0.0
    return float(np.linalg.norm(np.ptp(points, axis=0)))
