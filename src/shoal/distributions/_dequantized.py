"""Distributions of whole numbers from densities, by dequantization: with it `-log_prob / (n log 2)` are bits per dimension.

A density p on R^n gives P(x) = integral of p over x + [0, 1)^n for x in {0, ..., levels - 1}^n. It is bounded below by
log P(x) >= E_q[log p(x + u) - log q(u | x)], u ~ q(. | x) on [0, 1)^n (Theis et al. 2016 for uniform q; Ho et al.
2019 for a flow q).
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._types import Array, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import Noise
from shoal.distributions._base import AbstractDistribution
from shoal.distributions._estimates import AbstractBound, AbstractLaw, Coverage
from shoal.distributions._flow import Flow


class UniformDequantization(AbstractLaw):
    """u uniform in [0, 1)^n: log q = 0."""

    support: ClassVar[Coverage] = "everywhere"

    def draw(self, key: Key, x: Vector) -> tuple[Vector, Scalar]:
        """u and 0."""
        return jr.uniform(key, x.shape, x.dtype), jnp.zeros((), x.dtype)


class VariationalDequantization(AbstractLaw):
    """u = sigmoid(v), v ~ `flow` given the context 2 x / levels - 1: log q(u | x) = log q(v | x) - sum log u (1 - u).

    The flow is trained with the density. (Flow++, Ho et al. 2019.)
    """

    flow: Flow
    levels: int = eqx.field(static=True)
    support: ClassVar[Coverage] = "everywhere"

    def __check_init__(self) -> None:
        if self.flow.context_shape != self.flow.shape:
            raise InputError(
                f"`VariationalDequantization` needs a flow on R^n with a context of n entries, the row; got shape "
                f"{self.flow.shape} and context {self.flow.context_shape}."
            )

    def draw(self, key: Key, x: Vector) -> tuple[Vector, Scalar]:
        """u and log q(u | x)."""
        context = (2.0 / self.levels) * x - 1.0
        v, log_q = self.flow.sample_rows(key, 1, context[None, :])
        slope = jnp.sum(jax.nn.log_sigmoid(v[0]) + jax.nn.log_sigmoid(-v[0]))
        return jax.nn.sigmoid(v[0]), log_q[0] - slope


class Dequantized(AbstractBound):
    """Whole numbers x in {0, ..., levels - 1}^n with P(x) = integral of the density over x + [0, 1)^n.

    `log_prob` is a **lower bound in expectation**: log p(x + u) - log q(u | x) with one u a row, drawn from the row's
    own noise (`Noise`: evaluations repeat, training draws anew at every step). `log_prob_estimate` averages over
    many. Samples are those of the density, rounded down; where the density reaches outside (0, levels), they are
    clipped to the range, and so much of P is lost.

    **Arguments:** `density`: on R^n; `levels`: the number of values; `dequantization`: default uniform; `key`: of the
    noise.
    """

    density: AbstractDistribution
    dequantization: AbstractLaw
    noise: Noise
    levels: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        density: AbstractDistribution,
        levels: int,
        *,
        dequantization: AbstractLaw | None = None,
        key: Key,
    ):
        self.density, self.levels = density, int(levels)
        self.dequantization = UniformDequantization() if dequantization is None else dequantization
        self.noise = Noise(key)
        self.shape, self.context_shape = density.shape, density.context_shape
        self.columns, self.context_columns = density.columns, density.context_columns

    def __check_init__(self) -> None:
        if self.levels < 2:
            raise InputError(f"`Dequantized(levels=...)` must be at least 2; got {self.levels}.")
        law, shape, levels = self.dequantization, self.density.shape, self.levels
        of_law = (
            (law.flow.shape, law.levels)
            if isinstance(law, VariationalDequantization)
            else (self.shape, levels)
        )
        if of_law != (shape, levels):
            raise InputError(
                f"`Dequantized`: the dequantization is for {of_law[0]} and {of_law[1]} levels, "
                f"the density has shape {shape} and {levels} levels."
            )

    @property
    def law(self) -> AbstractLaw:
        """The dequantization."""
        return self.dequantization

    def log_weight(self, key: Key, x: Vector, context: Context) -> Scalar:
        """log p(x + u) - log q(u | x), u drawn by `key`."""
        u, log_q = self.dequantization.draw(key, x)
        return self.density.log_prob_one(x + u, context) - log_q

    def samples(self, key: Key, rows: int, context: ContextBatch) -> Float[Array, "rows n"]:
        """Samples of the density, rounded down and clipped."""
        x, _ = self.density.sample_rows(key, rows, context)
        return jnp.clip(jnp.floor(x), 0.0, self.levels - 1.0)
