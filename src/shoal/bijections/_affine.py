"""Affine coupling (RealNVP, Dinh et al. 2017; [KMR] Definition 1).

forward: x_kept = z_kept, x_moved = z_moved * s(z_kept, c) + t(z_kept, c), s > 0. log|det dx/dz| = sum log s.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._conditioners import Activation, Conditioner
from shoal.bijections._held_conditioner import HeldConditioner
from shoal.bijections._knot_conditioner import KnotConditioner
from shoal.bijections._partition import AbstractPartition
from shoal.bijections._scale_maps import AbstractScaleMap, scale_or


class AffineCoupling(AbstractBijection):
    """x_moved = z_moved * s + t with log s = scale_map(raw), (raw, t) = affine + net of (z_kept, c).

    **Arguments:** `partition`: which coordinates are kept and moved; `scale`: the scale map (a value);
    `hidden`: widths of the conditioner; `context_dim`: length of the context, 0 for none.
    Cost of both directions: one conditioner. Inverse: x -> (x_moved - t) / s, exact.
    """

    partition: AbstractPartition
    conditioner: Conditioner | HeldConditioner | KnotConditioner
    scale: AbstractScaleMap
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        partition: AbstractPartition,
        *,
        hidden: tuple[int, ...] = (64, 64),
        context_dim: int = 0,
        scale: AbstractScaleMap | None = None,
        activation: Activation = "tanh",
        key: Key,
    ):
        moved = partition.dim - partition.kept_size
        self.partition = partition
        self.conditioner = Conditioner(
            partition.kept_size, 2 * moved, hidden=hidden, context=context_dim, activation=activation, key=key
        )
        self.scale = scale_or(scale, 3.0)
        self.shape = (partition.dim,)
        self.context_shape = (context_dim,) if context_dim else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and sum log s."""
        check_input(self, z, context)
        kept, moved = self.partition.split(z)
        log_scale, shift = self._parameters(kept, context)
        return self.partition.join(kept, moved * jnp.exp(log_scale) + shift), jnp.sum(log_scale)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and - sum log s."""
        check_input(self, x, context)
        kept, moved = self.partition.split(x)
        log_scale, shift = self._parameters(kept, context)
        return self.partition.join(kept, (moved - shift) * jnp.exp(-log_scale)), -jnp.sum(log_scale)

    def _parameters(self, kept: Vector, context: Context) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
        out = self.conditioner(kept, context if self.context_shape else None)
        moved = out.shape[0] // 2
        return self.scale.log_scale(out[:moved]), out[moved:]


def written_coupling(
    partition: AbstractPartition, net: KnotConditioner, *, scale: AbstractScaleMap
) -> AffineCoupling:
    """The affine coupling whose (raw, t) are those of a conditioner that is written down, 2 (n - k) outputs.

    **Raises:** ValueError where the conditioner has other sizes than the partition.
    """
    moved, kept = partition.dim - partition.kept_size, partition.kept_size
    sizes = (net.direction.shape[0], net.constant.shape[0] + net.values.shape[1])
    if sizes != (kept, 2 * moved):
        raise ValueError(
            f"`written_coupling` needs a conditioner of {kept} inputs and {2 * moved} outputs; got {sizes}."
        )
    coupling = AffineCoupling(partition, hidden=(), scale=scale, key=jr.key(0))
    return eqx.tree_at(lambda c: c.conditioner, coupling, net)


def linear_coupling(
    partition: AbstractPartition,
    block: Float[Array, "m k"],
    log_scale: Float[Array, "m"],
    shift: Float[Array, "m"] | None = None,
    *,
    scale: AbstractScaleMap,
    layer: str = "this layer",
    hidden: tuple[int, ...] = (),
    context_dim: int = 0,
    activation: Activation = "tanh",
    key: Key,
) -> AffineCoupling:
    """The linear affine coupling x_moved = exp(log_scale) * z_moved + block @ z_kept + shift, as an `AffineCoupling`.

    Exact: the conditioner's affine part is the block, its net and its part of the context are zero ([KMR] Theorem 2 uses
    such layers).
    **Raises:** ValueError that names `layer` if `log_scale` lies outside the scale map's range or a shape is wrong.
    """
    moved = partition.dim - partition.kept_size
    if block.shape != (moved, partition.kept_size) or log_scale.shape != (moved,):
        raise ValueError(
            f"{layer}: needs a block of shape {(moved, partition.kept_size)} and {moved} log-scales; "
            f"got {block.shape} and {log_scale.shape}."
        )
    coupling = AffineCoupling(
        partition, hidden=hidden, context_dim=context_dim, scale=scale, activation=activation, key=key
    )
    dtype = jax.tree.leaves(coupling.conditioner)[0].dtype
    raw = scale.raw(log_scale, layer=layer)
    bias = jnp.concatenate([raw, jnp.zeros_like(raw) if shift is None else shift]).astype(dtype)
    skip = jnp.concatenate([jnp.zeros_like(block), block]).astype(dtype)
    skip = jnp.pad(skip, ((0, 0), (0, context_dim)))
    where = lambda c: (c.conditioner.skip, c.conditioner.bias)  # noqa: E731
    return eqx.tree_at(where, coupling, (skip, bias))
