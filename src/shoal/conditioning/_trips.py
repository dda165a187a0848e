"""Round trips x -> z -> x and z -> x -> z in three precisions, on several sets of points, predicted against observed."""

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import numpy as np

from shoal._scalars import FloatArray
from shoal.conditioning._map import AbstractMap, Direction
from shoal.conditioning._precision import Precision, unit_roundoff
from shoal.records.audit import Trip

Way: TypeAlias = Literal["data", "latent"]  # x -> z -> x, z -> x -> z
TAILS = (2.0, 4.0, 8.0)
SLACK = 1.0  # bounds of the uniform noise lie so many ranges outside the data


def trip_errors(
    map: AbstractMap,
    points: FloatArray,
    context: FloatArray | None,
    scale: FloatArray,
    *,
    way: Way,
    precision: Precision,
) -> FloatArray:
    """max_i |back - start|_i at every row, the points rounded to `precision` first; NaN stays NaN, inf counts as NaN."""
    first: Direction = "inverse" if way == "data" else "forward"
    second: Direction = "forward" if way == "data" else "inverse"
    start = _rounded(points, precision)
    there = map.apply(start, context, direction=first, precision=precision)[0]
    back = map.apply(there, context, direction=second, precision=precision)[0]
    with np.errstate(over="ignore", invalid="ignore"):
        difference = np.abs(np.asarray(back, np.float64) - np.asarray(start, np.float64))
        errors = np.max(difference / (scale if way == "data" else 1.0), axis=1, initial=0.0)
    return np.where(np.isfinite(errors) & np.isfinite(there).all(axis=1), errors, np.nan)


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
    """`trip_errors` summarised. `amplified`: at each point of the set, what u is multiplied by."""
    predicted = (
        None if amplified is None else float(unit_roundoff(precision) * np.max(amplified, initial=0.0))
    )
    try:
        errors = trip_errors(map, points, context, scale, way=way, precision=precision)
    except NotImplementedError as why:
        return Trip(np.nan, np.nan, 0, len(points), predicted, " ".join(str(why).split()))
    lost = int(np.isnan(errors).sum())
    return Trip(float(np.median(errors)), float(np.max(errors)), lost, len(errors), predicted)


def all_precisions() -> tuple[Precision, ...]:
    """float64, float32, bfloat16."""
    return get_args(Precision)


def latent_sets(rows: int, size: int, seed: int) -> dict[str, FloatArray]:
    """`samples`: z ~ N(0, I), and the same points scaled by 2, 4 and 8."""
    z = np.random.default_rng(seed).standard_normal((rows, size))
    return {"samples": z, **{f"tails x{t:g}": t * z for t in TAILS}}


def data_sets(x: FloatArray, seed: int, ood: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """`data`, `uniform noise` in the data's box widened by its width to each side, and the sets that were given.

    Sets of another length than the data's are cut or repeated to it, so that one program serves all.
    """
    low, high = x.min(axis=0), x.max(axis=0)
    wide = SLACK * (high - low)
    noise = np.random.default_rng(seed + 1).uniform(low - wide, high + wide, x.shape)
    given = {name: np.asarray(p, np.float64)[np.arange(len(x)) % len(p)] for name, p in ood.items()}
    return {"data": x, "uniform noise": noise, **given}


def _rounded(points: FloatArray, precision: Precision) -> FloatArray:
    """Rounded to `precision`, so that the error is that of the maps alone."""
    if precision == "float64":
        return np.asarray(points, np.float64)
    single = np.asarray(points, np.float32)
    if precision == "float32":
        return single
    bits = single.view(np.uint32)
    nearest_even = bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))
    return (nearest_even & np.uint32(0xFFFF0000)).view(np.float32)
