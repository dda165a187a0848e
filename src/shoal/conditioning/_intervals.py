"""Interval arithmetic in NumPy: boxes (low, high) of vectors, interval matrices as midpoint and radius, ranges of functions.

Outward by a stated margin rather than by directed rounding: sums of k terms are widened by (k + 4) eps times the sum of
absolute values, which bounds their rounding (Rump 1999 on midpoint-radius products). NaN stays NaN. Each elementwise
function or slope of one is monotone between its critical points, which are listed, so its range over an interval is that
over the two ends and the critical points inside, widened by 1e-9 for the rounding of both.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from shoal._scalars import FloatArray, Function, IntArray
from shoal.bijections import AbstractScaleMap, ExponentialScale, SigmoidScale, SoftBoundedScale

_EPS = float(np.finfo(np.float64).eps)
_MARGIN = 1e-9
_ROOT = math.sqrt(2.0 / math.pi)


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

    def replaced(self, index: IntArray, part: "Box") -> "Box":
        """The box with other bounds for some of the coordinates."""
        low, high = self.low.copy(), self.high.copy()
        low[index], high[index] = part
        return Box(low, high)

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


def negative(box: Box) -> Box:
    """-v."""
    return Box(-box.high, -box.low)


def exponential(box: Box) -> Box:
    """e^v."""
    return Box(np.exp(box.low), np.exp(box.high)).widened()


def activation_ranges(name: str, box: Box) -> tuple[Box, Box]:
    """The values and the slopes of an activation over a box."""
    value, slope, turns, bends = _ACTIVATIONS[name]
    if name == "relu":
        return Box(value(box.low), value(box.high)), Box(slope(box.low), np.where(box.high > 0, 1.0, 0.0))
    return _range(value, box, turns), _range(slope, box, bends)


def scale_ranges(scale: AbstractScaleMap, box: Box) -> tuple[Box, Box] | None:
    """The log-scales and their slopes over a box of free values; None for a scale map that is not known here."""
    if isinstance(scale, ExponentialScale):
        return box, Box(np.ones_like(box.low), np.ones_like(box.high))
    if isinstance(scale, SoftBoundedScale):
        inner = Box(box.low / scale.bound, box.high / scale.bound)
        values = _range(np.tanh, inner, ())
        return Box(scale.bound * values.low, scale.bound * values.high), tanh_slopes(inner)
    if isinstance(scale, SigmoidScale):
        return _range(_log_half, box, ()), _range(_log_half_slope, box, (_STEEPEST,))
    return None


def tanh_slopes(box: Box) -> Box:
    """1 - tanh^2 over a box."""
    return _range(_tanh_slope, box, (0.0,))


def _range(function: Callable[[FloatArray], FloatArray], box: Box, critical: tuple[float, ...]) -> Box:
    ends = [function(box.low), function(box.high)]
    for t in critical:
        inside = (box.low <= t) & (box.high >= t)
        ends.append(np.where(inside, function(np.full_like(box.low, t)), ends[0]))
    low, high = np.min(ends, axis=0), np.max(ends, axis=0)
    margin = _MARGIN * (1.0 + np.maximum(np.abs(low), np.abs(high)))
    return Box(low - margin, high + margin)


def _sigmoid(t: FloatArray) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * t))


def _silu(t: FloatArray) -> FloatArray:
    return t * _sigmoid(t)


def _silu_slope(t: FloatArray) -> FloatArray:
    s = _sigmoid(t)
    return s + t * s * (1.0 - s)


def _tanh_slope(t: FloatArray) -> FloatArray:
    return 1.0 - np.tanh(t) ** 2


def _gelu(t: FloatArray) -> FloatArray:
    return 0.5 * t * (1.0 + np.tanh(_ROOT * (t + 0.044715 * t**3)))


def _gelu_slope(t: FloatArray) -> FloatArray:
    h = np.tanh(_ROOT * (t + 0.044715 * t**3))
    return 0.5 * (1.0 + h) + 0.5 * t * (1.0 - h * h) * _ROOT * (1.0 + 3 * 0.044715 * t * t)


def _log_half(t: FloatArray) -> FloatArray:
    return np.log(0.5 + 0.5 * _sigmoid(t + 2.0))


def _log_half_slope(t: FloatArray) -> FloatArray:
    s = _sigmoid(t + 2.0)
    return s * (1.0 - s) / (1.0 + s)


_STEEPEST = math.log((math.sqrt(2.0) - 1.0) / (2.0 - math.sqrt(2.0))) - 2.0  # s = sqrt(2) - 1
_ACTIVATIONS: dict[str, tuple[Function, Function, tuple[float, ...], tuple[float, ...]]] = {
    "relu": (lambda t: np.maximum(t, 0.0), lambda t: np.where(t >= 0, 1.0, 0.0), (), ()),
    "tanh": (np.tanh, _tanh_slope, (), (0.0,)),
    "silu": (_silu, _silu_slope, (-1.2784645427610738,), (-2.399357280520326, 2.399357280520326)),
    "gelu": (_gelu, _gelu_slope, (-0.7524614220710162,), (-1.418504, 1.418504)),
}
