"""Bounds of planar, radial and Sylvester layers: what their parametrisation says, sharper on a box for the planar one."""

import numpy as np

from shoal._scalars import FloatArray
from shoal.bijections import Planar, Radial, Sylvester
from shoal.conditioning._intervals import Box, affine, norm, product, total
from shoal.conditioning._layer_bounds import Piece, by_stretch, layer_bound, swapped
from shoal.conditioning._precision import compute
from shoal.conditioning._slopes import tanh_slopes

_UP = 1 + 1e-9


@layer_bound.register(Planar)
def _(layer: Planar, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    """J = 1 + s u w^T, J^{-1} = 1 - s / (1 + s w.u) u w^T: norms are convex in the factor, so largest at its ends."""
    w, u, b, inner = (np.asarray(p) for p in compute(_parameters, layer, context, precision="float64"))
    angle = None if box is None or turned else affine(w[None, :], box, b[None])
    slopes = (0.0, 1.0)
    if angle is not None:
        bounds = tanh_slopes(angle)
        slopes = max(float(bounds.low[0]), 0.0), min(float(bounds.high[0]), 1.0)
    size = float(np.linalg.norm(u) * np.linalg.norm(w)) * _UP
    inner = float(inner)
    stretch = max(_rank_one(s, inner, size) for s in slopes)
    shrink = max(_rank_one(-s / (1 + s * inner), inner, size) for s in slopes)
    stretch, shrink = swapped(stretch * _UP, shrink * _UP, turned)
    if box is None or angle is None:
        return Piece(stretch, shrink, by_stretch(layer, stretch, box, context, turned, layer.tolerance))
    values = Box(np.tanh(angle.low), np.tanh(angle.high)).widened(1e-9)
    return Piece(stretch, shrink, total(box, product(Box(u, u), values)))


@layer_bound.register(Radial)
def _(layer: Radial, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    _, _, expansion = compute(_parameters, layer, context, precision="float64")
    e = float(expansion)
    stretch, shrink = swapped(max(1.0, e) * _UP, max(1.0, 1 / e) * _UP, turned)
    return Piece(stretch, shrink, by_stretch(layer, stretch, box, context, turned))


@layer_bound.register(Sylvester)
def _(layer: Sylvester, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    _, r, tilde, _ = compute(_parameters, layer, context, precision="float64")
    top = (1 + norm(r) * norm(tilde)) * _UP
    least = np.minimum(1.0, 1.0 + np.diag(r) * np.diag(tilde))
    stretch, shrink = swapped(top, max(1.0, top ** (len(r) - 1) / float(np.prod(least))) * _UP, turned)
    return Piece(stretch, shrink, by_stretch(layer, stretch, box, context, turned, layer.tolerance))


def _rank_one(factor: float, inner: float, size: float) -> float:
    """The 2-norm of 1 + factor u w^T with w.u = inner, |u||w| = size: its extreme values have product p and difference d."""
    p, d = 1 + factor * inner, abs(factor) * size
    return max(1.0, (np.sqrt(max(4 * p + d * d, 0.0)) + d) / 2)


def _parameters(layer, context):
    return layer._parameters(context)
