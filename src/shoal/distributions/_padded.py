"""Distributions of data x in R^m from a flow on (x, e) in R^{m+k}: padding, augmented flows, augmented neural ODEs.

log p(x) >= E_q[log p(x, e) - log q(e)] for a law q of e that has a density; the gap is KL(q(e) || p(e | x)), which many
draws close (importance weighting, Burda et al. 2016).
"""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import AbstractBijection, Noise
from shoal.conditioning import JaxMap, from_bijection
from shoal.distributions._base import AbstractDistribution, given_context
from shoal.distributions._flow import Flow
from shoal.distributions._inputs import as_array
from shoal.distributions._paddings import AbstractPadding


class Estimate(eqx.Module):
    """Figures that are computed from random draws, and what they are.

    `value`: one figure a row. `kind`: "lower_bound": its expectation is at most log p(x), however many draws were made (a
    single value may lie above); "estimate": so too, and it tends to log p(x) as the draws grow in number. `error`: the
    standard error of `value` over the draws, NaN for one draw.
    """

    value: Float[Array, "..."]
    error: Float[Array, "..."]
    kind: Literal["lower_bound", "estimate"] = eqx.field(static=True)


class Padded(AbstractDistribution):
    r"""p(x) = \int p(x, e) de, where p(x, e) is a flow `joint` on R^{m+k} and e the last k coordinates.

    `log_prob(x)` is log p(x, e) - log q(e) with one e a row, drawn from the row's own noise (`Noise`: evaluations repeat,
    training draws anew at every step): **a lower bound of log p(x) in expectation**, which is what training maximises.
    For `ZeroPadding` and `GaussianClampedPadding`, which have no density, it is the joint's log-density at (x, e): **not
    a log-likelihood of the data**, and unbounded in training where the flow can contract the padding.
    Samples are those of the joint without e.

    **Arguments:** `joint`: the flow on R^{m+k}; `padding`: q, of size k < m + k; `key`: of the noise.
    """

    joint: Flow
    padding: AbstractPadding
    noise: Noise
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        joint: Flow,
        padding: AbstractPadding,
        *,
        columns: tuple[str, ...] | None = None,
        key: Key,
    ):
        dim = joint.shape[0] - padding.size
        if dim < 1:
            raise ValueError(
                f"`Padded`: a padding of size {padding.size} leaves no data of {joint.shape[0]} coordinates."
            )
        if columns is not None and len(columns) != dim:
            raise ValueError(f"`Padded`: {len(columns)} column names for {dim} coordinates.")
        self.joint, self.padding, self.noise = joint, padding, Noise(key)
        self.shape, self.context_shape = (dim,), joint.context_shape
        self.columns = None if columns is None else tuple(columns)
        self.context_columns = joint.context_columns

    @property
    def bijection(self) -> AbstractBijection:
        """The joint's, on R^{m+k}."""
        return self.joint.bijection

    def to_map(self) -> JaxMap:
        """The joint's bijection on R^{m+k}: its points are data with their padding, `jax.vmap(extended)(x)`."""
        return from_bijection(self.bijection)

    def extended(self, x: Vector) -> Float[Array, "whole"]:
        """(x, e) with the row's own padding."""
        return jnp.concatenate([x, self.padding.draw(self.noise.key_for(x), x)])

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log p(x, e) - log q(e), e from the row's own noise."""
        return self._weight(self.noise.key_for(x), x, context)

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples of the joint without e, and their `log_prob`, one more pass through the flow."""
        x = self.joint.sample_rows(key, rows, context)[0][:, : self.shape[0]]
        axes: Any = (0, None if context is None else 0)
        return x, jax.vmap(self.log_prob_one, in_axes=axes)(x, context)

    def log_prob_bound(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int
    ) -> Estimate:
        """The mean of log p(x, e) - log q(e) over `samples` draws of e: kind "lower_bound", whatever their number.

        **Raises:** ValueError for a padding without density, and for less than one sample.
        """
        weights = self._weights(key, x, context, samples)
        error = jnp.std(weights, axis=0, ddof=1) / samples**0.5 if samples > 1 else jnp.nan * weights[0]
        return Estimate(jnp.mean(weights, axis=0), error, "lower_bound")

    def log_prob_estimate(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int
    ) -> Estimate:
        """log of the mean of p(x, e) / q(e) over `samples` draws of e: its expectation grows with their number.

        Kind "estimate" for a q that is positive everywhere: it tends to log p(x). For a q on a box it tends to the log of
        the part of p(x) whose e lies in the box, and stays a "lower_bound". The error is by the delta method.
        **Raises:** as `log_prob_bound`.
        """
        weights = self._weights(key, x, context, samples)
        return importance_weighted(
            weights, "estimate" if self.padding.support == "everywhere" else "lower_bound"
        )

    def _weights(self, key: Key, x: ArrayLike, context: ArrayLike | None, samples: int) -> Array:
        if self.padding.support == "none":
            raise ValueError(
                f"`{type(self.padding).__name__}` has no density, so there is no bound of the data's log-likelihood."
            )
        if not isinstance(samples, int) or samples < 1:
            raise ValueError(f"`samples` must be a whole number of at least 1; got {samples!r}.")
        x = as_array(x, self.columns, self.shape[0], self.dtype, "x")
        c = given_context(self, context, x.shape[:-1])
        rows = x.reshape(-1, x.shape[-1])
        c = None if c is None else c.reshape(-1, c.shape[-1])
        return _weights(self, jr.split(key, samples), rows, c).reshape((samples, *x.shape[:-1]))

    def _weight(self, key: Key, x: Vector, context: Context) -> Scalar:
        e = self.padding.draw(key, x)
        joint = self.joint.log_prob_one(jnp.concatenate([x, e]), context)
        return joint - self.padding.log_density(e).astype(joint.dtype)


def padded_rows(distribution: AbstractDistribution, x: Float[Array, "rows m"]) -> Float[Array, "rows n"]:
    """Rows of the space that the bijection works on: those of a `Padded` flow with their own padding, others as they are."""
    return jax.vmap(distribution.extended)(x) if isinstance(distribution, Padded) else x


def importance_weighted(
    weights: Float[Array, "draws ..."], kind: Literal["lower_bound", "estimate"]
) -> Estimate:
    """log of the mean of exp over the draws, with its error by the delta method (NaN for one draw)."""
    samples, top = len(weights), jnp.max(weights, axis=0)
    ratios = jnp.exp(weights - jnp.where(jnp.isfinite(top), top, 0.0))
    mean = jnp.mean(ratios, axis=0)
    error = jnp.std(ratios, axis=0, ddof=1) / (samples**0.5 * mean) if samples > 1 else jnp.nan * mean
    value = jax.scipy.special.logsumexp(weights, axis=0) - jnp.log(jnp.asarray(samples, weights.dtype))
    return Estimate(value, error, kind)


@eqx.filter_jit
def _weights(padded: Padded, keys: Array, x: Array, context: Array | None) -> Array:
    """log p(x, e) - log q(e), (draws, rows); the draws one after the other."""
    one = lambda k, x, c: padded._weight(k, x, c)
    rows = jax.vmap(one, in_axes=(0, 0, None if context is None else 0))
    return jax.lax.map(lambda key: rows(jr.split(key, x.shape[0]), x, context), keys)
