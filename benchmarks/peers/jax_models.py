"""The JAX libraries: each function makes one library's flow for a task as parameters and two pure functions.

Shoal and flowjax are modules of arrays; for distrax, which has no conditioners of its own, an MLP is written here.
Log-scale maps are each library's own (flowjax softplus with a least scale, Shoal 5 tanh(raw / 5)); for distrax, where
the user writes it, 2 tanh(raw / 2).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .tasks import Task


@dataclass(frozen=True)
class JaxModel:
    """`params` and what to do with them; `sample(params, key, n)`."""

    params: Any
    log_prob: Callable[[Any, Any], Any]
    sample: Callable[[Any, Any, int], Any]


def make(library: str, task: Task) -> JaxModel:
    """The flow of `task` in `library`. **Raises:** KeyError for a library that has no such flow."""
    return MAKERS[library, task.family](task)


def _shoal_realnvp(task: Task) -> JaxModel:
    from shoal.flows import realnvp

    return _shoal(realnvp(jr.key(0), task.dim, task.depth, **shoal_settings(task)))


def _shoal_maf(task: Task) -> JaxModel:
    from shoal.flows import maf

    return _shoal(maf(jr.key(0), task.dim, task.depth, **shoal_settings(task)))


def shoal_settings(task: Task) -> dict[str, Any]:
    """Width and activation as the other libraries have them."""
    return {"hidden": (task.width, task.width), "activation": "relu"}


def _shoal(flow: Any) -> JaxModel:
    params, static = eqx.partition(flow, eqx.is_inexact_array)
    return JaxModel(
        params,
        lambda p, x: eqx.combine(p, static).log_prob(x),
        lambda p, key, n: eqx.combine(p, static).sample(key, (n,)),
    )


def _flowjax(distribution: Any) -> JaxModel:
    import paramax

    params, static = eqx.partition(
        distribution, eqx.is_inexact_array, is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable)
    )
    return JaxModel(
        params,
        lambda p, x: paramax.unwrap(eqx.combine(p, static)).log_prob(x),
        lambda p, key, n: paramax.unwrap(eqx.combine(p, static)).sample(key, (n,)),
    )


def _flowjax_realnvp(task: Task) -> JaxModel:
    import flowjax.bijections as fb
    from flowjax.distributions import Normal, Transformed
    from flowjax.flows import _affine_with_min_scale  # the transformer of its own coupling_flow

    transformer = _affine_with_min_scale()

    def layer(key: Any) -> Any:
        coupling = fb.Coupling(
            key,
            transformer=transformer,
            untransformed_dim=task.dim // 2,
            dim=task.dim,
            nn_width=task.width,
            nn_depth=2,
        )
        return fb.Chain([coupling, fb.Flip((task.dim,))]).merge_chains()

    layers = eqx.filter_vmap(layer)(jr.split(jr.key(0), task.depth))
    return _flowjax(Transformed(Normal(jnp.zeros(task.dim)), fb.Invert(fb.Scan(layers))))


def _flowjax_maf(task: Task) -> JaxModel:
    from flowjax.distributions import Normal
    from flowjax.flows import masked_autoregressive_flow

    return _flowjax(
        masked_autoregressive_flow(
            jr.key(0),
            base_dist=Normal(jnp.zeros(task.dim)),
            flow_layers=task.depth,
            nn_width=task.width,
            nn_depth=2,
        )
    )


def _distrax_realnvp(task: Task) -> JaxModel:
    import distrax

    half = task.dim // 2
    sizes = ((half, task.width), (task.width, task.width), (task.width, 2 * half))

    def linear(key: Any, inputs: int, outputs: int) -> tuple[Any, Any]:
        bound, (k_w, k_b) = inputs**-0.5, jr.split(key)
        w = jr.uniform(k_w, (inputs, outputs), minval=-bound, maxval=bound)
        return w, jr.uniform(k_b, (outputs,), minval=-bound, maxval=bound)

    def conditioner(layers: Any, x: Any) -> Any:
        *inner, (w, b) = layers
        for v, c in inner:
            x = jax.nn.relu(x @ v + c)
        return x @ w + b

    def affine(raw: Any) -> Any:
        log_scale, shift = jnp.split(raw, 2, axis=-1)
        return distrax.Block(distrax.ScalarAffine(shift=shift, log_scale=2 * jnp.tanh(0.5 * log_scale)), 1)

    def flow(params: Any) -> Any:
        couplings = [
            distrax.SplitCoupling(
                half,
                1,
                conditioner=lambda x, layers=layers: conditioner(layers, x),
                bijector=affine,
                swap=i % 2 == 1,
            )
            for i, layers in enumerate(params)
        ]
        base = distrax.MultivariateNormalDiag(jnp.zeros(task.dim), jnp.ones(task.dim))
        return distrax.Transformed(base, distrax.Inverse(distrax.Chain(couplings)))

    params = [
        [linear(k, i, o) for k, (i, o) in zip(jr.split(key, 3), sizes, strict=True)]
        for key in jr.split(jr.key(0), task.depth)
    ]
    return JaxModel(
        params,
        lambda p, x: flow(p).log_prob(x),
        lambda p, key, n: flow(p).sample(seed=key, sample_shape=(n,)),
    )


MAKERS: dict[tuple[str, str], Callable[[Task], JaxModel]] = {
    ("shoal", "realnvp"): _shoal_realnvp,
    ("shoal", "maf"): _shoal_maf,
    ("flowjax", "realnvp"): _flowjax_realnvp,
    ("flowjax", "maf"): _flowjax_maf,
    ("distrax", "realnvp"): _distrax_realnvp,
}
