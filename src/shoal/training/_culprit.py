"""Which layer made a step non-finite: forward values first, then, where those are finite, the gradient.

For log p(x) values run from the data through the last layer to the first; gradients run back from the first layer to
the last. The first non-finite one on that way is named. A flow that is trained to a known density is gone through from
the latents to the data instead.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from shoal._types import Array
from shoal.bijections import layer_name, layers_of
from shoal.conditioning import Precision, first_nonfinite, from_bijection

from ._data import Rows
from ._losses import Density, Loss
from ._reverse_kl import ReverseKL


def culprit(flow: Density, rows: Rows, loss: Loss | ReverseKL) -> str | None:
    """The layer that first produces a non-finite value on these rows, such as "layer 2: Coupling(Affine)".

    **Arguments:** `flow`, with the weights of the refused step; `rows`, its batch (latents for a `ReverseKL`);
    `loss`, that of the run.

    **Returns:** "layer i: name" (i from 0, in forward order); the same with "gradient of" before it where only a
    gradient is not finite, or "gradient norm, largest in" where only the norm overflows; "the base distribution", "the
    target density" or "the gradient of the target density"; None where nothing is found, or the density has no layers. A
    loss that is not finite where all layers are is put down to the base.
    """
    bijection = getattr(flow, "bijection", None)
    if bijection is None:
        return None
    x, context = np.asarray(rows.x), None if rows.context is None else np.asarray(rows.context)
    if not np.isfinite(x).all():
        return "the input"
    precision: Precision = "float64" if rows.x.dtype == jnp.float64 else "float32"
    layers = from_bijection(bijection).layers()
    reverse = isinstance(loss, ReverseKL)
    direction = "forward" if reverse else "inverse"
    found = first_nonfinite(layers, x, context, direction=direction, precision=precision)
    if found is not None:
        return f"layer {found.layer}: {found.name}"
    if reverse and (target := _of_target(flow, rows.x, loss)) is not None:
        return target
    params, rest = eqx.partition(flow, eqx.is_inexact_array)
    value, gradient = _loss_and_gradient(params, rest, rows, loss)
    if not np.isfinite(value):
        return "the base distribution"
    layers = layers_of(eqx.combine(gradient, rest).bijection)
    largest = [_largest(layer) for layer in layers]
    for i, value in enumerate(largest):
        if not np.isfinite(value):
            return f"gradient of layer {i}: {layer_name(layers[i])}"
    if np.isfinite(float(optax.tree.norm(gradient))):
        return None
    i = int(np.argmax(largest))
    return f"gradient norm, largest in layer {i}: {layer_name(layers[i])}"


@eqx.filter_jit
def _loss_and_gradient(
    params: PyTree, rest: PyTree, rows: Rows, loss: Loss | ReverseKL
) -> tuple[Array, PyTree]:
    def value(p: PyTree) -> Array:
        flow = eqx.combine(p, rest)
        return loss.value(flow, rows.x, jnp.ones(())) if isinstance(loss, ReverseKL) else loss(flow, rows)

    return jax.value_and_grad(value)(params)


def _of_target(flow: Density, z: Array, loss: ReverseKL) -> str | None:
    value, gradient = jax.vmap(jax.value_and_grad(loss.log_density))(jax.vmap(flow.bijection.forward)(z))
    if not np.isfinite(np.asarray(value)).all():
        return "the target density"
    return None if np.isfinite(np.asarray(gradient)).all() else "the gradient of the target density"


def _largest(gradient: PyTree) -> float:
    leaves = jax.tree.leaves(eqx.filter(gradient, eqx.is_inexact_array))
    return float(np.max([float(jnp.max(jnp.abs(leaf))) for leaf in leaves if leaf.size], initial=0.0))
