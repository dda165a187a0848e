"""The class of flows that a given flow belongs to: an `Architecture` and a depth, its constants read off the weights.

A class is all stacks of layers of one kind, with one fixed partition and one fixed permutation or sign change at each
place, whose parameter vectors theta_i, whose parts' norms and whose Lipschitz constants are at most the largest ones of
the given layers. Every inequality compares two points of the class directly, so that it need not be convex. theta_i are
the numbers that the formula of a layer has: of a planar one w, b and u with its constraint worked in; of a layerwise one
the entries of A, b, the slopes; of an additive one all weights and biases.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array, ArrayLike
from shoal.bijections import (
    AbstractBijection,
    AbstractBoundedLinear,
    ActNorm,
    Additive,
    Coupling,
    DenseConditioner,
    Inverse,
    Layerwise,
    Permutation,
    Planar,
    SignFlip,
    Standardize,
    TrainedLeakyReLU,
    layer_name,
    layers_of,
)
from shoal.conditioning import compute
from shoal.distributions import Flow, StandardNormal
from shoal.theory.hardness._minimum_depth import Architecture

UP = 1 + 1e-9  # norms in float64, rounded up


class Constants(NamedTuple):
    """Of the class: p, K, B; of each layer: |theta_i| and its Lipschitz constant."""

    parameters: int
    parameter_lipschitz: float
    offset: float
    sizes: list[float]
    stretches: list[float]


def _planar(layers: Sequence[AbstractBijection]) -> Constants:
    """Of f or of its inverse g.

    1 + f u w^T has extreme singular values of product 1 + f w.u and difference |f| |u| |w|; its norm is convex in f, so
    largest at an end: f = 0, or 1, or for inverses -1 / (1 + w.u). |g'(x) - g(x)| <= M |f(y) - f'(y)|, y = g'(x), and
    |y| <= |x| + U; f changes by sqrt(1 + U^2 + U^2 |y|^2).
    """
    sizes, stretches, largest = [], [], 0.0
    inverse = isinstance(layers[0], Inverse)
    for layer in (b.bijection if isinstance(b, Inverse) else b for b in layers):
        parameters = compute(lambda p: p._parameters(None), layer, precision="float64")
        w, u, b, inner = (as_float(a) for a in parameters)
        long, inner = float(np.linalg.norm(u)), float(inner)
        f = -1 / (1 + inner) if inverse else 1.0
        apart = abs(f) * long * float(np.linalg.norm(w))
        most = (apart + math.sqrt(max(apart**2 + 4 * (1 + f * inner), 0.0))) / 2
        sizes.append(_size(w, u, b))
        stretches.append(max(most, 1.0))
        largest = max(largest, long)
    if inverse:
        change = math.sqrt(1 + largest**2 + (largest * max(1.0, largest)) ** 2) * max(stretches)
    else:
        change = math.sqrt(1 + largest**2)
    return Constants(2 * layers[0].shape[0] + 1, change, largest, sizes, stretches)


def _layerwise(layers: Sequence[Layerwise]) -> Constants:
    """|s_a(t) - s_a'(t')| <= |t - t'| + |t'| |a - a'| as |ds/da| <= |t|: changes |h| |dA| + |db| + (S |h| + beta) |da|."""
    sizes, stretches, shift, d = [], [], 0.0, layers[0].shape[0]
    kinds = {type(layer.leaky) for layer in layers}
    if len(kinds) > 1:
        raise InputError("`measured` needs layerwise layers with one kind of `leaky`.")
    trained = kinds == {TrainedLeakyReLU}
    for layer in layers:
        matrix = compute(_matrix, layer.linear, precision="float64")
        slopes = compute(lambda s: s._slopes(), layer.leaky, precision="float64") if trained else np.zeros(0)
        b = as_float(layer.shift.bias)
        sizes.append(_size(matrix, b, slopes))
        stretches.append(_norm(matrix))
        shift = max(shift, _norm(b))
    change = math.sqrt(1 + max(*stretches, shift) ** 2) if trained else 1.0
    return Constants(d * d + d * (1 + trained), change, shift, sizes, stretches)


@eqx.filter_jit
def _matrix(linear: AbstractBoundedLinear) -> Array:
    return jax.vmap(linear.apply, out_axes=1)(jnp.eye(linear.dim))


def _additive(layers: Sequence[Coupling]) -> Constants:
    """Changes: |h| |dA| + |db| + sqrt(w_k) |dV| + sum_i P_i (r_{i-1} |dW_i| + |dc_i|), P_i = |V| prod_{j > i} |W_j|.

    r_0 = |h| and r_i = sqrt(w_i) bounds the length of tanh's outputs. Norms are the largest over the layers.
    """
    nets = [b.conditioner for b in layers if isinstance(b.conditioner, DenseConditioner)]
    if len({len(net.weights) for net in nets}) > 1:
        raise InputError("`measured` needs additive couplings with one number of hidden layers.")
    arrays = [[net.skip, net.bias, net.last, *net.weights, *net.biases] for net in nets]
    sizes = [_size(*group) for group in arrays]
    _, bias, last, *inner = (max(map(_norm, group)) for group in zip(*arrays, strict=True))
    weights = inner[: len(nets[0].weights)]
    widths = [max(map(len, ws)) for ws in zip(*(net.weights for net in nets), strict=True)]
    squares, after = 1.0, last  # of A and b together, as |h|^2 + 1 <= (1 + |h|)^2
    for i in reversed(range(len(weights))):
        squares += after**2 * (1.0 if i == 0 else 1.0 + widths[i - 1])
        after *= weights[i]
    root = math.sqrt(widths[-1]) if widths else 0.0
    inside = [math.prod(map(_norm, net.weights)) if net.weights else 0.0 for net in nets]
    each = [_norm(net.skip) + _norm(net.last) * size for net, size in zip(nets, inside, strict=True)]
    stretches = [(v + math.sqrt(v * v + 4)) / 2 for v in each]
    most = max(sum(np.size(a) for a in group) for group in arrays)
    return Constants(most, math.sqrt(squares + root**2), bias + last * root, sizes, stretches)


def _norm(a: ArrayLike) -> float:
    """The spectral norm of a matrix, the length of a vector; 0 of what is empty."""
    value = as_float(a)
    if value.size == 0:
        return 0.0
    return float(np.linalg.norm(value, 2)) if np.isfinite(value).all() else math.inf


def _size(*parts: ArrayLike) -> float:
    return math.sqrt(sum(float(np.sum(np.square(as_float(a)))) for a in parts))


def as_float(a: ArrayLike) -> FloatArray:
    """As float64."""
    return np.asarray(a, np.float64)


def _is_additive(b: AbstractBijection) -> bool:
    if not isinstance(b, Coupling) or not isinstance(b.transformer, Additive):
        return False
    net = b.conditioner
    return isinstance(net, DenseConditioner) and (net.activation == "tanh" or not net.weights)


# a kind of layer: its name, which layers it holds, and their constants
KINDS: tuple[tuple[str, Callable[[AbstractBijection], bool], Callable[[Sequence[Any]], Constants]], ...] = (
    ("planar", lambda b: isinstance(b, Planar), _planar),
    ("inverse planar", lambda b: isinstance(b, Inverse) and isinstance(b.bijection, Planar), _planar),
    ("layerwise", lambda b: isinstance(b, Layerwise), _layerwise),
    ("additive", _is_additive, _additive),
)


@dataclass(frozen=True)
class MeasuredClass:
    """`architecture`: a class that holds the flow; `depth`: its layers; `lipschitz`: of this flow, z -> x, on all of R^d."""

    architecture: Architecture
    depth: int
    lipschitz: float


def measured(flow: Flow) -> MeasuredClass:
    r"""A class of flows with explicit constants that `flow` belongs to, for `minimum_depth` and `total_variation_bound`.

    All constants are upper bounds, in float64, of the formulas in `Architecture`; norms |.| of matrices are spectral.
    `planar(fast="samples")`, h + u tanh(<w, h> + b), |u| <= U: M = max |1 + u w^T| or 1; K = sqrt(1 + U^2), B = U.
    `planar()`, the inverse of it: M = max |1 - u w^T / (1 + w.u)| or 1, K = M sqrt(1 + U^2 + U^2 max(1, U)^2), B = U.
    `layerwise`, s_a(A h + b), slopes of s in (0, 1], |A| <= S, |b| <= beta: M = S, B = beta, K = sqrt(1 + max(S, beta)^2)
    where the slopes a are trained, and 1 where not. `nice` with tanh, t(h) = A h + b + V tanh(W_k ... tanh(W_1 h + c_1)):
    l = |A| + |V| |W_k| ... |W_1|, M = (l + sqrt(l^2 + 4)) / 2, B = |b| + |V| sqrt(width), K the root of the sum of
    squares of the change's factors. p counts the numbers of the formula: for `layerwise` d^2 entries of A, of any
    rank. Permutations and sign changes cost nothing. A `Standardize` or `ActNorm` next to the data, of largest scale c,
    which all members of the class share, multiplies K by c, and M by c where c > 1; B is used for the layers before it only.
    **Arguments:** `flow`: standard normal base, no context. **Returns:** `MeasuredClass`.
    **Raises:** InputError for another family (affine couplings and splines have no constants on all of R^d), another base,
    a context, parameters that are not finite or all 0, and layers whose numbers of hidden layers or kinds of slope differ.
    """
    if flow.context_shape is not None:
        raise InputError("`measured` takes flows without a context; the constants would depend on it.")
    if not isinstance(flow.base, StandardNormal):
        raise InputError("`measured` needs the base N(0, I): the bounds that take its constants assume it.")
    layers, scale = _trained_layers(flow.bijection)
    known = next((kind for kind in KINDS if layers and all(map(kind[1], layers))), None)
    if known is None:
        inner = {layer_name(b.bijection if isinstance(b, Inverse) else b) for b in layers}
        raise InputError(
            "`measured` knows flows of planar layers, of layerwise ones and of additive couplings with tanh; this one has "
            f"{', '.join(sorted(inner)) or 'no layers'}: give constants of your own, as `coupling(...)` does."
        )
    name, _, read = known
    found = read(layers)
    if not all(map(math.isfinite, [*found.sizes, *found.stretches, found.parameter_lipschitz, found.offset])):
        raise InputError("A parameter of the flow is not finite: there are no constants to read off.")
    stretch, d = max(found.stretches), flow.shape[0]
    architecture = Architecture(
        f"{name}, measured",
        d,
        found.parameters,
        max(found.sizes) * UP,
        stretch * max(scale, 1.0) * UP,
        found.parameter_lipschitz * scale * UP,
        found.offset * UP,
    )
    return MeasuredClass(architecture, len(layers), float(np.prod(found.stretches)) * scale * UP)


def _trained_layers(bijection: AbstractBijection) -> tuple[list[AbstractBijection], float]:
    """The layers that count, and the largest scale of the fixed ones next to the data."""
    layers = [b for b in layers_of(bijection) if not isinstance(b, Permutation | SignFlip)]
    scale = 1.0
    while layers and isinstance(fixed := layers[-1], Standardize | ActNorm):
        layers.pop()
        values = np.exp(as_float(fixed.log_scale)) if isinstance(fixed, ActNorm) else as_float(fixed.scale)
        scale *= float(values.max())
    return layers, scale
