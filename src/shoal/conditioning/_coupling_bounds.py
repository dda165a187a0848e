"""Bounds of couplings on a box: what the conditioner gives over the kept coordinates, and what the transformer makes of it.

x_moved = f(z_moved; raw(z_kept)) has J = [[1, 0], [C, diag f']] with C the sum over parameters p of diag(df/draw_p) raw_p',
and its inverse the same with the slopes and rates of f^{-1}. A block matrix has at most the norm of the matrix of the norms
of its blocks: for f' = 1, (|C| + sqrt(|C|^2 + 4)) / 2.

Conditioner: J = A + L D_k W_k ... D_1 W_1, D_i the slopes of the activation. Two bounds of its norm, of which the smaller
counts: an interval matrix (sharp on small boxes), and |A| + |L| prod |D_i W_i| with the largest slopes (good on large ones).

Transformer: rates of the inverse are at the same point: z = f^{-1}(x; raw) has dz/draw = -(df/draw) / (df/dz). They are
given apart, as the quotient of two ranges is wider than the range of the quotient. Signs do not matter and are left out.
"""

from dataclasses import dataclass
from functools import reduce, singledispatch
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from shoal import bijections
from shoal._scalars import FloatArray, IntArray
from shoal.bijections.transformers import MIN_BIN, MIN_DERIVATIVE, RAW_ONE
from shoal.conditioning._intervals import (
    Box,
    Matrices,
    activation_ranges,
    affine,
    exponential,
    negative,
    norm,
    product,
    scale_ranges,
    total,
)
from shoal.conditioning._precision import compute

PIECES = 64  # of a bin of a spline, an even number


class Given(NamedTuple):
    """What a layer is passed: the box of its inputs (None: not known) and one context (c,), if it has one.

    The box is of latents or, for `turned` layers, of data.
    """

    box: Box | None
    context: FloatArray | None
    turned: bool = False


class Piece(NamedTuple):
    """Upper bounds over a box, and the box of images; None where none is known.

    `forward`: of |J v| / |v|, J that of latent -> data; `inverse`: of |v| / |J v|.
    """

    forward: float | None
    inverse: float | None
    box: Box | None


UNKNOWN = Piece(None, None, None)


def coupling_bound(layer: bijections.Coupling, given: Given) -> Piece:
    """The bounds of a coupling."""
    box = given.box
    if box is None:
        return UNKNOWN
    kept, moved = indices(layer.partition)
    net = compute(lambda c: c, layer.conditioner, precision="float64")
    bounds = conditioner_bounds(net, box.at(kept), given.context if layer.context_shape else None)
    if bounds is None:
        return UNKNOWN
    with np.errstate(over="ignore", invalid="ignore"):
        found = transformer_bounds(layer.transformer, bounds.outputs, box.at(moved), given.turned)
        if found is None:
            return UNKNOWN
        forward, inverse = (_norm(bounds, slopes) for slopes in (found.forward, found.inverse))
    return Piece(forward, inverse, box.replaced(moved, found.image))


def indices(partition: bijections.AbstractPartition) -> tuple[IntArray, IntArray]:
    """The kept and the moved coordinates of a partition."""
    kept, moved = partition.split(jnp.arange(partition.dim, dtype=jnp.float32))
    return np.asarray(kept, np.int64), np.asarray(moved, np.int64)


def _norm(net: "ConditionerBounds", slopes: "Slopes") -> float | None:
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


@dataclass(frozen=True)
class ConditionerBounds:
    """`outputs`: the box of outputs; `jacobian`: interval matrix; `skip`, `last`: A and L; `inner`: >= |D_k ... W_1|."""

    outputs: Box
    jacobian: Matrices
    skip: FloatArray
    last: FloatArray
    inner: float

    def norm(self, parts: list[tuple[Box, slice]]) -> float:
        """At least |sum of diag(r) J[rows]| over all r in the boxes and all inputs, for (r, rows) of equal sizes."""
        weighted = [Matrices(*(m[rows] for m in self.jacobian)).scaled(r) for r, rows in parts]
        sharp = reduce(Matrices.plus, weighted).norm()
        crude = 0.0
        for r, rows in parts:
            size = r.size[:, None]
            crude += norm(size * self.skip[rows]) + norm(size * self.last[rows]) * self.inner
        return float(np.minimum(sharp, crude))


@singledispatch
def conditioner_bounds(
    net: bijections.AbstractConditioner, box: Box, context: FloatArray | None
) -> ConditionerBounds | None:
    """The bounds over a box of inputs at one context; parameters in float64. None for a class that is not known here."""
    return None


@conditioner_bounds.register
def _(net: bijections.HeldConditioner, box: Box, context: FloatArray | None) -> ConditionerBounds | None:
    return conditioner_bounds(compute(lambda c: c.held(), net, precision="float64"), box, context)


@conditioner_bounds.register
def _(net: bijections.DenseConditioner, box: Box, context: FloatArray | None) -> ConditionerBounds:
    inputs = len(box.low)
    fixed = np.zeros(0) if context is None else np.asarray(context, np.float64)
    h = Box(np.concatenate([box.low, fixed]), np.concatenate([box.high, fixed]))
    skip = np.asarray(net.skip)[:, :inputs]
    outputs = affine(np.asarray(net.skip), h, np.asarray(net.bias))
    jacobian, inner = Matrices(skip, np.zeros_like(skip)), 1.0
    last = np.asarray(net.last)
    if not net.weights:
        return ConditionerBounds(outputs, jacobian, skip, np.zeros((len(skip), 0)), 0.0)
    chain = Matrices(np.eye(inputs), np.zeros((inputs, inputs)))
    for i, (w, b) in enumerate(zip(net.weights, net.biases, strict=True)):
        weight = np.asarray(w)
        h, slopes = activation_ranges(net.activation, affine(weight, h, np.asarray(b)))
        weight = weight if i else weight[:, :inputs]  # the context does not move
        chain = chain.after(weight).scaled(slopes)
        inner *= norm(slopes.size[:, None] * weight)
    return ConditionerBounds(
        total(outputs, affine(last, h)), jacobian.plus(chain.after(last)), skip, last, inner
    )


@conditioner_bounds.register
def _(net: bijections.KnotConditioner, box: Box, context: FloatArray | None) -> ConditionerBounds:
    # piecewise linear in u = <direction, x>: the values at the ends and the knots between, the slopes of the pieces met
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


class Slopes(NamedTuple):
    """`own`: of the output in the moved argument, (m,); `rates`: in each of the P raw values, P boxes (m,), or not known."""

    own: Box
    rates: tuple[Box, ...] | None


class TransformerBounds(NamedTuple):
    """`image`: of the moved coordinates, in the direction of travel; the slopes of both directions."""

    image: Box
    forward: Slopes
    inverse: Slopes


@singledispatch
def transformer_bounds(
    transformer: bijections.AbstractTransformer, raw: Box, moved: Box, turned: bool
) -> TransformerBounds | None:
    """Bounds for `raw`, a box of P m values, and `moved`, (m,): z, or x where the layer is turned. None: not known."""
    return None


@transformer_bounds.register
def _(transformer: bijections.Additive, raw: Box, moved: Box, turned: bool) -> TransformerBounds:
    one = Box(np.ones_like(moved.low), np.ones_like(moved.low))
    slopes = Slopes(one, (one,))
    return TransformerBounds(total(moved, negative(raw) if turned else raw), slopes, slopes)


@transformer_bounds.register
def _(transformer: bijections.Affine, raw: Box, moved: Box, turned: bool) -> TransformerBounds | None:
    m = len(moved.low)
    ranges, shift = scale_ranges(transformer.scale, raw.at(slice(0, m))), raw.at(slice(m, 2 * m))
    if ranges is None:
        return None
    logs, slopes = ranges
    scale, back = exponential(logs), exponential(negative(logs))
    z = product(total(moved, negative(shift)), back) if turned else moved
    one = Box(np.ones(m), np.ones(m))
    image = z if turned else total(product(z, scale), shift)
    forward = Slopes(scale, (product(product(z, scale), slopes), one))
    return TransformerBounds(image, forward, Slopes(back, (product(z, slopes), back)))


@transformer_bounds.register
def _(
    transformer: bijections.RationalQuadratic, raw: Box, moved: Box, turned: bool
) -> TransformerBounds | None:
    m, bound = len(moved.low), transformer.bound
    ranges, shift = scale_ranges(transformer.scale, raw.at(slice(0, m))), raw.at(slice(m, 2 * m))
    if ranges is None:
        return None
    scale, back = exponential(ranges[0]), exponential(negative(ranges[0]))
    knots = Box(*(end[2 * m :].reshape(-1, m) for end in raw))
    slope = _spline_slopes(knots, transformer.bins)
    flat = Box(1 / slope.high, 1 / slope.low).widened()
    start = product(total(moved, negative(shift)), back) if turned else moved
    # [-B, B] is mapped onto itself, and what is outside of it to itself
    low = np.where(np.abs(start.low) < bound, -bound, start.low)
    inner = Box(low, np.where(np.abs(start.high) < bound, bound, start.high))
    image = inner if turned else total(product(inner, scale), shift)
    return TransformerBounds(image, Slopes(product(scale, flat), None), Slopes(product(back, slope), None))


def _spline_slopes(knots: Box, bins: int) -> Box:
    """q' of the splines whose 3 K - 1 free values, (3 K - 1, m), lie in the box; it is 1 outside of [-B, B].

    With t in [0, 1] on a bin, u = t (1-t) and s the bin's slope, q' = N / (D / s)^2 with N = d_1 t^2 + 2 s u + d_0 (1-t)^2
    and D / s = 1 + ((d_0 + d_1) / s - 2) u: ranges of both on `PIECES` pieces of the bin, on each of which u is monotone.
    """
    w, h = _shares(knots.at(slice(0, bins))), _shares(knots.at(slice(bins, 2 * bins)))
    s = Box(h.low / w.high, h.high / w.low)
    free = knots.at(slice(2 * bins, None))
    one = np.ones((1, free.low.shape[1]))
    d = Box(*(np.concatenate([one, MIN_DERIVATIVE + np.logaddexp(0, f + RAW_ONE), one]) for f in free))
    d0, d1 = d.at(slice(0, -1)), d.at(slice(1, None))
    t = np.linspace(0.0, 1.0, PIECES + 1)[:, None, None]
    ends = np.stack([t[:-1] * (1 - t[:-1]), t[1:] * (1 - t[1:])])
    u = Box(ends.min(axis=0), ends.max(axis=0))
    n_low = d1.low * t[:-1] ** 2 + 2 * s.low * u.low + d0.low * (1 - t[1:]) ** 2
    n_high = d1.high * t[1:] ** 2 + 2 * s.high * u.high + d0.high * (1 - t[:-1]) ** 2
    ratio = Box((d0.low + d1.low) / s.high - 2, (d0.high + d1.high) / s.low - 2)
    low = n_low / (1 + np.maximum(ratio.high * u.low, ratio.high * u.high)) ** 2
    high = n_high / (1 + np.minimum(ratio.low * u.low, ratio.low * u.high)) ** 2
    # a margin for the rounding of all this
    return Box(
        np.minimum(low.min(axis=(0, 1)), 1) * (1 - 1e-9), np.maximum(high.max(axis=(0, 1)), 1) * (1 + 1e-9)
    )


def _shares(free: Box) -> Box:
    """Bins as shares of the box, from their free values, (K, m): least where a bin's value is low and all others high."""
    k = len(free.low)
    own = np.eye(k, dtype=bool)[:, :, None]
    low = np.exp(free.low - np.logaddexp.reduce(np.where(own, free.low, free.high), axis=1))
    high = np.exp(free.high - np.logaddexp.reduce(np.where(own, free.high, free.low), axis=1))
    return Box(*(MIN_BIN + (1 - MIN_BIN * k) * share for share in (low, high)))
