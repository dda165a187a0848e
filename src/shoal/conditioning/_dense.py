"""Exact singular values of Jacobians, one n x n matrix a point, and the condition numbers that follow.

kappa = sigma_max / sigma_min (2-norm). A kappa above 1 / eps of the precision that it was computed in says only that
the matrix is singular to that precision: it is counted as `unresolved`, not quoted.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from shoal._compiling import quickly
from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.conditioning._precision import Precision, compute
from shoal.records.figures import ConditionSummary

_CHUNK = 1024  # points a compiled call
_LARGE = 1 << 22  # rows x n^3 from which on decompositions run side by side


def jacobians(
    function: Callable, x: FloatArray, context: FloatArray | None = None, *, precision: Precision = "float64"
) -> FloatArray:
    """The Jacobian of an unbatched map R^n -> R^n at every row of `x`, shape (rows, n, n).

    **Arguments:** `function(x, context)`: an Equinox module or a bound method of one, such as `bijection.inverse`;
    `x`: (rows, n); `context`: (rows, c) or None. Forward-mode, in chunks, on a copy in `precision`.
    """
    x = np.asarray(x)
    if x.ndim != 2:
        raise ValueError(f"`x` must have shape (rows, n); got {x.shape}.")
    parts = [
        compute(_jacobian_rows, function, *padded, precision=precision)[:rows]
        for padded, rows in _chunks(x, context)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, x.shape[1], x.shape[1]))


def singular_values(
    function: Callable, x: FloatArray, context: FloatArray | None = None, *, precision: Precision = "float64"
) -> FloatArray:
    """Singular values of the Jacobian at every row, descending, shape (rows, n); rows that are not finite give NaN."""
    return jacobian_singular_values(jacobians(function, x, context, precision=precision))


def jacobian_singular_values(jacobian: FloatArray) -> FloatArray:
    """Singular values, descending, of a stack of matrices (rows, n, n); NaN where a matrix is not finite."""
    values = np.full(jacobian.shape[:2], np.nan)
    finite = np.isfinite(jacobian).all(axis=(1, 2))
    rows = np.flatnonzero(finite)
    parts = (
        np.array_split(rows, min(len(rows), os.cpu_count() or 1))
        if len(rows) * jacobian.shape[1] ** 3 > _LARGE
        else [rows]
    )
    with ThreadPoolExecutor(len(parts)) as pool:  # NumPy lets go of the interpreter inside
        found = pool.map(lambda part: np.linalg.svd(jacobian[part], compute_uv=False), parts)
        for part, value in zip(parts, found, strict=True):
            values[part] = value
    return values


def condition_numbers(values: FloatArray) -> FloatArray:
    """sigma_max / sigma_min of each row of descending singular values; inf where sigma_min = 0, NaN stays NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values[:, -1] == 0, np.inf, values[:, 0] / values[:, -1])


def summarize(kappa: FloatArray, *, precision: Precision = "float64") -> ConditionSummary:
    """Median, 99 % quantile, maximum. Unresolved points (NaN, or above 1/eps) count as infinitely ill-conditioned."""
    if kappa.size == 0:
        raise ValueError("`summarize` needs at least one condition number.")
    unresolved = ~(kappa <= 1.0 / np.finfo(precision).eps)
    known = np.where(unresolved, np.inf, kappa)
    median, q99 = np.quantile(known, [0.5, 0.99], method="higher")
    return ConditionSummary(float(median), float(q99), float(known.max()), int(unresolved.sum()))


@quickly
def _jacobian_rows(function: Callable, x: Array, context: Array | None) -> Array:
    one = lambda v, c: jax.jacfwd(lambda u: function(u, c))(v)  # noqa: E731
    return jax.vmap(one, in_axes=(0, None if context is None else 0))(jnp.asarray(x), context)


def _chunks(x: FloatArray, context: FloatArray | None):
    """((rows padded to one size, context likewise), count of true rows), so that one program serves all."""
    size = min(_CHUNK, x.shape[0])
    for start in range(0, x.shape[0], max(size, 1)):
        part = x[start : start + size]
        index = np.minimum(np.arange(size), len(part) - 1)
        c = None if context is None else np.asarray(context)[start : start + size][index]
        yield (part[index], c), len(part)
