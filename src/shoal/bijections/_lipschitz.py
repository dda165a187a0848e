"""A multilayer perceptron with a stated Lipschitz constant: 1-Lipschitz activations, weights held below a norm.

The constant is in x alone, certified by upper bounds of the spectral norms (see `_spectral`): |g(x, c) - g(y, c)| <=
lipschitz |x - y| for all x, y, c. The context enters freely.
"""

from typing import Literal, TypeAlias, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._products import matmul
from shoal._types import Array, Context, Float, Key
from shoal.bijections._base import positive, whole
from shoal.bijections._spectral import AbstractSpectralBound, ExactNorm, held_below
from shoal.bijections.conditioners._dense import hidden_layers

LipschitzActivation: TypeAlias = Literal["lipswish", "elu", "tanh"]


class PlainMLP(eqx.Module):
    """W_k s(... s(W_1 x + C c + b_1) ...) + b, the weights as they act; s(t) = act(beta t) / beta, one beta a layer."""

    matrices: tuple[Float[Array, "_o _i"], ...]
    biases: tuple[Float[Array, "_o"], ...]
    bias: Float[Array, "n"]
    context_matrix: Float[Array, "h c"] | None
    betas: Float[Array, "layers"]
    activation: LipschitzActivation = eqx.field(static=True)

    def __call__(self, x: Float[Array, "i"], context: Context = None) -> Float[Array, "o"]:
        """The value for one vector."""
        act = _ACTIVATIONS[self.activation]
        h = matmul(self.matrices[0], x)
        if self.context_matrix is not None and context is not None:
            h = h + matmul(self.context_matrix, context)
        for i, w in enumerate(self.matrices[1:]):
            h = matmul(w, act(self.betas[i] * (h + self.biases[i])) / self.betas[i])
        return h + self.bias


class LipschitzMLP(eqx.Module):
    """g(x, c) with Lip g <= `lipschitz` in x: an MLP whose k weights have spectral norm <= lipschitz^{1/k} each.

    **Arguments:** `inputs`, `outputs`: sizes; `hidden`: widths (empty: g is affine); `lipschitz`: a positive number;
    `context`: length of the context, 0 for none; `norm`: an upper bound of the spectral norm (a value);
    `activation`: "lipswish" (t sigmoid(t) / 1.1, Chen et al. 2019), "elu" or "tanh", all with slopes of at most 1.
    Each hidden layer has a trained sharpness beta = exp(log_sharpness): act(beta t) / beta has the slopes of act. The last
    weight is zero at the start. A weight below its limit is used as it is.
    **Raises:** InputError for bad sizes, an unknown activation or a constant that is not positive.
    """

    weights: tuple[Float[Array, "_o _i"], ...]
    biases: tuple[Float[Array, "_o"], ...]
    last: Float[Array, "n h"]
    bias: Float[Array, "n"]
    context_matrix: Float[Array, "h c"] | None
    log_sharpness: Float[Array, "layers"]
    norm: AbstractSpectralBound
    activation: LipschitzActivation = eqx.field(static=True)
    lipschitz: float = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: tuple[int, ...],
        lipschitz: float,
        context: int = 0,
        norm: AbstractSpectralBound | None = None,
        activation: LipschitzActivation = "lipswish",
        key: Key,
    ):
        if activation not in _ACTIVATIONS:
            names = ", ".join(get_args(LipschitzActivation))
            raise InputError(f"`activation` must be one of {names}; got {activation!r}.")
        for what, size, least in (("inputs", inputs, 1), ("outputs", outputs, 1), ("context", context, 0)):
            whole(f"LipschitzMLP({what})", size, least)
        k_hidden, k_context = jr.split(key)
        self.weights, self.biases, width = hidden_layers(k_hidden, inputs, hidden)
        self.last, self.bias = jnp.zeros((outputs, width)), jnp.zeros(outputs)
        rows = hidden[0] if hidden else outputs
        bound = max(context, 1) ** -0.5 if hidden else 0.0
        self.context_matrix = (
            jr.uniform(k_context, (rows, context), minval=-bound, maxval=bound) if context else None
        )
        self.log_sharpness = jnp.zeros(len(hidden))
        self.norm = ExactNorm() if norm is None else norm
        self.activation, self.lipschitz = activation, positive("LipschitzMLP(lipschitz)", lipschitz)

    def net(self) -> PlainMLP:
        """The map with its weights as they act: what is worth doing once for many evaluations."""
        raw = (*self.weights, self.last)
        limit = self.lipschitz ** (1.0 / len(raw))
        matrices = tuple(held_below(w, limit, self.norm) for w in raw)
        betas = jnp.exp(self.log_sharpness)
        return PlainMLP(matrices, self.biases, self.bias, self.context_matrix, betas, self.activation)

    def __call__(self, x: Float[Array, "i"], context: Context = None) -> Float[Array, "o"]:
        """g(x, c) of one vector."""
        return self.net()(x, context)


def _lipswish(t: Array) -> Array:
    """t s(t) / 1.1, s the logistic function.

    Its slope is h / 1.1, h = s + t s (1 - s), h' = s (1 - s) (2 - t tanh(t / 2)). So h is largest where t tanh(t / 2) = 2,
    t = 2.39936; there s = 1/2 + 1/t, h = 1/2 + t/4 = 1.09984 < 1.1. As h(-t) = 1 - h(t), also h > -0.1.
    """
    return t * jax.nn.sigmoid(t) / 1.1


_ACTIVATIONS = {"lipswish": _lipswish, "elu": jax.nn.elu, "tanh": jnp.tanh}
