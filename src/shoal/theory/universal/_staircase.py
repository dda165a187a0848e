"""The arrays of the two couplings of Theorem D for given atoms and a budget, before any flow is made of them.

Latent (x, y) ~ N(0, I), d coordinates each. u = <v, x'>. Atoms (a_i, b_i) of weights w_i, sorted by <v, a_i>, pushed
apart to gaps of at least rho along v.
    layer 1: x' = delta x + t2(y_1), a_i on cell i of y_1 (probability w_i), linear on ramps around the cells' borders
    layer 2: y' = delta y + t3(u), b_i where |u - <v, a_i>| <= rho / 4, linear between.
The push that moves the atoms least in mean square is an isotonic regression of <v, a_i> - i rho.

Their condition numbers are exact, on cells and on ramps: layer 1 has J = [[delta I, s e^T], [0, I]], layer 2
J = [[I, 0], [r v^T, delta I]] with s = 0 and r = 0 on cells, the slopes on ramps. kappa = |J| |J^{-1}|; each acts on a space
of at most four dimensions and by its scales elsewhere, so that every figure is a largest singular value of a matrix of
order four. Rounding: a few eps, whatever kappa is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from shoal._scalars import FloatArray, IntArray
from shoal.records.construction import StaircaseConditions
from shoal.records.figures import Figure
from shoal.theory.universal._atoms import Atoms
from shoal.theory.universal._inputs import DType

PUSH, SCALE, RAMPS, TAILS = 0.35, 0.25, 0.3, 0.1  # how the budget of the construction is shared
LEAST_Z, MOST_Z = 3.0, 9.0  # rho / 4 delta


@dataclass(frozen=True)
class Staircase:
    """Both layers. `a`, `b`: (N, d), the values on the steps, pushed and sorted; `order`: their places among the atoms.

    `direction`: v, (d,); `below`, `above`: (N - 1,) the exact masses on both sides of each border, each rounded once;
    `borders`: (N - 1,) cells' borders in y_1; `ramps`: (N - 1, 2) the knots of layer 1 around each border; `position`:
    (N,) <v, a_i>; `steps`: (N - 1, 2) the knots of layer 2 between two of them; `plateau`: rho / 4; `delta`, of both layers.
    """

    a: FloatArray
    b: FloatArray
    below: FloatArray
    above: FloatArray
    order: IntArray
    direction: FloatArray
    borders: FloatArray
    ramps: FloatArray
    position: FloatArray
    steps: FloatArray
    plateau: float
    delta: float

    def knots_of_first(self) -> tuple[FloatArray, FloatArray]:
        """Knots in y_1 and values of t2 there: two knots a border, one where there is no border."""
        if len(self.borders) == 0:
            return np.zeros(1), self.a
        return self.ramps.reshape(-1), np.stack([self.a[:-1], self.a[1:]], axis=1).reshape(
            -1, self.a.shape[1]
        )

    def knots_of_second(self) -> tuple[FloatArray, FloatArray]:
        """Knots in u and values of t3 there."""
        if len(self.borders) == 0:
            return np.zeros(1), self.b
        return self.steps.reshape(-1), np.stack([self.b[:-1], self.b[1:]], axis=1).reshape(
            -1, self.b.shape[1]
        )

    def ramp_masses(self) -> FloatArray:
        """eta_i, the probability of y_1 between the knots of ramp i, on the side where it loses no digits."""
        side = np.where(self.borders < 0, 1.0, -1.0)[:, None]
        ends = ndtr(side * self.ramps)
        return np.abs(ends[:, 1] - ends[:, 0])

    def margin(self, dtype: DType) -> float:
        """How far <v, x'> may be from <v, a_i> with t3 still at b_i, less what rounding moves it; infinite for one atom.

        A sum of d products and the rounding of x' before it: d + 2 roundings of at most |v|_1 max |x'| <= sqrt(d) max |x'|.
        """
        if len(self.steps) == 0:
            return np.inf
        near = min(
            (self.steps[:, 0] - self.position[:-1]).min(), (self.position[1:] - self.steps[:, 1]).min()
        )
        d = self.a.shape[1]
        return float(near - np.finfo(dtype).eps * (d + 2) * d**0.5 * (np.abs(self.a).max() + self.delta))


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
    below, above = levels(atoms.masses[i] for i in order.tolist())
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
    borders = _rounded(cell_borders(below, above), dtype)
    half = _ramps(a, b, w, borders, RAMPS * budget)
    ramps = _rounded(np.stack([borders - half, borders + half], axis=1), dtype)
    steps = _rounded(np.stack([position[:-1] + gap / 4, position[1:] - gap / 4], axis=1), dtype)
    made = Staircase(a, b, below, above, order, v, borders, ramps, position, steps, gap / 4, delta)
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
    if made.plateau < 50 * eps * (d + 2) * d**0.5 * size:
        return Unresolved("the steps of the second layer lie closer than its input is rounded")
    if made.delta < 20 * eps * size:
        return Unresolved("the first layer's scale is lost beside its shift")
    half = np.minimum(made.borders - made.ramps[:, 0], made.ramps[:, 1] - made.borders)
    if len(half) and (half < 3 * eps * np.maximum(np.abs(made.borders), 0.1)).any():
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


def widest_gap(u: FloatArray, weights: FloatArray, cost: float) -> float:
    """The largest gap, to 1 %, whose push costs at most `cost`; at least cost / N, which always does."""
    n = len(u)
    if n == 1:
        return cost
    low, high = cost / n, max(float(u[-1] - u[0]) / (n - 1), cost / n) * 4
    while high / low > 1.01:
        middle = float(np.sqrt(low * high))
        moved = np.sqrt(weights @ np.square(pushed(u, weights, middle) - u))
        low, high = (middle, high) if moved <= cost else (low, middle)
    return low


def levels(masses: Iterable[int]) -> tuple[FloatArray, FloatArray]:
    """The shares of the sum below and above each of the N - 1 places between integers: exact quotients, rounded once.

    For equal masses these are i / N and 1 - i / N. A sum of float64 weights is off by 2e-12 at 1e5 of them.
    """
    sums = list(accumulate(masses))
    total = sums.pop()
    return np.array([s / total for s in sums]), np.array([(total - s) / total for s in sums])


def cell_borders(below: FloatArray, above: FloatArray) -> FloatArray:
    """The points of the real line below and above which N(0, 1) has these probabilities."""
    return np.where(below < 0.5, ndtri(np.minimum(below, 0.5)), -ndtri(np.minimum(above, 0.5)))


def box_diameter(points: FloatArray) -> float:
    """The diagonal of the bounding box: at least the diameter."""
    if points.shape[1] == 0:
        return 0.0
    return float(np.linalg.norm(np.ptp(points, axis=0)))


def conditions(made: Staircase) -> dict[str, StaircaseConditions]:
    """Of "layer 1", "layer 2" (forward order) and their "composition"."""
    eta = made.ramp_masses()
    gaps = np.diff(made.position)
    width = made.steps[:, 1] - made.steps[:, 0]
    s = np.diff(made.a, axis=0) / (made.ramps[:, 1] - made.ramps[:, 0])[:, None]
    r = np.diff(made.b, axis=0) / width[:, None]
    flat = np.zeros_like(s)
    tail = 2 * float(ndtr(-made.plateau / (made.delta * np.linalg.norm(made.direction))))
    steep = width / np.maximum(gaps, np.finfo(float).tiny)  # the part of a ramp on which t3 moves too
    nothing = np.zeros((1, made.a.shape[1]))
    on_cells = [_kappa(made, nothing, nothing, which)[0] for which in ("first", "second", "both")]
    first, second = _kappa(made, s, flat, "first"), _kappa(made, flat, r, "second")
    both = [_kappa(made, s, flat, "both"), _kappa(made, s, r, "both"), _kappa(made, flat, r, "both")]
    rare = np.full(len(eta), tail / max(len(eta), 1))
    return {
        "layer 1": _summary(on_cells[0], first, eta),
        "layer 2": _summary(on_cells[1], second, eta * steep + rare),
        "composition": _summary(
            on_cells[2], np.concatenate(both), np.concatenate([eta * (1 - steep), eta * steep, rare])
        ),
    }


def _summary(cells: float, ramps: FloatArray, masses: FloatArray) -> StaircaseConditions:
    total = float(masses.sum())
    if len(ramps) == 0:
        same = Figure(float(cells), "exact")
        return StaircaseConditions(same, same, same, same, Figure(0.0, "exact"), same)
    order = np.argsort(ramps)
    above = np.cumsum(masses[order][::-1])[::-1]  # mass at this kappa or more
    worse = order[above >= 0.01]
    at99 = float(cells if len(worse) == 0 else max(cells, ramps[worse[-1]]))
    figures = (cells, ramps.min(), np.median(ramps), ramps.max(), total, at99)
    return StaircaseConditions(*(Figure(float(value), "exact") for value in figures))


def _kappa(made: Staircase, s: FloatArray, r: FloatArray, which: str) -> FloatArray:
    """kappa of J at slopes s of t2 and r of t3, (K, d) each, in the bases (v, rest of s) and (e, rest of r)."""
    d, count = made.a.shape[1], len(s)
    if count == 0:
        return np.zeros(0)
    v = made.direction / np.linalg.norm(made.direction)
    stretch = np.linalg.norm(made.direction)
    along, driver = s @ v, r[:, 0]
    across = np.sqrt(np.maximum(np.square(s).sum(axis=1) - along**2, 0.0))
    beside = np.sqrt(np.maximum(np.square(r).sum(axis=1) - driver**2, 0.0))
    delta = 1.0 if which == "second" else made.delta
    scale = 1.0 if which == "first" else made.delta
    one = _fours(count, (delta, delta, 1.0, 1.0), {(0, 2): along, (1, 2): across})
    two = _fours(count, (1.0, 1.0, scale, scale), {(2, 0): driver * stretch, (3, 0): beside * stretch})
    back_one = _fours(
        count, (1 / delta, 1 / delta, 1.0, 1.0), {(0, 2): -along / delta, (1, 2): -across / delta}
    )
    back_two = _fours(
        count,
        (1.0, 1.0, 1 / scale, 1 / scale),
        {(2, 0): -driver * stretch / scale, (3, 0): -beside * stretch / scale},
    )
    there, back = two @ one, back_one @ back_two
    if d == 1:
        there, back = (m[:, ::2, ::2] for m in (there, back))
    top, bottom = (np.linalg.svd(m, compute_uv=False)[:, 0] for m in (there, back))
    inner = {"first": [made.delta, 1.0], "second": [1.0, made.delta], "both": [made.delta]}[which]
    return np.maximum(top, max(inner)) * np.maximum(bottom, 1 / min(inner))


def _fours(count: int, diagonal: tuple[float, ...], entries: dict[tuple[int, int], FloatArray]) -> FloatArray:
    """`count` matrices of order four with one diagonal and some entries beside it."""
    out = np.tile(np.diag(np.asarray(diagonal, np.float64)), (count, 1, 1))
    for (i, j), values in entries.items():
        out[:, i, j] = values
    return out
