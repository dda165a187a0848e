"""A distribution of data from a flow on more coordinates: x in R^m beside k coordinates of padding.

log p(x) >= E_q[log p(x, e) - log q(e)]: the gap is KL(q(e) || p(e | x)), zero where the flow's padding is independent
of x and has the law q. Importance weighting over K draws closes it as K grows (Burda et al. 2016; Huang et al. 2020).
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import Noise
from shoal.distributions._base import AbstractDistribution
from shoal.distributions._estimate import Estimate
from shoal.distributions._flow import Flow
from shoal.distributions._inputs import as_array
from shoal.distributions._paddings import AbstractPadding


class Padded(AbstractDistribution):
    """The first m coordinates of a flow on R^(m + k), trained with padding in the last k.

    `log_prob` is the one-draw bound log p(x, e) - log q(e), e from the row's own noise: below log p(x) in
    expectation, which is what training maximises (it draws e anew at every step). Where the padding has no density
    (`padding.density` False: exact zeros, clamped Gaussians) it is the joint log-density at (x, e), which is **not**
    a likelihood of the data, and the two methods below refuse. `joint_log_prob` gives the joint by name. Samples:
    those of the flow without their last k coordinates.

    **Arguments:** `flow`: on R^(m + k), data first; `padding`: k coordinates; `key`: of the noise; `columns`: of the
    data.
    """

    flow: Flow
    padding: AbstractPadding
    noise: Noise
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self, flow: Flow, padding: AbstractPadding, *, columns: tuple[str, ...] | None = None, key: Key
    ):
        if not 1 <= padding.size < flow.shape[0]:
            raise ValueError(
                f"`Padded` needs at least one coordinate of padding and one of data; got {padding.size} of padding in a flow "
                f"on {flow.shape[0]} coordinates."
            )
        self.flow, self.padding, self.noise = flow, padding, Noise(key)
        self.shape, self.context_shape = (flow.shape[0] - padding.size,), flow.context_shape
        if columns is not None and len(columns) != self.shape[0]:
            raise ValueError(
                f"`Padded`: {len(columns)} column names for {self.shape[0]} coordinates of data."
            )
        self.columns, self.context_columns = columns, flow.context_columns

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log p(x, e) - log q(e), e from the row's own noise (without a density: log p(x, e))."""
        e, log_q = self.padding.draw(self.noise.key_for(x), x.dtype)
        return self.flow.log_prob_one(jnp.concatenate([x, e]), context) - log_q

    def joint_log_prob(self, key: Key, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "..."]:
        """log p(x, e) of the flow, e drawn from `key`: a density in R^(m + k), never to be compared with one of the
        data."""
        rows = as_array(x, self.columns, self.shape[0], self.dtype, "x")
        return self.flow.log_prob(self._beside(key, rows), context)

    def log_prob_bound(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int = 1
    ) -> Estimate:
        """The mean of log p(x, e) - log q(e) over `samples` draws: below log p(x) in expectation, whatever `samples`.

        **Raises:** ValueError where the padding has no density, or `samples` < 1.
        """
        return Estimate(jnp.mean(self._draws(key, x, context, samples), axis=0), "lower_bound")

    def log_prob_estimate(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int
    ) -> Estimate:
        """log of the mean of p(x, e) / q(e) over K = `samples` draws: tends to log p(x) as K grows, from below in
        expectation.

        **Raises:** ValueError where the padding has no density, or `samples` < 1.
        """
        return Estimate(log_mean_exp(self._draws(key, x, context, samples)), "estimate")

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples of the flow without their padding, and their `log_prob`."""
        joint, _ = self.flow.sample_rows(key, rows, context)
        x = joint[:, : self.shape[0]]
        axes: Any = (0, None if context is None else 0)
        return x, jax.vmap(self.log_prob_one, in_axes=axes)(x, context)

    @eqx.filter_jit
    def _beside(self, key: Key, x: Float[Array, "... n"]) -> Float[Array, "... m"]:
        """(x, e), every row with its own draw."""
        rows = x.reshape(-1, self.shape[0])
        e = jax.vmap(lambda row: self.padding.draw(Noise(key).key_for(row), x.dtype)[0])(rows)
        return jnp.concatenate([x, e.reshape((*x.shape[:-1], self.padding.size))], axis=-1)

    def _draws(self, key: Key, x: ArrayLike, context: ArrayLike | None, samples: int) -> Array:
        if not self.padding.density:
            raise ValueError(
                f"{type(self.padding).__name__} has no density, so nothing bounds the likelihood of the data; "
                "use GaussianPadding or ZeroDequantizedPadding, or `joint_log_prob` for the joint."
            )
        return draws(self, key, x, context, samples)


def draws(
    distribution: Any, key: Key, x: ArrayLike, context: ArrayLike | None, samples: int
) -> Float[Array, "samples ..."]:
    """`log_prob` under `samples` other seeds of the distribution's noise."""
    if samples < 1:
        raise ValueError(f"`samples` must be at least 1; got {samples}.")
    seeded = [eqx.tree_at(lambda d: d.noise, distribution, Noise(k)) for k in jr.split(key, samples)]
    return jnp.stack([d.log_prob(x, context) for d in seeded])


def log_mean_exp(values: Float[Array, "samples ..."]) -> Float[Array, "..."]:
    """log of the mean of exp over the first axis."""
    return jax.scipy.special.logsumexp(values, axis=0) - math.log(len(values))
