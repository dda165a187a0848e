"""(J J^T)^{-1} for the equations of `_shears.py`: a Cholesky factor where that is cheap, else conjugate gradients.

Up to `EXACT` equations a point gets a float64 factor, and a solve is two triangular ones. Beyond, a factor (n^6 / 12
operations) costs far more than products with J J^T (n^3 each): conjugate gradients, preconditioned by one Kronecker
product a part from the Gram matrices of rows and columns. Where these do not converge, up to `DENSE` equations, a
factor is taken after all.
"""

from collections.abc import Callable

import numpy as np
import scipy.linalg

from shoal._scalars import FloatArray
from shoal.theory.linear._shears import Linearization, kron_sum, off_diagonal

EXACT = 700  # equations up to which every point has its own factor (n = 38)
DENSE = 9_000  # equations up to which a factor is taken where the iteration fails (n = 134, 0.6 GB)
Apply = Callable[[FloatArray], FloatArray]


class Normal:
    """J J^T at one point, as something that solves."""

    def __init__(self, line: Linearization):
        self.line = line
        self.factored = line.equations <= EXACT
        self.apply: Apply | None = _factor(line) if self.factored else _kronecker(line)

    def solve(self, r: FloatArray, tolerance: float = 1e-6) -> FloatArray | None:
        """x with |J J^T x - r| <= tolerance |r|; None where that is not reached."""
        if self.apply is None or self.factored:
            return None if self.apply is None else self.apply(r)
        x = self._iterate(r, self.apply, tolerance)
        if x is None and self.line.equations <= DENSE:
            self.factored, self.apply = True, _factor(self.line)
            return None if self.apply is None else self.apply(r)
        return x

    def _iterate(self, r: FloatArray, apply: Apply, tolerance: float) -> FloatArray | None:
        """Preconditioned conjugate gradients from zero."""
        wanted = tolerance * float(np.linalg.norm(r))
        x, left = np.zeros_like(r), r.copy()
        direction = z = apply(left)
        rho = float(left @ z)
        for _ in range(max(200, self.line.equations // 6)):  # about the price of a factor
            if np.linalg.norm(left) <= wanted:
                return x
            moved = self.line.push(self.line.pull(direction))
            curvature = float(direction @ moved)
            if not (curvature > 0 and np.isfinite(curvature)):
                return None
            x += (rho / curvature) * direction
            left -= (rho / curvature) * moved
            z = apply(left)
            rho, before = float(left @ z), rho
            direction = z + (rho / before) * direction
        return None


def _factor(line: Linearization) -> Apply | None:
    """A Cholesky factor of J J^T plus a small multiple of the identity, raised until there is one."""
    p, q = line.target.p, line.target.q
    first, second = line.parts()
    normal = np.empty((p * p + q * q,) * 2)
    normal[: p * p, : p * p] = kron_sum(first, first)
    normal[p * p :, p * p :] = kron_sum(second, second)
    normal[: p * p, p * p :] = kron_sum(first, second)
    normal[p * p :, : p * p] = normal[: p * p, p * p :].T
    keep = np.concatenate([off_diagonal(p).ravel(), off_diagonal(q).ravel()])
    normal = normal[np.ix_(keep, keep)]
    mean = float(np.trace(normal)) / max(len(normal), 1)
    for attempt in range(5):
        shifted = normal.copy()
        shifted[np.diag_indices_from(shifted)] += 1e-14 * mean * 100.0**attempt
        try:
            factor = scipy.linalg.cho_factor(shifted, lower=True, overwrite_a=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        return lambda r: scipy.linalg.cho_solve(factor, r, check_finite=False)
    return None


def _kronecker(line: Linearization) -> Apply:
    """r -> R^{-1} r C^{-1} for each part's matrix of equations, R and C the sums of row and column Gram matrices."""
    sides: list[tuple[FloatArray, FloatArray]] = []
    for part in line.parts():
        total = sum(float(np.sum(x * x)) * float(np.sum(y * y)) for x, y in part)
        rows = np.sum([x @ x.T * np.sum(y * y) for x, y in part], axis=0)
        columns = np.sum([y.T @ y * np.sum(x * x) for x, y in part], axis=0)
        sides.append((np.linalg.inv(rows), total * np.linalg.inv(columns)))
    sizes = (line.target.p, line.target.q)

    def apply(r: FloatArray) -> FloatArray:
        out: list[FloatArray] = []
        parts = np.split(r, [sizes[0] * (sizes[0] - 1)])
        for values, size, (left, right) in zip(parts, sizes, sides, strict=True):
            full = np.zeros((size, size))
            full[off_diagonal(size)] = values
            out.append((left @ full @ right)[off_diagonal(size)])
        return np.concatenate(out)

    return apply
