"""Norms of the loss's gradient, one a layer: the negative log-likelihood under a standard normal latent.

Walks from the latent to the data: lambda_0 = z and, through the inverse of layer k, lambda_k = d/dh_k of
<lambda_{k-1}, h_{k-1}> - log|det dh_{k-1}/dh_k|; the parameters of layer k get their gradient on the way.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._scalars import FloatArray, Function
from shoal._types import Array
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
        elif isinstance(layer, JaxMap) and layer.log_dets:
            arguments = layer.function("inverse"), layer.shape, h, cotangents, context
            norm, cotangents = compute(_step, *arguments, precision="float64")
        else:
            return None
        norms.append(float(norm))
    return norms


@eqx.filter_jit
def _step(
    function: Function, shape: tuple[int, ...], h: Array, cotangents: Array, context: Array | None
) -> tuple[Array, Array]:
    leaves, tree = jax.tree.flatten(
        function
    )  # a `partition` changes the structure of some libraries' objects
    learned = [i for i, leaf in enumerate(leaves) if eqx.is_inexact_array(leaf)]

    def mean_loss(arrays: list[Array], h: Array) -> Array:
        given = dict(zip(learned, arrays, strict=True))
        run = jax.tree.unflatten(tree, [given.get(i, leaf) for i, leaf in enumerate(leaves)])
        one = lambda v, c: run(v.reshape(shape), c)
        z, log_det = jax.vmap(one, in_axes=(0, None if context is None else 0))(h, context)
        return jnp.mean(jnp.sum(z.reshape(h.shape) * cotangents, axis=1) - log_det)

    slopes, of_state = jax.grad(mean_loss, argnums=(0, 1))([leaves[i] for i in learned], h)
    norm = jnp.sqrt(sum((jnp.sum(a**2) for a in slopes), jnp.zeros((), h.dtype)))
    return norm, of_state * h.shape[0]
