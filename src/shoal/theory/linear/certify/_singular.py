"""Rigorous lower bounds of the least singular value of J, the Jacobian of a product of layers by blocks and scales.

J takes (dA_i, dσ_i) to sum_i P_i [dA_i, diag(w_i dσ_i)] S_i, P_i and S_i the products of the layers before and after i,
w_i the units in which the scales are measured: powers of two.
Both bounds rest on one fact: L L^T is positive semidefinite for *every* matrix L. So λmin(N) >= c - |N - c I - L L^T| for
symmetric N, and L may come from any Cholesky routine: only the product L L^T has to be enclosed, in ball arithmetic
(`by_balls`) or in float64 with a bound on its rounding errors (`by_rounding`). Compare Rump 2006, which trusts the routine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from shoal._scalars import FloatArray
from shoal.theory.linear.certify._balls import BallLayer, balls, centres, frobenius, load_flint

UNIT = 2.0**-53  # a float64 operation's relative error
UNDERFLOW = 2.0**-800  # more than all underflows together, for entries within LARGE
LARGE = 2.0**60
CHUNK = 64  # columns of L a product: its sums are that short, which keeps the error bound small
SHIFT = 0.9


@dataclass(frozen=True, eq=False)
class Around:
    """A layer with P and S, the (n, n) products of the layers before and after it, in balls."""

    layer: BallLayer
    before: Any
    after: Any


def by_balls(around: Sequence[Around]) -> Any:
    """A lower bound of σmin(J), 0 where none is found; N = J J^T in balls. For n <= 24: N is (n^2, n^2)."""
    flint, n = load_flint(), around[0].layer.n
    unknowns: list[Any] = []
    count = 0
    for item in around:
        before, after = item.before.transpose().tolist(), item.after.tolist()
        for a, unit in zip(item.layer.moved, item.layer.units, strict=True):
            after[a] = [unit * y for y in after[a]]
            for b in (*item.layer.kept, a):
                unknowns.extend(x * y for x in before[a] for y in after[b])
                count += 1
    jacobian = flint.arb_mat(count, n * n, unknowns)
    normal = jacobian.transpose() * jacobian
    rounded = centres(normal)
    if not np.all(np.isfinite(rounded)):
        return flint.arb(0)
    shift = SHIFT * float(scipy.linalg.eigvalsh(rounded, subset_by_index=[0, 0])[0])
    lower = _cholesky(rounded, shift)
    if lower is None:
        return flint.arb(0)
    root = balls(lower)
    for i in range(n * n):
        normal[i, i] = normal[i, i] - shift
    return _root(shift - frobenius(normal - root * root.transpose()))


def by_rounding(around: Sequence[Around]) -> Any:
    """A lower bound of σmin(J), 0 where none is found; N in float64 with all rounding errors bounded. For n <= 64.

    P and S are rounded to float64: a Jacobian J' with |J - J'|_2^2 <= sum_i (|P - P'| |S| + |P'| |S - S'|)^2.
    Each entry of N' = J' J'^T is a sum of products of four floats; with at most k roundings on any of them its error is
    at most γ_k = k u / (1 - k u) times the same sum of absolute values, in any order of summation (Higham 2002, 3.1).
    The sum of absolute values is an entry of |J'| |J'|^T, whose 2-norm is at most |J'|_F^2: for the blocks that is the sum
    of |P'|_F^2 |S'|_F^2 over the columns and rows in use.
    """
    arb = load_flint().arb
    n, m = around[0].layer.n, len(around)
    apart, error, grams, others, diagonals = arb(0), arb(UNDERFLOW), [], [], []
    for item in around:
        p, s = centres(item.before), centres(item.after)
        if not max(np.max(np.abs(p)), np.max(np.abs(s))) <= LARGE:
            return arb(0)
        apart += (
            frobenius(item.before - balls(p)) * frobenius(item.after)
            + frobenius(balls(p)) * frobenius(item.after - balls(s))
        ) ** 2
        moved, kept = item.layer.moved, item.layer.kept
        left, right, own = p[:, moved], s[kept], np.array(item.layer.units)[:, None] * s[moved]
        grams.append((left @ left.T).ravel())
        others.append((right.T @ right).ravel())
        diagonals.append((left[:, None, :] * own.T[None, :, :]).reshape(n * n, len(moved)))
        error += _gamma(2 * n + m + 2) * (frobenius(balls(left)) * frobenius(balls(right))) ** 2
        error += _gamma(m * n + 8) * frobenius(balls(diagonals[-1])) ** 2
    product = (np.stack(grams).T @ np.stack(others)).reshape(n, n, n, n)
    normal = product.transpose(0, 2, 1, 3).reshape(n * n, n * n).T  # columns first, for LAPACK
    del product
    columns = np.concatenate(diagonals, axis=1)
    normal += columns @ columns.T
    least = _least_eigenvalue(normal)
    lower = _cholesky(normal, SHIFT * least)
    if lower is None:
        return arb(0)
    shift = SHIFT * least
    bound = arb(shift) - error - _distance(normal, shift, lower)
    return _root(bound, apart.sqrt())


def _distance(normal: FloatArray, shift: float, lower: FloatArray) -> Any:
    """An upper bound of |N - c I - L L^T|_F, N the symmetric matrix with this lower triangle. Overwrites N.

    N - c I is reduced by CHUNK columns of L at a time: an entry sees at most CHUNK + size / CHUNK + 2 roundings, each
    relative to a partial sum within |N| + c + |L| |L|^T.
    """
    size = len(normal)
    balanced = np.sqrt(2.0) * np.linalg.norm(np.tril(normal)) + shift * size**0.5 + np.linalg.norm(lower) ** 2
    normal[np.diag_indices(size)] -= shift
    (syrk,) = scipy.linalg.get_blas_funcs(("syrk",), (normal,))
    for start in range(0, size, CHUNK):
        part = lower[:, start : start + CHUNK]
        normal = syrk(-1.0, part, beta=1.0, c=normal, lower=1, overwrite_c=1)
    off = np.sqrt(2.0) * np.linalg.norm(np.tril(normal))
    steps = CHUNK + size // CHUNK + 3
    inflate = 1.0 + (4.0 * size * size + 64.0) * UNIT  # the norms' own rounding errors
    arb = load_flint().arb
    return (arb(float(off)) + _gamma(steps) * arb(float(balanced))) * arb(inflate) + arb(UNDERFLOW)


def _least_eigenvalue(normal: FloatArray) -> float:
    """An estimate, by inverse iteration; it needs not be right. 0 where N is not positive definite."""
    factor = _cholesky(normal, 0.0)
    if factor is None:
        return 0.0
    vector = np.random.default_rng(0).normal(size=len(normal))
    size = 1.0
    for _ in range(12):
        vector /= np.linalg.norm(vector)
        vector = scipy.linalg.cho_solve((factor, True), vector, check_finite=False)
        size = float(np.linalg.norm(vector))
    return 1.0 / size


def _cholesky(matrix: FloatArray, shift: float) -> FloatArray | None:
    """L with L L^T near matrix - shift I, or None."""
    moved = matrix.copy(order="F")
    moved[np.diag_indices(len(moved))] -= shift
    try:
        return scipy.linalg.cholesky(moved, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None


def _gamma(k: int) -> Any:
    ku = load_flint().arb(k) * UNIT
    return ku / (1 - ku)


def _root(square: Any, less: Any = 0) -> Any:
    """sqrt(square) - less, from below, or 0."""
    if not square > 0:
        return load_flint().arb(0)
    root = (square.sqrt() - less).lower()
    return root if root > 0 else load_flint().arb(0)
