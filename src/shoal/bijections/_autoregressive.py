"""Autoregressive layers (MAF, Papamakarios et al. 2017; with splines, Durkan et al. 2019). An `Inverse` of one is IAF
(Kingma et al. 2016).

forward: x_i = f(z_i; raw_i(x_1 ... x_{i-1}, c)), one coordinate after the other; inverse: z_i = f^{-1}(x_i; raw_i), all at
once. The Jacobian is lower triangular; log|det dx/dz| = sum log f'.
"""

import jax.numpy as jnp

from shoal._types import Array, Bool, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._sequential import sequential
from shoal.bijections.conditioners import Activation, MaskedConditioner
from shoal.bijections.transformers import AbstractTransformer


class Autoregressive(AbstractBijection):
    """x_i = f(z_i; raw_i), raw_i from x_1 ... x_{i-1} and c; `reverse=True` takes the coordinates in the order n, ..., 1.

    **Arguments:** `transformer`: f; `conditioner`: of `transformer.parameters` outputs a coordinate.
    Cost: inverse one conditioner; forward n steps that together cost about one conditioner.
    n = 1 works: the parameters are then constants (and functions of the context).
    **Raises:** ValueError where the sizes do not fit.
    """

    transformer: AbstractTransformer
    conditioner: MaskedConditioner
    reverse: Bool[Array, ""]

    def __init__(
        self, transformer: AbstractTransformer, conditioner: MaskedConditioner, reverse: bool = False
    ):
        self.transformer, self.conditioner, self.reverse = transformer, conditioner, jnp.array(bool(reverse))

    def __check_init__(self) -> None:
        n, outputs = self.conditioner.inputs, self.transformer.parameters * self.conditioner.inputs
        if self.conditioner.outputs != outputs:
            raise ValueError(
                f"`Autoregressive` needs a conditioner of {outputs} outputs for {n} inputs; got {self.conditioner.outputs}."
            )

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]  (the conditioner's)
        """(n,)."""
        return (self.conditioner.inputs,)

    @property
    def context_shape(self) -> tuple[int, ...] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """(c,), or None where the conditioner takes no context."""
        return (self.conditioner.context,) if self.conditioner.context else None

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and log|det dz/dx|, in parallel."""
        check_input(self, x, context)
        x = self._ordered(x)
        z, log_slopes = self.transformer.inverse(self.conditioner(x, context), x)
        return self._ordered(z), jnp.sum(log_slopes)

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and log|det dx/dz|, one coordinate after the other."""
        check_input(self, z, context)
        c = context.astype(z.dtype) if context is not None and self.context_shape else z[:0]
        x, log_slopes = sequential(self.conditioner, self.transformer, self._ordered(z), c)
        return self._ordered(x), jnp.sum(log_slopes)

    def _ordered(self, v: Float[Array, "n"]) -> Float[Array, "n"]:
        return jnp.where(self.reverse, v[::-1], v)


def masked_autoregressive(
    dim: int,
    transformer: AbstractTransformer,
    *,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    activation: Activation = "tanh",
    reverse: bool = False,
    key: Key,
) -> Autoregressive:
    """The autoregressive layer of n = `dim` coordinates with a new `MaskedConditioner` of `hidden` widths."""
    net = MaskedConditioner(
        dim, transformer.parameters, hidden=hidden, context=context_dim, activation=activation, key=key
    )
    return Autoregressive(transformer, net, reverse)
