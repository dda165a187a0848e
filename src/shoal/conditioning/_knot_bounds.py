"""Outputs and slopes over a box of a conditioner that is given by its knots, as `ConditionerBounds`.

u = <direction, x> covers an interval; over it each output is piecewise linear, so its range is that of the values at the
ends and at the knots between, and its slope is that of one of the pieces that the interval meets.
"""

import numpy as np

from shoal.bijections import KnotConditioner
from shoal.conditioning._conditioner_bounds import ConditionerBounds
from shoal.conditioning._intervals import Box, Matrices, affine, norm


def knot_bounds(net: KnotConditioner, box: Box) -> ConditionerBounds:
    """The bounds over a box of inputs; parameters in float64."""
    direction, knots, values = (np.asarray(a, np.float64) for a in (net.direction, net.knots, net.values))
    u = affine(direction[None], box)
    low, high = float(u.low[0]), float(u.high[0])
    ends = np.stack([[np.interp(end, knots, column) for column in values.T] for end in (low, high)])
    between = values[(knots > low) & (knots < high)]
    seen = np.concatenate([ends, between])
    outputs = Box(seen.min(axis=0), seen.max(axis=0)).widened(1e-12 * float(np.abs(values).max()))
    flat = np.zeros((1, values.shape[1]))
    slopes = np.concatenate([flat, np.diff(values, axis=0) / np.diff(knots)[:, None], flat])
    first, last = np.searchsorted(knots, low, side="left"), np.searchsorted(knots, high, side="right")
    met = slopes[first : last + 1]  # slope j holds between the knots j - 1 and j
    range_ = Box(met.min(axis=0), met.max(axis=0)).widened()
    constant = np.asarray(net.constant, np.float64)
    c = len(constant)
    whole = Box(np.concatenate([constant, outputs.low]), np.concatenate([constant, outputs.high]))
    middle, radius = (range_.low + range_.high) / 2, (range_.high - range_.low) / 2
    zeros = np.zeros((c, len(direction)))
    jacobian = Matrices(
        np.concatenate([zeros, middle[:, None] * direction]),
        np.concatenate([zeros, radius[:, None] * np.abs(direction)]),
    )
    steepest = np.concatenate([np.zeros((c, 1)), range_.size[:, None]])
    return ConditionerBounds(
        whole, jacobian, np.zeros((c + len(middle), len(direction))), steepest, norm(direction[None])
    )
