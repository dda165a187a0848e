"""Linear couplings as members of every family of couplings: the conditioner's affine part is the matrix, its net is zero."""

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._types import Array, Float, Key
from shoal.bijections._coupling import Coupling, dense_coupling
from shoal.bijections._partition import AbstractPartition
from shoal.bijections.conditioners import Activation
from shoal.bijections.transformers import AbstractTransformer


def linear_coupling(
    partition: AbstractPartition,
    transformer: AbstractTransformer,
    block: Float[Array, "m k"],
    log_scale: Float[Array, "m"],
    shift: Float[Array, "m"] | None = None,
    *,
    layer: str = "this layer",
    hidden: tuple[int, ...] = (),
    context_dim: int = 0,
    activation: Activation = "tanh",
    key: Key,
) -> Coupling:
    """The dense coupling that is x_moved = exp(log_scale) * z_moved + block @ z_kept + shift.

    Theorem 2 of Koehler, Mehta and Risteski (2021) uses such layers.

    Exact for every transformer with a linear member of that scale; the net and its part of the context are zero.
    **Raises:** ValueError that names `layer` if the transformer does not reach `log_scale` or a shape is wrong.
    """
    moved = partition.dim - partition.kept_size
    if block.shape != (moved, partition.kept_size) or log_scale.shape != (moved,):
        raise ValueError(
            f"{layer}: needs a block of shape {(moved, partition.kept_size)} and {moved} log-scales; "
            f"got {block.shape} and {log_scale.shape}."
        )
    coupling = dense_coupling(
        partition, transformer, hidden=hidden, context_dim=context_dim, activation=activation, key=key
    )
    start = jnp.zeros_like(log_scale) if shift is None else shift
    bias, by_shift = jax.linearize(lambda t: transformer.linear(log_scale, t, layer=layer), start)
    skip = jnp.pad(jax.vmap(by_shift, in_axes=1, out_axes=1)(block), ((0, 0), (0, context_dim)))
    dtype = jax.tree.leaves(coupling.conditioner)[0].dtype
    arrays = skip.astype(dtype), bias.astype(dtype)
    return eqx.tree_at(lambda c: (c.conditioner.skip, c.conditioner.bias), coupling, arrays)
