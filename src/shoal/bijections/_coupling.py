"""Coupling layers (Dinh et al. 2015, 2017; Durkan et al. 2019): what is kept says how the rest is moved.

forward: x_kept = z_kept, x_moved = f(z_moved; raw(z_kept, c)). log|det dx/dz| = sum log f'.
"""

import jax.numpy as jnp

from shoal._types import Context, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._partition import AbstractPartition, ChannelPartition
from shoal.bijections.conditioners import (
    AbstractConditioner,
    Activation,
    ConvolutionalConditioner,
    DenseConditioner,
)
from shoal.bijections.transformers import AbstractTransformer


class Coupling(AbstractBijection):
    """x_moved = f(z_moved; raw) with raw = conditioner(z_kept, c), f elementwise: the transformer.

    **Arguments:** `partition`: which coordinates are kept and moved; `transformer`: f; `conditioner`: of as many inputs as
    are kept and `transformer.parameters` outputs for each that is moved. All three are values.
    Cost of both directions: one conditioner and the transformer. **Raises:** ValueError where the sizes do not fit.
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
            raise ValueError(
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
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    activation: Activation = "tanh",
    key: Key,
) -> Coupling:
    """The coupling with a new `DenseConditioner` of `hidden` widths; it starts at the transformer's values at raw = 0."""
    kept, moved = partition.kept_size, partition.dim - partition.kept_size
    net = DenseConditioner(
        kept,
        transformer.parameters * moved,
        hidden=hidden,
        context=context_dim,
        activation=activation,
        key=key,
    )
    return Coupling(partition, transformer, net)


def convolutional_coupling(
    image_shape: tuple[int, ...],
    partition: AbstractPartition,
    transformer: AbstractTransformer,
    *,
    hidden: tuple[int, ...] = (32, 32),
    kernel: int = 3,
    context_dim: int = 0,
    activation: Activation = "relu",
    key: Key,
) -> Coupling:
    """The coupling of an image's channels (Glow, Kingma and Dhariwal 2018) with a new `ConvolutionalConditioner`.

    **Arguments:** `image_shape`: (height, width, channels); `partition`: of the channels; the others as in
    `ConvolutionalConditioner`. One coupling sees kernel x kernel pixels around each.
    **Raises:** ValueError for a partition of another number of channels, or bad sizes.
    """
    at_pixels = ChannelPartition(image_shape, partition)
    net = ConvolutionalConditioner(
        (*image_shape[:2], partition.kept_size),
        partition.dim - partition.kept_size,
        transformer.parameters,
        hidden=hidden,
        kernel=kernel,
        context=context_dim,
        activation=activation,
        key=key,
    )
    return Coupling(at_pixels, transformer, net)
