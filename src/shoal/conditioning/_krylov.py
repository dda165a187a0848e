"""Extreme singular values without an n x n matrix: Golub-Kahan-Lanczos bidiagonalization of a map and of its inverse.

J of f at z gives sigma_max; J of f^{-1} at f(z), which is the inverse matrix, gives 1 / sigma_min. Written on the products
of `AbstractMap` in NumPy, since foreign maps are no JAX functions; all points take a step together. Golub and Kahan (1965),
Kuczyński and Woźniakowski (1992).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from shoal._scalars import FloatArray, IntArray
from shoal.conditioning._map import AbstractMap, Direction
from shoal.conditioning._precision import Precision

_NUMBERS = 1 << 23  # float64 of the Lanczos vectors that are held at a time, over all points of a block
Product = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Extremes:
    """Both ends of the spectrum at each point; `kinds` says what each figure is.

    `sigma_max`, `sigma_min`, `condition_numbers`: (points,); `residuals`: (points, 2), of the run on f and of that on f^{-1},
    relative to the singular value; `steps`: (points, 2), the steps that they took. NaN where a product was not finite.
    """

    sigma_max: FloatArray
    sigma_min: FloatArray
    condition_numbers: FloatArray
    residuals: FloatArray
    steps: IntArray
    kinds: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "sigma_max": "lower_bound",
            "sigma_min": "upper_bound",
            "condition_numbers": "lower_bound",
            "residuals": "estimate",
        }
    )


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

    After k steps J V = U B, U and V orthonormal (reorthogonalized twice a step), B k x k bidiagonal; its largest singular
    value is at most sigma_max(J). With r = beta_k |p_k| / sigma, beta_k the last coupling and p the left vector of B, some
    singular value of J lies within r sigma of it: a run ends at r <= `tolerance`, an estimate that convergence is not to a
    lower one. A priori, whatever the spectrum, for a start drawn at random the squared value is too small by more than a
    share e with probability at most 1.648 sqrt(n) exp(-sqrt(e) (2k - 1)): for 1 % of sigma, n = 3072, k = 60, that is 5e-6.

    **Arguments:** `points`: latents z, (rows, n); `context`: (rows, c) or None; `scale`: (n,), the unit of each coordinate of
    x, so that the spectrum is that of diag(1/scale) J (None: ones); `steps`: at most so many products with J and as many
    with J^T in each direction; `tolerance`: of the relative residual; `seed`: of the start, one vector for all points, so
    that a point's figures depend on no other point; `precision`: of the products (the recursion is in float64).
    **Returns:** `Extremes`: bounds in exact arithmetic, and up to rounding of order eps kappa. Memory: 2 steps numbers for
    each coordinate of a point, in blocks of points.
    **Raises:** ValueError for arrays of other shapes, a scale that is not positive, `steps` < 1, a negative `tolerance`.
    """
    points = np.asarray(points)
    _check(map, points, context, scale, steps, tolerance)
    units = np.ones(map.size) if scale is None else np.asarray(scale, np.float64)
    rng = np.random.default_rng(seed)
    starts = rng.standard_normal((2, map.size))
    steps = min(steps, map.size)
    block = max(1, _NUMBERS // (2 * map.size * (steps + 1)))
    parts = []
    for i in range(0, max(len(points), 1), block):
        c = None if context is None else context[i : i + block]
        parts.append(_block(map, points[i : i + block], c, units, starts, steps, tolerance, precision))
    top, bottom, residuals, counts = (np.concatenate(p) for p in zip(*parts, strict=True))
    with np.errstate(over="ignore"):
        return Extremes(top, 1.0 / bottom, top * bottom, residuals, counts)


def largest_singular_value(
    product: Product, transposed: Product, start: FloatArray, *, steps: int, tolerance: float
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Golub-Kahan-Lanczos on a batch of matrices A given by v -> A v and u -> A^T u on rows (rows, n).

    **Arguments:** `start`: (rows, n), not 0; `steps`: at most n. **Returns:** for each row the largest singular value of B (a
    lower bound of sigma_max(A)), its relative residual and the steps taken; NaN from the first product that is not finite.
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
        active[active] = residual > tolerance
        if not active.any():
            break
    return values, residuals, counts


def _block(
    map: AbstractMap,
    points: FloatArray,
    context: FloatArray | None,
    units: FloatArray,
    starts: FloatArray,
    steps: int,
    tolerance: float,
    precision: Precision,
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """sigma_max, 1 / sigma_min, residuals and steps of some points."""
    found = []
    sides: tuple[tuple[Direction, FloatArray, FloatArray, FloatArray], ...] = (
        ("forward", points, np.ones_like(units), 1.0 / units),
        ("inverse", map.forward(points, context, precision=precision), units, np.ones_like(units)),
    )
    for (direction, at, before, after), start in zip(sides, starts, strict=True):

        def product(v, direction=direction, at=at, before=before, after=after):
            return after * map.jvp(at, before * v, context, direction=direction, precision=precision)

        def transposed(u, direction=direction, at=at, before=before, after=after):
            return before * map.vjp(at, after * u, context, direction=direction, precision=precision)

        rows = np.broadcast_to(start, points.shape)
        found.append(largest_singular_value(product, transposed, rows, steps=steps, tolerance=tolerance))
    (top, r, k), (bottom, s, m) = found
    return top, bottom, np.stack([r, s], axis=1), np.stack([k, m], axis=1)


def _next(w: FloatArray, basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """w made orthogonal to the rows of `basis`, twice, as a unit vector, and its length; 0 stays 0."""
    with np.errstate(over="ignore", invalid="ignore"):
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


def _check(map: AbstractMap, points, context, scale, steps: int, tolerance: float) -> None:
    if points.ndim != 2 or points.shape[1] != map.size:
        raise ValueError(f"`points` must be of shape (rows, {map.size}); got {points.shape}.")
    if context is not None and len(context) != len(points):
        raise ValueError(f"`context` needs a row for each of {len(points)} points; got {len(context)}.")
    if scale is not None:
        values = np.asarray(scale)
        if values.shape != (map.size,) or not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"`scale` must hold {map.size} positive, finite numbers; got {scale}.")
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1; got {steps}.")
    if not (tolerance >= 0 and math.isfinite(tolerance)):
        raise ValueError(f"`tolerance` must be a finite number of at least 0; got {tolerance}.")
