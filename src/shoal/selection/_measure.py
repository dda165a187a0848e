"""The figures of one trained flow at given points: log-likelihoods, spectra, round trips, and the profile of its layers.

Everything is measured between latent space and *standardised* data; the user-unit condition numbers stand beside. The
profile is of the delivered flow alone: a whole audit would take as long as a short fit, the profile fits into a stated
share of the time.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from shoal import conditioning
from shoal._compiling import quickly
from shoal._errors import InputError
from shoal._pieces import in_pieces
from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.bijections import rolled
from shoal.distributions import AbstractFlow
from shoal.records.figures import ConditionSummary, NextLayer, RoundTripSummary
from shoal.records.fit import LayersRecord
from shoal.selection._prepare import Part

POINTS = 10_000  # condition numbers and round trips are measured at no more points than this
CHUNK = 8192
ONE_HALF = 1e12  # kappa up to which dz/dx alone is measured: it then has four digits or more
LARGEST = 256  # coordinates up to which the layers are profiled, by whole Jacobians
LEAST, SHARE = 5.0, 0.05  # seconds, or this share of the time limit if that is more
PART = 0.5  # of what measuring the rung took: what the profile takes at least
# Rows of each part that the next layer is foretold from; seconds that are enough for so many, fewer for less; the least.
FITTED, FITTING, SHORTEST = 4_000, 12.0, 3.0


@dataclass(frozen=True)
class Figures:
    """Figures of one flow at the points of one part. `singular_values` are those of latent -> standardised data."""

    log_likelihoods: FloatArray  # of the standardised rows
    singular_values: FloatArray
    condition: ConditionSummary
    condition_user_units: ConditionSummary
    round_trips: dict[str, RoundTripSummary]
    errors: FloatArray  # of the float32 round trip, in deviations, point by point

    @property
    def condition_numbers(self) -> FloatArray:
        """kappa at each point."""
        return conditioning.condition_numbers(self.singular_values)


def measure(
    flow: AbstractFlow,
    part: Part,
    scale: FloatArray,
    log_likelihoods: FloatArray,
    trips: tuple[conditioning.Precision, ...] = ("float32", "float64"),
) -> Figures:
    """Measure `flow`, a flow on standardised rows, at the rows of `part`; `scale` gives the user-unit figures.

    `trips`: the precisions of round trips, float32 first. The map of a `Padded` one is that of its joint, at the rows with
    their own padding.
    """
    x = flow.extended_rows(part.x[:POINTS])
    context = None if part.context is None else part.context[:POINTS]
    user = 1.0 / np.concatenate([scale, np.ones(x.shape[1] - len(scale))])
    body = rolled(flow.bijection)
    whole = conditioning.JaxMap(
        body.forward, body.inverse, x.shape[1], bijection=body
    )  # without log-dets: smaller programs
    with ThreadPoolExecutor(2) as pool:  # each takes programs to compile: two at a time
        dense = pool.submit(
            conditioning.spectrum, whole, x, context, user_scale=user, dense=True, one_half=ONE_HALF
        )
        errors = {
            name: pool.submit(conditioning.round_trip, whole, x, context, precision=name) for name in trips
        }
    found = dense.result()
    return Figures(
        log_likelihoods=log_likelihoods,
        singular_values=found.values,
        condition=conditioning.summarize(found.condition_numbers),
        condition_user_units=conditioning.summarize(found.user_units),
        round_trips={name: conditioning.summarize_round_trip(e.result()) for name, e in errors.items()},
        errors=errors["float32"].result(),
    )


def log_likelihoods(flow: AbstractFlow, x: FloatArray, context: FloatArray | None) -> FloatArray:
    """log_prob of every row in float64 NumPy, in chunks of one size so that one program serves all."""
    return in_pieces(partial(_log_prob, flow), max(min(CHUNK, len(x)), 1), x, context)[0].astype(np.float64)


@quickly
def _log_prob(flow: AbstractFlow, x: Array, context: Array | None) -> Array:
    return flow.log_prob(x, context)


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
    rows, worst = conditioning.profile_points(figures.condition_numbers, seed)
    x = np.asarray(flow.extended_rows(part.x[:POINTS][rows]), np.float64)
    context = None if part.context is None else np.asarray(part.context[:POINTS][rows], np.float64)
    layers, units = flow.to_map().layers(), np.ones(x.shape[1])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        found = conditioning.profile(layers, x, context, units, worst, dense=True, seed=seed, seconds=seconds)
    return LayersRecord(rows=list(found.rows), points=len(rows), kinds=conditioning.layer_kinds(dense=True))


def unmeasured(why: str) -> LayersRecord:
    """What the record holds where there is no profile."""
    return LayersRecord(note=f"Not measured: {why}.")


def next_layer(
    flow: AbstractFlow, training: Part, held: Part, *, seed: int, seconds: float
) -> NextLayer | None:
    """What one more affine coupling would gain on the `held` rows, fitted to `training` rows, without a training.

    None where that is not known: too few rows or seconds, weights, another base than a standard normal, a latent that is
    not finite.
    """
    if held.weights is not None or seconds < SHORTEST:
        return None
    count = int(FITTED * min(seconds / FITTING, 1.0))
    (x, context), (seen, seen_context) = (_some(flow, part, count, seed) for part in (held, training))
    try:
        return conditioning.next_layer(
            flow.to_map(), x, context=context, training=seen, training_context=seen_context, seed=seed
        )
    except InputError:  # of the rows, the base or a latent
        return None


def _some(flow: AbstractFlow, part: Part, count: int, seed: int) -> tuple[FloatArray, FloatArray | None]:
    some = np.sort(np.random.default_rng([seed, 5]).permutation(len(part.rows))[:count])
    return flow.extended_rows(part.x[some]), None if part.context is None else part.context[some]
