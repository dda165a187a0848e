"""Bounds of `LogTails` and `Marginals` on a box, column by column.

A bin of a rational-quadratic curve with mean slope s and end slopes d0, d1 has slopes s^2 a / b^2 with a between the
least and the largest of (d0, s, d1), b between the least and the largest of s and (2 s + d0 + d1) / 4, the ends of its
denominator.
"""

import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import LogTails, Marginals
from shoal.conditioning._intervals import Box
from shoal.conditioning._layer_bounds import Piece, layer_bound, monotone, swapped
from shoal.conditioning._precision import compute

_SLACK = 1 + 1e-9


@layer_bound.register(LogTails)
@layer_bound.register(Marginals)
def _(layer, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    image = monotone(layer, box, turned)
    data = box if turned else image
    if data is None:
        return Piece(None, None, None)
    net = compute(lambda part: part, layer, precision="float64")
    low, high = (_of_tails if isinstance(layer, LogTails) else _of_marginals)(net, data)
    stretch, shrink = float(1 / low.min()) * _SLACK, float(high.max()) * _SLACK  # of latent -> data
    return Piece(*swapped(stretch, shrink, turned), image)


def _index(raw: FloatArray) -> FloatArray:
    return 1e-3 + np.logaddexp(0.0, raw)


def _tail_slope(e: FloatArray, index: FloatArray) -> FloatArray:
    """dt/de at distance e >= 0, at least e^-20, where the tangent begins."""
    return np.maximum(1 / (1 + index * np.maximum(e, 0.0)), np.exp(-20.0))


def _of_tails(layer: LogTails, data: Box) -> tuple[FloatArray, FloatArray]:
    """The least and the largest dz/dx of each column over the box of data."""
    index = _index(np.asarray(layer.raw, np.float64))
    at_low = _tail_slope(-data.low - layer.start, index[0])
    at_high = _tail_slope(data.high - layer.start, index[1])
    nearest = np.maximum(np.maximum(data.low, -data.high), 0.0)  # 0 where the box holds 0
    largest = _tail_slope(nearest - layer.start, np.where(data.low > 0, index[1], index[0]))
    return np.minimum(at_low, at_high), largest


def _of_marginals(layer: Marginals, data: Box) -> tuple[FloatArray, FloatArray]:
    knots = np.asarray(layer.knots, np.float64)
    d = np.exp(np.asarray(layer.log_slopes, np.float64))
    s = np.exp(np.asarray(layer.log_heights, np.float64)) / np.diff(knots, axis=1)
    d0, d1 = d[:, :-1], d[:, 1:]
    middle = (2 * s + d0 + d1) / 4
    a = np.stack([d0, s, d1])
    smallest = s**2 * a.min(axis=0) / np.maximum(s, middle) ** 2
    largest = s**2 * a.max(axis=0) / np.minimum(s, middle) ** 2
    met = (knots[:, 1:] >= data.low[:, None]) & (knots[:, :-1] <= data.high[:, None])
    low = np.where(met, smallest, np.inf).min(axis=1)
    high = np.where(met, largest, -np.inf).max(axis=1)
    index = _index(np.asarray(layer.raw_tails, np.float64))
    for end, outer, inner, sign in ((0, data.low, data.high, -1.0), (-1, data.high, data.low, 1.0)):
        far = np.maximum(sign * (outer - knots[:, end]), 0.0)
        near = np.maximum(sign * (inner - knots[:, end]), 0.0)
        lam = index[:, 0 if end == 0 else 1]
        low = np.where(far > 0, np.minimum(low, d[:, end] * _tail_slope(d[:, end] * far, lam)), low)
        high = np.where(far > 0, np.maximum(high, d[:, end] * _tail_slope(d[:, end] * near, lam)), high)
    return low, high
