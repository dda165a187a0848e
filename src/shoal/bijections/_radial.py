r"""Radial layer (Rezende and Mohamed 2015): x = z + β (z - z0) / (α + r), r = |z - z0|, α > 0, β >= -α.

The radius goes to R = r + β r / (α + r), with slope 1 + αβ / (α + r)^2: increasing if and only if β >= -α. With E = 1 + β/α,
the stretch at z0, the condition is E > 0, so the layer holds log α and a raw value of log E. The radius solves
r^2 + (αE - R) r - αR = 0, whose one root r >= 0 is taken without cancellation: the inverse is in closed form.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._amortized import amortizer, moved
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections.conditioners import Activation, DenseConditioner
from shoal.bijections.transformers._scale_maps import AbstractScaleMap, scale_or


class Radial(AbstractBijection):
    r"""x = z + β (z - z0) / (α + |z - z0|), α = exp(log_alpha), β = α (E - 1), log E = scale_map(stretch).

    E > 1 pushes away from z0, E < 1 draws towards it; far from z0 the map is a shift of at most |β|. E > 0 is β > -α,
    Rezende and Mohamed's condition. With r = |z - z0|, the singular values are t = (αE + r) / (α + r), n - 1 times, across
    the radius and s = (α²E + 2αr + r²) / (α + r)² along it: all between 1 and E, so the Lipschitz constants are
    max(1, E), and max(1, 1/E) for the inverse. log|det dx/dz| = (n - 1) log t + log s, O(n). **Inverse:** closed form, O(n).
    **Parameters:** n + 2.
    **Arguments:** `scale`: the scale map of E (default `SoftBoundedScale(3)`); `context_dim`, `hidden`, `activation`: of
    the net by which a context moves z0, log α and the stretch (0: none). **Raises:** ValueError for dim < 1.
    Rezende and Mohamed give it beside the planar layer, with pictures of both. **Can not:** act differently in
    different directions from z0; in high dimensions t alone decides the density.
    """

    z0: Float[Array, "n"]
    log_alpha: Float[Array, ""]
    stretch: Float[Array, ""]
    conditioner: DenseConditioner | None
    scale: AbstractScaleMap
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        context_dim: int = 0,
        hidden: tuple[int, ...] = (64, 64),
        activation: Activation = "tanh",
        scale: AbstractScaleMap | None = None,
        key: Key,
    ):
        if dim < 1:
            raise ValueError(f"`Radial(dim)` must be at least 1; got {dim}.")
        kz, kc = jr.split(key)
        self.z0, self.log_alpha, self.stretch = jr.normal(kz, (dim,)), jnp.zeros(()), jnp.zeros(())
        arrays = (self.z0, self.log_alpha, self.stretch)
        self.conditioner = amortizer(arrays, context_dim, hidden, activation, kc)
        self.scale = scale_or(scale, 3.0)
        self.shape, self.context_shape = (dim,), (context_dim,) if context_dim else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and (n - 1) log t + log s."""
        check_input(self, z, context)
        z0, alpha, stretch = self._parameters(context)
        r = _length(z - z0)
        return z0 + (z - z0) * (alpha * stretch + r) / (alpha + r), self._log_det(r, alpha, stretch)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and -(n - 1) log t - log s."""
        check_input(self, x, context)
        z0, alpha, stretch = self._parameters(context)
        length = _length(x - z0)
        p = length - alpha * stretch
        root = jnp.sqrt(p * p + 4.0 * alpha * length)
        far = (p + root) / (2.0 * jnp.where(p > 0, length, 1.0))  # r / R, where p > 0 and so R > 0
        ratio = jnp.where(p > 0, far, 2.0 * alpha / (root - jnp.minimum(p, 0.0)))
        return z0 + ratio * (x - z0), -self._log_det(ratio * length, alpha, stretch)

    def _log_det(self, r: Scalar, alpha: Scalar, stretch: Scalar) -> Scalar:
        across = jnp.log(alpha * stretch + r) - jnp.log(alpha + r)
        along = jnp.log(alpha * alpha * stretch + 2.0 * alpha * r + r * r) - 2.0 * jnp.log(alpha + r)
        return (self.shape[0] - 1) * across + along

    def _parameters(self, context: Context) -> tuple[Vector, Scalar, Scalar]:
        arrays = (self.z0, self.log_alpha, self.stretch)
        z0, log_alpha, stretch = moved(self.conditioner, context if self.context_shape else None, arrays)
        return z0, jnp.exp(log_alpha), jnp.exp(self.scale.log_scale(stretch))


def _length(v: Vector) -> Scalar:
    """|v|, with gradient 0 at v = 0 (a layer uses it only where its own derivative vanishes there)."""
    square = matmul(v, v)
    zero = square == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))
