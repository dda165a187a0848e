"""All T = M_1 ... M_m with T T^T = Σ as the zero set of few equations, for any m and any halves.

docs/dev/mathematics.md 2.5.

Layer m - 1 moves the part b, layer m the part a. With Q = (M_1 ... M_{m-2} · unit shear m-1)^{-1} and X = Q Σ Q^T, the
last two layers exist exactly when X_bb and (X^{-1})_aa are diagonal: β = (diag X_bb)^{1/2} then scales layer m - 1,
γ = (diag (X^{-1})_aa)^{-1/2} layer m, whose block is X_ab / β. The unknowns are the blocks of layers 1 ... m-1 and the
log-scales of layers 1 ... m-2, the equations the (p^2 - p + q^2 - q) / 2 entries above those two diagonals.

A pair, m = 2, has block A: with S = Σ_bb - Σ_ba Σ_aa^{-1} Σ_ab, Z = S^{-1/2} (A - Σ_ba Σ_aa^{-1}) Σ_aa^{1/2} these are
X_bb = S^{1/2} (I + Z Z^T) S^{1/2} and (X^{-1})_aa = Σ_aa^{-1/2} (I + Z^T Z) Σ_aa^{-1/2}: S^{-1} β^2 and Σ_aa γ^{-2} must
have one spectrum, all >= 1, but for a single 1 more in the larger half where n is odd. Widely graded ones exist.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import scipy.linalg

from shoal._scalars import FloatArray, IntArray
from shoal.linear._gauge import Point
from shoal.linear._layer import Kind, Layer, kinds
from shoal.linear._shears import kron_sum


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


@lru_cache(maxsize=64)
def above(size: int) -> tuple[IntArray, IntArray]:
    """Rows and columns of the entries above the diagonal."""
    return np.triu_indices(size, 1)


def unknowns(layers: tuple[Layer, ...]) -> Point:
    """The point whose layers these are."""
    return Point([layer.block for layer in layers[:-1]], [layer.log_scale for layer in layers[:-2]])


class Whitened:
    """Q C, X and X^{-1} at a point; `values`: the equations as correlations, so that their size means something."""

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
        self.values = self.weighed(self, self.x[self.b, self.b], self.k[self.a, self.a])

    @cached_property
    def size(self) -> float:
        """The largest correlation that is left; inf where a number is not finite."""
        worst = float(np.max(np.abs(self.values), initial=0.0))
        finite = np.all(np.isfinite(self.beta)) and np.all(np.isfinite(self.rate)) and np.isfinite(worst)
        return worst if finite else np.inf

    def weighed(self, at: "Whitened", b: FloatArray, a: FloatArray) -> FloatArray:
        """The entries above the diagonals of two matrices, as correlations with the scales of the point `at`."""
        return np.concatenate([(m / s / s[:, None])[above(len(s))] for m, s in ((b, at.beta), (a, at.rate))])

    def layers(self) -> tuple[Layer, ...]:
        """All m layers."""
        every = self.root.kinds
        scales = [*self.point.scales, np.log(self.beta)]
        front = [Layer(k, b, s) for k, b, s in zip(every[:-1], self.point.blocks, scales, strict=True)]
        return (*front, Layer(every[-1], self.x[self.a, self.b] / self.beta, -np.log(self.rate)))


class Slope:
    """dX = -(K + K^T) with K = sum_j R_j dM_j H_j X and d(X^{-1}) = X^{-1} (K + K^T) X^{-1}, at one point.

    R_j = (M_j ... M_{m-1})^{-1} and H_j = M_{j+1} ... M_{m-1}.
    """

    def __init__(self, here: Whitened):
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

    def solver(self, damping: float = 1e-14) -> Callable[[FloatArray], FloatArray] | None:
        """A function r -> (J J^T + damping * mean diagonal * I)^{-1} r; None where J J^T has no such factor."""
        normal = self._normal()
        if not np.all(np.isfinite(normal)):
            return None
        mean = float(np.trace(normal)) / max(len(normal), 1)
        for attempt in range(6):
            shifted = normal + damping * mean * 100.0**attempt * np.eye(len(normal))
            try:
                factor: Any = scipy.linalg.cho_factor(
                    shifted, lower=True, overwrite_a=True, check_finite=False
                )
            except np.linalg.LinAlgError:
                continue
            return lambda r: scipy.linalg.cho_solve(factor, r, check_finite=False)
        return None

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
