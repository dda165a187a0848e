"""Rational-quadratic spline coupling (Durkan et al. 2019), with an affine part so that linear couplings belong to it.

inverse: z_moved = q((x_moved - t) / s), q a monotone spline on [-B, B] whose knots, like s and t, come from
(x_kept, c). The direct evaluation is spent on data -> latent, the direction that training uses; the other
direction solves one quadratic.
"""

import equinox as eqx
import jax.numpy as jnp

from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections import _rational_quadratic as rq
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._conditioners import Activation, Conditioner
from shoal.bijections._held_conditioner import HeldConditioner
from shoal.bijections._knot_conditioner import KnotConditioner
from shoal.bijections._partition import AbstractPartition
from shoal.bijections._scale_maps import AbstractScaleMap, scale_or


class SplineCoupling(AbstractBijection):
    """x_moved = s * q^{-1}(z_moved) + t; log|det dx/dz| = sum log s - sum log q'.

    **Arguments:** `partition`, `hidden`, `context_dim`, `activation` as in `AffineCoupling`; `scale`: the scale map,
    by default |log s| < 1 (narrow peaks are the knots' part, which leaves the tails as wide as the data); `bins`: K,
    the bins of each spline; `bound`: B, half the box, in units of standardised data. Knot derivatives are >= 1e-3,
    bins >= 1e-3 of the box. Cost: one conditioner with (3 K + 1) outputs per moved coordinate, both directions.
    """

    partition: AbstractPartition
    conditioner: Conditioner | HeldConditioner | KnotConditioner
    scale: AbstractScaleMap
    bins: int = eqx.field(static=True)
    bound: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        partition: AbstractPartition,
        *,
        bins: int = 8,
        bound: float = 5.0,
        hidden: tuple[int, ...] = (64, 64),
        context_dim: int = 0,
        scale: AbstractScaleMap | None = None,
        activation: Activation = "tanh",
        key: Key,
    ):
        if not 2 <= bins <= 500:
            raise ValueError(f"`SplineCoupling(bins=...)` must lie in 2 ... 500; got {bins}.")
        if not 0 < bound < float("inf"):
            raise ValueError(f"`SplineCoupling(bound=...)` must be positive and finite; got {bound}.")
        moved = partition.dim - partition.kept_size
        self.partition, self.bins, self.bound = partition, int(bins), float(bound)
        outputs = moved * (3 * bins + 1)
        self.conditioner = Conditioner(
            partition.kept_size, outputs, hidden=hidden, context=context_dim, activation=activation, key=key
        )
        self.scale = scale_or(scale, 1.0)
        self.shape = (partition.dim,)
        self.context_shape = (context_dim,) if context_dim else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and log|det dx/dz|."""
        check_input(self, z, context)
        kept, moved = self.partition.split(z)
        log_scale, shift, knots = self._parameters(kept, context)
        u, log_slope = rq.invert(knots, moved, self.bound)
        return self.partition.join(kept, u * jnp.exp(log_scale) + shift), jnp.sum(log_scale - log_slope)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and log|det dz/dx|."""
        check_input(self, x, context)
        kept, moved = self.partition.split(x)
        log_scale, shift, knots = self._parameters(kept, context)
        z, log_slope = rq.evaluate(knots, (moved - shift) * jnp.exp(-log_scale), self.bound)
        return self.partition.join(kept, z), jnp.sum(log_slope - log_scale)

    def _parameters(
        self, kept: Vector, context: Context
    ) -> tuple[Float[Array, "m"], Float[Array, "m"], rq.Knots]:
        out = self.conditioner(kept, context if self.context_shape else None)
        moved = self.partition.dim - self.partition.kept_size
        raw = out[2 * moved :].reshape(moved, 3 * self.bins - 1)
        log_scale = self.scale.log_scale(out[:moved])
        return log_scale, out[moved : 2 * moved], rq.knots(raw, self.bins, self.bound)
