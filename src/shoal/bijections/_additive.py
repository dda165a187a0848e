"""Additive coupling (NICE, Dinh et al. 2015): strictly volume preserving.

forward: x_kept = z_kept, x_moved = z_moved + t(z_kept, c). log|det| = 0, exactly.
"""

import equinox as eqx
import jax.numpy as jnp

from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._conditioners import Activation, Conditioner
from shoal.bijections._held_conditioner import HeldConditioner
from shoal.bijections._partition import AbstractPartition


class AdditiveCoupling(AbstractBijection):
    """x_moved = z_moved + t(z_kept, c), t = affine + net. Cost of both directions: one conditioner. log-det 0."""

    partition: AbstractPartition
    conditioner: Conditioner | HeldConditioner
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        partition: AbstractPartition,
        *,
        hidden: tuple[int, ...] = (64, 64),
        context_dim: int = 0,
        activation: Activation = "tanh",
        key: Key,
    ):
        moved = partition.dim - partition.kept_size
        self.partition = partition
        self.conditioner = Conditioner(
            partition.kept_size, moved, hidden=hidden, context=context_dim, activation=activation, key=key
        )
        self.shape = (partition.dim,)
        self.context_shape = (context_dim,) if context_dim else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and 0."""
        check_input(self, z, context)
        kept, moved = self.partition.split(z)
        return self.partition.join(kept, moved + self._shift(kept, context)), jnp.zeros((), z.dtype)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and 0."""
        check_input(self, x, context)
        kept, moved = self.partition.split(x)
        return self.partition.join(kept, moved - self._shift(kept, context)), jnp.zeros((), x.dtype)

    def _shift(self, kept: Vector, context: Context) -> Float[Array, "m"]:
        return self.conditioner(kept, context if self.context_shape else None)
