"""Normal distributions: the standard one (the latent of every flow) and one with free mean and scales."""

import math

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.distributions._base import AbstractDistribution

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class StandardNormal(AbstractDistribution):
    """N(0, I_n): log p(z) = -|z|^2 / 2 - n log(2 pi) / 2. A context that is given to it is ignored."""

    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int):
        if dim < 1:
            raise ValueError(f"`StandardNormal(dim)` must be at least 1; got {dim}.")
        self.shape, self.context_shape, self.columns, self.context_columns = (dim,), None, None, None

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log N(x; 0, I)."""
        return -0.5 * jnp.sum(x * x) - x.shape[0] * _HALF_LOG_2PI

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples and their log_prob."""
        z = jr.normal(key, (rows, *self.shape))
        return z, -0.5 * jnp.sum(z * z, axis=1) - self.shape[0] * _HALF_LOG_2PI


class DiagonalNormal(AbstractDistribution):
    """N(mean, diag(exp(2 log_scale))), both trained."""

    mean: Float[Array, "n"]
    log_scale: Float[Array, "n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(self, mean: Float[Array, "n"], log_scale: Float[Array, "n"]):
        self.mean, self.log_scale = jnp.asarray(mean), jnp.asarray(log_scale)
        if self.mean.ndim != 1 or self.mean.shape != self.log_scale.shape or self.mean.size == 0:
            raise ValueError(
                f"`DiagonalNormal` needs two vectors of one length; got {self.mean.shape} and {self.log_scale.shape}."
            )
        self.shape, self.context_shape, self.columns, self.context_columns = self.mean.shape, None, None, None

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log N(x; mean, diag(exp(2 log_scale)))."""
        z = (x - self.mean) * jnp.exp(-self.log_scale)
        return -0.5 * jnp.sum(z * z) - jnp.sum(self.log_scale) - x.shape[0] * _HALF_LOG_2PI

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples and their log_prob."""
        z = jr.normal(key, (rows, *self.shape), self.mean.dtype)
        log_prob = -0.5 * jnp.sum(z * z, axis=1) - jnp.sum(self.log_scale) - self.shape[0] * _HALF_LOG_2PI
        return self.mean + jnp.exp(self.log_scale) * z, log_prob
