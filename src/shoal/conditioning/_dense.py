"""Exact singular values of Jacobians, one n x n matrix a point, and the condition numbers that follow.

kappa = sigma_max / sigma_min (2-norm). A kappa above 1 / eps of the precision that it was computed in says only that
the matrix is singular to that precision: it is counted as `unresolved`, not quoted.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from shoal._names import Precision
from shoal._scalars import FloatArray
from shoal.conditioning._precision import resolved
from shoal.records.figures import ConditionSummary

_LARGE = 1 << 22  # rows x n^3 from which on decompositions run side by side


def singular_values(jacobian: FloatArray) -> FloatArray:
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


def inverse_singular_values(jacobian: FloatArray) -> FloatArray:
    """Singular values, descending, of the inverses of a stack of matrices: inf where a matrix is singular."""
    with np.errstate(divide="ignore"):
        return 1.0 / singular_values(jacobian)[:, ::-1]


def condition_numbers(values: FloatArray) -> FloatArray:
    """sigma_max / sigma_min of each row of descending singular values; inf where sigma_min = 0, NaN stays NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values[:, -1] == 0, np.inf, values[:, 0] / values[:, -1])


def order_statistics(values: FloatArray, *levels: float) -> list[float]:
    """The quantiles at `levels`, of two neighbours the larger one; NaN counts as the largest and comes back as NaN."""
    ordered = np.sort(values)
    return [float(ordered[int(np.ceil(level * (len(ordered) - 1)))]) for level in levels]


def summarize(kappa: FloatArray, *, precision: Precision = "float64") -> ConditionSummary:
    """Median, 99 % quantile, maximum. Unresolved points (NaN, or above 1/eps) count as infinitely ill-conditioned."""
    if kappa.size == 0:
        raise ValueError("`summarize` needs at least one condition number.")
    unresolved = ~(kappa <= resolved(precision))
    median, q99, largest = order_statistics(np.where(unresolved, np.inf, kappa), 0.5, 0.99, 1.0)
    return ConditionSummary(median, q99, largest, int(unresolved.sum()))
