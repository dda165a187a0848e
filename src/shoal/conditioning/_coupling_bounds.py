"""Bounds of affine and additive couplings on a box.

x_moved = z_moved s + t has J = [[1, 0], [C, diag s]] with C = diag(z_moved s) (log s)' + t', and its inverse has
[[1, 0], [-C', diag 1/s]] with C' = diag(z_moved) (log s)' + diag(1/s) t', at the same point. A block matrix has at most the
norm of the matrix of the norms of its blocks: for s = 1, (|C| + sqrt(|C|^2 + 4)) / 2.
"""

import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import AdditiveCoupling, AffineCoupling, Conditioner, HeldConditioner, KnotConditioner
from shoal.conditioning._conditioner_bounds import ConditionerBounds, conditioner_bounds
from shoal.conditioning._intervals import Box, product, total
from shoal.conditioning._knot_bounds import knot_bounds
from shoal.conditioning._layer_bounds import Piece, indices, layer_bound
from shoal.conditioning._precision import compute
from shoal.conditioning._slopes import scale_ranges


@layer_bound.register(AffineCoupling)
@layer_bound.register(AdditiveCoupling)
def _(layer, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    if box is None:
        return Piece(None, None, None)
    kept, moved = indices(layer.partition)
    m = len(moved)
    net = compute(lambda c: c, layer.conditioner, precision="float64")
    bounds = _bounds(net, box.at(kept), context if layer.context_shape else None)
    ones = Box(np.ones(m), np.ones(m))
    if isinstance(layer, AdditiveCoupling):
        shift, rows = bounds.outputs, slice(0, m)
        logs, slopes = Box(np.zeros(m), np.zeros(m)), None
    else:
        shift, rows = bounds.outputs.at(slice(m, 2 * m)), slice(m, 2 * m)
        ranges = scale_ranges(layer.scale, bounds.outputs.at(slice(0, m)))
        if ranges is None:
            return Piece(None, None, None)
        logs, slopes = ranges
    with np.errstate(over="ignore", invalid="ignore"):
        scale, back = _exp(logs), _exp(Box(-logs.high, -logs.low))
        z = product(total(box.at(moved), Box(-shift.high, -shift.low)), back) if turned else box.at(moved)
        image = z if turned else total(product(z, scale), shift)
        forward, inverse = [(ones, rows)], [(back, rows)]
        if slopes is not None:
            free = slice(0, m)
            forward.append((product(product(z, scale), slopes), free))
            inverse.append((product(z, slopes), free))
        stretch = _block(bounds.norm(forward), float(scale.high.max()))
        shrink = _block(bounds.norm(inverse), float(back.high.max()))
    low, high = box.low.copy(), box.high.copy()
    low[moved], high[moved] = image
    stretch, shrink = (shrink, stretch) if turned else (stretch, shrink)
    return Piece(stretch, shrink, Box(low, high))


def _bounds(
    net: Conditioner | HeldConditioner | KnotConditioner, box: Box, context: FloatArray | None
) -> ConditionerBounds:
    if isinstance(net, KnotConditioner):
        return knot_bounds(net, box)
    held = isinstance(net, HeldConditioner)
    return conditioner_bounds(
        compute(lambda c: c.held(), net, precision="float64") if held else net, box, context
    )


def _exp(box: Box) -> Box:
    return Box(np.exp(box.low), np.exp(box.high)).widened()


def _block(below: float, scale: float) -> float:
    """The 2-norm of [[1, 0], [below, scale]], rounded up; what is not finite stays so."""
    if not np.isfinite(below + scale):
        return below + scale
    return float(np.linalg.norm(np.array([[1.0, 0.0], [below, scale]]), 2)) * (1 + 1e-14)
