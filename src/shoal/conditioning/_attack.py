"""The invertibility attack (Behrmann et al. 2021): the input near a given one that a round trip loses most.

In exact arithmetic a round trip is the identity and has no gradient; what it loses grows with |J v| of the way back, so
the search climbs log |J(p) v|, v the leading right singular vector, renewed by a power step at every iteration.
"""

from functools import partial

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.conditioning._inputs import checked_rows, checked_scale
from shoal.conditioning._map import AbstractMap
from shoal.conditioning._walks import round_trip
from shoal.records.audit import Attack


def attack(
    map: AbstractMap,
    points: FloatArray,
    radius: float,
    context: FloatArray | None = None,
    *,
    steps: int = 50,
    scale: FloatArray | None = None,
) -> Attack:
    """Gradient ascent inside the ball |p - start| <= radius around each row of `points`, in units of `scale`.

    **Arguments:** `points`: (rows, n), data, all attacked at once; the one that x -> z -> x in float32 loses most is
    returned. `steps`: ascent steps of length 2.5 radius / steps, each in float64.
    **Raises:** InputError for a radius that is not positive or steps below 1.
    """
    if not (np.isfinite(radius) and radius > 0):
        raise InputError(f"`radius` must be a positive number; got {radius}.")
    if steps < 1:
        raise InputError(f"`steps` must be at least 1; got {steps}.")
    start = checked_rows("points", points, map.size, fewest=1)
    units = checked_scale(scale, map.size)
    away = map.at("inverse", context=context)
    lost = partial(round_trip, map, context=context, precision="float32", scale=units)
    v = _unit(np.random.default_rng(0).standard_normal(start.shape))
    p, best, first_error = start, start, lost(start)
    best_error, best_stretch = first_error, np.full(len(start), -np.inf)
    first_stretch = np.full(len(start), np.nan)
    for step_number in range(steps):
        v = _unit(away.vjp(p, away.jvp(p, v * units)) * units)
        stretch, gradient = away.stretch_gradient(p, v * units)
        if step_number == 0:
            first_stretch = stretch
        step = _unit(gradient * units)
        if not np.isfinite(step).any():
            break
        moved = (p - start) / units + 2.5 * radius / steps * np.where(np.isfinite(step), step, 0.0)
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        p = start + units * moved * np.minimum(1.0, radius / np.maximum(length, 1e-300))
        errors = lost(p)
        worse = _rank(errors) > _rank(best_error)
        best = np.where(worse[:, None], p, best)
        best_error, best_stretch = np.where(worse, errors, best_error), np.where(worse, stretch, best_stretch)
    best_stretch = np.where(np.isfinite(best_stretch), best_stretch, first_stretch)
    i = int(np.argmax(_rank(best_error)))
    return Attack(
        start[i].tolist(),
        best[i].tolist(),
        float(radius),
        float(first_error[i]),
        float(best_error[i]),
        float(np.exp(first_stretch[i])),
        float(np.exp(best_stretch[i])),
        "data",
        "float32",
    )


def _rank(errors: FloatArray) -> FloatArray:
    """For comparisons only: a point that does not come back finite is worse than any that does."""
    return np.where(np.isnan(errors), np.inf, errors)


def _unit(v: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        top = np.max(np.abs(v), axis=1, keepdims=True)
        v = np.where(top > 0, v / top, v)
        length = np.linalg.norm(v, axis=1, keepdims=True)
        return np.where(length > 0, v / length, v)
