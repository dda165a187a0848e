"""From what the user gives to the problem that is solved.

A matrix is checked, reordered, given det > 0 and scaled near determinant one; a Gaussian's mean and covariance are checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Kind

EPS = float(np.finfo(np.float64).eps)
ASYMMETRY = 1e-10  # of a covariance, in standard deviations; below, the two triangles are averaged
SMALLEST = 2.0**-1031  # numbers below lie further apart than 1e-13 of themselves
ROUNDS = 60  # of equilibration; each halves what a row or column is away from 1
NEARLY = 1e-4  # |T^T T - I| up to which T counts as a rotation in low precision


@dataclass(frozen=True, eq=False)
class FactorProblem:
    """`matrix` = exp(-shift) * diag(signs) T in the order (kept, rest), mirrored where the first layer is an upper one.

    `orthogonality`: |matrix^T matrix - I| in the largest entry (shift is 0 where that is small). `scales`: None, or for a
    badly scaled T powers of two (left, right) with diag(signs) T = exp(shift) diag(left) matrix diag(right).
    """

    target: FloatArray
    matrix: FloatArray
    signs: FloatArray
    kept: tuple[int, ...]
    first: Kind
    shift: float
    orthogonality: float
    scales: tuple[FloatArray, FloatArray] | None = None

    @property
    def p(self) -> int:
        """The size of the part that lower layers keep."""
        n = len(self.matrix)
        return n // 2 if self.first == "lower" else n - n // 2

    @property
    def rotation(self) -> bool:
        """Orthogonal up to rounding."""
        return self.orthogonality <= 1e-13 * len(self.matrix)

    def inner(self) -> FloatArray:
        """diag(signs) T in the order of `matrix`, entry by entry as given: what exact certificates speak of."""
        _, order, _ = partition(len(self.target), self.kept, self.first)
        return (self.signs[:, None] * self.target)[np.ix_(order, order)]

    def singular_values(self) -> FloatArray:
        """Those of T, descending; of a badly scaled T the first and the last, which is 1 / |T^{-1}|."""
        values = np.linalg.svd(self.target, compute_uv=False)
        if self.scales is None:
            return values
        left, right = self.scales
        inverse = np.linalg.inv(self.matrix) / left / right[:, None]
        return np.array([values[0], np.exp(self.shift) / np.linalg.norm(inverse, 2)])


def prepare(matrix: object, kept: Sequence[int] | None, first: Kind) -> FactorProblem:
    """Check the arguments and set the problem up. **Raises:** InputError that names what was found."""
    target = checked_matrix(matrix)
    n = len(target)
    chosen, order, p = partition(n, kept, first)
    inner = target[np.ix_(order, order)]
    largest = float(np.max(np.abs(inner)))
    if 0.0 < largest < SMALLEST and n > 1:
        raise InputError(
            f"`T` is too small for float64: its largest entry, {largest:.3g}, has lost digits; scale it."
        )
    exponent = int(np.frexp(largest)[1])
    scaled, scales = np.ldexp(inner, -exponent), None
    away = np.max(np.abs(inner.T @ inner - np.eye(n))) if abs(exponent) < 8 else np.inf
    if away > NEARLY:
        if _rank(scaled) < n:  # it may only be badly scaled, as [[1, 1e12], [0, 1]]
            values = np.linalg.svd(scaled, compute_uv=False)
            scaled, scales = equilibrated(inner)
            rank, top, exponent = _rank(scaled), exponent, 0
            if rank < n:
                raise InputError(
                    f"`T` is singular to working precision: numerical rank {rank} of {n}, however rows and columns are "
                    f"scaled (singular values {np.ldexp(values[0], top):.3g} ... {np.ldexp(values[-1], top):.3g})."
                )
        sign, log_det = np.linalg.slogdet(scaled)
        more = round(log_det / n / np.log(2.0))
        inner, exponent = np.ldexp(scaled, -more), exponent + more
    else:
        sign, exponent = np.linalg.slogdet(inner)[0], 0
    signs = np.ones(n)
    if sign < 0:
        last = n - 1 if first == "lower" else p - 1  # of those that are not kept
        signs[order[last]] = -1.0
        inner[last] = -inner[last]
    return FactorProblem(
        target, inner, signs, chosen, first, exponent * float(np.log(2.0)), float(away), scales
    )


def _rank(matrix: FloatArray) -> int:
    values = np.linalg.svd(matrix, compute_uv=False)
    return int(np.sum(values > values[0] * len(matrix) * EPS))


def equilibrated(matrix: FloatArray) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """A with rows and columns whose largest entries are near 1, and (l, r), powers of two: matrix = diag(l) A diag(r).

    Rows and columns are divided in turn by the roots of their largest entries (Ruiz 2001), which converges fast.
    """
    left, right = np.zeros(len(matrix)), np.zeros(len(matrix))  # exponents of two
    with np.errstate(divide="ignore"):
        sizes = np.log2(np.abs(matrix))
    for _ in range(ROUNDS):
        now = sizes - left[:, None] - right
        rows, columns = np.max(now, axis=1), np.max(now, axis=0)
        left += np.where(np.isfinite(rows), rows, 0.0) / 2
        right += np.where(np.isfinite(columns), columns, 0.0) / 2
    whole = np.rint(left).astype(int), np.rint(right).astype(int)
    out = np.ldexp(np.ldexp(matrix, -whole[0][:, None]), -whole[1])
    return out, (np.ldexp(1.0, whole[0]), np.ldexp(1.0, whole[1]))


def partition(n: int, kept: Sequence[int] | None, first: Kind) -> tuple[tuple[int, ...], list[int], int]:
    """S, the coordinates in the order of the lower-first problem, and the size of its first part.

    **Raises:** InputError for a kind of layer that is none, or indices that are not n // 2 distinct ones.
    """
    if first not in ("lower", "upper"):
        raise InputError(f'`first` must be "lower" or "upper"; got {first!r}.')
    chosen = tuple(range(n // 2)) if kept is None else tuple(int(i) for i in kept)
    if len(set(chosen)) != len(chosen) or len(chosen) != n // 2 or any(not 0 <= i < n for i in chosen):
        raise InputError(f"`kept` must hold {n // 2} distinct indices in 0 ... {n - 1}; got {chosen}.")
    rest = [i for i in range(n) if i not in set(chosen)]
    return (chosen, [*chosen, *rest], n // 2) if first == "lower" else (chosen, [*rest, *chosen], len(rest))


def checked_matrix(matrix: object) -> FloatArray:
    """`matrix` as a finite square float64 array. **Raises:** InputError."""
    array = np.asarray(matrix)
    if array.dtype.kind not in "fiub":
        raise InputError(f"`T` must hold real numbers; got dtype {array.dtype}.")
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise InputError(f"`T` must be a square matrix; got shape {array.shape}.")
    out = np.array(array, dtype=np.float64)
    if not np.all(np.isfinite(out)):
        row, column = np.argwhere(~np.isfinite(out))[0]
        raise InputError(f"`T` must be finite; entry ({row}, {column}) is {out[row, column]}.")
    return out


def parts_swapped(matrix: FloatArray, p: int) -> FloatArray:
    """The matrix with the first p coordinates moved behind the others."""
    order = np.r_[p : len(matrix), 0:p]
    return matrix[np.ix_(order, order)]


def checked_gaussian(mean: object, covariance: object) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance as float64 arrays. **Raises:** InputError that names what was found."""
    matrix, shift = np.array(covariance, np.float64), np.array(mean, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise InputError(f"`covariance` must be a square matrix; got shape {matrix.shape}.")
    n = len(matrix)
    if shift.shape != (n,):
        raise InputError(f"`mean` must have length {n}, as `covariance`; got shape {shift.shape}.")
    for name, array in (("mean", shift), ("covariance", matrix)):
        if not np.all(np.isfinite(array)):
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise InputError(f"`{name}` must be finite; entry {at} is {array[at]}.")
    variances = np.diag(matrix)
    if not np.all(variances > 0):
        i = int(np.argmin(variances))
        raise InputError(
            f"`covariance` must be positive definite; the variance of coordinate {i} is {variances[i]:g}."
        )
    scale = np.sqrt(variances)
    correlation = matrix / scale / scale[:, None]
    away = np.abs(correlation - correlation.T)
    if np.max(away) > ASYMMETRY:
        i, j = (int(k) for k in np.unravel_index(np.argmax(away), away.shape))
        raise InputError(
            f"`covariance` must be symmetric; entries ({i}, {j}) and ({j}, {i}) are {matrix[i, j]!s} and {matrix[j, i]!s}."
        )
    values = np.linalg.eigvalsh((correlation + correlation.T) / 2)
    if values[0] <= n * EPS * values[-1]:
        rank = int(np.sum(values > n * EPS * values[-1]))
        raise InputError(
            f"`covariance` must be positive definite; its correlation matrix has numerical rank {rank} of {n} "
            f"(eigenvalues {values[0]:.3g} ... {values[-1]:.3g})."
        )
    return shift, (matrix + matrix.T) / 2


def check_layers(layers: object, inner: FloatArray, p: int) -> None:
    """**Raises:** InputError unless `layers` is 2 or more; for one layer the message says why it can not do."""
    if isinstance(layers, bool) or not isinstance(layers, int) or layers < 1:
        raise InputError(f"`layers` must be 2 or more; got {layers!r}.")
    if layers == 1:
        off = float(np.max(np.abs(inner[:p, :p] - np.eye(p)), initial=0.0))
        raise InputError(
            "one layer leaves the coordinates that it keeps standard normal, and theirs have a covariance that differs "
            f"from I by {off:.3g}; use `layers=2` or more."
        )
