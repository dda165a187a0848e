"""Mixtures of normals with full covariances, and their fit by expectation-maximisation (`fit_gaussian_mixture`)."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._products import matmul
from shoal._types import Array, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.distributions._base import AbstractDistribution

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class GaussianMixture(AbstractDistribution):
    """sum_k w_k N(mean_k, Σ_k), Σ_k^{-1} = P_k P_k^T, P_k upper triangular with diagonal exp(log_diagonals_k).

    `logits` (K,): w = softmax; `means` (K, n); `uppers` (K, n, n): entries above the diagonal count; `log_diagonals`
    (K, n). All are trained. log p(x) = logsumexp_k(log w_k + sum log_diagonals_k - |P_k^T (x - mean_k)|^2 / 2) - n
    log(2 π) / 2.
    **Raises:** ValueError for shapes that do not fit.
    """

    logits: Float[Array, "k"]
    means: Float[Array, "k n"]
    uppers: Float[Array, "k n n"]
    log_diagonals: Float[Array, "k n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        logits: Array,
        means: Array,
        uppers: Array,
        log_diagonals: Array,
    ):
        self.logits, self.means = jnp.asarray(logits), jnp.asarray(means)
        self.uppers, self.log_diagonals = jnp.asarray(uppers), jnp.asarray(log_diagonals)
        k, n = self.means.shape
        shapes = (self.logits.shape, self.uppers.shape, self.log_diagonals.shape)
        if k < 1 or n < 1 or shapes != ((k,), (k, n, n), (k, n)):
            raise ValueError(
                f"`GaussianMixture` needs (k,), (k, n), (k, n, n), (k, n); got means {(k, n)} and {shapes}."
            )
        self.shape, self.context_shape, self.columns, self.context_columns = (n,), None, None, None

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log p(x) by one product with all the factors side by side."""
        k, n = self.means.shape
        factors = self._factors()
        at_means = jnp.sum(self.means[:, :, None] * factors, axis=1)
        z = matmul(jnp.moveaxis(factors, 1, 2).reshape(k * n, n), x).reshape(k, n) - at_means
        logs = (
            jax.nn.log_softmax(self.logits)
            + jnp.sum(self.log_diagonals, axis=1)
            - 0.5 * jnp.sum(z * z, axis=1)
        )
        return jax.nn.logsumexp(logs) - n * _HALF_LOG_2PI

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """A component by its weight, then x = mean + P^{-T} z, and log p of all components together."""
        pick, draw = jr.split(key)
        n = self.shape[0]
        which = jr.categorical(pick, self.logits, shape=(rows,))
        factors = self._factors()
        eye = jnp.eye(n, dtype=self.means.dtype)
        solve = lambda p: jax.scipy.linalg.solve_triangular(p, eye, lower=False, trans=1)
        spread = jax.vmap(solve)(factors)
        z = jr.normal(draw, (rows, n), self.means.dtype)
        x = self.means[which] + jnp.sum(spread[which] * z[:, None, :], axis=2)
        return x, jax.vmap(self.log_prob_one)(x)

    def _factors(self) -> Float[Array, "k n n"]:
        eye = jnp.eye(self.shape[0], dtype=self.means.dtype)
        return jnp.triu(self.uppers, 1) + jnp.exp(self.log_diagonals)[:, None, :] * eye
