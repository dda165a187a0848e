"""The figures of a flow at a few points in its own dtype: ends of the spectrum, condition numbers, round trip.

Up to `DENSE` coordinates one compiled program gives dz/dx and the round trip at all points; training needs that direction,
so it is there and cheap for every flow. Beyond, a few Golub-Kahan steps on the map and on its inverse bound the ends.
"""

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
    Spectrum,
    condition_numbers,
    doubled,
    extremes,
    growth,
    inverse_singular_values,
)

from ._data import Rows
from ._monitor import DENSE
from ._step import Form

STEPS = 8  # of Golub and Kahan beyond that, in each direction


def conditioning_row(form: Form, params: Any, buffers: Any, rows: Rows, scale: FloatArray) -> dict[str, Any]:
    """The figures of the flow with these weights at these rows, of latent -> data / `scale`.

    Medians and worst cases over the points; NaN at a point is NaN here, and κ above 1/eps is counted. `kind` is that of the
    condition numbers, "unresolved" where some of them are. `growth`: how far the latents of points twice as far from their
    mean lie, the largest one over the median of the points'.
    """
    dense = len(scale) <= DENSE
    precision: Precision = "float64" if rows.x.dtype == np.float64 else "float32"
    jacobian, z, far, errors = jax.device_get(_look(form, params, buffers, rows.x, rows.context, dense=dense))
    if dense:
        values = inverse_singular_values(np.asarray(jacobian, np.float64) * scale)
    else:
        bijection = rolled(eqx.combine(params, buffers, form.flow).bijection)
        whole = JaxMap(bijection.forward, bijection.inverse, len(scale))
        context = None if rows.context is None else np.asarray(rows.context)
        found = extremes(whole, z, context, scale=scale, steps=STEPS, precision=precision)
        values = np.stack([found.sigma_max, found.sigma_min], axis=1)
    lost = ~np.isfinite(z).all(axis=1, keepdims=True)  # a derivative may be finite where the value is not
    values = np.where(lost, np.nan, values)
    kappa = condition_numbers(values)
    spectrum = Spectrum(values, dense, kappa, None, precision=precision)
    with np.errstate(invalid="ignore"):
        trips = np.max(np.asarray(errors, np.float64) / scale, axis=1)
        grown = growth(np.asarray(z, np.float64), np.asarray(far, np.float64))
    return {
        "sigma_max": float(np.max(values[:, 0])),
        "sigma_max_median": float(np.median(values[:, 0])),
        "sigma_min": float(np.min(values[:, -1])),
        "sigma_min_median": float(np.median(values[:, -1])),
        "condition_median": float(np.median(kappa)),
        "condition_max": float(np.max(kappa)),
        "round_trip": float(np.max(trips)),
        "growth": float(np.max(grown)),
        "unresolved": int(spectrum.unresolved.sum()),
        "kind": spectrum.kinds["condition_numbers"],
    }


@partial(jax.jit, static_argnames=("form", "dense"))
def _look(
    form: Form, params: Any, buffers: Any, x: Array, context: Array | None, *, dense: bool
) -> tuple[Array | None, Array, Array, Array]:
    """dz/dx (None unless `dense`), z, the latents of points twice as far from their mean, and |f(z) - x|."""
    flow = rolled(eqx.combine(params, buffers, form.flow))
    body, x, axes = flow.bijection, jax.vmap(flow.extended)(x), (0, None if context is None else 0)

    def to_latent(v: Array, c: Array | None) -> tuple[Array, Array]:
        z = body.inverse(v, c)
        return z, z

    inverse = jax.vmap(body.inverse, in_axes=axes)
    jacobian = None
    if dense:
        jacobian, z = jax.vmap(jax.jacfwd(to_latent, has_aux=True), in_axes=axes)(x, context)
    else:
        z = inverse(x, context)
    # the barrier keeps the compiler from cancelling f against its inverse
    back = jax.vmap(body.forward, in_axes=axes)(jax.lax.optimization_barrier(z), context)
    return jacobian, z, inverse(doubled(x), context), jnp.abs(back - x)
