"""Bounds of couplings on a box.

x_moved = f(z_moved; raw(z_kept)) has J = [[1, 0], [C, diag f']] with C the sum over parameters p of diag(df/draw_p) raw_p',
and its inverse the same with the slopes and rates of f^{-1}. A block matrix has at most the norm of the matrix of the norms
of its blocks: for f' = 1, (|C| + sqrt(|C|^2 + 4)) / 2.
"""

import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import Coupling
from shoal.conditioning._conditioner_bounds import ConditionerBounds, conditioner_bounds
from shoal.conditioning._intervals import Box
from shoal.conditioning._layer_bounds import Piece, indices, layer_bound
from shoal.conditioning._precision import compute
from shoal.conditioning._transformer_bounds import Slopes, transformer_bounds


@layer_bound.register
def _(layer: Coupling, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    if box is None:
        return Piece(None, None, None)
    kept, moved = indices(layer.partition)
    net = compute(lambda c: c, layer.conditioner, precision="float64")
    bounds = conditioner_bounds(net, box.at(kept), context if layer.context_shape else None)
    if bounds is None:
        return Piece(None, None, None)
    with np.errstate(over="ignore", invalid="ignore"):
        found = transformer_bounds(layer.transformer, bounds.outputs, box.at(moved), turned)
        if found is None:
            return Piece(None, None, None)
        stretch, shrink = (_norm(bounds, slopes) for slopes in (found.forward, found.inverse))
    low, high = box.low.copy(), box.high.copy()
    low[moved], high[moved] = found.image
    stretch, shrink = (shrink, stretch) if turned else (stretch, shrink)
    return Piece(stretch, shrink, Box(low, high))


def _norm(net: ConditionerBounds, slopes: Slopes) -> float | None:
    """The 2-norm of [[1, 0], [|C|, max f']], rounded up; what is not finite stays so. None: |C| is not known."""
    m, kept = len(slopes.own.low), net.skip.shape[1]
    if slopes.rates is None and kept:
        return None
    rates = slopes.rates or ()  # where nothing is kept C is empty
    below = net.norm([(r, slice(p * m, (p + 1) * m)) for p, r in enumerate(rates)]) if kept else 0.0
    scale = float(slopes.own.high.max())
    if not np.isfinite(below + scale):
        return below + scale
    return float(np.linalg.norm(np.array([[1.0, 0.0], [below, scale]]), 2)) * (1 + 1e-14)
