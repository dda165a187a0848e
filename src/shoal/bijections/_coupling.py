"""Coupling layers (Dinh et al. 2015, 2017; Durkan et al. 2019): what is kept says how the rest is moved.

forward: x_kept = z_kept, x_moved = f(z_moved; raw(z_kept, c)). log|det dx/dz| = sum log f'. Linear couplings are members of
every family: the conditioner's affine part is the matrix, its net is zero.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._partition import AbstractPartition, ChannelPartition
from shoal.bijections.conditioners import (
    AbstractConditioner,
    ConvolutionalConditioner,
    DenseConditioner,
)
from shoal.bijections.transformers import AbstractTransformer


class Coupling(AbstractBijection):
    """x_moved = f(z_moved; raw) with raw = conditioner(z_kept, c), f elementwise: the transformer.

    **Arguments:** `partition`: which coordinates are kept and moved; `transformer`: f; `conditioner`: of as many inputs as
    are kept and `transformer.parameters` outputs for each that is moved. All three are values.
    Cost of both directions: one conditioner and the transformer. **Raises:** InputError where the sizes do not fit.
    """

    partition: AbstractPartition
    transformer: AbstractTransformer
    conditioner: AbstractConditioner

    def __init__(
        self, partition: AbstractPartition, transformer: AbstractTransformer, conditioner: AbstractConditioner
    ):
        self.partition, self.transformer, self.conditioner = partition, transformer, conditioner

    def __check_init__(self) -> None:
        kept, moved = self.partition.kept_size, self.partition.dim - self.partition.kept_size
        outputs = self.transformer.parameters * moved
        if (self.conditioner.inputs, self.conditioner.outputs) != (kept, outputs):
            raise InputError(
                f"`Coupling` needs a conditioner of {kept} inputs and {outputs} outputs; "
                f"got {self.conditioner.inputs} and {self.conditioner.outputs}."
            )

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  (the partition's)
        """(n,)."""
        return (self.partition.dim,)

    @property
    def context_shape(self) -> tuple[int, ...] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """(c,), or None where the conditioner takes no context."""
        return (self.conditioner.context,) if self.conditioner.context else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and the sum of the log slopes."""
        check_input(self, z, context)
        kept, moved = self.partition.split(z)
        moved, log_slopes = self.transformer.forward(self.conditioner(kept, context), moved)
        return self.partition.join(kept, moved), jnp.sum(log_slopes)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and the sum of the log slopes of the inverse."""
        check_input(self, x, context)
        kept, moved = self.partition.split(x)
        moved, log_slopes = self.transformer.inverse(self.conditioner(kept, context), moved)
        return self.partition.join(kept, moved), jnp.sum(log_slopes)


def dense_coupling(
    partition: AbstractPartition,
    transformer: AbstractTransformer,
    *,
    context_dim: int = 0,
    key: Key,
    **net: Any,
) -> Coupling:
    """The coupling with a new `DenseConditioner`; it starts at the transformer's values at raw = 0.

    `net`: its `hidden` widths and `activation`, with its defaults.
    """
    kept, outputs = partition.kept_size, transformer.parameters * (partition.dim - partition.kept_size)
    made = DenseConditioner(kept, outputs, context=context_dim, key=key, **net)
    return Coupling(partition, transformer, made)


def convolutional_coupling(
    image_shape: tuple[int, ...],
    partition: AbstractPartition,
    transformer: AbstractTransformer,
    *,
    context_dim: int = 0,
    key: Key,
    **net: Any,
) -> Coupling:
    """The coupling of an image's channels (Glow, Kingma and Dhariwal 2018) with a new `ConvolutionalConditioner`.

    **Arguments:** `image_shape`: (height, width, channels); `partition`: of the channels; `net`: `hidden`, `kernel` and
    `activation` of the `ConvolutionalConditioner`, with its defaults. One coupling sees kernel x kernel pixels around each.
    **Raises:** InputError for a partition of another number of channels, or bad sizes.
    """
    at_pixels = ChannelPartition(image_shape, partition)
    kept, moved = (*image_shape[:2], partition.kept_size), partition.dim - partition.kept_size
    made = ConvolutionalConditioner(kept, moved, transformer.parameters, context=context_dim, key=key, **net)
    return Coupling(at_pixels, transformer, made)


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
    key: Key,
    **net: Any,
) -> Coupling:
    """The dense coupling that is x_moved = exp(log_scale) * z_moved + block @ z_kept + shift.

    Theorem 2 of Koehler, Mehta and Risteski (2021) uses such layers.

    Exact for every transformer with a linear member of that scale; the net and its part of the context are zero.
    **Raises:** InputError that names `layer` if the transformer does not reach `log_scale` or a shape is wrong.
    """
    moved = partition.dim - partition.kept_size
    if block.shape != (moved, partition.kept_size) or log_scale.shape != (moved,):
        raise InputError(
            f"{layer}: needs a block of shape {(moved, partition.kept_size)} and {moved} log-scales; "
            f"got {block.shape} and {log_scale.shape}."
        )
    coupling = dense_coupling(partition, transformer, hidden=hidden, context_dim=context_dim, key=key, **net)
    start = jnp.zeros_like(log_scale) if shift is None else shift
    bias, by_shift = jax.linearize(lambda t: transformer.linear(log_scale, t, layer=layer), start)
    skip = jnp.pad(jax.vmap(by_shift, in_axes=1, out_axes=1)(block), ((0, 0), (0, context_dim)))
    dtype = jax.tree.leaves(coupling.conditioner)[0].dtype
    arrays = skip.astype(dtype), bias.astype(dtype)
    return eqx.tree_at(lambda c: (c.conditioner.skip, c.conditioner.bias), coupling, arrays)
