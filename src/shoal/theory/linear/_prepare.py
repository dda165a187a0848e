"""From the user's matrix to the problem that is solved: checked, reordered, det > 0, scaled near determinant one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Kind

EPS = float(np.finfo(np.float64).eps)
NEARLY = 1e-4  # |T^T T - I| up to which T counts as a rotation in low precision


@dataclass(frozen=True, eq=False)
class FactorProblem:
    """`matrix` = exp(-shift) * diag(signs) T in the order (kept, rest), mirrored where the first layer is an upper one.

    `orthogonality`: |matrix^T matrix - I| in the largest entry (shift is 0 where that is small).
    """

    target: FloatArray
    matrix: FloatArray
    signs: FloatArray
    kept: tuple[int, ...]
    first: Kind
    shift: float
    orthogonality: float

    @property
    def p(self) -> int:
        """The size of the part that lower layers keep."""
        n = len(self.matrix)
        return n // 2 if self.first == "lower" else n - n // 2

    @property
    def rotation(self) -> bool:
        """Orthogonal up to rounding."""
        return self.orthogonality <= 1e-13 * len(self.matrix)


def prepare(matrix: Any, kept: Sequence[int] | None, first: Kind) -> FactorProblem:
    """Check the arguments and set the problem up. **Raises:** ValueError that names what was found."""
    target = checked_matrix(matrix)
    n = len(target)
    chosen, _, _ = partition(n, kept, first)
    order = [*chosen, *(i for i in range(n) if i not in set(chosen))]
    inner = target[np.ix_(order, order)]
    exponent = int(np.frexp(np.max(np.abs(inner)))[1])
    scaled = np.ldexp(inner, -exponent)
    away = _orthogonality(inner) if abs(exponent) < 8 else np.inf
    sign, log_det = np.linalg.slogdet(scaled)
    if away > NEARLY:
        values = np.linalg.svd(scaled, compute_uv=False)
        if values[-1] <= values[0] * n * EPS:
            rank = int(np.sum(values > values[0] * n * EPS))
            raise ValueError(
                f"`T` is singular to working precision: numerical rank {rank} of {n} "
                f"(singular values {values[0] * 2.0**exponent:.3g} ... {values[-1] * 2.0**exponent:.3g})."
            )
        exponent += round(log_det / n / np.log(2.0))
    else:
        exponent = 0
    inner = np.ldexp(inner, -exponent)
    signs = np.ones(n)
    if sign < 0:
        signs[order[-1]] = -1.0
        inner[-1] = -inner[-1]
    if first == "upper":
        inner = parts_swapped(inner, n // 2)
    return FactorProblem(target, inner, signs, chosen, first, exponent * float(np.log(2.0)), float(away))


def partition(n: int, kept: Sequence[int] | None, first: Kind) -> tuple[tuple[int, ...], list[int], int]:
    """S, the coordinates in the order of the lower-first problem, and the size of its first part.

    **Raises:** ValueError for a kind of layer that is none, or indices that are not n // 2 distinct ones.
    """
    if first not in ("lower", "upper"):
        raise ValueError(f'`first` must be "lower" or "upper"; got {first!r}.')
    chosen = tuple(range(n // 2)) if kept is None else tuple(int(i) for i in kept)
    if len(set(chosen)) != len(chosen) or len(chosen) != n // 2 or any(not 0 <= i < n for i in chosen):
        raise ValueError(f"`kept` must hold {n // 2} distinct indices in 0 ... {n - 1}; got {chosen}.")
    rest = [i for i in range(n) if i not in set(chosen)]
    return (chosen, [*chosen, *rest], n // 2) if first == "lower" else (chosen, [*rest, *chosen], len(rest))


def checked_matrix(matrix: Any) -> FloatArray:
    """`matrix` as a finite square float64 array. **Raises:** ValueError."""
    array = np.asarray(matrix)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"`T` must hold real numbers; got dtype {array.dtype}.")
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"`T` must be a square matrix; got shape {array.shape}.")
    out = np.array(array, dtype=np.float64)
    if not np.all(np.isfinite(out)):
        row, column = np.argwhere(~np.isfinite(out))[0]
        raise ValueError(f"`T` must be finite; entry ({row}, {column}) is {out[row, column]}.")
    return out


def parts_swapped(matrix: FloatArray, p: int) -> FloatArray:
    """The matrix with the first p coordinates moved behind the others."""
    order = np.r_[p : len(matrix), 0:p]
    return matrix[np.ix_(order, order)]


def _orthogonality(matrix: FloatArray) -> float:
    gram = matrix.T @ matrix
    gram[np.diag_indices_from(gram)] -= 1.0
    return float(np.max(np.abs(gram)))
