"""Extreme singular values without an n x n matrix: Golub-Kahan-Lanczos bidiagonalization of a map and of its inverse.

J of f at z gives sigma_max; J of f^{-1} at f(z), which is the inverse matrix, gives 1 / sigma_min. After k steps
J V = U B with orthonormal U, V, reorthogonalized against all vectors twice a step, and B upper bidiagonal, whose largest
singular value rises to that of J from below. Shoal has its own iteration, in NumPy on the products of `AbstractMap`, since
the maps of other libraries are no JAX functions; all points take a step together. Golub and Kahan (1965), Kuczyński and
Woźniakowski (1992); Simon and Zha (2000) on reorthogonalization.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from shoal._errors import InputError
from shoal._names import Precision
from shoal._scalars import FloatArray, IntArray
from shoal.conditioning._inputs import checked_rows, checked_scale
from shoal.conditioning._map import AbstractMap, MapView

_NUMBERS = 1 << 23  # float64 of the Lanczos vectors that are held at a time, over all points of a block
_FEWEST = 8  # steps before a small residual counts: in n = 3,072 coordinates a start has 2 % of the vector that is sought
_INVARIANT = 1e-10  # a residual at which the vectors so far span all that the start reaches
Product: TypeAlias = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Extremes:
    """Both ends of the spectrum at each point, lower bounds (of sigma_min an upper one).

    `sigma_max`, `inverse_max` = 1 / sigma_min: (points,); `residuals`: (points, 2), of the run on f and of that on f^{-1},
    relative to the singular value; `steps`: (points, 2), what they took. NaN where a product was not finite.
    """

    sigma_max: FloatArray
    inverse_max: FloatArray
    residuals: FloatArray
    steps: IntArray

    @property
    def sigma_min(self) -> FloatArray:
        """The smallest singular value at each point, (points,)."""
        with np.errstate(divide="ignore"):
            return 1.0 / self.inverse_max

    @property
    def condition_numbers(self) -> FloatArray:
        """kappa at each point, (points,)."""
        with np.errstate(over="ignore"):
            return self.sigma_max * self.inverse_max

    @property
    def values(self) -> FloatArray:
        """The largest and the smallest singular value at each point, (points, 2)."""
        return np.stack([self.sigma_max, self.sigma_min], axis=1)


def extremes(
    map: AbstractMap,
    points: FloatArray,
    context: FloatArray | None = None,
    *,
    scale: FloatArray | None = None,
    steps: int = 60,
    tolerance: float = 1e-3,
    seed: int = 0,
    precision: Precision = "float64",
) -> Extremes:
    r"""Largest and smallest singular value of J = df/dz at each latent point, from products with J and its inverse alone.

    After k steps J V = U B with U, V orthonormal and B bidiagonal, k x k; its largest singular value s is at most
    sigma_max(J). With r = beta_k |p_k| / s, beta_k the next coupling and p the left vector of B, some singular value of J
    lies within r s of s: a run ends at r <= `tolerance` and k >= 8. That it is the largest one is likely, not certain:
    for a start drawn at random, whatever the spectrum, s^2 is too small by more than a share e with probability at most
    1.648 sqrt(n) exp(-sqrt(e) (2k - 1)), which for 1 % of s, n = 3072, k = 60 is 5e-6 (Kuczyński and Woźniakowski 1992).

    **Arguments:** `points`: latents z, (rows, n); `context`: (rows, c) or None; `scale`: (n,), the unit of each
    coordinate of x, so that the spectrum is that of diag(1/scale) J (None: ones); `steps`: at most so many products with J
    and as many with J^T in each direction; `tolerance`: of the relative residual; `seed`: of the start, one vector for all
    points, so that a point's figures depend on no other point; `precision`: of the products (the recursion is in float64).
    **Returns:** `Extremes`: bounds in exact arithmetic, and up to rounding of order eps kappa. Memory: 2 steps numbers for
    each coordinate of a point, in blocks of points.
    **Raises:** InputError for arrays of other shapes, a scale that is not positive, `steps` < 1, a negative `tolerance`.
    """
    points = checked_rows("points", points, map.size)
    if context is not None and len(context) != len(points):
        raise InputError(f"`context` needs a row for each of {len(points)} points; got {len(context)}.")
    if steps < 1:
        raise InputError(f"`steps` must be at least 1; got {steps}.")
    if not (tolerance >= 0 and math.isfinite(tolerance)):
        raise InputError(f"`tolerance` must be a finite number of at least 0; got {tolerance}.")
    units = checked_scale(scale, map.size)
    starts = np.random.default_rng(seed).standard_normal((2, map.size))
    steps, ones = min(steps, map.size), np.ones(map.size)
    block = max(1, _NUMBERS // (2 * map.size * (steps + 1)))
    parts = []
    for i in range(0, max(len(points), 1), block):
        p, c = points[i : i + block], None if context is None else context[i : i + block]
        forward, inverse = map.at("forward", precision, c), map.at("inverse", precision, c)
        top, r, k = _largest(forward, p, ones, 1.0 / units, starts[0], steps, tolerance)
        bottom, s, m = _largest(inverse, forward(p), units, ones, starts[1], steps, tolerance)
        parts.append((top, bottom, np.stack([r, s], axis=1), np.stack([k, m], axis=1)))
    return Extremes(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _largest(
    view: MapView,
    points: FloatArray,
    before: FloatArray,
    after: FloatArray,
    start: FloatArray,
    steps: int,
    tolerance: float,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """sigma_max of diag(after) J diag(before) at each point, its residual and the steps taken."""
    finite = np.isfinite(points).all(axis=1, keepdims=True)  # slopes at infinity mean nothing
    with np.errstate(over="ignore", invalid="ignore"):
        return _bidiagonalized(
            lambda v: after * view.jvp(points, before * v),
            lambda u: before * view.vjp(points, after * u),
            np.where(finite, start, np.nan),
            steps,
            tolerance,
        )


def _bidiagonalized(
    product: Product, transposed: Product, start: FloatArray, steps: int, tolerance: float
) -> tuple[FloatArray, FloatArray, IntArray]:
    """For a batch of matrices A, given by v -> A v and u -> A^T u on rows (rows, n), and starts (rows, n), not 0:

    the largest singular value s of B, the residual |A^T u - s v| / s of its vectors, at which a row stops, and the steps
    taken, at most n; NaN where the start or a product was not finite. Memory: 2 rows steps n numbers.
    """
    rows, n = start.shape
    left, right = np.zeros((rows, steps, n)), np.zeros((rows, steps + 1, n))
    bidiagonal = np.zeros((rows, steps, steps))
    values, residuals = np.zeros(rows), np.full(rows, np.inf)
    counts, active, coupling = np.zeros(rows, np.int64), np.ones(rows, bool), np.zeros(rows)
    right[:, 0] = start / _norms(start)[:, None]
    for k in range(steps):
        w = np.asarray(product(right[:, k]), np.float64)
        if k:
            bidiagonal[:, k - 1, k] = coupling
            w = w - coupling[:, None] * left[:, k - 1]
        left[:, k], bidiagonal[:, k, k] = _next(w, left[:, :k])
        w = np.asarray(transposed(left[:, k]), np.float64) - bidiagonal[:, k, k, None] * right[:, k]
        right[:, k + 1], coupling = _next(w, right[:, : k + 1])
        failed = active & ~(np.isfinite(coupling) & np.isfinite(bidiagonal[:, k, k]))
        values[failed], residuals[failed], counts[failed] = np.nan, np.nan, k + 1
        active &= ~failed
        right[failed, k + 1], coupling[failed] = 0.0, 0.0
        value, residual = _ritz(bidiagonal[active, : k + 1, : k + 1], coupling[active])
        values[active], residuals[active], counts[active] = value, residual, k + 1
        enough = k + 1 >= min(_FEWEST, steps)
        active[active] = residual > (tolerance if enough else min(tolerance, _INVARIANT))
        if not active.any():
            break
    return values, residuals, counts


def _next(w: FloatArray, basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """w made orthogonal to the rows of `basis`, twice, as a unit vector, and its length; 0 stays 0."""
    for _ in range(2 if basis.shape[1] else 0):
        w = w - ((basis @ w[:, :, None])[:, :, 0][:, None, :] @ basis)[:, 0]
    length = _norms(w)
    return w / np.where(length == 0, 1.0, length)[:, None], length


def _norms(w: FloatArray) -> FloatArray:
    """2-norms of rows, in units of the largest entry, whose square might overflow."""
    top = np.max(np.abs(w), axis=1)
    unit = np.where(top == 0, 1.0, top)
    return unit * np.sqrt(np.sum((w / unit[:, None]) ** 2, axis=1))


def _ritz(matrices: FloatArray, coupling: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The largest singular value of each bidiagonal matrix, and coupling |p_k| / value."""
    left, values, _ = np.linalg.svd(matrices)
    top = values[:, 0]
    return top, coupling * np.abs(left[:, -1, 0]) / np.where(top == 0, 1.0, top)
