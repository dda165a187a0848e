"""Whether a map is what it says: a function of each row, an inverse that inverts, a log-det that is the Jacobian's.

All in float64, layer by layer, so that the layer at fault has a name. A way h -> y and back rounds to u (κ |h| + |y| / σ),
κ the layer's condition number and σ its smallest stretch, all in deviations of the columns on both sides: the first term is
that of a stored inverse, the second the rounding of y on its way back, which is larger where a squasher is flat. An inverse
that is stored in float32, or found by steps, need not be finer than float32: that much is allowed.
"""

from dataclasses import dataclass

import jax
import numpy as np

from shoal._names import Direction
from shoal._scalars import FloatArray
from shoal.bijections import Noise
from shoal.conditioning._inputs import unit_scale
from shoal.conditioning._jax_map import JaxMap
from shoal.conditioning._krylov import extremes
from shoal.conditioning._map import AbstractMap, MapView
from shoal.conditioning._precision import unit_roundoff
from shoal.conditioning._spectrum import LogDets, condition_numbers, singular_values
from shoal.conditioning._walks import through

SLACK = 16.0  # times u κ |h| in float32
SLACK_FINE = 1e3  # the same in float64: for dimension, and for curvature between a point and its image
JUDGED = 64  # rows at which κ is measured: as many as a layer profile has
COMPANY = 1e-3  # by which an image may depend on the rows beside it: solvers of differential equations choose common steps
WRONG = 1e-3  # nats by which a log-det may be wrong at the median row


@dataclass(frozen=True)
class Fault:
    """A layer (None: the whole map) that is not what it says: what it `lost` and what rounding `explained`."""

    layer: int | None
    name: str
    lost: float
    explained: float = 0.0


def disagreement(
    map: AbstractMap,
    data: FloatArray,
    latents: FloatArray,
    context: FloatArray | None,
    *,
    dense: bool,
    most: float,
) -> Fault | None:
    """The layer whose two directions disagree most, or the whole map where no layer does and it does.

    **Arguments:** `data`, `latents`: (rows, n), where to start from on both ways; `most`: what an inverse by steps may lose,
    in deviations, whatever its κ is.
    """
    layers = map.layers()
    for parts in (layers, (map,)) if len(layers) > 1 else (layers,):
        found: list[tuple[float, Fault]] = []
        slack = SLACK * (len(layers) if parts != layers else 1)
        ways: tuple[tuple[Direction, FloatArray], ...] = (("inverse", data), ("forward", latents))
        for direction, points in ways:
            for k, view in through(parts, direction, context=context):
                images = view(points)
                judged = _beyond_rounding(view, points, images, dense=dense, slack=slack, most=most)
                if judged is not None:
                    excess, lost, explained = judged
                    layer = k if parts == layers else None
                    found.append((excess, Fault(layer, parts[k].name, lost, explained)))
                points = images
        if found:
            return max(found, key=lambda pair: pair[0])[1]
    return None


def unsteady(map: AbstractMap, data: FloatArray, context: FloatArray | None) -> Fault | None:
    """The first layer, from the data, that takes a row elsewhere when every second row is left out: its images depend on
    chance, or on the batch. A JAX map is traced for a single row and can not.
    """
    layers = map.layers()
    if isinstance(map, JaxMap) or len(data) < 4:
        return None
    ways = zip(
        through(layers, "inverse", context=context),
        through(layers, "inverse", context=None if context is None else context[::2]),
        strict=True,
    )
    points = data
    for (k, view), (_, alone) in ways:
        images = view(points)
        gap = np.abs(images[::2] - alone(points[::2])) / unit_scale(images)
        moved = np.nan_to_num(np.max(gap, axis=1, initial=0.0)) > COMPANY
        if moved.mean() > 0.1:
            return Fault(k, layers[k].name, float(np.nanmedian(gap.max(axis=1))))
        points = images
    return None


def wrong_log_det(
    map: AbstractMap, x: FloatArray, context: FloatArray | None, found: LogDets | None, kappa: FloatArray
) -> Fault | None:
    """The layer whose own log|det| differs most from that of its Jacobian, where the map's does at the median row `x`.

    Estimates by random numbers, which are right in the mean only, are not judged.
    """
    if found is None or found.own is None:
        return None
    explained = SLACK_FINE * map.size * unit_roundoff("float64") * kappa
    lost = float(np.median(np.abs(found.own - found.slogdet)))
    if not lost > max(WRONG, float(np.median(explained))) or _is_noisy(map, x, context, found.own):
        return None
    layers, points, faults = map.layers(), x[:JUDGED], []
    c = None if context is None else context[:JUDGED]
    for k, view in through(layers, "inverse", context=c):
        images, own = view.apply(points)
        if own is not None:
            gap = float(np.nanmedian(np.abs(own - np.linalg.slogdet(view.jacobian(points))[1])))
            faults.append(Fault(k, layers[k].name, gap))
        points = images
    worst = max(faults, key=lambda fault: fault.lost, default=None)
    if worst is None or not worst.lost > WRONG / len(layers):
        return Fault(None, map.name, lost)
    return worst


def _beyond_rounding(
    view: MapView, points: FloatArray, images: FloatArray, *, dense: bool, slack: float, most: float
) -> tuple[float, float, float] | None:
    """How many times more a way and back loses than is allowed, what it loses there and what rounding explains, at the row
    where it is most; None where it is allowed everywhere.
    """
    home: Direction = "forward" if view.direction == "inverse" else "inverse"
    back = view.map.at(home, context=view.context)(images)
    fine = np.isfinite(points).all(axis=1) & np.isfinite(images).all(axis=1) & np.isfinite(back).all(axis=1)
    if not fine.any():
        return None
    unit, target = unit_scale(points[fine]), unit_scale(images[fine])
    lost = np.max(np.abs(back - points) / unit, axis=1)
    size = np.maximum(np.linalg.norm(points / unit, axis=1), np.sqrt(view.map.size))
    share = np.where(fine, lost / size, 0.0)
    suspects = np.flatnonzero(share > slack * unit_roundoff("float32"))
    if not len(suspects):
        return None
    order = suspects[np.argsort(-share[suspects], kind="stable")]
    rows = order[np.linspace(0, len(order) - 1, JUDGED).astype(int)]
    ends = _ends(view, points[rows], images[rows], rows, (unit, target), dense)
    with np.errstate(divide="ignore", invalid="ignore"):
        back_again = np.linalg.norm(images[rows] / target, axis=1) / ends[:, 1]
    rounding = np.nan_to_num(condition_numbers(ends) * size[rows] + back_again, nan=np.inf)
    coarse = np.minimum(slack * unit_roundoff("float32") * rounding, most)
    exact = unit_roundoff("float64") * rounding
    excess = np.nan_to_num(lost[rows] / np.maximum(coarse, SLACK_FINE * exact))
    i = int(np.argmax(excess))
    return (float(excess[i]), float(lost[rows][i]), float(exact[i])) if excess[i] > 1 else None


def _ends(
    view: MapView,
    points: FloatArray,
    images: FloatArray,
    rows: np.ndarray,
    units: tuple[FloatArray, FloatArray],
    dense: bool,
) -> FloatArray:
    """Largest and smallest stretch of the way there, (rows, 2), in units of both sides' columns; matrix-free: of the map as
    it is.
    """
    context = None if view.context is None else np.asarray(view.context)[rows]
    if dense:
        jacobians = view.map.at(view.direction, context=context).jacobian(points)
        return singular_values(jacobians * units[0] / units[1][:, None])[:, [0, -1]]
    values = extremes(view.map, points if view.direction == "forward" else images, context).values
    return values if view.direction == "forward" else 1.0 / values[:, ::-1]


def _is_noisy(map: AbstractMap, x: FloatArray, context: FloatArray | None, own: FloatArray) -> bool:
    """Whether its log-dets come from random numbers: a bijection that holds some, or other values in other company."""
    if isinstance(map, JaxMap):
        parts = jax.tree.leaves(map.bijection, is_leaf=lambda part: isinstance(part, Noise))
        return any(isinstance(part, Noise) for part in parts)
    again = map.at("inverse", context=None if context is None else context[::2]).apply(x[::2])[1]
    return again is None or bool(np.nanmedian(np.abs(again + own[::2])) > WRONG / 10)
