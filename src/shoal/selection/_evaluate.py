"""The figures of one trained flow at given points: log-likelihoods, singular values, condition numbers, round trips.

Everything is measured between latent space and *standardised* data; the user-unit condition numbers stand beside.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from shoal._compiling import quickly
from shoal._scalars import FloatArray
from shoal.bijections import rolled
from shoal.conditioning import (
    ConditionSummary,
    Precision,
    RoundTripSummary,
    condition_numbers,
    jacobian_singular_values,
    jacobians,
    round_trip,
    summarize,
    summarize_round_trip,
)
from shoal.distributions import Flow, Padded, padded_rows
from shoal.selection._prepare import Part

POINTS = 10_000  # condition numbers and round trips are measured at no more points than this
CHUNK = 8192


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
        return condition_numbers(self.singular_values)


def measure(
    flow: Flow | Padded,
    part: Part,
    scale: FloatArray,
    log_likelihoods: FloatArray,
    trips: tuple[Precision, ...] = ("float32", "float64"),
) -> Figures:
    """Measure `flow`, a flow on standardised rows, at the rows of `part`; `scale` gives the user-unit figures.

    `trips`: the precisions of round trips, float32 first. The map of a `Padded` one is that of its joint, at the rows with
    their own padding.
    """
    x = part.x[:POINTS]
    x = with_padding(flow, x)
    scale = np.concatenate([scale, np.ones(x.shape[1] - len(scale))])
    context = None if part.context is None else part.context[:POINTS]
    body = rolled(flow.bijection)
    forward, inverse = body.forward, body.inverse
    with ThreadPoolExecutor(2) as pool:  # each is one program to compile: two at a time
        dense = pool.submit(jacobians, inverse, x, context)  # dz/dx; its inverse is latent -> data
        errors = {
            name: pool.submit(round_trip, forward, inverse, x, context, precision=name) for name in trips
        }
    to_latent = dense.result()
    values = _inverted(jacobian_singular_values(to_latent))
    user = _inverted(jacobian_singular_values(to_latent / scale))
    return Figures(
        log_likelihoods=log_likelihoods,
        singular_values=values,
        condition=summarize(condition_numbers(values)),
        condition_user_units=summarize(condition_numbers(user)),
        round_trips={name: summarize_round_trip(e.result()) for name, e in errors.items()},
        errors=errors["float32"].result(),
    )


def with_padding(flow: Flow | Padded, x: FloatArray) -> FloatArray:
    """Rows of the space that the bijection works on: those of a `Padded` flow with their own padding."""
    if not isinstance(flow, Padded):
        return x
    padding = padded_rows(flow, jnp.asarray(x))[:, x.shape[1] :]
    return np.hstack([x, np.asarray(padding, x.dtype)])


def log_likelihoods(flow: Flow | Padded, x: FloatArray, context: FloatArray | None) -> FloatArray:
    """log_prob of every row in float64 NumPy, in chunks of one size so that one program serves all."""
    out = np.empty(len(x))
    size = min(CHUNK, len(x))
    for start in range(0, len(x), max(size, 1)):
        rows = np.minimum(np.arange(start, start + size), len(x) - 1)
        part = np.asarray(_log_prob(flow, x[rows], None if context is None else context[rows]))
        out[start : start + size] = part[: len(x) - start]
    return out


@quickly
def _log_prob(flow: Flow | Padded, x: Any, context: Any) -> Any:
    return flow.log_prob(x, context)


def _inverted(values: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore"):
        return 1.0 / values[:, ::-1]
