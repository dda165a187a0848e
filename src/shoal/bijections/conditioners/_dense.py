"""Conditioners, what gives a layer its transformer's parameters, and the dense one: affine(x, c) + net(x, c).

The net's last layer is zero at the start. A conditioner whose net is zero is an affine map, so linear couplings are members
of every family, exactly. Weights are stored (outputs, inputs) and act as W x; see `column` on how biases are added.

`HeldConditioner` is spectral normalisation with a certified bound (Miyato et al. 2018 divide by a power iteration's
estimate, which lies below the norm; the bounds here lie above it). An `amortizer` moves a layer's own arrays by a context.
"""

import abc
import math
from typing import Literal, TypeAlias, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Vector
from shoal.bijections._base import positive
from shoal.bijections._spectral import AbstractSpectralBound, GramBound, held_below

Activation: TypeAlias = Literal["relu", "silu", "tanh", "gelu"]


class AbstractConditioner(eqx.Module):
    """(x, c) -> raw parameters: a vector of `inputs` numbers and a context of length `context` (0: none) to `outputs`.

    A conditioner without a context ignores one that it is given.
    """

    context: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def inputs(self) -> int:
        """The length of x."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """The length of what it gives."""

    @abc.abstractmethod
    def __call__(self, x: Vector, context: Context = None) -> Float[Array, "o"]:
        """The outputs for one vector."""


def activation_function(name: Activation):
    """The elementwise function of that name. **Raises:** InputError for any other name."""
    if name not in _ACTIVATIONS:
        raise InputError(f"`activation` must be one of {', '.join(get_args(Activation))}; got {name!r}.")
    return _ACTIVATIONS[name]


class DenseConditioner(AbstractConditioner):
    """y = A [x, c] + b + net([x, c]), net an MLP with `hidden` widths whose last layer has no bias of its own.

    `skip` is A, shape (outputs, inputs + context); `bias` is b; `weights[i]`, `biases[i]` are the hidden layers;
    `last` is the net's last layer, zero at the start. Zero inputs are allowed: y is then b (plus the context's part).
    **Raises:** InputError for widths that are not positive integers and for an unknown activation.
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
        inputs: int,
        outputs: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        context: int = 0,
        activation: Activation = "tanh",
        key: Key,
    ):
        activation_function(activation)
        total = inputs + context
        self.weights, self.biases, width = hidden_layers(key, total, hidden)
        self.skip = jnp.zeros((outputs, total))
        self.bias = jnp.zeros(outputs)
        self.last = jnp.zeros((outputs, width if hidden else 0))
        self.context, self.activation = int(context), activation

    @property
    def inputs(self) -> int:
        """The columns of `skip` that are not the context's."""
        return self.skip.shape[-1] - self.context

    @property
    def outputs(self) -> int:
        """The length of `bias`."""
        return self.bias.shape[-1]

    def __call__(self, x: Vector, context: Context = None) -> Float[Array, "o"]:
        """The outputs for one vector."""
        h = joined(self, x, context)
        y = product(h, self.skip) + column(self.bias, h)
        if not self.weights:
            return y
        act = activation_function(self.activation)
        for w, b in zip(self.weights, self.biases, strict=True):
            h = act(product(h, w) + column(b, h))
        return y + product(h, self.last)


def joined(net: AbstractConditioner, x: Vector, context: Context) -> Float[Array, "i"]:
    """What the first matrix acts on: x, then the context where the conditioner takes one."""
    return x if context is None or not net.context else jnp.concatenate([x, context])


def hidden_layers(
    key: Key, inputs: int, hidden: tuple[int, ...]
) -> tuple[tuple[Array, ...], tuple[Array, ...], int]:
    """Weights and biases of the hidden layers, uniform in ±1/sqrt(inputs), and the width of the last one.

    **Raises:** InputError unless `hidden` is a tuple of positive widths (empty: an affine conditioner).
    """
    if not isinstance(hidden, tuple) or any(not isinstance(h, int) or h < 1 for h in hidden):
        raise InputError(f"`hidden` must be a tuple of positive integers, such as (64, 64); got {hidden!r}.")
    weights, biases, width = [], [], inputs
    for k, h in zip(jr.split(key, max(len(hidden), 1)), hidden, strict=False):
        bound = max(width, 1) ** -0.5
        kw, kb = jr.split(k)
        weights.append(jr.uniform(kw, (h, width), minval=-bound, maxval=bound))
        biases.append(jr.uniform(kb, (h,), minval=-bound, maxval=bound))
        width = h
    return tuple(weights), tuple(biases), width


def product(x: Float[Array, "i"], w: Float[Array, "o i"]) -> Float[Array, "o"]:
    """W x."""
    return matmul(w, x)


def column(b: Float[Array, "o"], x: Float[Array, "i"]) -> Float[Array, "o"]:
    """b, batched along with x, for sums with products of x.

    Under `vmap`, W x has its batch axis last; a plain `+ b` would move it to the front, a transpose of everything.
    A bias that is a product with a batched 1 (it depends on no value of x) leaves it there: a third less time a step.
    """
    one = jax.lax.pad(x[:0], jnp.ones((), x.dtype), [(0, 1, 0)])
    return matmul(b[:, None], one.astype(b.dtype))


def _relu(x: Array) -> Array:
    """max(x, 0) by one clamp, which transposes nothing under `vmap`; NaN stays NaN."""
    return jax.lax.clamp(jnp.zeros((), x.dtype), x, jnp.full((), jnp.inf, x.dtype))


_ACTIVATIONS = {"relu": _relu, "silu": jax.nn.silu, "tanh": jnp.tanh, "gelu": jax.nn.gelu}


class HeldConditioner(AbstractConditioner):
    """A `DenseConditioner` with every matrix W (`skip`, hidden weights, `last`) used as W min(1, limit / bound(W)).

    Then Lip <= limit + limit^k for k matrices of the net and an activation of slopes of at most 1 (tanh, ReLU), rounding
    included. The free weights are those of `conditioner`; a matrix below the limit is used as it is.
    **Raises:** InputError for a limit that is not positive and finite.
    """

    conditioner: DenseConditioner
    norm: AbstractSpectralBound
    limit: float = eqx.field(static=True)

    def __init__(
        self, conditioner: DenseConditioner, limit: float = 1.0, *, norm: AbstractSpectralBound | None = None
    ):
        self.conditioner, self.limit = conditioner, positive("HeldConditioner(limit=...)", limit)
        self.norm = GramBound() if norm is None else norm

    @property
    def inputs(self) -> int:
        """Of the conditioner that is held."""
        return self.conditioner.inputs

    @property
    def outputs(self) -> int:
        """Of the conditioner that is held."""
        return self.conditioner.outputs

    @property
    def context(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the conditioner that is held."""
        return self.conditioner.context

    @property
    def lipschitz(self) -> float:
        """limit + limit^k, an upper bound of the Lipschitz constant for activations of slopes of at most 1."""
        layers = len(self.conditioner.weights) + 1
        return self.limit + (self.limit**layers if layers > 1 else 0.0)

    def held(self) -> DenseConditioner:
        """The conditioner with the weights as they act."""
        where = lambda c: (c.skip, *c.weights, c.last)
        acting = tuple(held_below(w, self.limit, self.norm) for w in where(self.conditioner))
        return eqx.tree_at(where, self.conditioner, acting)

    def __call__(self, x: Vector, context: Context = None) -> Float[Array, "o"]:
        """The outputs for one vector."""
        return self.held()(x, context)


def amortizer(
    arrays: tuple[Array, ...], context_dim: int, hidden: tuple[int, ...], activation: Activation, key: Key
) -> DenseConditioner | None:
    """The conditioner that moves these arrays, or None where there is no context."""
    if not context_dim:
        return None
    outputs = sum(a.size for a in arrays)
    return DenseConditioner(0, outputs, hidden=hidden, context=context_dim, activation=activation, key=key)


def moved(
    conditioner: DenseConditioner | None, context: Context, arrays: tuple[Array, ...]
) -> tuple[Array, ...]:
    """The arrays, each plus its part of the conditioner's outputs for this context; as they are without one."""
    if conditioner is None or context is None:
        return arrays
    out, parts, start = conditioner(context[:0], context), [], 0
    for a in arrays:
        end = start + math.prod(a.shape)
        parts.append(a + jnp.reshape(out[start:end], a.shape))
        start = end
    return tuple(parts)
