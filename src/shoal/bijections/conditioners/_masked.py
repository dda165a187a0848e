"""Autoregressive conditioner (MADE, Germain et al. 2015): output i sees inputs j < i and the whole context.

Hidden units are sorted by degree, so that both uses are cheap: all outputs at once from a known vector, or one
coordinate after the other, each step computing only the hidden units that just became known (`blocks`). The
whole sequential pass costs about as much as one parallel pass.
"""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from shoal._types import Array, Context, Float, Key, Vector
from shoal.bijections.conditioners._dense import (
    AbstractConditioner,
    Activation,
    activation_function,
    column,
    hidden_layers,
    joined,
    product,
)


class Blocks(NamedTuple):
    """Step i of the sequential pass, for every i along the leading axis: the rows of new hidden units and outputs i.

    `weights` (n, m, n + c) and then (n, m, n m) each, `biases` each (n, m); `skip` (n, P, n + c), `last` (n, P, n m),
    `bias` (n, P), where m is the largest number of hidden units of one degree, smaller groups padded with zeros.
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    skip: Array
    last: Array
    bias: Array


class MaskedConditioner(AbstractConditioner):
    """P outputs for each i = 1..n, functions of x_1 ... x_{i-1} and c: affine + net, the net zero at the start.

    Output p of coordinate i stands at p n + i, as transformers have their parameters.
    **Arguments:** `dim`: n; `parameters`: P; the others as in `DenseConditioner`.
    """

    skip: Float[Array, "o i"]
    bias: Float[Array, "o"]
    weights: tuple[Float[Array, "_o _i"], ...]
    biases: tuple[Float[Array, "_o"], ...]
    last: Float[Array, "o h"]
    context: int = eqx.field(static=True)
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        parameters: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        context: int = 0,
        activation: Activation = "tanh",
        key: Key,
    ):
        activation_function(activation)
        self.weights, self.biases, width = hidden_layers(key, dim + context, hidden)
        outputs = parameters * dim
        self.skip, self.bias = jnp.zeros((outputs, dim + context)), jnp.zeros(outputs)
        self.last = jnp.zeros((outputs, width if hidden else 0))
        self.context, self.activation = int(context), activation

    @property
    def inputs(self) -> int:
        """n: the columns of `skip` that are not the context's."""
        return self.skip.shape[-1] - self.context

    @property
    def outputs(self) -> int:
        """P n, the length of `bias`."""
        return self.bias.shape[-1]

    @property
    def parameters(self) -> int:
        """P."""
        return self.outputs // self.inputs

    def by_coordinate(self) -> np.ndarray:
        """(n, P): the places of the outputs of each coordinate."""
        return np.arange(self.outputs).reshape(-1, self.inputs).T

    def __call__(self, x: Vector, context: Context = None) -> Float[Array, "o"]:
        """All outputs at once."""
        skip, inner, last = self._masked()
        h = joined(self, x, context)
        y = product(h, skip) + column(self.bias, h)
        act = activation_function(self.activation)
        for w, b in zip(inner, self.biases, strict=True):
            h = act(product(h, w) + column(b, h))
        return y + product(h, last) if inner else y

    def degrees(self, width: int) -> np.ndarray:
        """Degree of each of `width` hidden units: a unit of degree g sees x_1 ... x_g (g = 0: the context alone)."""
        first = 0 if self.context else 1
        count = max(self.inputs - first, 1)
        return first + (np.arange(width) * count) // max(width, 1)

    def blocks(self) -> Blocks:
        """The weights cut into the steps of the sequential pass."""
        skip, inner, last = self._masked()
        index = [self._index(w.shape[0]) for w in inner]
        first = (_rows(inner[0], index[0]),) if inner else ()
        rest = tuple(
            _rows(_columns(w, before), i)
            for w, before, i in zip(inner[1:], index[:-1], index[1:], strict=True)
        )
        biases = tuple(_rows(b, i) for b, i in zip(self.biases, index, strict=True))
        out = self.by_coordinate()
        tail = _columns(last, index[-1]) if inner else last
        return Blocks((*first, *rest), biases, _rows(skip, out), _rows(tail, out), _rows(self.bias, out))

    def _masked(self) -> tuple[Array, tuple[Array, ...], Array]:
        degrees = np.arange(1, self.inputs + 1)
        outputs = np.tile(degrees, self.parameters)
        seen = np.concatenate([degrees, np.zeros(self.context, int)])  # degree of each input
        masked, degree = [], seen
        for w in self.weights:
            new = self.degrees(w.shape[0])
            masked.append(jnp.where(new[:, None] >= degree[None, :], w, 0.0))
            degree = new
        last = jnp.where(outputs[:, None] > degree[None, :], self.last, 0.0) if self.weights else self.last
        return jnp.where(outputs[:, None] > seen[None, :], self.skip, 0.0), tuple(masked), last

    def _index(self, width: int) -> np.ndarray:
        """(n, m): the hidden units of degree 0 ... n - 1, padded with -1."""
        degree = self.degrees(width)
        groups = [np.flatnonzero(degree == g) for g in range(self.inputs)]
        index = np.full((self.inputs, max(max(len(g) for g in groups), 1)), -1)
        for row, group in zip(index, groups, strict=True):
            row[: len(group)] = group
        return index


def _rows(w: Array, index: np.ndarray) -> Array:
    """w[index], zero where the index is -1."""
    valid = (index >= 0).reshape(index.shape + (1,) * (w.ndim - 1))
    return jnp.where(valid, w[np.maximum(index, 0)], 0.0)


def _columns(w: Array, index: np.ndarray) -> Array:
    """The columns of `w` in the padded order of the hidden units before it, zero at the padding."""
    return _rows(w.T, index.reshape(-1)).T
