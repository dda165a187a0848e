"""Uniform mixtures of normals of one deviation: the density and the sampler that all instances share."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.distributions import AbstractDistribution


class AbstractEqualNormals(AbstractDistribution):
    """(1/k) sum_i N(mu_i, gamma^2 I_d). `distance`: the least one between two means; `radius`: the largest |mu_i|."""

    means: eqx.AbstractVar[Float[Array, "k d"]]
    gamma: eqx.AbstractVar[float]
    radius: eqx.AbstractVar[float]
    distance: eqx.AbstractVar[float]

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """The exact log-density, by log-sum-exp."""
        k, d = self.means.shape
        squares = jnp.sum(jnp.square((x - self.means) / self.gamma), axis=1)
        constant = 0.5 * d * math.log(2 * math.pi) + d * math.log(self.gamma) + math.log(k)
        return jax.nn.logsumexp(-0.5 * squares) - constant

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Exact samples and their log_prob."""
        pick, noise = jr.split(key)
        index = jr.randint(pick, (rows,), 0, self.means.shape[0])
        x = self.means[index] + self.gamma * jr.normal(noise, (rows, *self.shape), self.means.dtype)
        return x, jax.vmap(self.log_prob_one)(x)
