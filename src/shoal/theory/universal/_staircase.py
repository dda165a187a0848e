"""The arrays of the two couplings of Theorem D, before any flow is made of them.

Latent (x, y) ~ N(0, I), d coordinates each. u = <v, x'>. Atoms (a_i, b_i) of weights w_i, sorted by <v, a_i>, pushed
apart to gaps of at least rho along v.
    layer 1: x' = delta x + t2(y_1), a_i on cell i of y_1 (probability w_i), linear on ramps around the cells' borders
    layer 2: y' = delta y + t3(u), b_i where |u - <v, a_i>| <= rho / 4, linear between.
The push that moves the atoms least in mean square is an isotonic regression of <v, a_i> - i rho.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import ndtri

from shoal._scalars import FloatArray, IntArray


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
