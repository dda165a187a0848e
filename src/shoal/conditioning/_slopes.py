"""Ranges of the elementwise functions of bijections and of their slopes on intervals.

Each function or slope is monotone between its critical points, which are listed, so its range over an interval is that over
the two ends and the critical points inside, widened by 1e-9 for the rounding of both.
"""

import math
from collections.abc import Callable

import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import AbstractScaleMap, ExponentialScale, SigmoidScale, SoftBoundedScale
from shoal.conditioning._intervals import Box

_MARGIN = 1e-9
_ROOT = math.sqrt(2.0 / math.pi)


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
        b = scale.bound
        inner = Box(box.low / b, box.high / b)
        values = _range(np.tanh, inner, ())
        return Box(b * values.low, b * values.high), tanh_slopes(inner)
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
_ACTIVATIONS: dict[str, tuple[Callable, Callable, tuple[float, ...], tuple[float, ...]]] = {
    "relu": (lambda t: np.maximum(t, 0.0), lambda t: np.where(t >= 0, 1.0, 0.0), (), ()),
    "tanh": (np.tanh, _tanh_slope, (), (0.0,)),
    "silu": (_silu, _silu_slope, (-1.2784645427610738,), (-2.399357280520326, 2.399357280520326)),
    "gelu": (_gelu, _gelu_slope, (-0.7524614220710162,), (-1.418504, 1.418504)),
}
