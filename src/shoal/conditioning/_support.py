"""The part of the space that a map reaches, recognised from where points cease to have a latent: half-lines, boxes, balls.

From rows of data, rays go out along both ends of every axis; a ray ends where the inverse is not finite, or where the way
and back leads elsewhere (a squasher that clips). Ends of one axis at one value are a bound; ends at one distance from a
centre are a ball; ends in one plane are a face, as a simplex has one.
"""

from dataclasses import dataclass

import numpy as np

from shoal._scalars import BoolArray, FloatArray
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._reach import comes_back

STARTS, RAYS = 8, 2048  # rows from which rays go out, and rays at most
FAR = 4.0  # of a ray, in ranges of its column
HALVINGS = 26  # of the search
SHARP = 1e-2  # by how much closer than doubled data the ends of a ray must come back
ALIKE = 1e-3  # of a range: ends that differ by less are one bound
NAMED = 6  # coordinates that a sentence lists


@dataclass(frozen=True)
class _Ends:
    """Ends of rays. `points`: (rays, n); `axis`: that along which each goes; `up`: the sign; `ended`: those that end."""

    points: FloatArray
    axis: np.ndarray
    up: BoolArray
    ended: BoolArray


def support(map: AbstractMap, x: FloatArray, context: FloatArray | None) -> str:
    """One sentence about the part of the space that the map reaches; empty where no ray from the rows `x` ends.

    With a context the part is that of the first row's.
    """
    span = np.ptp(x, axis=0)
    span = np.where(span > 0, span, 1.0)
    ends = _shot(map, x[:: max(1, len(x) // STARTS)][:STARTS], span, context)
    if ends is None or not ends.ended.any():
        return ""
    low, high, rest = _bounds(ends, span)
    said = _box(low, high, span)
    if rest.any():
        said = ", ".join(filter(None, (said, _shape(ends, rest, span))))
    return f"The map reaches only a part of the space: {said}."


def _shot(map: AbstractMap, starts: FloatArray, span: FloatArray, context: FloatArray | None) -> _Ends | None:
    """Rays from each start along both ends of each axis; None where the starts themselves have no latent."""
    n = map.size
    starts = starts[: max(1, RAYS // (2 * n))]
    axis = np.tile(np.repeat(np.arange(n), 2), len(starts))[:RAYS]
    up = np.tile([True, False], len(starts) * n)[:RAYS]
    origin = np.repeat(starts, 2 * n, axis=0)[:RAYS]
    row = None if context is None else np.broadcast_to(np.asarray(context)[:1], (len(axis), context.shape[1]))
    view = map.at("inverse", context=row)

    def within(length: FloatArray) -> tuple[FloatArray, BoolArray]:
        points = origin.copy()
        points[np.arange(len(axis)), axis] += np.where(up, length, -length) * span[axis]
        return points, comes_back(view, points, view(points), SHARP * span)

    if not within(np.zeros(len(axis)))[1].all():
        return None
    inside, outside = np.zeros(len(axis)), np.full(len(axis), FAR)
    ended = ~within(outside)[1]
    if not ended.any():
        return _Ends(origin, axis, up, ended)
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2
        fine = within(middle)[1]
        inside, outside = np.where(fine, middle, inside), np.where(fine, outside, middle)
    return _Ends(within(inside)[0], axis, up, ended)


def _bounds(ends: _Ends, span: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """A bound below and above for each axis, infinite where there is none; rays whose end is none of these."""
    n, rest = len(span), ends.ended.copy()
    bounds = np.stack([np.full(n, -np.inf), np.full(n, np.inf)])
    for i in range(n):
        for up in (False, True):
            mine = (ends.axis == i) & (ends.up == up)
            at = ends.points[mine, i]
            if mine.any() and ends.ended[mine].all() and np.ptp(at) <= ALIKE * span[i]:
                bounds[int(up), i] = np.median(at)
                rest &= ~mine
    return bounds[0], bounds[1], rest


def _box(low: FloatArray, high: FloatArray, span: FloatArray) -> str:
    """Bounds in words, coordinates with the same bounds together."""
    groups: dict[str, list[int]] = {}
    for i, (a, b) in enumerate(zip(low, high, strict=True)):
        if np.isfinite(a) and np.isfinite(b):
            words = f"between {_number(a, span[i])} and {_number(b, span[i])}"
        elif np.isfinite(a) or np.isfinite(b):
            words = f"above {_number(a, span[i])}" if np.isfinite(a) else f"below {_number(b, span[i])}"
        else:
            continue
        groups.setdefault(words, []).append(i)
    return ", ".join(f"{_coordinates(members, len(low))} {words}" for words, members in groups.items())


def _coordinates(members: list[int], n: int) -> str:
    if len(members) == n and n > 1:
        return "all coordinates"
    listed = ", ".join(map(str, members[:NAMED])) + (", …" if len(members) > NAMED else "")
    return f"coordinate{'s' if len(members) > 1 else ''} {listed}"


def _shape(ends: _Ends, rest: BoolArray, span: FloatArray) -> str:
    """A ball through all ends, a plane through those that no bound explains, or neither."""
    points = ends.points[rest] / span
    n = points.shape[1]
    if rest.all() and len(points) > n + 1:
        raw = ends.points[rest]
        ball = np.linalg.lstsq(np.c_[2 * raw, np.ones(len(raw))], (raw**2).sum(axis=1), rcond=None)[0]
        radius = np.sqrt(max(float(ball[n] + ball[:n] @ ball[:n]), 0.0))
        gap = np.abs(np.linalg.norm(raw - ball[:n], axis=1) - radius)
        if radius > 0 and gap.max() <= 10 * ALIKE * radius:
            centre = ", ".join(_number(c, radius) for c in ball[:NAMED][:n]) + (", …" if n > NAMED else "")
            return f"a ball of radius {_number(radius)} about ({centre})"
    centred = points - points.mean(axis=0)
    if len(points) > n and np.linalg.svd(centred, compute_uv=False)[-1] <= ALIKE * np.sqrt(len(points)):
        normal = np.linalg.svd(centred)[2][-1] / span
        normal = normal / normal[np.argmax(np.abs(normal))]
        edge = float(np.median(ends.points[rest] @ normal))
        if np.allclose(normal, 1.0, atol=10 * ALIKE):
            return f"with a sum {'below' if ends.up[rest].mean() > 0.5 else 'above'} {_number(edge)}"
        return "beside one plane that is oblique to the axes"
    return "with ends that are neither bounds of coordinates, nor a ball, nor a plane"


def _number(value: float, unit: float = 1.0) -> str:
    """Four digits; what is 0 up to the search's step is 0."""
    return f"{0.0 if abs(value) < 1e-6 * abs(unit) else value:.4g}"
