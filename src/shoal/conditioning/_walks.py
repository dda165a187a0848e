"""What becomes of points that go through a map: what a way and back loses, and where they stop being finite."""

from collections.abc import Iterator, Sequence

import numpy as np

from shoal._errors import InputError
from shoal._names import Direction, Precision, Way
from shoal._scalars import FloatArray
from shoal.conditioning._map import AbstractMap, MapView
from shoal.conditioning._precision import unit_roundoff
from shoal.conditioning._spectrum import order_statistics
from shoal.records.audit import NonFinite, Trip
from shoal.records.figures import RoundTripSummary


def round_trip(
    map: AbstractMap,
    points: FloatArray,
    context: FloatArray | None = None,
    *,
    precision: Precision,
    way: Way = "data",
    scale: FloatArray | None = None,
) -> FloatArray:
    """max_i |back - start|_i at every row, (rows,): x -> z -> x for the way "data", z -> x -> z for "latent".

    **Arguments:** `points`: (rows, n), data or latents; `context`: (rows, c) or None; `scale`: (n,), the units of data, by
    default 1. The points are rounded to `precision` first, so that the error is that of the map alone. A point that does
    not stay finite has the error NaN.
    """
    away, home = ("inverse", "forward") if way == "data" else ("forward", "inverse")
    start = _rounded(points, precision)
    there = map.at(away, precision, context)(start)
    back = map.at(home, precision, context)(there)
    unit = 1.0 if scale is None or way == "latent" else scale
    with np.errstate(over="ignore", invalid="ignore"):
        difference = np.abs(np.asarray(back, np.float64) - np.asarray(start, np.float64))
        errors = np.max(difference / unit, axis=1, initial=0.0)
    return np.where(np.isfinite(errors) & np.isfinite(there).all(axis=1), errors, np.nan)


def summarize_round_trip(errors: FloatArray) -> RoundTripSummary:
    """Median, 99.9 % quantile and maximum; NaN where the error at that place is not finite."""
    if errors.size == 0:
        raise InputError("`summarize_round_trip` needs at least one error.")
    finite = np.where(np.isfinite(errors), errors, np.nan)
    return RoundTripSummary(*order_statistics(finite, 0.5, 0.999, 1.0))


def _rounded(points: FloatArray, precision: Precision) -> FloatArray:
    if precision == "float64":
        return np.asarray(points, np.float64)
    single = np.asarray(points, np.float32)
    if precision == "float32":
        return single
    bits = single.view(np.uint32)
    nearest_even = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    return (nearest_even & np.uint32(0xFFFF0000)).view(np.float32)


def measured_trip(
    map: AbstractMap,
    points: FloatArray,
    context: FloatArray | None,
    scale: FloatArray,
    *,
    way: Way,
    precision: Precision,
    amplified: FloatArray | None = None,
) -> Trip:
    """`round_trip` summarised. `amplified`: at each point of the set, what u is multiplied by."""
    predicted = (
        None if amplified is None else float(unit_roundoff(precision) * np.max(amplified, initial=0.0))
    )
    try:
        errors = round_trip(map, points, context, precision=precision, way=way, scale=scale)
    except NotImplementedError as why:
        return Trip(np.nan, np.nan, 0, len(points), predicted, " ".join(str(why).split()))
    lost = int(np.isnan(errors).sum())
    return Trip(float(np.median(errors)), float(np.max(errors)), lost, len(errors), predicted)


def through(
    layers: Sequence[AbstractMap],
    direction: Direction,
    precision: Precision = "float64",
    context: FloatArray | None = None,
) -> Iterator[tuple[int, MapView]]:
    """The numbers of the layers, from 0 in forward order, and their views, in the order of the direction."""
    order = list(enumerate(layers))
    for k, layer in order if direction == "forward" else reversed(order):
        yield k, layer.at(direction, precision, context)


def first_nonfinite(
    layers: Sequence[AbstractMap],
    points: FloatArray,
    context: FloatArray | None = None,
    *,
    direction: Direction,
    precision: Precision = "float32",
    name: str = "points",
) -> NonFinite | None:
    """Walk `points` (data for "inverse", latents for "forward"); None where all stays finite."""
    for k, layer in through(layers, direction, precision, context):
        points, log_det = layer.apply(points)
        bad = ~np.isfinite(points).all(axis=1)
        if log_det is not None:
            bad |= ~np.isfinite(log_det)
        if bad.any():
            return NonFinite(k, layers[k].name, direction, precision, name, int(bad.sum()))
    return None
