"""Norms of the loss's gradient, one a layer: the negative log-likelihood under a standard normal latent.

Walks from the latent to the data: lambda_0 = z and, through the inverse of layer k, lambda_k = d/dh_k of
<lambda_{k-1}, h_{k-1}> - log|det dh_{k-1}/dh_k|; the parameters of layer k get their gradient on the way.
"""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._scalars import FloatArray
from shoal.conditioning._jax_map import JaxMap
from shoal.conditioning._map import AbstractMap, AbstractParametric
from shoal.conditioning._precision import compute


def gradient_norms(
    layers: Sequence[AbstractMap], states: Sequence[FloatArray], context: FloatArray | None
) -> list[float] | None:
    """|d loss / d parameters| of each layer, the loss averaged over points; None where a layer is neither JAX with log-dets
    nor `AbstractParametric`.

    **Arguments:** `states`: h_0 ... h_L, (rows, n) each. A layer without parameters has 0.
    """
    cotangents, norms = np.asarray(states[0]), []
    for layer, h in zip(layers, states[1:], strict=True):
        if isinstance(layer, AbstractParametric):
            norm, cotangents = layer.loss_step(h, cotangents, context)
            norms.append(norm)
            continue
        if not isinstance(layer, JaxMap) or not layer.log_dets:
            return None
        function, shape = layer.function("inverse"), layer.shape
        norm, cotangents = compute(_step, function, shape, h, cotangents, context, precision="float64")
        norms.append(float(norm))
    return norms


@eqx.filter_jit
def _step(function: Callable, shape: tuple[int, ...], h, cotangents, context):
    arrays, static = eqx.partition(function, eqx.is_inexact_array)

    def mean_loss(arrays, h):
        run = eqx.combine(arrays, static)
        one = lambda v, c: run(v.reshape(shape), c)
        z, log_det = jax.vmap(one, in_axes=(0, None if context is None else 0))(h, context)
        return jnp.mean(jnp.sum(z.reshape(h.shape) * cotangents, axis=1) - log_det)

    of_parameters, of_state = jax.grad(mean_loss, argnums=(0, 1))(arrays, h)
    leaves = jax.tree.leaves(of_parameters)
    norm = jnp.sqrt(sum((jnp.sum(a**2) for a in leaves), jnp.zeros((), h.dtype)))
    return norm, of_state * h.shape[0]
