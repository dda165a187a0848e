"""All factorizations of T into m layers as the zero set of few equations, for any m and any split.

docs/dev/mathematics.md 2.1.

    T = P · L(A, diag b) U(diag c, D) · Q,   P, Q products of unit shears (additive layers).

Given the shears, M = P^{-1} T Q^{-1} is such a middle pair exactly when the upper left block of M and the lower right
block of M^{-1} are diagonal and positive: then c = diag M11, 1/b = diag (M^{-1})22, A = M21 / c, D = M12. The unknowns
are the shears' blocks, the equations the p^2 - p + q^2 - q off-diagonal entries.

Diagonals are a gauge. They slide through shears: Delta_j Delta_j^{-1} between layers j and j + 1 changes blocks and scales
but not the product. So every shear may carry its own log-scale, which enters no equation; the middle pair takes up the rest.
A lower layer leaves the upper part of Delta as it is, an upper one the lower part, which fixes every Delta (`slid`).

J J^T as something that solves: up to `EXACT` equations a point gets a float64 Cholesky factor, and a solve is two
triangular ones. Beyond, a factor (n^6 / 12 operations) costs far more than products with J J^T (n^3 each): conjugate
gradients, preconditioned by one Kronecker product a part from the Gram matrices of rows and columns. Where these do not
converge, up to `DENSE` equations, a factor is taken after all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shoal._scalars import BoolArray, FloatArray
from shoal.theory.linear._layer import Kind, Layer, identity_layer, kinds
from shoal.theory.linear._search import DAMPING, Point, Solver, cholesky_solver

EXACT = 700  # equations up to which every point has its own factor (n = 38)
DENSE = 9_000  # equations up to which a factor is taken where the iteration fails (n = 134, 0.6 GB)
LOWER, UPPER = 2, 3  # the places of the middle pair among the layers

Pair = tuple[FloatArray, FloatArray]


@dataclass(frozen=True, eq=False)
class Target:
    """T, its inverse, the size p of the first part, and the number of layers L U L U ....

    `shift`: the layers' product is exp(shift) * T. A scalar commutes with everything, so it changes no equation.
    """

    matrix: FloatArray
    inverse: FloatArray
    p: int
    count: int
    shift: float = 0.0

    @property
    def q(self) -> int:
        """n - p."""
        return len(self.matrix) - self.p

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of all layers, from left to right."""
        return kinds(self.count)

    def shears(self, blocks: Sequence[FloatArray]) -> tuple[list[tuple[Kind, FloatArray]], ...]:
        """The shears left and right of the middle pair, each a kind and a block."""
        left, right = self.kinds[:LOWER], self.kinds[UPPER + 1 :]
        return list(zip(left, blocks[:LOWER], strict=True)), list(zip(right, blocks[LOWER:], strict=True))

    def part(self, kind: Kind, moved: bool) -> slice:
        """The coordinates that a shear of that kind moves, or those that it keeps."""
        return slice(self.p, None) if (kind == "lower") == moved else slice(0, self.p)


def multiply(target: Target, kind: Kind, block: FloatArray, x: FloatArray, sign: float = 1.0) -> FloatArray:
    """(unit shear with sign * block) @ x."""
    out = x.copy()
    out[target.part(kind, True)] += sign * (block @ x[target.part(kind, False)])
    return out


def multiply_right(
    target: Target, kind: Kind, block: FloatArray, x: FloatArray, sign: float = 1.0
) -> FloatArray:
    """X @ (unit shear with sign * block)."""
    out = x.copy()
    out[:, target.part(kind, False)] += sign * (x[:, target.part(kind, True)] @ block)
    return out


def middle(target: Target, blocks: Sequence[FloatArray]) -> Pair:
    """M = P^{-1} T Q^{-1} and M^{-1} = Q T^{-1} P."""
    m, k = target.matrix, target.inverse
    left, right = target.shears(blocks)
    for kind, block in left:
        m = multiply(target, kind, block, m, -1.0)
        k = multiply_right(target, kind, block, k)
    for kind, block in right[::-1]:
        m = multiply_right(target, kind, block, m, -1.0)
        k = multiply(target, kind, block, k)
    return m, k


def off_diagonal(size: int) -> BoolArray:
    """The mask of the entries off the diagonal."""
    return ~np.eye(size, dtype=bool)


def slid(target: Target, scales: Sequence[FloatArray]) -> tuple[list[Pair], list[FloatArray]]:
    """What the shears' log-scales do: logarithms that scale each layer's rows and columns, and all log-scales.

    Those of the middle pair make the sum over each part zero: so much of them comes from the other layers' scales.
    """
    every = [*scales[:LOWER], np.zeros(target.q), np.zeros(target.p), *scales[LOWER:]]
    for place, kind in ((LOWER, "lower"), (UPPER, "upper")):
        every[place] = every[place] - sum(s for k, s in zip(target.kinds, every, strict=True) if k == kind)
    delta = {"lower": np.zeros(target.q), "upper": np.zeros(target.p)}
    logs: list[Pair] = []
    for kind, scale in zip(target.kinds, every, strict=True):
        logs.append((-delta[kind], delta["upper" if kind == "lower" else "lower"]))
        delta[kind] = delta[kind] + scale
    return logs, every


def point_of(target: Target, layers: Sequence[Layer]) -> Point:
    """The point whose layers these are, with identity layers at the right end up to the count that the target has."""
    added = (identity_layer(kind, target.p, target.q) for kind in target.kinds[len(layers) :])
    padded = [*layers, *added]
    outer = [i for i in range(target.count) if i not in (LOWER, UPPER)]
    scales = [padded[i].log_scale.copy() for i in outer]
    logs, _ = slid(target, scales)
    return Point([_scaled(padded[i].block, logs[i], -1.0) for i in outer], scales)


def _scaled(block: FloatArray, logs: Pair, sign: float = 1.0) -> FloatArray:
    rows, columns = logs
    return np.exp(sign * rows)[:, None] * block * np.exp(sign * columns)


@dataclass(frozen=True, eq=False)
class Assembly:
    """The layers at a point, and what their gradient needs. `logs`: (row, column) logarithms that scale each block."""

    layers: tuple[Layer, ...]
    logs: list[Pair]
    c: FloatArray
    b: FloatArray


def assemble(target: Target, point: Point) -> Assembly | None:
    """The layers of a point that satisfies the equations; None where a middle diagonal is not positive."""
    m, k = middle(target, point.blocks)
    p = target.p
    c, inverse_b = np.diag(m)[:p], np.diag(k)[p:]
    if not all(np.all(x > 0) and np.all(np.isfinite(x)) for x in (c, inverse_b)):
        return None
    logs, scales = slid(target, point.scales)
    logs[UPPER] = logs[UPPER][0] + target.shift, logs[UPPER][1]
    scales[LOWER] = scales[LOWER] - np.log(inverse_b) + target.shift
    scales[UPPER] = scales[UPPER] + np.log(c) + target.shift
    blocks = [*point.blocks[:LOWER], m[p:, :p] / c, m[:p, p:], *point.blocks[LOWER:]]
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = [_scaled(x, log) for x, log in zip(blocks, logs, strict=True)]
    layers = tuple(Layer(k, x, s) for k, x, s in zip(target.kinds, scaled, scales, strict=True))
    return Assembly(layers, logs, c, 1.0 / inverse_b)


class ProductEquations:
    """The products of layers that are T, at a point. `measured`: T in extended precision, in which the values are taken."""

    near = 1e-7
    damping = DAMPING

    def __init__(self, target: Target, point: Point, measured: Target | None = None):
        self.target, self.point, self.measured = target, point, measured
        p = target.p
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far: its size is inf or nan
            m, k = middle(measured or target, point.blocks)
            parts = m[:p, :p].astype(np.float64), k[p:, p:].astype(np.float64)
            off = [part[off_diagonal(len(part))] for part in parts]
            sizes = [
                np.linalg.norm(f) / max(np.linalg.norm(part), 1e-300)
                for f, part in zip(off, parts, strict=True)
            ]
        self.values: FloatArray = np.concatenate(off)
        self.size = float(max(sizes))

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
        return ProductSlope(self.target, self.point, damping)

    def gradient(self, slope: "ProductSlope", bars: list[Layer]) -> Point:
        """The gradient by the unknowns, from the derivatives with respect to each layer's block and log-scale."""
        made, target = self.assembly, self.target
        assert made is not None
        p, n = target.p, len(target.matrix)
        plain = [_scaled(bar.block, log) for bar, log in zip(bars, made.logs, strict=True)]
        below = _scaled(made.layers[LOWER].block, made.logs[LOWER], -1.0)
        m_bar, g_bar = np.zeros((n, n)), np.diag(-bars[LOWER].log_scale * made.b)
        m_bar[p:, :p], m_bar[:p, p:] = plain[LOWER] / made.c, plain[UPPER]
        m_bar[np.arange(p), np.arange(p)] = (bars[UPPER].log_scale - (plain[LOWER] * below).sum(0)) / made.c
        own = [*plain[:LOWER], *plain[UPPER + 1 :]]
        blocks: list[FloatArray] = [a + b for a, b in zip(slope.adjoint(m_bar, g_bar), own, strict=True)]
        return Point(blocks, _slid_back(target, made, bars))

    def seen_from(self, other: "ProductEquations") -> FloatArray:
        """The values, whose units are the same everywhere."""
        return self.values


def _slid_back(target: Target, made: Assembly, bars: Sequence[Layer]) -> list[FloatArray]:
    """The adjoint of `slid`: the gradient by the shears' log-scales."""
    delta = {"lower": np.zeros(target.q), "upper": np.zeros(target.p)}
    every: list[FloatArray] = []
    for kind, bar, layer in zip(target.kinds[::-1], bars[::-1], made.layers[::-1], strict=True):
        other, weights = "upper" if kind == "lower" else "lower", bar.block * layer.block
        every.insert(0, bar.log_scale + delta[kind])
        delta[kind] = delta[kind] - weights.sum(1)
        delta[other] = delta[other] + weights.sum(0)
    taken_up = {"lower": every[LOWER], "upper": every[UPPER]}
    del every[LOWER : UPPER + 1]
    shears = (*target.kinds[:LOWER], *target.kinds[UPPER + 1 :])
    return [x - taken_up[kind] for kind, x in zip(shears, every, strict=True)]


class ProductSlope:
    """J at one point, and J J^T as something that solves.

    dM = sum X_j dA_j Y_j and dG = sum x2_j dA_j y2_j over the shears j, G the lower right block of M^{-1}: `outer` has the
    pairs (X, Y), `inner` the pairs (x2, y2). The log-scales enter no equation.
    """

    def __init__(self, target: Target, point: Point, damping: float = DAMPING):
        self.target, self.scales, self.damping = target, point.scales, damping
        self.outer: list[Pair] = []
        self.inner: list[Pair] = []
        n, p, (m, k) = len(target.matrix), target.p, middle(target, point.blocks)
        left, right = target.shears(point.blocks)
        eye = np.eye(n)
        front, back = (
            np.hstack([eye, m]),
            np.vstack([eye, k]),
        )  # S [I, M] and [I; K] S^{-1}, S the shears after j
        for kind, block in left[::-1]:
            moved, kept = target.part(kind, True), target.part(kind, False)
            self.outer.insert(0, (-back[:n, moved], front[kept, n:]))
            self.inner.insert(0, (back[n + p :, moved], front[kept, p:n]))
            front = multiply(target, kind, block, front)
            back = multiply_right(target, kind, block, back, -1.0)
        front, back = (
            np.hstack([eye, k]),
            np.vstack([eye, m]),
        )  # S^{-1} [I, K] and [I; M] S, S the shears before j
        for kind, block in right:
            moved, kept = target.part(kind, True), target.part(kind, False)
            self.outer.append((-back[n:, moved], front[kept, :n]))
            self.inner.append((back[p:n, moved], front[kept, n + p :]))
            front = multiply(target, kind, block, front, -1.0)
            back = multiply_right(target, kind, block, back)
        self.parts = [(x[:p], y[:, :p]) for x, y in self.outer], self.inner  # the effects on M11, and on G
        self.equations = p * p - p + target.q * target.q - target.q
        self.exact = self.equations <= EXACT
        self.apply: Solver | None = self._factor() if self.exact else self._kronecker()

    def push(self, step: Point) -> FloatArray:
        """J times a change of the unknowns."""
        changes = [
            np.sum([x @ a @ y for (x, y), a in zip(part, step.blocks, strict=True)], axis=0)
            for part in self.parts
        ]
        return np.concatenate([change[off_diagonal(len(change))] for change in changes])

    def adjoint(self, m_bar: FloatArray, g_bar: FloatArray) -> list[FloatArray]:
        """The gradients with respect to the blocks, from those with respect to M (n, n) and G (q, q)."""
        return _transposed(self.outer, self.inner, m_bar, g_bar)

    def pull(self, multiplier: FloatArray) -> Point:
        """J^T times a vector of multipliers of the equations."""
        blocks = _transposed(*self.parts, *self._matrices(multiplier))
        return Point(blocks, [np.zeros_like(s) for s in self.scales])

    def solve(self, r: FloatArray, tolerance: float = 1e-6) -> FloatArray | None:
        """x with |J J^T x - r| <= tolerance |r|; None where that is not reached."""
        if self.apply is None or self.exact:
            return None if self.apply is None else self.apply(r)
        x = self._iterate(r, self.apply, tolerance)
        if x is None and self.equations <= DENSE:
            self.exact, self.apply = True, self._factor()
            return None if self.apply is None else self.apply(r)
        return x

    def _matrices(self, values: FloatArray) -> Sequence[FloatArray]:
        """A vector of equations as the two matrices whose off-diagonal entries they are."""
        p, q = self.target.p, self.target.q
        out = [np.zeros((p, p)), np.zeros((q, q))]
        for matrix, part in zip(out, np.split(values, [p * p - p]), strict=True):
            matrix[off_diagonal(len(matrix))] = part
        return out

    def _iterate(self, r: FloatArray, apply: Solver, tolerance: float) -> FloatArray | None:
        """Preconditioned conjugate gradients from zero."""
        wanted = tolerance * float(np.linalg.norm(r))
        x, left = np.zeros_like(r), r.copy()
        direction = z = apply(left)
        rho = float(left @ z)
        for _ in range(max(200, self.equations // 6)):  # about the price of a factor
            if np.linalg.norm(left) <= wanted:
                return x
            moved = self.push(self.pull(direction))
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
        normal = np.block([[kron_sum(first, second) for second in self.parts] for first in self.parts])
        keep = np.concatenate([off_diagonal(size).ravel() for size in (self.target.p, self.target.q)])
        return cholesky_solver(normal[np.ix_(keep, keep)], self.damping)

    def _kronecker(self) -> Solver:
        """r -> R^{-1} r C^{-1} for each part's matrix of equations, R and C the sums of row and column Gram matrices."""
        sides: list[Pair] = []
        for part in self.parts:
            total = sum(float(np.sum(x * x)) * float(np.sum(y * y)) for x, y in part)
            rows = np.sum([x @ x.T * np.sum(y * y) for x, y in part], axis=0)
            columns = np.sum([y.T @ y * np.sum(x * x) for x, y in part], axis=0)
            sides.append((np.linalg.inv(rows), total * np.linalg.inv(columns)))

        def apply(r: FloatArray) -> FloatArray:
            solved = [a @ x @ b for x, (a, b) in zip(self._matrices(r), sides, strict=True)]
            return np.concatenate([x[off_diagonal(len(x))] for x in solved])

        return apply


def _transposed(
    first: Iterable[Pair], second: Iterable[Pair], first_bar: FloatArray, second_bar: FloatArray
) -> list[FloatArray]:
    """x^T a y^T + x2^T b y2^T for each shear."""
    return [
        x.T @ first_bar @ y.T + x2.T @ second_bar @ y2.T
        for (x, y), (x2, y2) in zip(first, second, strict=True)
    ]


def kron_sum(first: Sequence[Pair], second: Sequence[Pair]) -> FloatArray:
    """sum_j (x_j x2_j^T) ⊗ (y_j^T y2_j), as one product of stacked matrices."""
    a = np.stack([x @ x2.T for (x, _), (x2, _) in zip(first, second, strict=True)])
    b = np.stack([y.T @ y2 for (_, y), (_, y2) in zip(first, second, strict=True)])
    (_, i, j), (_, k, l) = a.shape, b.shape
    flat = a.reshape(len(a), -1).T @ b.reshape(len(b), -1)
    return flat.reshape(i, j, k, l).transpose(0, 2, 1, 3).reshape(i * k, j * l)
