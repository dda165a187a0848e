"""Mixtures of diagonal normals."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.distributions._base import AbstractDistribution


class Mixture(AbstractDistribution):
    """sum_k w_k N(mean_k, diag(exp(2 log_scale_k))), w = softmax(logits); everything trained.

    **Arguments:** `logits` (K,), `means` (K, n), `log_scales` (K, n).
    """

    logits: Float[Array, "k"]
    means: Float[Array, "k n"]
    log_scales: Float[Array, "k n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self, logits: Float[Array, "k"], means: Float[Array, "k n"], log_scales: Float[Array, "k n"]
    ):
        self.logits, self.means, self.log_scales = map(jnp.asarray, (logits, means, log_scales))
        if self.means.ndim != 2 or self.means.shape != self.log_scales.shape or 0 in self.means.shape:
            raise ValueError(
                f"`Mixture` needs means and log_scales of one shape (K, n); "
                f"got {self.means.shape} and {self.log_scales.shape}."
            )
        if self.logits.shape != self.means.shape[:1]:
            raise ValueError(f"`Mixture` needs {self.means.shape[0]} logits; got shape {self.logits.shape}.")
        self.shape, self.context_shape = self.means.shape[1:], None
        self.columns, self.context_columns = None, None

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log of the mixture density, by log-sum-exp."""
        z = (x - self.means) * jnp.exp(-self.log_scales)
        normal = (
            -0.5 * jnp.sum(z * z, 1) - jnp.sum(self.log_scales, 1) - 0.5 * x.shape[0] * math.log(2 * math.pi)
        )
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + normal)

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples and their log_prob."""
        k_component, k_normal = jr.split(key)
        component = jr.categorical(k_component, self.logits, shape=(rows,))
        z = jr.normal(k_normal, (rows, *self.shape), self.means.dtype)
        x = self.means[component] + jnp.exp(self.log_scales[component]) * z
        return x, jax.vmap(self.log_prob_one)(x)
