"""Normal distributions in closed form: the standard one (the latent of every flow), one with free mean and scales, and
mixtures of normals, with diagonal and with full covariances (`fit_gaussian_mixture` fits these).
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._products import matmul
from shoal._scalars import FloatArray
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
            raise InputError(f"`StandardNormal(dim)` must be at least 1; got {dim}.")
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
            raise InputError(
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
            raise InputError(
                f"`Mixture` needs means and log_scales of one shape (K, n); "
                f"got {self.means.shape} and {self.log_scales.shape}."
            )
        if self.logits.shape != self.means.shape[:1]:
            raise InputError(f"`Mixture` needs {self.means.shape[0]} logits; got shape {self.logits.shape}.")
        self.shape, self.context_shape = self.means.shape[1:], None
        self.columns, self.context_columns = None, None

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log of the mixture density, by log-sum-exp."""
        z = (x - self.means) * jnp.exp(-self.log_scales)
        normal = -0.5 * jnp.sum(z * z, 1) - jnp.sum(self.log_scales, 1) - x.shape[0] * _HALF_LOG_2PI
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


class GaussianMixture(AbstractDistribution):
    """sum_k w_k N(mean_k, Σ_k), Σ_k^{-1} = P_k P_k^T, P_k upper triangular with diagonal exp(log_diagonals_k).

    `logits` (K,): w = softmax; `means` (K, n); `uppers` (K, n, n): entries above the diagonal count; `log_diagonals`
    (K, n). All are trained. log p(x) = logsumexp_k(log w_k + sum log_diagonals_k - |P_k^T (x - mean_k)|^2 / 2) - n
    log(2 π) / 2.

    With `gates` (K, c) the weights follow a context: w(c) = softmax(logits + gates c), the gates of a mixture of experts
    (Jordan and Jacobs 1994).
    **Raises:** `InputError` for shapes that do not fit.
    """

    logits: Float[Array, "k"]
    means: Float[Array, "k n"]
    uppers: Float[Array, "k n n"]
    log_diagonals: Float[Array, "k n"]
    gates: Float[Array, "k c"] | None
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self, logits: Array, means: Array, uppers: Array, log_diagonals: Array, gates: Array | None = None
    ):
        self.logits, self.means = jnp.asarray(logits), jnp.asarray(means)
        self.uppers, self.log_diagonals = jnp.asarray(uppers), jnp.asarray(log_diagonals)
        self.gates = None if gates is None else jnp.asarray(gates)
        k, n = self.means.shape
        shapes = (self.logits.shape, self.uppers.shape, self.log_diagonals.shape)
        if k < 1 or n < 1 or shapes != ((k,), (k, n, n), (k, n)):
            raise InputError(
                f"`GaussianMixture` needs (k,), (k, n), (k, n, n), (k, n); got means {(k, n)} and {shapes}."
            )
        if self.gates is not None and (self.gates.ndim != 2 or len(self.gates) != k or self.gates.size == 0):
            raise InputError(f"`GaussianMixture` needs gates of shape ({k}, c); got {self.gates.shape}.")
        self.shape, self.columns, self.context_columns = (n,), None, None
        self.context_shape = None if self.gates is None else self.gates.shape[1:]

    def log_weights(self, context: Context = None) -> Float[Array, "k"]:
        """log w of the components, given the context where there are gates."""
        if self.gates is None or context is None:
            return jax.nn.log_softmax(self.logits)
        return jax.nn.log_softmax(self.logits + matmul(self.gates, context.astype(self.gates.dtype)))

    def with_context_units(self, mean: FloatArray, scale: FloatArray) -> "GaussianMixture":
        """The same law of a context c in other units, of which this one's is (c - mean) / scale."""
        if self.gates is None:
            return self
        gates = self.gates / jnp.asarray(scale, self.gates.dtype)
        logits = self.logits - matmul(gates, jnp.asarray(mean, gates.dtype))
        return GaussianMixture(logits, self.means, self.uppers, self.log_diagonals, gates)

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log p(x | c) by one product with all the factors side by side."""
        k, n = self.means.shape
        factors = self._factors()
        at_means = jnp.sum(self.means[:, :, None] * factors, axis=1)
        z = matmul(jnp.moveaxis(factors, 1, 2).reshape(k * n, n), x).reshape(k, n) - at_means
        logs = self.log_weights(context) + jnp.sum(self.log_diagonals, axis=1) - 0.5 * jnp.sum(z * z, axis=1)
        return jax.nn.logsumexp(logs) - n * _HALF_LOG_2PI

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """A component by its weight, then x = mean + P^{-T} z, and log p of all components together."""
        pick, draw = jr.split(key)
        n = self.shape[0]
        if self.gates is None or context is None:
            which = jr.categorical(pick, self.logits, shape=(rows,))
        else:
            which = jr.categorical(pick, jax.vmap(self.log_weights)(context), axis=1)
        factors = self._factors()
        eye = jnp.eye(n, dtype=self.means.dtype)
        solve = lambda p: jax.scipy.linalg.solve_triangular(p, eye, lower=False, trans=1)
        spread = jax.vmap(solve)(factors)
        z = jr.normal(draw, (rows, n), self.means.dtype)
        x = self.means[which] + jnp.sum(spread[which] * z[:, None, :], axis=2)
        return x, jax.vmap(self.log_prob_one)(x, context)

    def _factors(self) -> Float[Array, "k n n"]:
        eye = jnp.eye(self.shape[0], dtype=self.means.dtype)
        return jnp.triu(self.uppers, 1) + jnp.exp(self.log_diagonals)[:, None, :] * eye
