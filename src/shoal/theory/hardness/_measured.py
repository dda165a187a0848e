"""The class of flows that a given flow belongs to, its constants read off the weights: an `Architecture` and a depth."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoal._errors import InputError
from shoal.bijections import ActNorm, Inverse, Permutation, SignFlip, Standardize, layer_name, layers_of
from shoal.distributions import StandardNormal
from shoal.theory.hardness._architectures import Architecture
from shoal.theory.hardness._layer_constants import KINDS, as_float

UP = 1 + 1e-9  # norms in float64, rounded up


@dataclass(frozen=True)
class Measured:
    """`architecture`: a class that holds the flow; `depth`: its layers; `lipschitz`: of this flow, z -> x, on all of R^d."""

    architecture: Architecture
    depth: int
    lipschitz: float


def measured(flow: Any) -> Measured:
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
    **Arguments:** `flow`: standard normal base, no context. **Returns:** `Measured`.
    **Raises:** ValueError for another family (affine couplings and splines have no constants on all of R^d), another base,
    a context, parameters that are not finite or all 0, and layers whose numbers of hidden layers or kinds of slope differ.
    """
    if flow.context_shape is not None:
        raise InputError("`measured` takes flows without a context; the constants would depend on it.")
    if not isinstance(flow.base, StandardNormal):
        raise InputError("`measured` needs the base N(0, I): the bounds that take its constants assume it.")
    layers, scale = _trained_layers(flow.bijection)
    known = next((kind for kind in KINDS if layers and all(map(kind.holds, layers))), None)
    if known is None:
        raise InputError(
            "`measured` knows flows of planar layers, of layerwise ones and of additive couplings with tanh; this one has "
            f"{_names(layers)}: give constants of your own, as `coupling(...)` does."
        )
    found = known.read(layers)
    if not all(map(math.isfinite, [*found.sizes, *found.stretches, found.parameter_lipschitz, found.offset])):
        raise InputError("A parameter of the flow is not finite: there are no constants to read off.")
    stretch, d = max(found.stretches), flow.shape[0]
    architecture = Architecture(
        f"{known.name}, measured", d, found.parameters, max(found.sizes) * UP, stretch * max(scale, 1.0) * UP,
        found.parameter_lipschitz * scale * UP, found.offset * UP,
    )  # fmt: skip
    return Measured(architecture, len(layers), float(np.prod(found.stretches)) * scale * UP)


def _trained_layers(bijection: Any) -> tuple[list[Any], float]:
    """The layers that count, and the largest scale of the fixed ones next to the data."""
    layers: list[Any] = [b for b in layers_of(bijection) if not isinstance(b, Permutation | SignFlip)]
    scale = 1.0
    while layers and isinstance(layers[-1], Standardize | ActNorm):
        fixed = layers.pop()
        values = np.exp(as_float(fixed.log_scale)) if isinstance(fixed, ActNorm) else as_float(fixed.scale)
        scale *= float(values.max())
    return layers, scale


def _names(layers: Sequence[Any]) -> str:
    inner = [b.bijection if isinstance(b, Inverse) else b for b in layers]
    return ", ".join(sorted({layer_name(b) for b in inner})) or "no layers"
