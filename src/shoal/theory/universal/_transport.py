"""Deeper and better conditioned: triangular transport in steps, alternating couplings that are fitted by quantiles.

From data to latent, each layer moves one coordinate towards N(0, 1) given the other (Knothe-Rosenblatt), by a part of the
monotone map of its conditional quantiles: with r layers left for that coordinate, the slopes to the power 1 / r. The
conditional maps are splines at knots of the kept coordinate, their free values linear between. Nothing is trained.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import rankdata

from shoal._scalars import FloatArray
from shoal.bijections import (
    AbstractBijection,
    Chain,
    Coupling,
    ExponentialScale,
    KnotConditioner,
    Partition,
    RationalQuadratic,
    Standardize,
)
from shoal.conditioning import compute
from shoal.distributions import Flow, StandardNormal
from shoal.theory.universal._inputs import DType
from shoal.theory.universal._monotone_fit import spline_raw

BOUND = 6.0  # half the splines' box, in deviations
FLOOR = 1e-2  # least slope of a coordinate's whole map, data -> latent


def transport(
    x: FloatArray, weights: FloatArray, layers: int, *, bins: int, slices: int, dtype: DType
) -> Flow:
    """A flow of `layers` spline couplings (and the columns' mean and deviation) fitted to points (M, 2)."""
    mean = weights @ x
    scale = np.sqrt(weights @ np.square(x - mean))
    scale = np.where(scale > 0, scale, 1.0)
    points = (x - mean) / scale
    made: list[AbstractBijection] = []
    for i in range(layers):
        moved = (i + 1) % 2  # the second coordinate first
        left = (layers - i + 1) // 2  # layers of this coordinate, this one included
        layer = _layer(points, weights, moved, 1 / left, bins, slices, dtype)
        points = compute(lambda b, p: jax.vmap(b.inverse)(p), layer, points, precision=dtype).astype(float)
        made.append(layer)
    array = lambda a: jnp.asarray(a, dtype)  # noqa: E731
    data = Standardize(array(mean), array(scale))
    return Flow(StandardNormal(2), Chain([*made[::-1], data]))


def _layer(
    points: FloatArray, weights: FloatArray, moved: int, part: float, bins: int, slices: int, dtype: DType
) -> Coupling:
    kept, given = points[:, 1 - moved], points[:, moved]
    rank = (rankdata(kept, "ordinal") - 0.5) / len(kept) * slices - 0.5  # place among the slices' centres
    knots, rows = [], []
    for k in range(slices):
        near = np.maximum(1 - np.abs(np.clip(rank, 0, slices - 1) - k), 0.0) * weights
        use = near > 0
        knots.append(float(near @ kept / near.sum()))
        rows.append(spline_raw(given[use], near[use], bins, BOUND, part, FLOOR))
    at = _ascending(np.array(knots), dtype)
    net = KnotConditioner(
        jnp.ones(1, dtype), jnp.asarray(at, dtype), jnp.asarray(np.stack(rows), dtype), jnp.zeros(2, dtype)
    )
    return Coupling(Partition(2, [1 - moved]), RationalQuadratic(bins, BOUND, ExponentialScale()), net)


def _ascending(knots: FloatArray, dtype: DType) -> FloatArray:
    """Knots that coincide (a kept coordinate of few values) moved apart by a millionth of their range."""
    least = 1e-6 * max(float(np.ptp(knots)), 1e-3)
    steps = least * np.arange(len(knots))
    return np.maximum.accumulate(knots - steps) + steps
