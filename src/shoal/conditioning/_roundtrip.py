"""Numerical invertibility: how far a point is from itself after both directions of a map, in a given precision."""

import numpy as np

from shoal._names import Precision, Way
from shoal._scalars import FloatArray
from shoal.conditioning._dense import order_statistics
from shoal.conditioning._map import AbstractMap
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
        raise ValueError("`summarize_round_trip` needs at least one error.")
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
