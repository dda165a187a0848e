"""Numerical invertibility: how far data -> latent -> data comes back to the data, in a given precision."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from shoal._compiling import quickly
from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.conditioning._dense import _chunks
from shoal.conditioning._precision import Precision, compute
from shoal.records.figures import RoundTripSummary


def round_trip(
    forward: Callable,
    inverse: Callable,
    x: FloatArray,
    context: FloatArray | None = None,
    *,
    precision: Precision,
) -> FloatArray:
    """max_i |f(f^{-1}(x)) - x|_i at every row of `x`, computed in `precision`; shape (rows,).

    **Arguments:** `forward(z, context)`, `inverse(x, context)`: unbatched maps (Equinox modules or bound methods).
    The points are rounded to `precision` first, so the error is that of the maps alone. NaN stays NaN.
    """
    parts = [
        compute(_errors, forward, inverse, *padded, precision=precision)[:rows]
        for padded, rows in _chunks(x, context)
    ]
    return np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)


def summarize_round_trip(errors: FloatArray) -> RoundTripSummary:
    """Median, 99.9 % quantile and maximum; NaN where the error at that place is not finite."""
    if errors.size == 0:
        raise ValueError("`summarize_round_trip` needs at least one error.")
    ordered = np.where(np.isfinite(errors), errors, np.inf)
    found = np.quantile(ordered, [0.5, 0.999, 1.0], method="higher")
    return RoundTripSummary(*(float(v) if np.isfinite(v) else float("nan") for v in found))


@quickly
def _errors(forward: Callable, inverse: Callable, x: Array, context: Array | None) -> Array:
    x = jnp.asarray(x)
    axes = (0, None if context is None else 0)
    z = jax.vmap(lambda v, c: inverse(v, c), in_axes=axes)(x, context)
    # the barrier keeps the compiler from cancelling f against its inverse
    back = jax.vmap(lambda v, c: forward(v, c), in_axes=axes)(jax.lax.optimization_barrier(z), context)
    return jnp.max(jnp.abs(back - x), axis=-1)
