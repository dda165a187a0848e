"""`Mixed`: one law of whole rows, a discrete part and a density of the numbers given it.

A row is (codes, numbers): m states, and k numbers, each with a gate, the variable whose state 0 says that the number is
there. A number that is not there (a missing cell; a value with a probability of its own, such as 0 millimetres of rain) is
drawn from a known law q, as padding is (Koehler, Mehta and Risteski 2021), and scored as `Padded` scores it:
log P(codes) + log p(numbers, e | codes) - log q(e).

A periodic number has places on the line, a turn apart; its density is the sum of the line's (a wrapped law).
"""

import itertools
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import Marginals, Noise, Support
from shoal.distributions._base import each_row, given
from shoal.distributions._categorical import Categorical
from shoal.distributions._estimates import AbstractBound, AbstractLaw, Coverage, Estimate
from shoal.distributions._flow import AbstractFlow

FARTHEST = 15.0  # a logit that float32 still tells from the bound
MOST_TURNS = 4  # periodic numbers of a row, which has three places for each


class Filling(AbstractLaw):
    """q: a number that is not there is x = mean + scale m^{-1}(z), z standard normal, m the curve of those that are there.

    `curves`: m, of standardised columns; `mean`, `scale`: (k,); `gates`: of each number its variable among the codes, or -1.
    `interval`: behind them, for numbers that keep to an interval; None without.
    """

    fixed: ClassVar[tuple[str, ...]] = ("mean", "scale")
    curves: Marginals
    mean: Float[Array, "k"]
    scale: Float[Array, "k"]
    gates: tuple[int, ...] = eqx.field(static=True)
    interval: Support | None = None
    support: ClassVar[Coverage] = "everywhere"

    def __check_init__(self) -> None:
        if not self.curves.shape == self.mean.shape == self.scale.shape == (len(self.gates),):
            raise InputError(
                f"`Filling` needs a curve, a mean and a scale for each of {len(self.gates)} gates."
            )

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
        e, log_q = self.mean + self.scale * e, log_q - jnp.log(self.scale)
        if self.interval is not None:
            both = np.isfinite(np.subtract(self.interval.high, self.interval.low))
            e = jnp.where(both, jnp.clip(e, -FARTHEST, FARTHEST), e)
            e, log_q = self.interval.forward(e), log_q - self.interval.log_slopes(e)
        return e, jnp.sum(jnp.where(self.present(x), 0.0, log_q))


class Turns(eqx.Module):
    """Which numbers are periodic: `periods` (k,), 0 for those that are not; `centers`: the middles of their turns.

    With period P and center c, x has the places v in [c - P/2, c + P/2), v - P and v + P on the line. The law of the line
    is trained on one of those in [c - P, c + P), drawn so that its density tends to 0 at both ends; what it has beyond
    three half turns from c is lost.
    """

    periods: tuple[float, ...] = eqx.field(static=True)
    centers: tuple[float, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        if len(self.periods) != len(self.centers) or sum(p > 0 for p in self.periods) > MOST_TURNS:
            raise InputError(
                f"`Turns` needs as many centers as periods, at most {MOST_TURNS} of them above 0."
            )

    def main(self, numbers: Float[Array, "k"]) -> Float[Array, "k"]:
        """The place nearest to the center; a number that is not periodic as it is."""
        period, center = (jnp.asarray(part, numbers.dtype) for part in (self.periods, self.centers))
        turn = jnp.where(period > 0, period, 1.0)
        turned = center + jnp.mod(numbers - center + 0.5 * turn, turn) - 0.5 * turn
        return jnp.where(period > 0, turned, numbers)

    def places(
        self, numbers: Float[Array, "k"], present: Array
    ) -> tuple[Float[Array, "_places k"], Float[Array, "_places"]]:
        """All places of a row's numbers, the nearest ones first, and 0, or -inf for those that are not to be counted.

        A number that is not there has the one place that it is drawn at.
        """
        near = jnp.where(present, self.main(numbers), numbers)
        turns = np.array(list(itertools.product(*[(0, 1, -1) if p > 0 else (0,) for p in self.periods])))
        counted = jnp.all(present | (turns == 0), axis=1)
        moved = near + jnp.asarray(turns * np.array(self.periods), near.dtype)
        return jnp.where(present, moved, near), jnp.where(counted, 0.0, -jnp.inf).astype(near.dtype)


class Mixed(AbstractBound):
    """P(codes | c) p(numbers | codes, c): log-probabilities of the codes, densities of the numbers in their units.

    `log_prob` is exact for a row that lacks no number; else one draw of a **lower bound in expectation**, which
    `log_prob_estimate` closes by many draws. `shoal.tables.Schema` makes such rows from a table, and a table from them.

    **Arguments:** `mass`: of the codes, None for rows without codes; `flow`: of the numbers, its context (c, one-hot codes);
    `filling`: None where no number is ever lacking; `turns`: None where no number is periodic; `key`: of the noise.
    """

    mass: Categorical | None
    flow: AbstractFlow
    filling: Filling | None
    turns: Turns | None
    noise: Noise
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        mass: Categorical | None,
        flow: AbstractFlow,
        filling: Filling | None = None,
        turns: Turns | None = None,
        *,
        context_columns: tuple[str, ...] | None = None,
        key: Key,
    ):
        states = 0 if mass is None else sum(mass.sizes)
        beside = flow.context_shape if mass is None else mass.context_shape
        wanted = states + (0 if beside is None else beside[0])
        if (flow.context_shape or (0,)) != (wanted,):
            raise InputError(
                f"`Mixed`: the flow's context is {flow.context_shape}, where {wanted - states} + {states} are given."
            )
        self.mass, self.flow, self.filling, self.turns, self.noise = mass, flow, filling, turns, Noise(key)
        self.shape, self.context_shape = (self.codes + flow.shape[0],), beside
        self.columns, self.context_columns = None, context_columns

    @property
    def codes(self) -> int:
        """How many variables stand before the numbers of a row."""
        return 0 if self.mass is None else self.mass.shape[0]

    @property
    def law(self) -> Filling | None:
        """q; None where no number is ever lacking."""
        return self.filling

    def log_weight(self, key: Key, x: Vector, context: Context) -> Scalar:
        """log P(codes) + log p(numbers, e) - log q(e), e drawn by `key`."""
        numbers, log_q = self._numbers(key, x)
        density = self._density(numbers, x, self._conditions(x, context))
        return self._log_mass(x, context) + density - log_q

    def completed(self, x: ArrayLike, context: ArrayLike | None = None) -> tuple[Array, Array | None]:
        """The point of the flow and its context that belong to each row: numbers (..., k), and (c, one-hot codes)."""
        x, c = given(self, x, context)
        numbers = each_row(lambda r, _: self._numbers(self.noise.key_for(r), r)[0], x, c)
        if self.turns is not None:
            numbers = each_row(lambda r, _, turns=self.turns: turns.main(r), numbers, c)
        return numbers, None if self.flow.context_shape is None else each_row(self._conditions, x, c)

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
        codes = jnp.zeros((rows, 0), self.dtype)
        if self.mass is not None:
            codes, _ = self.mass.sample_rows(first, rows, context)
        conditions = context
        if self.flow.context_shape is not None:
            conditions = jax.vmap(self._conditions)(codes, context)
        numbers, _ = self.flow.sample_rows(second, rows, conditions)
        if self.turns is not None:
            numbers = jax.vmap(self.turns.main)(numbers)
        if self.filling is not None:
            numbers = jnp.where(jax.vmap(self.filling.present)(codes), numbers, 0.0)
        return jnp.concatenate([codes.astype(numbers.dtype), numbers], axis=1)

    def _numbers(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        """The numbers of a row, those that it lacks drawn by `key`, and log q of these."""
        numbers = x[self.codes :]
        if self.filling is None:
            return numbers, jnp.zeros((), x.dtype)
        e, log_q = self.filling.draw(key, x)
        return jnp.where(self.filling.present(x), numbers, e), log_q

    def _density(self, numbers: Float[Array, "k"], x: Vector, conditions: Context) -> Scalar:
        """log p of the numbers: of their one place, or of the sum over the places of those that are periodic."""
        if self.turns is None:
            return self.flow.log_prob_one(numbers, conditions)
        present = jnp.ones(numbers.shape, bool) if self.filling is None else self.filling.present(x)
        places, counted = self.turns.places(numbers, present)
        logs = jax.vmap(lambda place: self.flow.log_prob_one(place, conditions))(places)
        return jax.scipy.special.logsumexp(jnp.where(counted < 0, counted, logs))

    def _log_mass(self, x: Vector, context: Context) -> Scalar:
        if self.mass is None:
            return jnp.zeros((), x.dtype)
        return self.mass.log_prob_one(x[: self.codes], context)

    def _conditions(self, x: Vector, context: Context) -> Float[Array, "_s"] | None:
        if self.mass is None:
            return context
        hot = self.mass.one_hot(x[: self.codes])
        return hot if context is None else jnp.concatenate([context.astype(hot.dtype), hot])
