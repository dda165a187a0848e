"""How far points go when they are put twice as far out: what runs away, and what has a range.

A map that answers a doubling by orders of magnitude runs away: scales that grow with their input feed on themselves through
a deep stack; every layer is mild where the data are, and a point a little outside is driven out of the range of
floating-point numbers. Such a flow is one rare row, or one rare sample, away from NaN.

A map onto a part of the space (exp, tanh, a ball) has no latent for what lies outside of it. The two are told apart on the
way to such a point: at `MARGIN` of the way to the edge a runaway is beyond `LIMIT`, a map with a range is not, for its
latents grow near the edge only.
"""

from collections.abc import Sequence

import numpy as np

from shoal._names import Direction
from shoal._scalars import BoolArray, FloatArray
from shoal._types import ArrayLike
from shoal.conditioning._map import AbstractMap, MapView
from shoal.conditioning._precision import unit_roundoff
from shoal.conditioning._walks import through
from shoal.records.audit import Reach

DOUBLED = 2.0
# 2^24: beyond it float32 keeps no digit of what an ordinary point is made of
LIMIT = 1.0 / unit_roundoff("float32")
MARGIN = 0.99
HALVINGS = 12  # of the way to a point without a latent
ASTRAY = 1e-3  # of a way: a point that comes back no nearer to where it was lies outside of the image


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

    Where data come to lie outside of a layer's image, all go on from twice as far out in that layer's latents; those outside
    are counted.
    """
    ordinary = np.asarray(points, np.float64)
    far = doubled(ordinary)
    largest, moved = 1.0, np.zeros(len(far), bool)
    for k, view in through(layers, direction, context=context):
        start, aim = ordinary, far
        ordinary, far = view(start), view(aim)
        if direction == "inverse":
            outside = _outside(view, (start, aim), (ordinary, far))
            moved |= outside
            if (
                outside.any()
            ):  # the others may lie close to the edge, and have latents as far out as they like
                mild = outside | (growth(ordinary, far) <= LIMIT)
                far = np.where(mild[:, None], doubled(ordinary), far)
        grown = growth(ordinary, far)
        largest = max(largest, float(grown.max()))
        beyond = int((grown > LIMIT).sum())
        if beyond:
            return Reach(direction, name, largest, k, beyond, int(moved.sum()))
    return Reach(direction, name, largest, None, 0, int(moved.sum()))


def doubled(points: ArrayLike) -> ArrayLike:
    """The points twice as far from their mean; `points` (rows, n), a NumPy or JAX array."""
    centre = points.mean(axis=0)
    return centre + DOUBLED * (points - centre)


def growth(ordinary: FloatArray, far: FloatArray) -> FloatArray:
    """|far_i| over the median of |ordinary_j|, in the largest coordinate; the images of points and of `doubled` ones.

    What is not finite counts as infinite.
    """
    return _sizes(far) / max(float(np.median(_sizes(ordinary))), np.finfo(np.float64).tiny)


def comes_back(view: MapView, points: FloatArray, images: FloatArray, unit: FloatArray) -> BoolArray:
    """Rows whose image is finite and leads back to them, to `ASTRAY` in units of `unit`, (n,) or (rows, n).

    `view`: the direction in which `images` came from `points`.
    """
    home = view.map.at("forward" if view.direction == "inverse" else "inverse", context=view.context)
    finite = np.isfinite(images).all(axis=1, keepdims=True)
    back = home(np.where(finite, images, 0.0))
    gap = np.max(np.abs(back - points) / unit, axis=1, initial=0.0)
    return finite.reshape(-1) & (gap <= ASTRAY)


def _outside(
    view: MapView, ends: tuple[FloatArray, FloatArray], images: tuple[FloatArray, FloatArray]
) -> BoolArray:
    """Far points, `ends[1]`, without a latent, though nothing runs away between them and the ordinary ones, `ends[0]`."""
    (start, aim), (ordinary, far) = ends, images
    deviation = start.std(axis=0)
    unit = np.where(deviation > 0, deviation, 1.0)
    way = np.maximum(np.max(np.abs(aim - start) / unit, axis=1, initial=0.0), 1e-300)
    well, grown = np.isfinite(ordinary).all(axis=1), growth(ordinary, far)
    lost = ~np.isfinite(far).all(axis=1)
    if lost.any():
        inside, outside = np.zeros(len(far)), np.ones(len(far))
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            finite = np.isfinite(view(start + middle[:, None] * (aim - start))).all(axis=1)
            inside, outside = np.where(finite, middle, inside), np.where(finite, outside, middle)
        edge = view(start + MARGIN * inside[:, None] * (aim - start))
        grown = np.where(lost, growth(ordinary, edge), grown)
    astray = ~comes_back(view, aim, far, unit * way[:, None])
    return well & astray & (grown <= LIMIT)


def _sizes(points: FloatArray) -> FloatArray:
    """The largest coordinate of each row; infinite where one is not finite."""
    sizes = np.max(np.abs(points), axis=1, initial=0.0)
    return np.where(np.isfinite(sizes), sizes, np.inf)
