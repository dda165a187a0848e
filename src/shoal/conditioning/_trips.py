"""Round trips x -> z -> x and z -> x -> z in three precisions, on several sets of points, predicted against observed."""

from collections.abc import Mapping
from typing import get_args

import numpy as np

from shoal._names import Precision, Way
from shoal._scalars import FloatArray
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._precision import unit_roundoff
from shoal.conditioning._roundtrip import round_trip
from shoal.records.audit import Trip

TAILS = (2.0, 4.0, 8.0)
SLACK = 1.0  # bounds of the uniform noise lie so many ranges outside the data


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
