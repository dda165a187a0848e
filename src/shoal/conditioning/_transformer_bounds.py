"""What a transformer does over a box of its argument and of its raw values: the image, slopes, and rates in the raw values.

Rates of the inverse are at the same point: z = f^{-1}(x; raw) has dz/draw = -(df/draw) / (df/dz). They are given apart, as
the quotient of two ranges is wider than the range of the quotient. Signs do not matter, so they are left out.
"""

from functools import singledispatch
from typing import NamedTuple

import numpy as np

from shoal.bijections import AbstractTransformer, Additive, Affine, RationalQuadratic
from shoal.bijections.transformers import MIN_BIN, MIN_DERIVATIVE, RAW_ONE
from shoal.conditioning._intervals import Box, product, total
from shoal.conditioning._slopes import scale_ranges

PIECES = 64  # of a bin of a spline, an even number


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
    transformer: AbstractTransformer, raw: Box, moved: Box, turned: bool
) -> TransformerBounds | None:
    """Bounds for `raw`, a box of P m values, and `moved`, (m,): z, or x where the layer is turned. None: not known."""
    return None


@transformer_bounds.register
def _(transformer: Additive, raw: Box, moved: Box, turned: bool) -> TransformerBounds:
    one = Box(np.ones_like(moved.low), np.ones_like(moved.low))
    slopes = Slopes(one, (one,))
    return TransformerBounds(total(moved, negative(raw) if turned else raw), slopes, slopes)


@transformer_bounds.register
def _(transformer: Affine, raw: Box, moved: Box, turned: bool) -> TransformerBounds | None:
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
def _(transformer: RationalQuadratic, raw: Box, moved: Box, turned: bool) -> TransformerBounds | None:
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


def negative(box: Box) -> Box:
    """-v."""
    return Box(-box.high, -box.low)


def exponential(box: Box) -> Box:
    """e^v."""
    return Box(np.exp(box.low), np.exp(box.high)).widened()
