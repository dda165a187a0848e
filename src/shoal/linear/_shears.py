"""All factorizations of T into m layers as the zero set of few equations, for any m and any split.

docs/dev/mathematics.md 2.1.

    T = P · L(A, diag b) U(diag c, D) · Q,   P, Q products of unit shears (additive layers).

Given the shears, M = P^{-1} T Q^{-1} is such a middle pair exactly when the upper left block of M and the lower right
block of M^{-1} are diagonal and positive: then c = diag M11, 1/b = diag (M^{-1})22, A = M21 / c, D = M12. The unknowns
are the shears' blocks, the equations the p^2 - p + q^2 - q off-diagonal entries; the two middle blocks and the
diagonals are eliminated, which leaves a system four times smaller a side than the n^2 entries of T would need
(an eighth of the work at a Cholesky factor). Diagonals elsewhere are a gauge: `_gauge.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from shoal._scalars import BoolArray, FloatArray
from shoal.linear._layer import Kind


@dataclass(frozen=True, eq=False)
class Target:
    """T, its inverse, the size p of the first part, and the kinds of the shears left and right of the middle pair.

    `shift`: the layers' product is exp(shift) * T. A scalar commutes with everything, so it changes no equation.
    """

    matrix: FloatArray
    inverse: FloatArray
    p: int
    left: tuple[Kind, ...]
    right: tuple[Kind, ...]
    shift: float = 0.0

    @property
    def q(self) -> int:
        """n - p."""
        return len(self.matrix) - self.p

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of all shears, from left to right."""
        return self.left + self.right

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


def middle(target: Target, blocks: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """M = P^{-1} T Q^{-1} and G, the lower right block of M^{-1} = Q T^{-1} P."""
    m, k = target.matrix, target.inverse
    count = len(target.left)
    for kind, block in zip(target.left, blocks[:count], strict=True):
        m = multiply(target, kind, block, m, -1.0)
        k = multiply_right(target, kind, block, k)
    for kind, block in zip(target.right[::-1], blocks[count:][::-1], strict=True):
        m = multiply_right(target, kind, block, m, -1.0)
        k = multiply(target, kind, block, k)
    return m, k[target.p :, target.p :]


def equations(target: Target, m: FloatArray, g: FloatArray) -> FloatArray:
    """The off-diagonal entries of M11 and of G, as one vector."""
    return np.concatenate([m[: target.p, : target.p][off_diagonal(target.p)], g[off_diagonal(target.q)]])


def off_diagonal(size: int) -> BoolArray:
    """The mask of the entries off the diagonal."""
    return ~np.eye(size, dtype=bool)


class Linearization:
    """dM = sum X_j dA_j Y_j and dG = sum x2_j dA_j y2_j over the shears j, at one point."""

    def __init__(self, target: Target, blocks: list[FloatArray]):
        self.target, self.sizes = target, [b.shape for b in blocks]
        t, count = target, len(target.left)
        left = list(zip(t.left, blocks[:count], strict=True))
        right = list(zip(t.right, blocks[count:], strict=True))
        eye = np.eye(len(t.matrix))
        tq, qk, pt, kp = t.matrix, t.inverse, t.matrix, t.inverse
        for kind, b in right[::-1]:
            tq, qk = multiply_right(t, kind, b, tq, -1.0), multiply(t, kind, b, qk)
        for kind, b in left:
            pt, kp = multiply(t, kind, b, pt, -1.0), multiply_right(t, kind, b, kp)
        self.outer: list[tuple[FloatArray, FloatArray]] = []
        self.inner: list[tuple[FloatArray, FloatArray]] = []
        after, inverse_after = _suffixes(t, left, eye)
        for (kind, b), s, si in zip(left, after, inverse_after, strict=True):
            moved, kept = t.part(kind, True), t.part(kind, False)
            self.outer.append((-si[:, moved], tq[kept]))
            self.inner.append((qk[t.p :, moved], s[kept, t.p :]))
            tq, qk = multiply(t, kind, b, tq, -1.0), multiply_right(t, kind, b, qk)
        before, inverse_before = _prefixes(t, right, eye)
        ends: list[tuple[FloatArray, FloatArray]] = []
        for kind, b in right[::-1]:
            moved, kept = t.part(kind, True), t.part(kind, False)
            ends.append((pt[:, moved], kp[kept, t.p :]))
            pt, kp = multiply_right(t, kind, b, pt, -1.0), multiply(t, kind, b, kp)
        for (kind, _), s, si, (x, y) in zip(right, before, inverse_before, ends[::-1], strict=True):
            moved, kept = t.part(kind, True), t.part(kind, False)
            self.outer.append((-x, si[kept]))
            self.inner.append((s[t.p :, moved], y))

    def adjoint(self, m_bar: FloatArray, g_bar: FloatArray) -> list[FloatArray]:
        """The gradients with respect to the blocks, from those with respect to M (n, n) and G (q, q)."""
        return [
            x.T @ m_bar @ y.T + x2.T @ g_bar @ y2.T
            for (x, y), (x2, y2) in zip(self.outer, self.inner, strict=True)
        ]

    def pull(self, multiplier: FloatArray) -> list[FloatArray]:
        """J^T times a vector of multipliers of the equations."""
        p, q = self.target.p, self.target.q
        a, b = np.zeros((p, p)), np.zeros((q, q))
        a[off_diagonal(p)], b[off_diagonal(q)] = np.split(multiplier, [p * p - p])
        return [
            x[:p].T @ a @ y[:, :p].T + x2.T @ b @ y2.T
            for (x, y), (x2, y2) in zip(self.outer, self.inner, strict=True)
        ]

    def push(self, step: list[FloatArray]) -> FloatArray:
        """J times a change of the blocks."""
        p = self.target.p
        a = sum(x[:p] @ s @ y[:, :p] for (x, y), s in zip(self.outer, step, strict=True))
        b = sum(x @ s @ y for (x, y), s in zip(self.inner, step, strict=True))
        return np.concatenate([np.asarray(a)[off_diagonal(p)], np.asarray(b)[off_diagonal(self.target.q)]])

    @property
    def equations(self) -> int:
        """Their number."""
        p, q = self.target.p, self.target.q
        return p * p - p + q * q - q

    def parts(self) -> tuple[list[tuple[FloatArray, FloatArray]], list[tuple[FloatArray, FloatArray]]]:
        """The factors (X, Y) of each shear's effect X dA Y on M11, and those of its effect on G."""
        p = self.target.p
        return [(x[:p], y[:, :p]) for x, y in self.outer], self.inner


def _suffixes(t: Target, shears: list, eye: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """For each shear j: the product of those after it, S = M_{j+1} ... M_l, and S^{-1}."""
    products, inverses = [eye], [eye]
    for kind, b in shears[:0:-1]:
        products.append(multiply(t, kind, b, products[-1]))
        inverses.append(multiply_right(t, kind, b, inverses[-1], -1.0))
    return products[: len(shears)][::-1], inverses[: len(shears)][::-1]


def _prefixes(t: Target, shears: list, eye: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """For each shear j: the product of those before it, S = M_1 ... M_{j-1}, and S^{-1}."""
    products, inverses = [eye], [eye]
    for kind, b in shears[:-1]:
        products.append(multiply_right(t, kind, b, products[-1]))
        inverses.append(multiply(t, kind, b, inverses[-1], -1.0))
    return products[: len(shears)], inverses[: len(shears)]


def kron_sum(first: list, second: list, dtype: DTypeLike = np.float64) -> FloatArray:
    """sum_j (x_j x2_j^T) ⊗ (y_j^T y2_j), as one product of stacked matrices."""
    a = np.stack([x @ x2.T for (x, _), (x2, _) in zip(first, second, strict=True)]).astype(dtype)
    b = np.stack([y.T @ y2 for (_, y), (_, y2) in zip(first, second, strict=True)]).astype(dtype)
    (_, i, j), (_, k, l) = a.shape, b.shape
    flat = a.reshape(len(a), -1).T @ b.reshape(len(b), -1)
    return flat.reshape(i, j, k, l).transpose(0, 2, 1, 3).reshape(i * k, j * l)
