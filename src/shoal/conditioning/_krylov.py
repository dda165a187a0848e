"""Extreme singular values without an n x n matrix: Golub-Kahan-Lanczos bidiagonalization of a map and of its inverse.

J of f at z gives sigma_max; J of f^{-1} at f(z), which is the inverse matrix, gives 1 / sigma_min. Shoal has its own
iteration, in NumPy on the products of `AbstractMap`, since the maps of other libraries are no JAX functions; all points
take a step together. Golub and Kahan (1965), Kuczyński and Woźniakowski (1992).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from shoal._names import Precision
from shoal._scalars import FloatArray, IntArray
from shoal.conditioning._bidiagonal import largest_singular_value
from shoal.conditioning._map import AbstractMap, MapView

_NUMBERS = 1 << 23  # float64 of the Lanczos vectors that are held at a time, over all points of a block


@dataclass(frozen=True)
class Extremes:
    """Both ends of the spectrum at each point; `kinds` says what each figure is.

    `sigma_max`, `sigma_min`, `condition_numbers`: (points,); `residuals`: (points, 2), of the run on f and of that on
    f^{-1}, relative to the singular value; `steps`: (points, 2), what they took. NaN where a product was not finite.
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
    **Raises:** ValueError for arrays of other shapes, a scale that is not positive, `steps` < 1, a negative `tolerance`.
    """
    points = np.asarray(points)
    _check(map.size, points, context, scale, steps, tolerance)
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
    with np.errstate(over="ignore", divide="ignore"):
        return Extremes(top, 1.0 / bottom, top * bottom, residuals, counts)


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
    forward, inverse = (map.at(direction, precision, context) for direction in ("forward", "inverse"))
    ones = np.ones_like(units)
    sides = ((forward, points, ones, 1.0 / units), (inverse, forward(points), units, ones))
    for side, start in zip(sides, starts, strict=True):
        found.append(_largest(*side, start, steps, tolerance))
    (top, r, k), (bottom, s, m) = found
    return top, bottom, np.stack([r, s], axis=1), np.stack([k, m], axis=1)


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
    return largest_singular_value(
        lambda v: after * view.jvp(points, before * v),
        lambda u: before * view.vjp(points, after * u),
        np.where(finite, start, np.nan),
        steps=steps,
        tolerance=tolerance,
    )


def _check(size: int, points, context, scale, steps: int, tolerance: float) -> None:
    if points.ndim != 2 or points.shape[1] != size:
        raise ValueError(f"`points` must be of shape (rows, {size}); got {points.shape}.")
    if context is not None and len(context) != len(points):
        raise ValueError(f"`context` needs a row for each of {len(points)} points; got {len(context)}.")
    if scale is not None:
        values = np.asarray(scale)
        if values.shape != (size,) or not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"`scale` must hold {size} positive, finite numbers; got {scale}.")
    if steps < 1:
        raise ValueError(f"`steps` must be at least 1; got {steps}.")
    if not (tolerance >= 0 and math.isfinite(tolerance)):
        raise ValueError(f"`tolerance` must be a finite number of at least 0; got {tolerance}.")
