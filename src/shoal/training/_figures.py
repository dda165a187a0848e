"""The figures of a flow at a few points in its own dtype: ends of the spectrum, condition numbers, round trip.

Up to `DENSE` coordinates one compiled program gives dz/dx and the round trip at all points; training needs that direction,
so it is there and cheap for every flow. Beyond, a few Golub-Kahan steps on the map and on its inverse bound the ends.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.bijections import rolled
from shoal.conditioning import (
    JaxMap,
    Precision,
    condition_numbers,
    doubled,
    extremes,
    growth,
    jacobian_singular_values,
)
from shoal.distributions import padded_rows

from ._data import Rows
from ._monitor import DENSE
from ._step import Form

STEPS = 8  # of Golub and Kahan beyond that, in each direction


@dataclass(frozen=True)
class Ends:
    """σmax, σmin, κ and the round trip's largest error at each point, and what κ is where it is resolved.

    `growth`: how far the latents of points twice as far from their mean lie, the largest one over the median of the points'.
    """

    sigma_max: FloatArray
    sigma_min: FloatArray
    condition: FloatArray
    round_trip: FloatArray
    growth: float
    kind: str
    resolved: float  # κ above this is `unresolved`

    def row(self) -> dict[str, Any]:
        """Medians and worst cases over the points; NaN at a point is NaN here, and κ above 1/eps is counted.

        `kind` is that of the condition numbers, "unresolved" where some of them are.
        """
        unresolved = int((~(self.condition <= self.resolved)).sum())
        return {
            "sigma_max": float(np.max(self.sigma_max)),
            "sigma_max_median": float(np.median(self.sigma_max)),
            "sigma_min": float(np.min(self.sigma_min)),
            "sigma_min_median": float(np.median(self.sigma_min)),
            "condition_median": float(np.median(self.condition)),
            "condition_max": float(np.max(self.condition)),
            "round_trip": float(np.max(self.round_trip)),
            "growth": self.growth,
            "unresolved": unresolved,
            "kind": "unresolved" if unresolved else self.kind,
        }


def ends(form: Form, params: Any, buffers: Any, rows: Rows, scale: FloatArray) -> Ends:
    """The figures of the flow with these weights at these rows, of latent -> data / `scale`."""
    dtype = np.dtype(rows.x.dtype)
    resolved = 1.0 / float(np.finfo(dtype).eps)
    if len(scale) <= DENSE:
        jacobian, z, far, errors = jax.device_get(_dense(form, params, buffers, rows.x, rows.context))
        to_latent = jacobian_singular_values(np.asarray(jacobian, np.float64) * scale)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = 1.0 / to_latent[:, ::-1]
        top, bottom, kappa = values[:, 0], values[:, -1], condition_numbers(to_latent)
        kind = "exact" if dtype == np.float64 else "estimate"
    else:
        z, far, errors = jax.device_get(_there_and_back(form, params, buffers, rows.x, rows.context))
        bijection = rolled(eqx.combine(params, buffers, form.flow).bijection)
        whole = JaxMap(bijection.forward, bijection.inverse, len(scale))
        precision: Precision = "float64" if dtype == np.float64 else "float32"
        context = None if rows.context is None else np.asarray(rows.context)
        found = extremes(whole, z, context, scale=scale, steps=STEPS, precision=precision)
        top, bottom, kappa, kind = found.sigma_max, found.sigma_min, found.condition_numbers, "lower_bound"
    lost = ~np.isfinite(z).all(axis=1)  # a derivative may be finite where the value is not
    top, bottom, kappa = (np.where(lost, np.nan, a) for a in (top, bottom, kappa))
    with np.errstate(invalid="ignore"):
        trip = np.max(np.asarray(errors, np.float64) / scale, axis=1)
        far_growth = float(np.max(growth(np.asarray(z, np.float64), np.asarray(far, np.float64))))
    return Ends(top, bottom, kappa, trip, far_growth, kind, resolved)


@partial(jax.jit, static_argnames="form")
def _dense(
    form: Form, params: Any, buffers: Any, x: Array, context: Array | None
) -> tuple[Array, Array, Array, Array]:
    flow = rolled(eqx.combine(params, buffers, form.flow))
    x, axes = padded_rows(flow, x), (0, None if context is None else 0)

    def to_latent(v, c):
        z = flow.bijection.inverse(v, c)
        return z, z

    jacobian, z = jax.vmap(jax.jacfwd(to_latent, has_aux=True), in_axes=axes)(x, context)
    return jacobian, z, _far(flow, x, context), _errors(flow, x, z, context)


@partial(jax.jit, static_argnames="form")
def _there_and_back(
    form: Form, params: Any, buffers: Any, x: Array, context: Array | None
) -> tuple[Array, Array, Array]:
    flow = rolled(eqx.combine(params, buffers, form.flow))
    x = padded_rows(flow, x)
    z = jax.vmap(flow.bijection.inverse, in_axes=(0, None if context is None else 0))(x, context)
    return z, _far(flow, x, context), _errors(flow, x, z, context)


def _far(flow: Any, x: Array, context: Array | None) -> Array:
    """The latents of points twice as far from their mean as these."""
    axes = (0, None if context is None else 0)
    return jax.vmap(flow.bijection.inverse, in_axes=axes)(doubled(x), context)


def _errors(flow: Any, x: Array, z: Array, context: Array | None) -> Array:
    """|f(z) - x|, (rows, n); the barrier keeps the compiler from cancelling f against its inverse."""
    axes = (0, None if context is None else 0)
    return jnp.abs(
        jax.vmap(flow.bijection.forward, in_axes=axes)(jax.lax.optimization_barrier(z), context) - x
    )
