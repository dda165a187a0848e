"""The layer profile of the delivered flow for the record: latent -> standardised data, at validation points.

A whole audit would take as long as a short fit; the profile alone fits into a stated share of the time.
"""

from typing import Any

import numpy as np

from shoal._scalars import FloatArray
from shoal.conditioning import layer_kinds, profile, profile_points
from shoal.distributions import AbstractFlow
from shoal.records.figures import LayerProfile
from shoal.records.fit import LayersRecord
from shoal.selection._evaluate import POINTS, Figures
from shoal.selection._prepare import Part

LARGEST = 256  # coordinates up to which Jacobians are computed whole
LEAST, SHARE = 5.0, 0.05  # seconds, or this share of the time limit if that is more
PART = 0.5  # of what measuring the rung took: what the profile takes at least


def allowed_seconds(limit: float | None, elapsed: float) -> float:
    """Seconds that the profile may take: max(5, 5 % of the limit), and no more than is left; inf without a limit."""
    return np.inf if limit is None else min(max(LEAST, SHARE * limit), limit - elapsed)


def layer_record(
    flow: AbstractFlow, part: Part, figures: Figures, *, seed: int, seconds: float, measuring: float
) -> LayersRecord:
    """The profile of `flow`, a flow on standardised rows, at the worst conditioned and some typical rows of `part`.

    **Arguments:** `figures`: those of the flow at the part; `seconds`: the limit of time; `measuring`: what such figures
    took, by which the cost is foreseen.

    **Returns:** `rows`, one a layer, or None and a `note` that says why; `points`, `kinds`.
    """
    if flow.bijection.shape[0] > LARGEST:
        return unmeasured(f"more than {LARGEST} coordinates")
    if seconds < PART * measuring:
        return unmeasured("out of time")
    rows, worst = profile_points(figures.condition_numbers, seed)
    x = flow.extended_rows(part.x[:POINTS][rows])
    context = None if part.context is None else np.asarray(part.context[:POINTS][rows], np.float64)
    found = _profiled(flow, np.asarray(x, np.float64), context, worst, seed, seconds)
    return LayersRecord(rows=found, points=len(rows), kinds=layer_kinds(dense=True))


def unmeasured(why: str) -> LayersRecord:
    """What the record holds where there is no profile."""
    return LayersRecord(note=f"Not measured: {why}.")


def _profiled(
    flow: AbstractFlow, x: FloatArray, context: FloatArray | None, worst: Any, seed: int, seconds: float
) -> list[LayerProfile]:
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        units = np.ones(x.shape[1])
        layers = flow.to_map().layers()
        found = profile(layers, x, context, units, worst, dense=True, seed=seed, seconds=seconds)
    return list(found.rows)
