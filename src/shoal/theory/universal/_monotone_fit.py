"""Monotone maps from weighted values towards N(0, 1), written as the free values of a rational-quadratic spline.

The full map is z = Phi^{-1}(F(v)), at knots that are half quantiles, half evenly spaced (gaps between clusters need knots of
their own). A part a in (0, 1] of it takes the slope of every bin to the power a and moves the median m to (1 - a) m: then
1 / a such maps after each other have slopes whose product is that of the full map. Conditioning is shared evenly, where a
straight interpolation would leave it to the last of them.
"""

import numpy as np
from scipy.special import ndtri

from shoal._scalars import FloatArray

MIN_BIN, MIN_DERIVATIVE = 1e-3, 1e-3  # what the splines of shoal.bijections keep


def spline_raw(
    values: FloatArray, weights: FloatArray, bins: int, bound: float, part: float, floor: float
) -> FloatArray:
    """The 3 K - 1 free values of a spline on [-bound, bound], data -> latent: a part of the map of these weighted values.

    `floor`: the least slope of the full map, which it has where there are no data.
    """
    order = np.argsort(values)
    v, below = values[order], np.cumsum(weights[order])
    level = (below - 0.5 * weights[order]) / below[-1]
    inner = _spaced(_positions(v, level, bins), bound)
    edges = np.concatenate([[-bound], inner, [bound]])
    widths = np.diff(edges)
    z = ndtri(np.clip(np.interp(inner, v, level), 1e-4, 1 - 1e-4))
    slopes = np.maximum(np.diff(z) / widths[1:-1], floor) ** part
    median = float(np.interp(0.5, level, v))
    image = np.concatenate([[0.0], np.cumsum(slopes * widths[1:-1])])
    image += (1 - part) * median - float(np.interp(median, inner, image))
    image *= min(1.0, 0.95 * bound / max(float(np.abs(image).max()), 1e-12))
    image = _spaced(image, bound)
    heights = np.diff(np.concatenate([[-bound], image, [bound]]))
    return np.concatenate(
        [_free_shares(widths, bound), _free_shares(heights, bound), _free_slopes(widths, heights)]
    )


def _positions(v: FloatArray, level: FloatArray, bins: int) -> FloatArray:
    """K - 1 inner knots."""
    quantiles = bins // 2
    levels = (np.arange(quantiles) + 0.5) / quantiles
    even = np.linspace(v[0], v[-1], bins - 1 - quantiles)
    return np.sort(np.concatenate([np.interp(levels, level, v), even]))


def _spaced(inner: FloatArray, bound: float) -> FloatArray:
    """The knots moved apart, and away from the ends, so that every bin has 1.5 times the least share of the box."""
    gap = 1.5 * MIN_BIN * 2 * bound
    steps = gap * np.arange(1, len(inner) + 1)
    up = np.maximum.accumulate(np.maximum(inner, -bound + gap) - steps) + steps
    back = gap * np.arange(len(inner), 0, -1)
    return np.minimum.accumulate((np.minimum(up, bound - gap) + back)[::-1])[::-1] - back


def _free_shares(sizes: FloatArray, bound: float) -> FloatArray:
    """Logits whose softmax, above the least share, gives these bins."""
    share = (sizes / (2 * bound) - MIN_BIN) / (1 - MIN_BIN * len(sizes))
    return np.log(share / share.sum())


def _free_slopes(widths: FloatArray, heights: FloatArray) -> FloatArray:
    """Inner derivatives by the harmonic mean of the neighbouring slopes (monotone data, Gregory and Delbourgo 1982)."""
    s = heights / widths
    mean = (widths[:-1] + widths[1:]) / (widths[:-1] / s[:-1] + widths[1:] / s[1:])
    free = np.maximum(mean, 2 * MIN_DERIVATIVE) - MIN_DERIVATIVE
    softplus_inverse = lambda y: y + np.log(-np.expm1(-y))  # noqa: E731
    return softplus_inverse(free) - np.log(np.expm1(1 - MIN_DERIVATIVE))
