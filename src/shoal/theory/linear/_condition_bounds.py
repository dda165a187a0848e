"""Lower bounds on the worst condition number of the layers of any T: docs/dev/mathematics.md 1 and 2.7.

By size: a layer fixes the vectors of one half, so that σmax >= 1 >= σmin and κ >= max(σmax, 1/σmin) for each; hence the
worst of m layers has κ >= max(κ(T), σ1, 1/σn)^(1/m). And by how far a layer can turn a vector.

Write κ = e^l for a layer [[I, 0], [A, B]], C = cosh l, gd(y) = arctan(sinh y).

Lemma: A A^T + I + B^2 <= 2 C B, so that |A| <= sinh l. Theorem D1: if κ <= 3 + 2 sqrt(2), a layer turns no vector by more
than 2 gd(l / 2). Angles add, so the worst of m layers has κ >= min(3 + 2 sqrt(2), e^l) for each l of

    f axes met for nothing, g layers that turn an axis, the others any vector:   g gd(l) + 2 (m - f - g) gd(l / 2) = angle

(a) f = g = 0: the angle of x and T x, any x. (b) g = 1: that of e_j and T e_j. The rightmost layer, if it moves coordinate
j, only scales e_j (f = 1), and the next one adds A e_j to it, which turns it by arctan |A e_j| <= gd(l); if it keeps j, it
does that itself. (c) g = 2: T e_j is a multiple of some e_i, so that the same holds at the leftmost layer, read backwards.

T^{-1} is the product of the inverse layers, with the same condition numbers. So is T^T of the transposed ones, for which
D1 holds as it stands; they leave e_j alone where the layer keeps j (f = 1), and else turn it by at most
arctan(|A^T e_j| / b_j), where |A^T e_j|^2 / b_j^2 <= 2 C / b_j - 1 / b_j^2 - 1 <= sinh^2 l by the Lemma: gd(l) again. (b) is
taken of all four, (c) of T and T^T; the largest angle of x and T x is that of the others too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # loads `optimize` where it is first used

from shoal._scalars import FloatArray
from shoal.theory.linear._inputs import EPS, FactorProblem, prepare
from shoal.theory.linear._layer import Kind, kinds

LIMIT = math.log(3 + 2 * math.sqrt(2))  # of l, for Theorem D1


@dataclass(frozen=True, eq=False)
class ConditionBounds:
    """What the bounds need of T: `values`, the first and last singular value; and how far it turns vectors.

    `largest`: the largest angle of x and T x that was found; `columns`: for T, T^{-1}, T^T, T^{-T} that of each axis and its
    image; `axes`: (j, i, angle, whether of T^T) where the image of e_j is a multiple of e_i; `p`: the size of the first
    part. Angles are rounded down by a bound of their errors.
    """

    values: FloatArray
    p: int
    largest: float
    columns: tuple[FloatArray, ...]
    axes: tuple[tuple[int, int, float, bool], ...]

    @staticmethod
    def of(problem: FactorProblem) -> "ConditionBounds":
        """Of diag(signs) T, in the problem's order of coordinates."""
        matrix, n = problem.inner(), len(problem.matrix)
        values = problem.singular_values() if n > 1 else np.ones(1)  # of size 1 no coordinate is kept
        left, right = problem.scales or (np.ones(n), np.ones(n))
        inverse = np.linalg.inv(problem.matrix)
        loss = 4 * n * EPS * (1 + float(np.linalg.norm(problem.matrix) * np.linalg.norm(inverse)))
        with np.errstate(all="ignore"):  # an image beyond float64 gives nan, which is no angle
            images = matrix, inverse / right[:, None], matrix.T, inverse.T / left[:, None]
            columns = tuple(
                np.nan_to_num(np.maximum(_angles(np.eye(n), image) - slack, 0.0))
                for image, slack in zip(images, (8 * EPS, loss, 8 * EPS, loss), strict=True)
            )
        axes = [
            (j, int(np.argmax(alone[:, j])), float(angles[j]), transposed)
            for alone, angles, transposed in (
                (matrix != 0, columns[0], False),
                (matrix.T != 0, columns[2], True),
            )
            for j in np.flatnonzero(alone.sum(axis=0) == 1).tolist()
        ]
        return ConditionBounds(values[[0, -1]], problem.p, _largest(matrix), columns, tuple(axes))

    def either(self, count: int) -> float:
        """No `count` layers have a smaller worst condition number."""
        return min(self.bound(count, "lower"), self.bound(count, "upper"))

    def bound(self, count: int, first: Kind) -> float:
        """No `count` layers, the leftmost of that kind, have a smaller worst condition number."""
        last = kinds(count, first)[-1]
        lower = np.arange(len(self.columns[0])) >= self.p
        moved = {"lower": lower, "upper": ~lower}
        best = _least(0, count, self.largest)
        ends = (last, False), (first, False), (first, True), (last, True)  # the layer that acts first
        for angles, (kind, transposed) in zip(self.columns, ends, strict=True):
            free = moved[kind] != transposed
            for chosen in (free, ~free):
                if np.any(chosen):
                    rest = count - 1 - int(chosen is free)
                    best = max(best, _least(1, rest, float(np.max(angles[chosen]))))
        for j, i, angle, transposed in self.axes:
            begin, end = (first, last) if transposed else (last, first)
            free = int(moved[begin][j] != transposed) + int(moved[end][i] != transposed)
            best = max(best, _least(2, count - 2 - free, angle))
        return max(math.exp(best), lower_bound(self.values, count))


def condition_bounds(T: object, kept: Sequence[int] | None = None) -> ConditionBounds:
    """The bounds of diag(signs) T, the lower layers keeping the index set S. **Raises:** InputError as `factor`."""
    return ConditionBounds.of(prepare(T, kept, "lower"))


def _least(axes: int, others: int, angle: float) -> float:
    """The l, at most LIMIT, with axes gd(l) + 2 others gd(l / 2) = angle, by bisection; 0 where the count is too small."""
    if others < 0:
        return 0.0
    low, high = 0.0, LIMIT
    for _ in range(60):
        middle = (low + high) / 2
        turned = axes * math.atan(math.sinh(middle)) + 2 * others * math.atan(math.sinh(middle / 2))
        low, high = (middle, high) if turned < angle else (low, middle)
    return low


def _angles(x: FloatArray, y: FloatArray) -> FloatArray:
    """The angles of columns, to rounding at 0 and at pi too (Kahan)."""
    x, y = (v / np.max(np.abs(v), axis=0) for v in (x, y))
    x, y = (v / np.linalg.norm(v, axis=0) for v in (x, y))
    return 2 * np.arctan2(np.linalg.norm(x - y, axis=0), np.linalg.norm(x + y, axis=0))


def _largest(matrix: FloatArray) -> float:
    """The largest angle of x and T x that is found: descent of the cosine from a few vectors."""
    matrix = matrix / np.max(np.abs(matrix))

    def cosine(x: FloatArray) -> tuple[float, FloatArray]:
        y = matrix @ x
        a, b = np.linalg.norm(x), np.linalg.norm(y)
        value = float(x @ y / a / b)
        slope = (y + matrix.T @ x) / (a * b) - value * (x / a**2 + matrix.T @ y / b**2)
        return value, slope

    eigen: Any = np.linalg.eig(matrix)
    values, vectors = eigen
    best = 0.0
    with np.errstate(all="ignore"):
        turned = np.argsort(values.real / np.abs(values))[:2]
        starts = [*vectors[:, turned].real.T, np.linalg.eigh(matrix + matrix.T)[1][:, 0]]
        for start in starts:
            x = scipy.optimize.minimize(cosine, start, jac=True, method="L-BFGS-B").x
            y = matrix @ x
            loss = 4 * len(x) * EPS * np.linalg.norm(matrix) * np.linalg.norm(x) / np.linalg.norm(y) + 8 * EPS
            found = float(_angles(x[:, None], y[:, None])[0] - loss)
            best = max(best, found) if found > 0 else best
    return best


def lower_bound(values: FloatArray, count: int) -> float:
    """max(κ, σ1, 1/σn)^(1/count) from the singular values, descending."""
    top, low = float(np.log(values[0])), float(np.log(values[-1]))
    return float(np.exp(max(top - low, top, -low) / count))
