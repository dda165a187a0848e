"""`Mixed`: one law of whole rows, a discrete part and a density of the numbers given it.

A row is (codes, numbers): m states, and k numbers, each with a gate, the variable whose state 0 says that the number is
there. A number that is not there (a missing cell; a value with a probability of its own, such as 0 millimetres of rain) is
drawn from a known law q, as padding is (Koehler, Mehta and Risteski 2021), and scored as `Padded` scores it:
log P(codes) + log p(numbers, e | codes) - log q(e).
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import Marginals, Noise
from shoal.distributions._base import each_row, given
from shoal.distributions._categorical import Categorical
from shoal.distributions._estimates import AbstractBound, AbstractLaw, Estimate, Support
from shoal.distributions._flow import AbstractFlow


class Filling(AbstractLaw):
    """q: a number that is not there is x = mean + scale m^{-1}(z), z standard normal, m the curve of those that are there.

    `curves`: m, of standardised columns; `mean`, `scale`: (k,); `gates`: of each number its variable among the codes, or -1.
    """

    fixed: ClassVar[tuple[str, ...]] = ("mean", "scale")
    curves: Marginals
    mean: Float[Array, "k"]
    scale: Float[Array, "k"]
    gates: tuple[int, ...] = eqx.field(static=True)
    support: ClassVar[Support] = "everywhere"

    def present(self, codes: Vector) -> Array:
        """Which numbers of a row are there: (k,)."""
        return jnp.stack([jnp.array(True) if gate < 0 else codes[gate] == 0 for gate in self.gates])

    def standard(self, key: Key) -> tuple[Float[Array, "k"], Float[Array, "k"]]:
        """A standardised number for every column, and its log-density."""
        z = jr.normal(key, self.mean.shape, self.mean.dtype)
        e, log_slopes = self.curves.forward_and_log_slopes(z)
        return e, -0.5 * z**2 - 0.5 * jnp.log(2 * jnp.pi).astype(z.dtype) - log_slopes

    def draw(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        """A number for every column, and log q of those that the row (codes, numbers) lacks."""
        e, log_q = self.standard(key)
        return self.mean + self.scale * e, jnp.sum(
            jnp.where(self.present(x), 0.0, log_q - jnp.log(self.scale))
        )


class Mixed(AbstractBound):
    """P(codes | c) p(numbers | codes, c): log-probabilities of the codes, densities of the numbers in their units.

    `log_prob` is exact for a row that lacks no number; else one draw of a **lower bound in expectation**, which
    `log_prob_estimate` closes by many draws. `shoal.tables.Schema` makes such rows from a table, and a table from them.

    **Arguments:** `mass`: of the codes; `flow`: of the numbers, its context (c, one-hot codes); `filling`: None where no
    number is ever lacking; `key`: of the noise.
    """

    mass: Categorical
    flow: AbstractFlow
    filling: Filling | None
    noise: Noise
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        mass: Categorical,
        flow: AbstractFlow,
        filling: Filling | None,
        *,
        context_columns: tuple[str, ...] | None = None,
        key: Key,
    ):
        states, given_ = sum(mass.sizes), (mass.context_shape or (0,))[0]
        if flow.context_shape != (given_ + states,):
            raise InputError(
                f"`Mixed`: the flow's context is {flow.context_shape}, where {given_} + {states} are given."
            )
        self.mass, self.flow, self.filling, self.noise = mass, flow, filling, Noise(key)
        self.shape, self.context_shape = (mass.shape[0] + flow.shape[0],), mass.context_shape
        self.columns, self.context_columns = None, context_columns

    @property
    def law(self) -> AbstractLaw:
        """q; where no number is ever lacking, of none."""
        return _NOTHING if self.filling is None else self.filling

    def log_weight(self, key: Key, x: Vector, context: Context) -> Scalar:
        """log P(codes) + log p(numbers, e) - log q(e), e drawn by `key`."""
        numbers, log_q = self._numbers(key, x)
        density = self.flow.log_prob_one(numbers, self._conditions(x, context))
        return self.mass.log_prob_one(x[: self.mass.shape[0]], context) + density - log_q

    def completed(self, x: ArrayLike, context: ArrayLike | None = None) -> tuple[Array, Array]:
        """The point of the flow and its context that belong to each row: numbers (..., k), and (c, one-hot codes)."""
        x, c = given(self, x, context)
        return each_row(lambda r, _: self._numbers(self.noise.key_for(r), r)[0], x, c), each_row(
            self._conditions, x, c
        )

    def log_prob_estimate(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int
    ) -> Estimate:
        """As `AbstractBound` has it; exact where no number is ever lacking."""
        if self.filling is None:
            value = self.log_prob(x, context)
            return Estimate(value, jnp.zeros_like(value), "exact")
        return AbstractBound.log_prob_estimate(self, key, x, context, samples=samples)

    def samples(self, key: Key, rows: int, context: ContextBatch) -> Float[Array, "rows n"]:
        """Codes, then numbers given them; 0 in place of a number that is not there."""
        first, second = jr.split(key)
        codes, _ = self.mass.sample_rows(first, rows, context)
        conditions = jax.vmap(self._conditions, in_axes=(0, None if context is None else 0))(codes, context)
        numbers, _ = self.flow.sample_rows(second, rows, conditions)
        if self.filling is not None:
            numbers = jnp.where(jax.vmap(self.filling.present)(codes), numbers, 0.0)
        return jnp.concatenate([codes.astype(numbers.dtype), numbers], axis=1)

    def _numbers(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        """The numbers of a row, those that it lacks drawn by `key`, and log q of these."""
        numbers = x[self.mass.shape[0] :]
        if self.filling is None:
            return numbers, jnp.zeros((), x.dtype)
        e, log_q = self.filling.draw(key, x)
        return jnp.where(self.filling.present(x), numbers, e), log_q

    def _conditions(self, x: Vector, context: Context) -> Float[Array, "_s"]:
        hot = self.mass.one_hot(x[: self.mass.shape[0]])
        return hot if context is None else jnp.concatenate([context.astype(hot.dtype), hot])


class _Nothing(AbstractLaw):
    support: ClassVar[Support] = "everywhere"

    def draw(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        return jnp.zeros(0, x.dtype), jnp.zeros((), x.dtype)


_NOTHING = _Nothing()
