"""What `gaussian` and `gaussian_frontier` accept: mean, covariance and number of layers."""

from typing import Any

import numpy as np

from shoal._scalars import FloatArray
from shoal.theory.linear._prepare import EPS

ASYMMETRY = 1e-10  # in units of standard deviations; below, the two triangles are averaged


def check_layers(layers: Any, inner: FloatArray, p: int) -> None:
    """**Raises:** ValueError unless `layers` is 2 or more; for one layer the message says why it can not do."""
    if isinstance(layers, bool) or not isinstance(layers, int) or layers < 1:
        raise ValueError(f"`layers` must be 2 or more; got {layers!r}.")
    if layers == 1:
        off = float(np.max(np.abs(inner[:p, :p] - np.eye(p)), initial=0.0))
        raise ValueError(
            "one layer leaves the coordinates that it keeps standard normal, and theirs have a covariance that differs "
            f"from I by {off:.3g}; use `layers=2` or more."
        )


def checked_gaussian(mean: Any, covariance: Any) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance as float64 arrays. **Raises:** ValueError that names what was found."""
    matrix, shift = np.array(covariance, np.float64), np.array(mean, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"`covariance` must be a square matrix; got shape {matrix.shape}.")
    n = len(matrix)
    if shift.shape != (n,):
        raise ValueError(f"`mean` must have length {n}, as `covariance`; got shape {shift.shape}.")
    for name, array in (("mean", shift), ("covariance", matrix)):
        if not np.all(np.isfinite(array)):
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise ValueError(f"`{name}` must be finite; entry {at} is {array[at]}.")
    variances = np.diag(matrix)
    if not np.all(variances > 0):
        i = int(np.argmin(variances))
        raise ValueError(
            f"`covariance` must be positive definite; the variance of coordinate {i} is {variances[i]:g}."
        )
    scale = np.sqrt(variances)
    correlation = matrix / scale / scale[:, None]
    away = np.abs(correlation - correlation.T)
    if np.max(away) > ASYMMETRY:
        i, j = (int(k) for k in np.unravel_index(np.argmax(away), away.shape))
        raise ValueError(
            f"`covariance` must be symmetric; entries ({i}, {j}) and ({j}, {i}) are {matrix[i, j]!s} and {matrix[j, i]!s}."
        )
    values = np.linalg.eigvalsh((correlation + correlation.T) / 2)
    if values[0] <= n * EPS * values[-1]:
        rank = int(np.sum(values > n * EPS * values[-1]))
        raise ValueError(
            f"`covariance` must be positive definite; its correlation matrix has numerical rank {rank} of {n} "
            f"(eigenvalues {values[0]:.3g} ... {values[-1]:.3g})."
        )
    return shift, (matrix + matrix.T) / 2
