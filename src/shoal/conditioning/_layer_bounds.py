"""What a layer does to a box, as a function of the layer's class: `layer_bound` and the classes whose bounds are global.

A piece is in the direction of travel: `turned` layers are passed from data to latent. Its `stretch` bounds |J v| / |v| over
the box and its `shrink` bounds |v| / |J v|; a class that is not registered has neither. See `lipschitz_bounds`.
"""

from functools import singledispatch
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._scalars import FloatArray, IntArray
from shoal.bijections import (
    FFJORD,
    AbstractBijection,
    AbstractPartition,
    ActNorm,
    DenseLinear,
    Householder,
    Inverse,
    Layerwise,
    Logit,
    LULinear,
    OnPart,
    Permutation,
    PixelWise,
    Residual,
    SignFlip,
    Squeeze,
    Standardize,
    StandardizedContext,
    Whitening,
)
from shoal.conditioning._intervals import Box, affine, norm
from shoal.conditioning._precision import compute

_EPS = float(np.finfo(np.float64).eps)


class Piece(NamedTuple):
    """Bounds over a box and the box of images; None where none is known."""

    stretch: float | None
    shrink: float | None
    box: Box | None


@singledispatch
def layer_bound(layer: AbstractBijection, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    """The piece of one layer over a box (None: nothing is known of where its input lies)."""
    return Piece(None, None, None)


def run(layer: AbstractBijection, points: FloatArray, context: FloatArray | None, turned: bool) -> FloatArray:
    """The layer at rows, float64, in the direction of travel."""
    return compute(_rows, layer, points, context, turned, precision="float64")


def swapped(stretch: float, shrink: float, turned: bool) -> tuple[float, float]:
    """Bounds of forward and inverse, in the direction of travel."""
    return (shrink, stretch) if turned else (stretch, shrink)


def by_stretch(
    layer: AbstractBijection,
    stretch: float,
    box: Box | None,
    context: FloatArray | None,
    turned: bool,
    error: float = 0.0,
) -> Box | None:
    """The box around the image of the centre that a Lipschitz constant allows, and `error` of a solver."""
    if box is None:
        return None
    centre, radius = (box.low + box.high) / 2, (box.high - box.low) / 2
    image = run(layer, centre[None], context, turned)[0]
    reach = stretch * float(np.linalg.norm(radius)) * (1 + len(centre) * _EPS) + error
    return Box(image - reach, image + reach).widened(1e-9)


def monotone(layer: AbstractBijection, box: Box | None, turned: bool) -> Box | None:
    """The image of a box under a layer each of whose outputs is a monotone function of one input."""
    if box is None:
        return None
    low, high = run(layer, np.stack([box.low, box.high]), None, turned)
    return Box(np.minimum(low, high), np.maximum(low, high)).widened(1e-12)


@layer_bound.register(Permutation)
@layer_bound.register(SignFlip)
@layer_bound.register(Squeeze)
def _(layer, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    return Piece(1.0, 1.0, monotone(layer, box, turned))


@layer_bound.register(ActNorm)
@layer_bound.register(Standardize)
def _(layer, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    if isinstance(layer, ActNorm):
        scale = np.exp(np.asarray(layer.log_scale, np.float64))
    else:
        scale = np.asarray(layer.scale, np.float64)
    ends = float(scale.max()) * (1 + 8 * _EPS), float(1 / scale.min()) * (1 + 8 * _EPS)
    return Piece(*swapped(*ends, turned), monotone(layer, box, turned))


@layer_bound.register(Logit)
def _(layer, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    image = monotone(layer, box, turned)
    latent = image if turned else box
    if latent is None:
        return Piece(None, None, None)
    length = (layer.high - layer.low) / (1.0 - 2.0 * layer.alpha)
    away = np.maximum(latent.low, -latent.high)  # negative where the interval holds 0
    ends = [np.maximum(away, 0.0).min(), latent.size.max()]
    slopes = [length / (2.0 + np.exp(t) + np.exp(-t)) for t in ends]
    stretch, shrink = slopes[0] * (1 + 1e-9), (1 + 1e-9) / slopes[1]
    return Piece(*swapped(float(stretch), float(shrink), turned), image)


@layer_bound.register(LULinear)
@layer_bound.register(DenseLinear)
@layer_bound.register(Householder)
@layer_bound.register(Whitening)
def _(layer, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    there, back = (_matrix(layer, context, t) for t in (turned, not turned))
    stretch, shrink = norm(there), norm(back)
    slack = 1 + 8 * len(there) * _EPS * stretch * shrink  # a matrix that was solved for
    shift = run(layer, np.zeros((1, len(there))), context, turned)[0]
    image = None if box is None else affine(there, box, shift).widened(1e-12)
    return Piece(stretch * slack, shrink * slack, image)


@layer_bound.register(Layerwise)
def _(layer: Layerwise, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    low, high = layer.bounds
    stretch, shrink = swapped(high * (1 + 1e-6), (1 + 1e-6) / low, turned)
    return Piece(stretch, shrink, by_stretch(layer, stretch, box, context, turned))


@layer_bound.register(Residual)
def _(layer: Residual, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    matrices = compute(lambda g: g.net().matrices, layer.g, precision="float64")
    lipschitz = min(layer.lipschitz, float(np.prod([norm(np.asarray(m)) for m in matrices])))
    stretch, shrink = swapped(1 / (1 - lipschitz) * (1 + 1e-9), (1 + lipschitz) * (1 + 1e-9), turned)
    return Piece(stretch, shrink, by_stretch(layer, stretch, box, context, turned, 10 * layer.tolerance))


@layer_bound.register(FFJORD)
def _(layer: FFJORD, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    net, n = layer.velocity, layer.shape[0]
    top = {"tanh": 1.0, "silu": 1.09984, "gelu": 1.12900}[net.activation]  # the largest slopes, rounded up
    weights = [np.asarray(w, np.float64) for w in net.weights]
    inner = [w[:, :n] if i == 0 else w for i, w in enumerate(weights)]
    through = float(np.prod([top * norm(w) for w in inner])) if inner else 0.0
    rate = norm(np.asarray(net.skip, np.float64)[:, :n]) + norm(np.asarray(net.last, np.float64)) * through
    stretch = float(np.exp(rate)) * (1 + 1e-9)
    return Piece(stretch, stretch, by_stretch(layer, stretch, box, context, turned, 100 * layer.tolerance))


@layer_bound.register(Inverse)
def _(layer: Inverse, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    return layer_bound(layer.bijection, box, context, not turned)


@layer_bound.register(StandardizedContext)
def _(layer: StandardizedContext, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    given = None if context is None else (context - np.asarray(layer.mean)) / np.asarray(layer.scale)
    return layer_bound(layer.bijection, box, given, turned)


@layer_bound.register(OnPart)
def _(layer: OnPart, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    kept, moved = indices(layer.partition)
    inner = layer_bound(layer.bijection, None if box is None else box.at(moved), context, turned)
    image = None
    if box is not None and inner.box is not None:
        low, high = box.low.copy(), box.high.copy()
        low[moved], high[moved] = inner.box
        image = Box(low, high)
    with_rest = lambda bound: None if bound is None else max(bound, 1.0) if len(kept) else bound
    return Piece(with_rest(inner.stretch), with_rest(inner.shrink), image)


@layer_bound.register(PixelWise)
def _(layer: PixelWise, box: Box | None, context: FloatArray | None, turned: bool) -> Piece:
    channels = layer.image_shape[2]
    hull = None
    if box is not None:
        hull = Box(box.low.reshape(-1, channels).min(axis=0), box.high.reshape(-1, channels).max(axis=0))
    inner = layer_bound(layer.bijection, hull, context, turned)
    pixels = layer.shape[0] // channels
    image = (
        None if inner.box is None else Box(np.tile(inner.box.low, pixels), np.tile(inner.box.high, pixels))
    )
    return Piece(inner.stretch, inner.shrink, image)


def indices(partition: AbstractPartition) -> tuple[IntArray, IntArray]:
    """The kept and the moved coordinates of a partition."""
    kept, moved = partition.split(jnp.arange(partition.dim, dtype=jnp.float32))
    return np.asarray(kept, np.int64), np.asarray(moved, np.int64)


@eqx.filter_jit
def _rows(layer, points, context, turned: bool):
    function = layer.inverse if turned else layer.forward
    return jax.vmap(lambda p: function(p, context))(points)


def _matrix(layer: AbstractBijection, context: FloatArray | None, turned: bool) -> FloatArray:
    return compute(_jacobian, layer, np.zeros(layer.shape), context, turned, precision="float64")


@eqx.filter_jit
def _jacobian(layer, point, context, turned: bool):
    function = layer.inverse if turned else layer.forward
    return jax.jacfwd(lambda p: function(p, context))(point)
