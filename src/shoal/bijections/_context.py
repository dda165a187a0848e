"""A bijection whose context is standardised first, so that conditioners see contexts of unit scale."""

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._types import Array, Batch, Context, ContextBatch, Float, Scalar, Vector
from shoal.bijections._base import (
    AbstractBijection,
    AbstractComposite,
    check_input,
    initialize_part,
    layers_of,
)


class StandardizedContext(AbstractComposite):
    """f(z; (c - mean) / scale) for a bijection f(z; c). `mean` and `scale` are fixed, of the context's length."""

    bijection: AbstractBijection
    mean: Float[Array, "c"]
    scale: Float[Array, "c"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, bijection: AbstractBijection, mean: Float[Array, "c"], scale: Float[Array, "c"]):
        self.bijection, self.mean, self.scale = bijection, jnp.asarray(mean), jnp.asarray(scale)
        if bijection.context_shape is None or not (
            self.mean.shape == self.scale.shape == bijection.context_shape
        ):
            raise ValueError(
                f"`StandardizedContext` needs mean and scale of the context's shape {bijection.context_shape}; "
                f"got {self.mean.shape} and {self.scale.shape}."
            )
        if not bool(jnp.all((self.scale > 0) & jnp.isfinite(self.scale) & jnp.isfinite(self.mean))):
            raise ValueError("`StandardizedContext` needs finite means and positive, finite scales.")
        self.shape, self.context_shape = bijection.shape, bijection.context_shape

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """The wrapped bijection, given the standardised context."""
        check_input(self, z, context)
        return self.bijection.forward_and_log_det(z, self._standard(context))

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """The wrapped bijection's inverse, given the standardised context."""
        check_input(self, x, context)
        return self.bijection.inverse_and_log_det(x, self._standard(context))

    def layers(self) -> tuple[AbstractBijection, ...]:
        """The wrapped layers, in forward order, each with the same standardisation."""
        return tuple(
            StandardizedContext(b, self.mean, self.scale) if b.context_shape else b
            for b in layers_of(self.bijection)
        )

    def initialized(self, x: Batch, context: ContextBatch) -> "StandardizedContext":
        """The wrapped bijection initialised from the batch."""
        standard = None if context is None else jax.vmap(self._standard)(context)
        return eqx.tree_at(lambda s: s.bijection, self, initialize_part(self.bijection, x, standard))

    def _standard(self, context: Context) -> Context:
        if context is None:  # `check_input` has refused it where a context is needed
            return None
        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        return (context - mean) / scale
