"""What a transformer does over a box of its argument and of its raw values: the image, slopes, and rates in the raw values.

Rates of the inverse are at the same point: z = f^{-1}(x; raw) has dz/draw = -(df/draw) / (df/dz). They are given apart, as
the quotient of two ranges is wider than the range of the quotient. Signs do not matter, so they are left out.
"""

from functools import singledispatch
from typing import NamedTuple

import numpy as np

from shoal.bijections import AbstractTransformer, Additive, Affine
from shoal.conditioning._intervals import Box, product, total
from shoal.conditioning._slopes import scale_ranges


class Slopes(NamedTuple):
    """`own`: of the output in the moved argument, (m,); `rates`: in each of the P raw values, P boxes (m,)."""

    own: Box
    rates: tuple[Box, ...]


class TransformerBounds(NamedTuple):
    """`image`: of the moved coordinates, in the direction of travel; None: not known."""

    image: Box
    forward: Slopes | None
    inverse: Slopes | None


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


def negative(box: Box) -> Box:
    """-v."""
    return Box(-box.high, -box.low)


def exponential(box: Box) -> Box:
    """e^v."""
    return Box(np.exp(box.low), np.exp(box.high)).widened()
