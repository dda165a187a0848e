"""Golub-Kahan-Lanczos bidiagonalization of a batch of matrices that are known by their products alone.

A V = U B with orthonormal U, V, reorthogonalized against all vectors twice a step, and B upper bidiagonal: the largest
singular value of B rises to that of A from below. Golub and Kahan (1965); Simon and Zha (2000) on reorthogonalization.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from shoal._scalars import FloatArray, IntArray

_FEWEST = 8  # steps before a small residual counts: in n = 3,072 coordinates a start has 2 % of the vector that is sought
_INVARIANT = 1e-10  # a residual at which the vectors so far span all that the start reaches
Product: TypeAlias = Callable[[FloatArray], FloatArray]


def largest_singular_value(
    product: Product, transposed: Product, start: FloatArray, *, steps: int, tolerance: float
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Golub-Kahan-Lanczos on a batch of matrices A given by v -> A v and u -> A^T u on rows (rows, n).

    **Arguments:** `start`: (rows, n), not 0; `steps`: at most n; `tolerance`: of the residual, where a row stops.
    **Returns:** for each row the largest singular value s of B (a lower bound of sigma_max(A)), the residual
    |A^T u - s v| / s of its vectors u, v, and the steps taken; NaN where the start or a product was not finite. Memory:
    2 rows steps n numbers.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _run(product, transposed, start, steps, tolerance)


def _run(
    product: Product, transposed: Product, start: FloatArray, steps: int, tolerance: float
) -> tuple[FloatArray, FloatArray, IntArray]:
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
