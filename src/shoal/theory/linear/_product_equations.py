"""The equations of `_shears.py` at a point, as `_search.py` takes them, and J J^T as something that solves.

Up to `EXACT` equations a point gets a float64 Cholesky factor, and a solve is two triangular ones. Beyond, a factor
(n^6 / 12 operations) costs far more than products with J J^T (n^3 each): conjugate gradients, preconditioned by one
Kronecker product a part from the Gram matrices of rows and columns. Where these do not converge, up to `DENSE` equations,
a factor is taken after all.
"""

from functools import cached_property

import numpy as np

from shoal._scalars import FloatArray
from shoal.theory.linear._gauge import Assembly, assemble, pulled_back
from shoal.theory.linear._layer import Layer
from shoal.theory.linear._search import DAMPING, Point, Solver, cholesky_solver
from shoal.theory.linear._shears import Linearization, Target, equations, kron_sum, middle, off_diagonal

EXACT = 700  # equations up to which every point has its own factor (n = 38)
DENSE = 9_000  # equations up to which a factor is taken where the iteration fails (n = 134, 0.6 GB)


class ProductEquations:
    """The products of layers that are T, at a point. `measured`: T in extended precision, in which the values are taken."""

    near = 1e-7
    damping = DAMPING

    def __init__(self, target: Target, point: Point, measured: Target | None = None):
        self.target, self.point, self.measured = target, point, measured
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far: its size is inf or nan
            self.values, self.size = _off_by(measured or target, point.blocks)

    def at(self, point: Point) -> "ProductEquations":
        """The same equations at another point."""
        return ProductEquations(self.target, point, self.measured)

    @cached_property
    def assembly(self) -> Assembly | None:
        """The layers and what their gradient needs, in the precision of the target."""
        return assemble(self.target, self.point)

    def layers(self) -> tuple[Layer, ...] | None:
        """The layers of a solution; None where a scale is not positive."""
        return None if self.assembly is None else self.assembly.layers

    def slope(self, damping: float = DAMPING) -> "ProductSlope":
        """J here."""
        return ProductSlope(Linearization(self.target, self.point.blocks), self.point.scales, damping)

    def gradient(self, slope: "ProductSlope", bars: list[Layer]) -> Point:
        """The gradient by the unknowns, from the derivatives with respect to each layer's block and log-scale."""
        assert self.assembly is not None
        return pulled_back(self.target, slope.line, self.assembly, bars)

    def seen_from(self, other: "ProductEquations") -> FloatArray:
        """The values, whose units are the same everywhere."""
        return self.values


def _off_by(target: Target, blocks: list[FloatArray]) -> tuple[FloatArray, float]:
    """The equations' values and their size relative to M and M^{-1}."""
    m, g = middle(target, blocks)
    f = equations(target, m, g).astype(np.float64)
    m, g = m.astype(np.float64), g.astype(np.float64)
    count = target.p * target.p - target.p
    scale = (np.linalg.norm(m[: target.p, : target.p]), np.linalg.norm(g))
    parts = (
        np.linalg.norm(f[:count]) / max(scale[0], 1e-300),
        np.linalg.norm(f[count:]) / max(scale[1], 1e-300),
    )
    return f, float(max(parts))


class ProductSlope:
    """J at one point, and J J^T as something that solves. The log-scales enter no equation."""

    def __init__(self, line: Linearization, scales: list[FloatArray], damping: float = DAMPING):
        self.line, self.scales, self.damping = line, scales, damping
        self.exact = line.equations <= EXACT
        self.apply: Solver | None = self._factor() if self.exact else _kronecker(line)

    def push(self, step: Point) -> FloatArray:
        """J times a change of the unknowns."""
        return self.line.push(step.blocks)

    def pull(self, multiplier: FloatArray) -> Point:
        """J^T times a vector of multipliers of the equations."""
        return Point(self.line.pull(multiplier), [np.zeros_like(s) for s in self.scales])

    def solve(self, r: FloatArray, tolerance: float = 1e-6) -> FloatArray | None:
        """x with |J J^T x - r| <= tolerance |r|; None where that is not reached."""
        if self.apply is None or self.exact:
            return None if self.apply is None else self.apply(r)
        x = self._iterate(r, self.apply, tolerance)
        if x is None and self.line.equations <= DENSE:
            self.exact, self.apply = True, self._factor()
            return None if self.apply is None else self.apply(r)
        return x

    def _iterate(self, r: FloatArray, apply: Solver, tolerance: float) -> FloatArray | None:
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

    def _factor(self) -> Solver | None:
        """A Cholesky factor of J J^T."""
        p, q = self.line.target.p, self.line.target.q
        first, second = self.line.parts()
        normal = np.empty((p * p + q * q,) * 2)
        normal[: p * p, : p * p] = kron_sum(first, first)
        normal[p * p :, p * p :] = kron_sum(second, second)
        normal[: p * p, p * p :] = kron_sum(first, second)
        normal[p * p :, : p * p] = normal[: p * p, p * p :].T
        keep = np.concatenate([off_diagonal(p).ravel(), off_diagonal(q).ravel()])
        return cholesky_solver(normal[np.ix_(keep, keep)], self.damping)


def _kronecker(line: Linearization) -> Solver:
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
