"""How far points go that start twice as far out: a map that answers a doubling by orders of magnitude runs away.

Scales that grow with their input feed on themselves through a deep stack: every layer is mild where the data are, and a
point a little outside is driven out of the range of floating-point numbers. Such a flow is one rare row, or one rare
sample, away from NaN.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal._names import Direction
from shoal._scalars import FloatArray
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._precision import unit_roundoff
from shoal.records.audit import Reach

DOUBLED = 2.0
LIMIT = 1.0 / unit_roundoff(
    "float32"
)  # 2^24: beyond it float32 keeps no digit of what an ordinary point is made of


def reach(
    layers: Sequence[AbstractMap],
    points: FloatArray,
    context: FloatArray | None,
    *,
    direction: Direction,
    name: str,
) -> Reach:
    """Walk `points` and points twice as far from their mean through the layers, in float64.

    **Arguments:** `points`: data for "inverse", latents for "forward". What is not finite counts as infinite. A layer is
    compared with the median point at the same layer, so units do not matter.
    """
    ordinary = np.asarray(points, np.float64)
    far = doubled(ordinary)
    largest = 1.0
    order = list(enumerate(layers))
    for k, layer in order if direction == "forward" else reversed(order):
        there = layer.at(direction, context=context)
        ordinary, far = there(ordinary), there(far)
        grown = growth(ordinary, far)
        largest = max(largest, float(grown.max()))
        beyond = int((grown > LIMIT).sum())
        if beyond:
            return Reach(direction, name, largest, k, beyond)
    return Reach(direction, name, largest, None, 0)


def doubled(points: Any) -> Any:
    """The points twice as far from their mean; `points` (rows, n), a NumPy or JAX array."""
    centre = points.mean(axis=0)
    return centre + DOUBLED * (points - centre)


def growth(ordinary: FloatArray, far: FloatArray) -> FloatArray:
    """|far_i| over the median of |ordinary_j|, in the largest coordinate; the images of points and of `doubled` ones.

    What is not finite counts as infinite.
    """
    return _sizes(far) / max(float(np.median(_sizes(ordinary))), np.finfo(np.float64).tiny)


def _sizes(points: FloatArray) -> FloatArray:
    """The largest coordinate of each row; infinite where one is not finite."""
    sizes = np.max(np.abs(points), axis=1, initial=0.0)
    return np.where(np.isfinite(sizes), sizes, np.inf)
