"""Log-likelihoods that take an integral over more numbers e: bounds by one draw, estimates by many.

log p(x) >= E_q[log p(x, e) - log q(e | x)] for a law q of e that has a density. Many draws close the gap (importance
weighting, Burda, Grosse, Salakhutdinov 2016).
"""

import abc
from typing import ClassVar, Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import Noise, whole
from shoal.distributions._base import AbstractDistribution, given

Coverage: TypeAlias = Literal["everywhere", "box", "none"]


class Estimate(eqx.Module):
    """Figures that may be computed from random draws, and what they are.

    `value`: one figure a row. `kind`: "lower_bound": its expectation is at most log p(x), however many draws were made (a
    single value may lie above); "estimate": so too, and it tends to log p(x) as the draws grow in number; "exact": without
    draws. `error`: the standard error of `value` over the draws, NaN for one draw.
    """

    value: Float[Array, "..."]
    error: Float[Array, "..."]
    kind: Literal["exact", "lower_bound", "estimate"] = eqx.field(static=True)


class AbstractLaw(eqx.Module):
    """A law q of numbers e that are drawn for a row x.

    `support`: where its density is above 0, of all places that p(x, e) reaches: "everywhere"; on a "box"; "none": it has
    no density.
    """

    support: ClassVar[Coverage]

    @abc.abstractmethod
    def draw(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        """e in the dtype of x, and log q(e | x); 0 in its place where q has no density."""


class AbstractBound(AbstractDistribution):
    """A distribution whose `log_prob` is one draw of log p(x, e) - log q(e | x), e by the row's own `noise`.

    Evaluations repeat, training draws anew at every step.
    """

    noise: eqx.AbstractVar[Noise]

    @property
    @abc.abstractmethod
    def law(self) -> AbstractLaw | None:
        """q; None where no number is drawn, and the weight is the log-likelihood."""

    @abc.abstractmethod
    def log_weight(self, key: Key, x: Vector, context: Context) -> Scalar:
        """log p(x, e | c) - log q(e | x), e drawn by `key`."""

    @abc.abstractmethod
    def samples(self, key: Key, rows: int, context: ContextBatch) -> Float[Array, "rows n"]:
        """`rows` samples."""

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log p(x, e | c) - log q(e | x), e from the row's own noise."""
        return self.log_weight(self.noise.key_for(x), x, context)

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples and their `log_prob`, one more pass."""
        x = self.samples(key, rows, context)
        return x, jax.vmap(self.log_prob_one)(x, context)

    def log_prob_bound(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int
    ) -> Estimate:
        """The mean of log p(x, e) - log q(e | x) over `samples` draws of e: kind "lower_bound", whatever their number.

        **Raises:** `InputError` for a law without density, and for less than one sample.
        """
        weights = self._log_weights(key, x, context, samples)
        error = jnp.std(weights, axis=0, ddof=1) / samples**0.5 if samples > 1 else jnp.nan * weights[0]
        return Estimate(jnp.mean(weights, axis=0), error, "lower_bound")

    def log_prob_estimate(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int
    ) -> Estimate:
        """log of the mean of p(x, e) / q(e | x) over `samples` draws of e: its expectation grows with their number.

        Kind "estimate" for a q that is positive everywhere: it tends to log p(x). For a q on a box it tends to the log of
        the part of p(x) whose e lies in the box, and stays a "lower_bound". The error is by the delta method.
        **Raises:** as `log_prob_bound`.
        """
        weights = self._log_weights(key, x, context, samples)
        top = jnp.max(weights, axis=0)
        ratios = jnp.exp(weights - jnp.where(jnp.isfinite(top), top, 0.0))
        mean = jnp.mean(ratios, axis=0)
        error = jnp.std(ratios, axis=0, ddof=1) / (samples**0.5 * mean) if samples > 1 else jnp.nan * mean
        value = jax.scipy.special.logsumexp(weights, axis=0) - jnp.log(jnp.asarray(samples, weights.dtype))
        everywhere = self.law is None or self.law.support == "everywhere"
        return Estimate(value, error, "estimate" if everywhere else "lower_bound")

    def _log_weights(
        self, key: Key, x: ArrayLike, context: ArrayLike | None, samples: int
    ) -> Float[Array, "draws ..."]:
        if self.law is not None and self.law.support == "none":
            raise InputError(
                f"`{type(self.law).__name__}` has no density, so there is no bound of the data's log-likelihood."
            )
        whole("samples", samples)
        x, c = given(self, x, context)
        rows, c = x.reshape(-1, x.shape[-1]), None if c is None else c.reshape(-1, c.shape[-1])
        return _log_weights(self, jr.split(key, samples), rows, c).reshape((samples, *x.shape[:-1]))


@eqx.filter_jit
def _log_weights(distribution: AbstractBound, keys: Array, x: Array, context: Array | None) -> Array:
    """Log-weights (draws, rows); the draws one after the other, each row's by a hash of the row, whatever is beside it."""
    one = lambda key, row, c: distribution.log_weight(Noise(key).key_for(row), row, c)
    return jax.lax.map(lambda key: jax.vmap(one, in_axes=(None, 0, 0))(key, x, context), keys)
