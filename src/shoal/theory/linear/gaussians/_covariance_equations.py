"""All T = M_1 ... M_m with T T^T = Σ as the zero set of few equations, for any m and any halves.

docs/dev/mathematics.md 2.5.

Layer m - 1 moves the part b, layer m the part a. With Q = (M_1 ... M_{m-2} · unit shear m-1)^{-1} and X = Q Σ Q^T, the
last two layers exist exactly when X_bb and (X^{-1})_aa are diagonal: β = (diag X_bb)^{1/2} then scales layer m - 1,
γ = (diag (X^{-1})_aa)^{-1/2} layer m, whose block is X_ab / β. The unknowns are the blocks of layers 1 ... m-1 and the
log-scales of layers 1 ... m-2, the equations the (p^2 - p + q^2 - q) / 2 entries above those two diagonals.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import scipy.linalg

from shoal._scalars import FloatArray, IntArray
from shoal.theory.linear._layer import Kind, Layer, kinds
from shoal.theory.linear._product_equations import kron_sum
from shoal.theory.linear._search import DAMPING, Point, cholesky_solver


@dataclass(frozen=True, eq=False)
class Root:
    """C with C C^T = Σ, C^{-1}, the size p of the first part, and the number m of layers, a lower one first."""

    root: FloatArray
    inverse: FloatArray
    p: int
    count: int

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of the layers, from left to right."""
        return kinds(self.count)

    def moved(self, j: int) -> slice:
        """The coordinates that layer j moves (0 is the leftmost)."""
        return slice(self.p, None) if self.kinds[j] == "lower" else slice(0, self.p)

    def kept(self, j: int) -> slice:
        """The coordinates that layer j keeps."""
        return self.moved(j + 1)


def root_of(covariance: FloatArray, p: int, count: int) -> Root:
    """Cholesky's factor and its inverse, with the columns' scales taken out first."""
    scale = np.sqrt(np.diag(covariance))
    lower = np.linalg.cholesky(covariance / scale / scale[:, None])
    inverse = scipy.linalg.solve_triangular(lower, np.eye(len(lower)), lower=True)
    return Root(scale[:, None] * lower, inverse / scale, p, count)


@lru_cache(maxsize=64)
def above(size: int) -> tuple[IntArray, IntArray]:
    """Rows and columns of the entries above the diagonal."""
    return np.triu_indices(size, 1)


def unknowns(layers: tuple[Layer, ...]) -> Point:
    """The point whose layers these are."""
    return Point([layer.block for layer in layers[:-1]], [layer.log_scale for layer in layers[:-2]])


class CovarianceEquations:
    """Q C, X and X^{-1} at a point; `values`: the equations as correlations, so that their size means something."""

    near = 1e-9
    damping = 1e-13

    def __init__(self, root: Root, point: Point):
        self.root, self.point = root, point
        w, v = root.root.copy(), root.inverse.copy()
        self.scales = [np.exp(s) for s in point.scales] + [np.ones(len(point.blocks[-1]))]
        for j, (block, scale) in enumerate(zip(point.blocks, self.scales, strict=True)):
            moved, kept = root.moved(j), root.kept(j)
            w[moved] = (w[moved] - block @ w[kept]) / scale[:, None]
            v[:, kept] += v[:, moved] @ block
            v[:, moved] *= scale
        self.b, self.a = root.moved(root.count - 2), root.moved(root.count - 1)
        self.x, self.k = w @ w.T, v.T @ v
        self.beta, self.rate = (
            np.sqrt(np.diag(self.x)[self.b]),
            np.sqrt(np.diag(self.k)[self.a]),
        )  # rate = 1 / γ
        self.values = self.seen_from(self)
        worst = float(np.max(np.abs(self.values), initial=0.0))  # the largest correlation that is left
        finite = np.all(np.isfinite(self.beta)) and np.all(np.isfinite(self.rate)) and np.isfinite(worst)
        self.size = worst if finite else np.inf

    def weighed(self, at: "CovarianceEquations", b: FloatArray, a: FloatArray) -> FloatArray:
        """The entries above the diagonals of two matrices, as correlations with the scales of the point `at`."""
        return np.concatenate([(m / s / s[:, None])[above(len(s))] for m, s in ((b, at.beta), (a, at.rate))])

    def layers(self) -> tuple[Layer, ...]:
        """All m layers."""
        every = self.root.kinds
        scales = [*self.point.scales, np.log(self.beta)]
        front = [Layer(k, b, s) for k, b, s in zip(every[:-1], self.point.blocks, scales, strict=True)]
        return (*front, Layer(every[-1], self.x[self.a, self.b] / self.beta, -np.log(self.rate)))

    def at(self, point: Point) -> "CovarianceEquations":
        """The same equations at another point."""
        return CovarianceEquations(self.root, point)

    def seen_from(self, other: "CovarianceEquations") -> FloatArray:
        """The values in the units that they have at the point `other`."""
        return self.weighed(other, self.x[self.b, self.b], self.k[self.a, self.a])

    def slope(self, damping: float = DAMPING) -> "CovarianceSlope":
        """J here."""
        return CovarianceSlope(self, damping)

    def gradient(self, slope: "CovarianceSlope", bars: list[Layer]) -> Point:
        """The gradient by the unknowns, from the derivatives with respect to each layer's block and log-scale."""
        x_bar, k_bar = np.zeros_like(self.x), np.zeros_like(self.x)
        last, block = bars[-1], self.x[self.a, self.b] / self.beta
        x_bar[self.a, self.b] = last.block / self.beta
        beta_bar = (bars[-2].log_scale - np.sum(last.block * block, axis=0)) / self.beta
        x_bar[self.b, self.b] = np.diag(beta_bar / (2 * self.beta))
        k_bar[self.a, self.a] = np.diag(-last.log_scale / (2 * self.rate**2))
        own = Point([bar.block for bar in bars[:-1]], [bar.log_scale for bar in bars[:-2]])
        return own.moved(slope.adjoint(x_bar, k_bar), 1.0)


class CovarianceSlope:
    """dX = -(K + K^T) with K = sum_j R_j dM_j H_j X and d(X^{-1}) = X^{-1} (K + K^T) X^{-1}, at one point.

    R_j = (M_j ... M_{m-1})^{-1} and H_j = M_{j+1} ... M_{m-1}.
    """

    exact = True

    def __init__(self, here: CovarianceEquations, damping: float = DAMPING):
        self.here, root = here, here.root
        n = len(root.root)
        r, h = np.eye(n), np.eye(n)
        self.left: list[tuple[FloatArray, FloatArray]] = []
        self.right: list[tuple[FloatArray, FloatArray]] = []
        for j in range(root.count - 2, -1, -1):
            moved, kept = root.moved(j), root.kept(j)
            block, scale = here.point.blocks[j], here.scales[j]
            self.right.insert(0, (h @ here.x, h))
            h = h.copy()
            h[moved] = scale[:, None] * h[moved] + block @ h[kept]
            r = r.copy()
            r[:, moved] /= scale
            r[:, kept] -= r[:, moved] @ block
            self.left.insert(0, (r, here.k @ r))
        self.solver = cholesky_solver(self._normal(), damping)

    def push(self, step: Point) -> FloatArray:
        """J times a change of the unknowns."""
        here, n = self.here, len(self.here.x)
        k, l = np.zeros((n, n)), np.zeros((n, n))
        for j, ((r, kr), (hx, h)) in enumerate(zip(self.left, self.right, strict=True)):
            moved, kept = here.root.moved(j), here.root.kept(j)
            change = step.blocks[j] @ hx[kept], step.blocks[j] @ h[kept]
            if j < len(step.scales):
                grown = (here.scales[j] * step.scales[j])[:, None]
                change = change[0] + grown * hx[moved], change[1] + grown * h[moved]
            k += r[:, moved] @ change[0]
            l += kr[:, moved] @ change[1]
        return here.weighed(here, -(k + k.T)[here.b, here.b], (l + l.T)[here.a, here.a])

    def adjoint(self, x_bar: FloatArray, k_bar: FloatArray) -> Point:
        """The gradient with respect to the unknowns, from those with respect to X and X^{-1}."""
        here, (x_both, k_both) = self.here, (x_bar + x_bar.T, k_bar + k_bar.T)
        blocks: list[FloatArray] = []
        scales: list[FloatArray] = []
        for j, ((r, kr), (hx, h)) in enumerate(zip(self.left, self.right, strict=True)):
            moved, kept = here.root.moved(j), here.root.kept(j)
            above, below = r[:, moved].T @ x_both, kr[:, moved].T @ k_both
            blocks.append(below @ h[kept].T - above @ hx[kept].T)
            if j < len(here.point.scales):
                scales.append(here.scales[j] * np.sum(below * h[moved] - above * hx[moved], axis=1))
        return Point(blocks, scales)

    def pull(self, multiplier: FloatArray) -> Point:
        """J^T times a vector of multipliers of the equations."""
        here, n = self.here, len(self.here.x)
        bars = np.zeros((n, n)), np.zeros((n, n))
        split = len(here.beta) * (len(here.beta) - 1) // 2
        sides = ((here.b, here.beta, multiplier[:split]), (here.a, here.rate, multiplier[split:]))
        for bar, (part, s, values) in zip(bars, sides, strict=True):
            inner = np.zeros((len(s), len(s)))
            inner[above(len(s))] = values
            bar[part, part] = inner / s / s[:, None]
        return self.adjoint(*bars)

    def solve(self, r: FloatArray, tolerance: float = 0.0) -> FloatArray | None:
        """(J J^T)^{-1} r by a Cholesky factor, whatever the tolerance; None where there is none."""
        return None if self.solver is None else self.solver(r)

    def _normal(self) -> FloatArray:
        here, root = self.here, self.here.root
        sides: list[tuple[FloatArray, list[tuple[FloatArray, FloatArray]]]] = [
            (here.beta, []),
            (here.rate, []),
        ]
        own: list[FloatArray] = []
        for j, ((r, kr), (hx, h)) in enumerate(zip(self.left, self.right, strict=True)):
            moved, kept = root.moved(j), root.kept(j)
            sides[0][1].append((-r[here.b, moved], hx[kept, here.b]))
            sides[1][1].append((kr[here.a, moved], h[kept, here.a]))
            if j < len(here.point.scales):
                both = (-r[here.b, moved], hx[moved, here.b].T), (kr[here.a, moved], h[moved, here.a].T)
                rows = [_entries(s, u, v) for s, (u, v) in zip((here.beta, here.rate), both, strict=True)]
                own.append(np.concatenate(rows) * here.scales[j])
        total = np.block([[_gram(first, second) for second in sides] for first in sides])
        for columns in own:
            total += columns @ columns.T
        return total


def _gram(
    first: tuple[FloatArray, list[tuple[FloatArray, FloatArray]]],
    second: tuple[FloatArray, list[tuple[FloatArray, FloatArray]]],
) -> FloatArray:
    """Inner products of two sides' equations over all blocks: a sum of Kronecker products, made symmetric."""
    (s, one), (t, two) = first, second
    full = kron_sum(one, two).reshape(len(s), len(s), -1)
    i, k = above(len(s))
    rows = ((full[i, k] + full[k, i]) / (s[i] * s[k])[:, None]).reshape(len(i), len(t), len(t))
    i, k = above(len(t))
    return (rows[:, i, k] + rows[:, k, i]) / (t[i] * t[k])


def _entries(s: FloatArray, u: FloatArray, v: FloatArray) -> FloatArray:
    """The derivatives of the entries above the diagonal of K + K^T, K = u diag(x) v^T, by x."""
    i, k = above(len(s))
    return (u[i] * v[k] + u[k] * v[i]) / (s[i] * s[k])[:, None]
