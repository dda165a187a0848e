"""Interval arithmetic in NumPy: boxes (low, high) of vectors, and interval matrices as midpoint and radius.

Outward by a stated margin rather than by directed rounding: sums of k terms are widened by (k + 4) eps times the sum of
absolute values, which bounds their rounding (Rump 1999 on midpoint-radius products). NaN stays NaN.
"""

from typing import NamedTuple

import numpy as np

from shoal._scalars import FloatArray, IntArray

_EPS = float(np.finfo(np.float64).eps)


class Box(NamedTuple):
    """low <= v <= high, coordinate by coordinate."""

    low: FloatArray
    high: FloatArray

    @property
    def size(self) -> FloatArray:
        """max |v|."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def at(self, index: IntArray | slice) -> "Box":
        """Some of the coordinates."""
        return Box(self.low[index], self.high[index])

    def widened(self, by: FloatArray | float = 0.0) -> "Box":
        """The box with a margin of 8 eps of its size, and `by`, on all sides."""
        margin = 8 * _EPS * self.size + by
        return Box(self.low - margin, self.high + margin)


class Matrices(NamedTuple):
    """All matrices whose entries lie within `radius` of `middle`."""

    middle: FloatArray
    radius: FloatArray

    def after(self, weight: FloatArray) -> "Matrices":
        """weight @ M."""
        size = np.abs(weight)
        slack = (weight.shape[1] + 4) * _EPS
        spread = size @ self.radius
        return Matrices(weight @ self.middle, spread + slack * (size @ (np.abs(self.middle) + self.radius)))

    def scaled(self, rows: Box) -> "Matrices":
        """diag(r) M for every r in the box."""
        r, away = (rows.low + rows.high) / 2, (rows.high - rows.low) / 2
        size = np.abs(self.middle) + self.radius
        spread = np.abs(r)[:, None] * self.radius + away[:, None] * size
        return Matrices(r[:, None] * self.middle, spread + 8 * _EPS * rows.size[:, None] * size)

    def plus(self, other: "Matrices") -> "Matrices":
        """M + N."""
        size = np.abs(self.middle) + np.abs(other.middle)
        return Matrices(self.middle + other.middle, self.radius + other.radius + 2 * _EPS * size)

    def norm(self) -> float:
        """At least the 2-norm of each: |middle| + |radius|, as |E| <= R entry by entry gives |E|_2 <= |R|_2."""
        return norm(self.middle) + norm(self.radius)


def product(a: Box, b: Box) -> Box:
    """u v, coordinate by coordinate."""
    corners = np.stack([a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high])
    return Box(corners.min(axis=0), corners.max(axis=0)).widened()


def total(a: Box, b: Box) -> Box:
    """u + v."""
    margin = 4 * _EPS * (a.size + b.size)
    return Box(a.low + b.low - margin, a.high + b.high + margin)


def affine(weight: FloatArray, box: Box, shift: FloatArray | float = 0.0) -> Box:
    """W v + b."""
    middle, radius = (box.low + box.high) / 2, (box.high - box.low) / 2
    size = np.abs(weight)
    slack = (weight.shape[1] + 4) * _EPS * (size @ box.size + np.abs(shift))
    centre, spread = weight @ middle + shift, size @ radius + slack
    return Box(centre - spread, centre + spread)


def norm(matrix: FloatArray) -> float:
    """The 2-norm by singular value decomposition, times 1 + 4 (rows + columns + 8) eps; what is not finite stays so."""
    if matrix.size == 0:
        return 0.0
    if not np.isfinite(matrix).all():
        return float(np.max(np.abs(matrix)))
    return float(np.linalg.norm(matrix, 2)) * (1 + 4 * (sum(matrix.shape) + 8) * _EPS)
