"""Tails that grow like a logarithm: what keeps rows far out from driving conditioners, and overflow out of sampling.

With λ > 0 and a = λ e, e the distance beyond a border, data -> latent takes e to log1p(a) / λ; latent -> data takes t to
expm1(λ t) / λ up to λ t = `REACH`, and goes on along the tangent there, so that no latent overflows. Both directions are
once continuously differentiable. A tail of this form turns a Pareto law of index 1 / λ into an exponential one.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._types import Array, Context, Float, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input

REACH = 20.0  # λ t up to which the exponential is followed: e^20 = 5e8 borders away
LEAST = 1e-3  # of λ: below it the logarithm is the identity to rounding


def tail_index(raw: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """λ = LEAST + softplus(raw), positive."""
    return LEAST + jax.nn.softplus(raw)


def raw_index(index: float) -> float:
    """The free value whose λ is `index`."""
    return math.log(math.expm1(index - LEAST))


def shortened(e: Float[Array, "*m"], index: Float[Array, "*m"]) -> tuple[Array, Array]:
    """(t, log dt/de) of distances e >= 0: t = log1p(λ e) / λ, along the tangent beyond λ t = REACH."""
    end = math.expm1(REACH)
    a = index * e
    beyond = a > end
    safe = jnp.where(beyond, 0.0, a)
    straight = REACH + (jnp.where(beyond, a, end) - end) * math.exp(-REACH)
    t = jnp.where(beyond, straight, jnp.log1p(safe)) / index
    return t, jnp.where(beyond, -REACH, -jnp.log1p(safe))


def lengthened(t: Float[Array, "*m"], index: Float[Array, "*m"]) -> tuple[Array, Array]:
    """(e, log de/dt) of t >= 0: the inverse of `shortened`."""
    a = index * t
    beyond = a > REACH
    safe = jnp.where(beyond, 0.0, a)
    straight = math.expm1(REACH) + (jnp.where(beyond, a, REACH) - REACH) * math.exp(REACH)
    return jnp.where(beyond, straight, jnp.expm1(safe)) / index, jnp.where(beyond, REACH, safe)


class LogTails(AbstractBijection):
    """z_i = x_i for |x_i| <= `start`, beyond it sign(x_i) (start + log1p(λ (|x_i| - start)) / λ); one trained λ a side.

    **Arguments:** `dim`: n; `start`: where the tails begin, in deviations of the column; `index`: λ at the start.
    log|det dz/dx| = - sum log1p(λ (|x_i| - start)) over the coordinates beyond. Slopes dx/dz lie in [1, e^20].
    Both directions are closed forms. **Raises:** ValueError for sizes that are not positive and finite.
    """

    raw: Float[Array, "2 n"]
    start: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int, *, start: float = 4.0, index: float = 1.0):
        if dim < 1:
            raise ValueError(f"`LogTails(dim)` must be at least 1; got {dim}.")
        if not (0 < start < math.inf and LEAST < index < math.inf):
            raise ValueError(
                f"`LogTails` needs a positive `start` and `index` above {LEAST}; got {start}, {index}."
            )
        self.raw = jnp.full((2, dim), raw_index(index), jnp.result_type(float))
        self.start, self.shape, self.context_shape = float(start), (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and sum log dx/dz."""
        check_input(self, z, context)
        return self._bent(z, lengthened)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and sum log dz/dx."""
        check_input(self, x, context)
        return self._bent(x, shortened)

    def _bent(self, v: Vector, bend) -> tuple[Vector, Scalar]:
        index = tail_index(self.raw)
        size = jnp.abs(v)
        far, log_slope = bend(jnp.maximum(size - self.start, 0.0), jnp.where(v < 0, index[0], index[1]))
        return jnp.sign(v) * (jnp.minimum(size, self.start) + far), jnp.sum(log_slope)
