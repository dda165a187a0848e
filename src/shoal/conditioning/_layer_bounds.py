"""Certified upper bounds of the Lipschitz constants of a flow on a box, layer by layer.

The box is propagated from latent to data by interval arithmetic; each layer's bounds hold on the box that reaches it.
Singular values of every Jacobian on the box lie between 1 / inverse and forward: the other side of `extremes`.

`layer_bound` has one rule a class. Bounds are those of the layer's own two directions; the box is in the direction of
travel: `turned` layers are passed from data to latent. A class that is not registered has no bound, and no box after it.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from shoal import bijections
from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.conditioning._coupling_bounds import UNKNOWN, Given, Piece, coupling_bound, indices
from shoal.conditioning._intervals import Box, affine, norm, product, tanh_slopes, total
from shoal.conditioning._precision import compute

_EPS = float(np.finfo(np.float64).eps)
_UP = 1 + 1e-9  # a margin for rounding


@dataclass(frozen=True)
class LayerBound:
    """Upper bounds for one layer over the box that reaches it; None: no bound known.

    `forward`: of |J v| / |v|, a Lipschitz constant on the box; `inverse`: of |v| / |J v|, so that sigma_min >= 1 / inverse;
    `low`, `high`: (n,), a box that holds all images (None where no box is known).
    """

    name: str
    forward: float | None
    inverse: float | None
    low: FloatArray | None
    high: FloatArray | None
    kind: ClassVar[Literal["upper_bound"]] = "upper_bound"


def lipschitz_bounds(
    bijection: bijections.AbstractBijection,
    low: FloatArray,
    high: FloatArray,
    context: FloatArray | None = None,
) -> tuple[LayerBound, ...]:
    r"""Bounds of each single layer on the images of the latent box low <= z <= high, in forward order.

    Affine and additive couplings: the norm of [[1, 0], [|C|, max s]], |C| from interval matrices of the conditioner or
    from the product of its norms, whichever is smaller; of spline couplings the box of images alone, unless nothing is kept.
    Linear layers: exact norms. Fronts: the slopes of their curves over the box. `Residual`: 1 / (1 - Lip g) and 1 + Lip g;
    `FFJORD`: exp(Lip v), for the exact solution; `Layerwise`, `Planar`, `Radial`, `Sylvester`, `Support`: what
    their parametrisation says. Every other class: None, and no box after it. In float64, with margins for rounding.

    **Arguments:** `low`, `high`: (n,), in latent space; `context`: one context (c,), or None.
    **Returns:** a `LayerBound` a layer; their product is a bound of the whole. Behrmann et al. (2021) give coarser formulas.
    **Raises:** InputError unless low <= high are finite and of length n.
    """
    size = int(np.prod(bijection.shape))
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if low.shape != (size,) or high.shape != (size,) or not (np.isfinite(low) & np.isfinite(high)).all():
        raise InputError(f"`low` and `high` must hold {size} finite numbers; got {low.shape}, {high.shape}.")
    if (low > high).any():
        i = int(np.argmax(low > high))
        raise InputError(f"`low` must be at most `high`; at coordinate {i} they are {low[i]} and {high[i]}.")
    given, rows = Given(Box(low, high), None if context is None else np.asarray(context, np.float64)), []
    for layer in bijections.layers_of(bijection):
        stretch, shrink, box = layer_bound(layer, given)
        ends = (None, None) if box is None else (box.low, box.high)
        given = given._replace(box=box)
        rows.append(LayerBound(bijections.layer_name(layer), stretch, shrink, *ends))
    return tuple(rows)


@singledispatch
def layer_bound(layer: bijections.AbstractBijection, given: Given) -> Piece:
    """The bounds of one layer."""
    return UNKNOWN


layer_bound.register(bijections.Coupling, coupling_bound)


@layer_bound.register
def _(layer: bijections.Inverse, given: Given) -> Piece:
    inner = layer_bound(layer.bijection, given._replace(turned=not given.turned))
    return Piece(inner.inverse, inner.forward, inner.box)


@layer_bound.register
def _(layer: bijections.StandardizedContext, given: Given) -> Piece:
    c = given.context
    c = None if c is None else (c - np.asarray(layer.mean)) / np.asarray(layer.scale)
    return layer_bound(layer.bijection, given._replace(context=c))


@layer_bound.register
def _(layer: bijections.OnPart, given: Given) -> Piece:
    (kept, moved), box = indices(layer.partition), given.box
    inner = layer_bound(layer.bijection, given._replace(box=None if box is None else box.at(moved)))
    image = None if box is None or inner.box is None else box.replaced(moved, inner.box)
    if len(kept) == 0:
        return inner._replace(box=image)
    forward, inverse = (None if b is None else max(b, 1.0) for b in (inner.forward, inner.inverse))
    return Piece(forward, inverse, image)


@layer_bound.register
def _(layer: bijections.PixelWise, given: Given) -> Piece:
    channels, box, hull = layer.image_shape[2], given.box, None
    if box is not None:
        hull = Box(box.low.reshape(-1, channels).min(axis=0), box.high.reshape(-1, channels).max(axis=0))
    inner = layer_bound(layer.bijection, given._replace(box=hull))
    image = inner.box
    if image is not None:
        pixels = layer.shape[0] // channels
        image = Box(np.tile(image.low, pixels), np.tile(image.high, pixels))
    return inner._replace(box=image)


@layer_bound.register(bijections.Permutation)
@layer_bound.register(bijections.SignFlip)
@layer_bound.register(bijections.Squeeze)
def _(layer: bijections.AbstractBijection, given: Given) -> Piece:
    return Piece(1.0, 1.0, _monotone(layer, given))


@layer_bound.register(bijections.ActNorm)
@layer_bound.register(bijections.Standardize)
def _(layer: bijections.ActNorm | bijections.Standardize, given: Given) -> Piece:
    is_log = isinstance(layer, bijections.ActNorm)
    scale = np.exp(np.asarray(layer.log_scale, np.float64)) if is_log else np.asarray(layer.scale, np.float64)
    up = 1 + 8 * _EPS
    return Piece(float(scale.max()) * up, float(1 / scale.min()) * up, _monotone(layer, given))


@layer_bound.register(bijections.LULinear)
@layer_bound.register(bijections.DenseLinear)
@layer_bound.register(bijections.Householder)
@layer_bound.register(bijections.Whitening)
def _(layer: bijections.AbstractBijection, given: Given) -> Piece:
    matrices = [
        compute(_jacobian, layer, np.zeros(layer.shape), given.context, t, precision="float64")
        for t in (False, True)
    ]
    forward, inverse = map(norm, matrices)
    slack = 1 + 8 * len(matrices[0]) * _EPS * forward * inverse  # a matrix that was solved for
    image = None
    if given.box is not None:
        shift = _run(layer, np.zeros((1, len(matrices[0]))), given)[0]
        image = affine(matrices[given.turned], given.box, shift).widened(1e-12)
    return Piece(forward * slack, inverse * slack, image)


@layer_bound.register
def _(layer: bijections.Layerwise, given: Given) -> Piece:
    low, high = layer.bounds
    return _around(layer, high * (1 + 1e-6), (1 + 1e-6) / low, given)


@layer_bound.register
def _(layer: bijections.Residual, given: Given) -> Piece:
    matrices = compute(lambda g: g.net().matrices, layer.g, precision="float64")
    lipschitz = min(layer.lipschitz, float(np.prod([norm(np.asarray(m)) for m in matrices])))
    forward, inverse = 1 / (1 - lipschitz) * _UP, (1 + lipschitz) * _UP
    return _around(layer, forward, inverse, given, 10 * layer.tolerance)


@layer_bound.register
def _(layer: bijections.FFJORD, given: Given) -> Piece:
    net, n = layer.velocity, layer.shape[0]
    top = {"tanh": 1.0, "silu": 1.09984, "gelu": 1.12900}[net.activation]  # the largest slopes, rounded up
    weights = [np.asarray(w, np.float64) for w in net.weights]
    inner = [w[:, :n] if i == 0 else w for i, w in enumerate(weights)]
    through = float(np.prod([top * norm(w) for w in inner])) if inner else 0.0
    rate = norm(np.asarray(net.skip, np.float64)[:, :n]) + norm(np.asarray(net.last, np.float64)) * through
    bound = float(np.exp(rate)) * _UP
    return _around(layer, bound, bound, given, 100 * layer.tolerance)


@layer_bound.register
def _(layer: bijections.Radial, given: Given) -> Piece:
    expansion = float(compute(_parameters, layer, given.context, precision="float64")[2])
    return _around(layer, max(1.0, expansion) * _UP, max(1.0, 1 / expansion) * _UP, given)


@layer_bound.register
def _(layer: bijections.Sylvester, given: Given) -> Piece:
    _, r, tilde, _ = compute(_parameters, layer, given.context, precision="float64")
    top = (1 + norm(r) * norm(tilde)) * _UP
    least = np.minimum(1.0, 1.0 + np.diag(r) * np.diag(tilde))
    inverse = max(1.0, top ** (len(r) - 1) / float(np.prod(least))) * _UP
    return _around(layer, top, inverse, given, layer.tolerance)


@layer_bound.register
def _(layer: bijections.Planar, given: Given) -> Piece:
    """J = 1 + s u w^T, J^{-1} = 1 - s / (1 + s w.u) u w^T: norms are convex in the factor, so largest at its ends."""
    w, u, b, inner = (np.asarray(p) for p in compute(_parameters, layer, given.context, precision="float64"))
    box = given.box
    angle = None if box is None or given.turned else affine(w[None, :], box, b[None])
    slopes = (0.0, 1.0)
    if angle is not None:
        bounds = tanh_slopes(angle)
        slopes = max(float(bounds.low[0]), 0.0), min(float(bounds.high[0]), 1.0)
    size = float(np.linalg.norm(u) * np.linalg.norm(w)) * _UP
    inner = float(inner)
    forward = max(_rank_one(s, inner, size) for s in slopes) * _UP
    inverse = max(_rank_one(-s / (1 + s * inner), inner, size) for s in slopes) * _UP
    if box is None or angle is None:
        return _around(layer, forward, inverse, given, layer.tolerance)
    values = Box(np.tanh(angle.low), np.tanh(angle.high)).widened(1e-9)
    return Piece(forward, inverse, total(box, product(Box(u, u), values)))


@layer_bound.register
def _(layer: bijections.Support, given: Given) -> Piece:
    image = _monotone(layer, given)
    latent = image if given.turned else given.box
    if latent is None:
        return UNKNOWN
    # slopes are monotone, or largest at 0
    points = (latent.low, latent.high, np.clip(0.0, latent.low, latent.high))
    logs = [
        np.asarray(compute(lambda part, z: part.log_slopes(z), layer, z, precision="float64")) for z in points
    ]
    slopes = np.exp(np.array(logs))
    least = float(slopes.min())
    return Piece(float(slopes.max()) * _UP, _UP / least if least > 0 else np.inf, image)


@layer_bound.register(bijections.LogTails)
@layer_bound.register(bijections.Marginals)
def _(layer: bijections.LogTails | bijections.Marginals, given: Given) -> Piece:
    image = _monotone(layer, given)
    data = given.box if given.turned else image
    if data is None:
        return UNKNOWN
    net = compute(lambda part: part, layer, precision="float64")
    low, high = _tail_slopes(net, data) if isinstance(net, bijections.LogTails) else _curve_slopes(net, data)
    return Piece(float(1 / low.min()) * _UP, float(high.max()) * _UP, image)


def _tail_slopes(layer: bijections.LogTails, data: Box) -> tuple[FloatArray, FloatArray]:
    """The least and the largest dz/dx of each column over the box of data."""
    index = _index(np.asarray(layer.raw, np.float64))
    at_low = _tail_slope(-data.low - layer.start, index[0])
    at_high = _tail_slope(data.high - layer.start, index[1])
    nearest = np.maximum(np.maximum(data.low, -data.high), 0.0)  # 0 where the box holds 0
    largest = _tail_slope(nearest - layer.start, np.where(data.low > 0, index[1], index[0]))
    return np.minimum(at_low, at_high), largest


def _curve_slopes(layer: bijections.Marginals, data: Box) -> tuple[FloatArray, FloatArray]:
    """The same. A bin of a rational-quadratic curve with mean slope s and end slopes d0, d1 has slopes s^2 a / b^2.

    a is between the least and the largest of (d0, s, d1), b between the least and the largest of s and (2 s + d0 + d1) / 4,
    the ends of the curve's denominator.
    """
    knots = np.asarray(layer.knots, np.float64)
    heights, d = compute(lambda part: part.heights_and_slopes(), layer, precision="float64")
    s = heights / np.diff(knots, axis=1)
    d0, d1 = (d * np.exp(np.asarray(layer.log_jumps, np.float64)))[:, :-1], d[:, 1:]
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


def _index(raw: FloatArray) -> FloatArray:
    return 1e-3 + np.logaddexp(0.0, raw)


def _tail_slope(e: FloatArray, index: FloatArray) -> FloatArray:
    """dt/de at distance e >= 0, at least e^-20, where the tangent begins."""
    return np.maximum(1 / (1 + index * np.maximum(e, 0.0)), np.exp(-20.0))


def _rank_one(factor: float, inner: float, size: float) -> float:
    """The 2-norm of 1 + factor u w^T with w.u = inner, |u||w| = size: its extreme values have product p and difference d."""
    p, d = 1 + factor * inner, abs(factor) * size
    return max(1.0, (np.sqrt(max(4 * p + d * d, 0.0)) + d) / 2)


def _around(
    layer: bijections.AbstractBijection, forward: float, inverse: float, given: Given, error: float = 0.0
) -> Piece:
    """Both bounds, with the box around the image of the centre that they allow, and `error` of a solver."""
    box = given.box
    if box is None:
        return Piece(forward, inverse, None)
    centre, radius = (box.low + box.high) / 2, (box.high - box.low) / 2
    image = _run(layer, centre[None], given)[0]
    stretch = inverse if given.turned else forward
    reach = stretch * float(np.linalg.norm(radius)) * (1 + len(centre) * _EPS) + error
    return Piece(forward, inverse, Box(image - reach, image + reach).widened(1e-9))


def _monotone(layer: bijections.AbstractBijection, given: Given) -> Box | None:
    """The image of a box under a layer each of whose outputs is a monotone function of one input."""
    if given.box is None:
        return None
    low, high = _run(layer, np.stack(given.box), given._replace(context=None))
    return Box(np.minimum(low, high), np.maximum(low, high)).widened(1e-12)


def _run(layer: bijections.AbstractBijection, points: FloatArray, given: Given) -> FloatArray:
    """The layer at rows, float64, in the direction of travel."""
    return compute(_rows, layer, points, given.context, given.turned, precision="float64")


@eqx.filter_jit
def _rows(layer: bijections.AbstractBijection, points: Array, context: Array | None, turned: bool) -> Array:
    function = layer.inverse if turned else layer.forward
    return jax.vmap(lambda p: function(p, context))(points)


@eqx.filter_jit
def _jacobian(
    layer: bijections.AbstractBijection, point: Array, context: Array | None, turned: bool
) -> Array:
    function = layer.inverse if turned else layer.forward
    return jax.jacfwd(lambda p: function(p, context))(point)


def _parameters(layer: Any, context: Array | None) -> PyTree:
    return layer._parameters(context)
