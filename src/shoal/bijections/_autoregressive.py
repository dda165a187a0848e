"""Masked autoregressive flow (MAF, Papamakarios et al. 2017). Its `Inverse` is IAF (Kingma et al. 2016).

forward: x_i = z_i * s(x_1 ... x_{i-1}, c) + t(x_1 ... x_{i-1}, c), one coordinate after the other;
inverse: z_i = (x_i - t) / s, all at once. The Jacobian is lower triangular; log|det dx/dz| = sum log s.
"""

import equinox as eqx
import jax.numpy as jnp

from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._conditioners import Activation
from shoal.bijections._masks import MaskedConditioner
from shoal.bijections._scale_maps import AbstractScaleMap, scale_or
from shoal.bijections._sequential import sequential


class MaskedAutoregressive(AbstractBijection):
    """Affine autoregressive map; `reverse=True` takes the coordinates in the order n, ..., 1.

    Cost: inverse one conditioner; forward n steps that together cost about one conditioner.
    n = 1 works: the map is then affine in z (and in the context's features).
    """

    conditioner: MaskedConditioner
    scale: AbstractScaleMap
    reverse: bool = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        context_dim: int = 0,
        scale: AbstractScaleMap | None = None,
        activation: Activation = "tanh",
        reverse: bool = False,
        key: Key,
    ):
        self.conditioner = MaskedConditioner(
            dim, hidden=hidden, context=context_dim, activation=activation, key=key
        )
        self.scale = scale_or(scale, 3.0)
        self.reverse = bool(reverse)
        self.shape = (dim,)
        self.context_shape = (context_dim,) if context_dim else None

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and log|det dz/dx|, in parallel."""
        check_input(self, x, context)
        x = self._ordered(x)
        out = self.conditioner(x, context if self.context_shape else None)
        n = self.shape[0]
        log_scale = self.scale.log_scale(out[:n])
        return self._ordered((x - out[n:]) * jnp.exp(-log_scale)), -jnp.sum(log_scale)

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and log|det dx/dz|, one coordinate after the other."""
        check_input(self, z, context)
        c = context.astype(z.dtype) if context is not None and self.context_shape else z[:0]
        x, log_scales = sequential(self.conditioner, self.scale, self._ordered(z), c)
        return self._ordered(x), jnp.sum(log_scales)

    def _ordered(self, v: Float[Array, "n"]) -> Float[Array, "n"]:
        return v[::-1] if self.reverse else v
