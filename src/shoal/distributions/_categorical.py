"""`Categorical`: the exact probability of several discrete variables, one conditional after the other, by one masked net."""

from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._compiling import quickly
from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray
from shoal._types import Array, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.distributions._base import AbstractDistribution

HIDDEN = 64
NEVER = -30.0  # log weight of a state that no row has, before smoothing
SCALINGS, SCALED = 100, 1e-5  # steps of iterative scaling, and a change of biases that ends them


class Categorical(AbstractDistribution):
    """P(x) = prod_j P(x_j | x_1 ... x_{j-1}, c) for x_j in {0, ..., s_j - 1}: softmax of an affine map plus a net (MADE).

    P(x_j | ...) = (1 - ε_j) softmax_j + ε_j / s_j, with ε_j = s_j / (rows + s_j): as one more row in every state, so that a
    state that no training row had keeps the probability 1 / (rows + s_j). It starts with independent variables of the
    frequencies in `codes`; the net is zero there. `log_prob` is a log-probability, not a density; it is of exact sum 1.

    **Arguments:** `codes`: (rows, m) whole numbers; `sizes`: s_1 ... s_m; `weights`: (rows,) or None; `context`: entries of
    c; `key`: of the net. Germain et al. 2015 (masks), Laplace 1814 (smoothing).
    """

    fixed: ClassVar[tuple[str, ...]] = ("smoothing",)
    bias: Float[Array, "s"]
    skip: Float[Array, "s i"]
    first: Float[Array, "h i"]
    first_bias: Float[Array, "h"]
    last: Float[Array, "s h"]
    smoothing: Float[Array, "m"]
    sizes: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        codes: IntArray,
        sizes: Sequence[int],
        *,
        weights: FloatArray | None = None,
        context: int = 0,
        key: Key,
    ):
        if codes.ndim != 2 or codes.shape[1] != len(sizes) or min(sizes, default=0) < 1:
            raise InputError(
                f"`Categorical` needs a size for each column of codes {codes.shape}; got {sizes}."
            )
        w = np.ones(len(codes)) if weights is None else weights * len(codes) / weights.sum()
        self.sizes, total, dtype = tuple(map(int, sizes)), int(sum(sizes)), jnp.result_type(float)
        logs = []
        for j, size in enumerate(self.sizes):
            share = np.bincount(codes[:, j], w, size) / len(codes)
            logs.append(np.where(share > 0, np.log(np.maximum(share, 1e-12)), NEVER))
        self.bias = jnp.asarray(np.concatenate(logs), dtype)
        width = total + context
        self.skip, self.last = jnp.zeros((total, width), dtype), jnp.zeros((total, HIDDEN), dtype)
        self.first = jr.normal(key, (HIDDEN, width), dtype) / max(len(sizes), 1) ** 0.5
        self.first_bias = jnp.zeros(HIDDEN, dtype)
        self.smoothing = jnp.asarray([s / (len(codes) + s) for s in self.sizes], dtype)
        self.shape, self.context_shape = (len(self.sizes),), (context,) if context else None
        self.columns = self.context_columns = None

    def __check_init__(self) -> None:
        arrays = self.shape, self.smoothing.shape, self.bias.shape
        if arrays != ((len(self.sizes),), (len(self.sizes),), (sum(self.sizes),)):
            raise InputError(f"`Categorical`: its arrays do not fit its sizes {self.sizes}.")

    def one_hot(self, x: Vector) -> Float[Array, "s"]:
        """1 at the state of each variable, 0 elsewhere: (s_1 + ... + s_m,)."""
        variable, state = self._places
        return (x[variable] == state).astype(self.bias.dtype)

    def _smoothed(self, x: Vector, context: Context) -> Float[Array, "s"]:
        """log P(x_j = state | x_1 ... x_{j-1}, c) for every state of each variable, one variable after the other."""
        variable, _ = self._places
        e, sizes = jax.lax.stop_gradient(self.smoothing)[variable], np.array(self.sizes)[variable]
        return jnp.logaddexp(jnp.log1p(-e) + self._softmax(x, context), jnp.log(e / sizes))

    def _softmax(self, x: Vector, context: Context) -> Float[Array, "s"]:
        """The same without the smoothing."""
        seen = self.one_hot(x)
        seen = seen if context is None else jnp.concatenate([seen, context.astype(seen.dtype)])
        of_input, of_hidden, of_output = self._groups()
        first = jnp.where(of_hidden[:, None] > of_input[None, :], self.first, 0.0)
        hidden = jnp.tanh(first @ seen + self.first_bias)
        skip = jnp.where(of_output[:, None] > of_input[None, :], self.skip, 0.0)
        last = jnp.where(of_output[:, None] >= of_hidden[None, :], self.last, 0.0)
        logits = self.bias + skip @ seen + last @ hidden
        return logits - jax.nn.logsumexp(self._by_variable(logits), axis=1)[self._places[0]]

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log P(x | c); -inf for a number that is no state."""
        variable, state = self._places
        chosen = jnp.where(x[variable] == state, self._smoothed(x, context), -jnp.inf)
        return jnp.sum(jnp.max(self._by_variable(chosen), axis=1))

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples, one variable after the other, and their log-probabilities; drawn without the smoothing.

        So states that no training row had do not come: a word never seen has no spelling.
        """
        logs = jax.vmap(lambda x, c: self._by_variable(self._softmax(x, c)))

        def draw(j: Array, x: Float[Array, "rows n"]) -> Float[Array, "rows n"]:
            drawn = jr.categorical(jr.fold_in(key, j), logs(x, context)[:, j], axis=1)
            return x.at[:, j].set(drawn.astype(x.dtype))

        x = jax.lax.fori_loop(0, len(self.sizes), draw, jnp.zeros((rows, len(self.sizes)), self.bias.dtype))
        return x, jax.vmap(self.log_prob_one)(x, context)

    @property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each of the s_1 + ... + s_m states its variable, and its number there."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes), np.concatenate(
            [np.arange(n) for n in self.sizes]
        )

    def _by_variable(self, logs: Float[Array, "s"]) -> Float[Array, "m _most"]:
        """A row for each variable, -inf behind its states: all variables in one operation, which compiles fast."""
        most, starts = max(self.sizes), np.cumsum((0, *self.sizes[:-1]))
        there = np.arange(most) < np.array(self.sizes)[:, None]
        return jnp.where(there, logs[np.where(there, starts[:, None] + np.arange(most), 0)], -jnp.inf)

    def with_context_units(self, mean: FloatArray, scale: FloatArray) -> "Categorical":
        """The same law of a context c in other units, of which this one's is (c - mean) / scale."""
        s, (c,) = sum(self.sizes), self.context_shape or (0,)
        found: Categorical = self
        for weights, bias in (("skip", "bias"), ("first", "first_bias")):
            w, b = getattr(found, weights), getattr(found, bias)
            inner = w[:, s : s + c] / jnp.asarray(scale, w.dtype)
            where = lambda m, weights=weights, bias=bias: (getattr(m, weights), getattr(m, bias))
            new = (w.at[:, s:].set(inner), b - inner @ jnp.asarray(mean, w.dtype))
            found = eqx.tree_at(where, found, new)
        return found

    def with_frequencies(
        self, codes: IntArray, *, context: FloatArray | None = None, weights: FloatArray | None = None
    ) -> "Categorical":
        """The same law with biases for which the mean probability of every state is its frequency in `codes` (rows, m).

        These are the biases of largest likelihood on those rows while all else stays, before smoothing: the gradient of the
        mean log softmax by a bias is the frequency less the mean probability. By iterative scaling (Darroch and Ratcliff
        1972), each variable by itself. States of frequency 0 keep their bias.
        """
        x, c = (None if a is None else jnp.asarray(a, self.bias.dtype) for a in (codes, context))
        logs = np.asarray(quickly(lambda x, c: jax.vmap(self._softmax)(x, c))(x, c), np.float64)
        variable, state = self._places
        seen = (codes[:, variable] == state).astype(np.float64)
        w = np.ones(len(codes)) if weights is None else np.asarray(weights, np.float64)
        bias, share = np.array(self.bias, np.float64), w @ seen / w.sum()
        for j in range(len(self.sizes)):
            of = np.flatnonzero((variable == j) & (share > 0))
            added = np.zeros(len(of))
            for _ in range(SCALINGS):
                scores = logs[:, of] + added
                odds = np.exp(scores - scores.max(axis=1, keepdims=True))
                change = np.log(share[of]) - np.log(w @ (odds / odds.sum(axis=1, keepdims=True)) / w.sum())
                added = added + change
                if np.abs(change).max() < SCALED:
                    break
            bias[of] += added
        return eqx.tree_at(lambda m: m.bias, self, jnp.asarray(bias, self.bias.dtype))

    def _groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Degrees of inputs, hidden units, outputs: an output of degree j sees inputs below j; the context has -1."""
        outputs = np.repeat(np.arange(len(self.sizes)), self.sizes)
        inputs = np.concatenate([outputs, np.full((self.context_shape or (0,))[0], -1)])
        return inputs, np.arange(HIDDEN) % max(len(self.sizes), 1), outputs
