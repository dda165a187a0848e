"""The flows of (e): K affine couplings that keep one half, between them LU layers, or six linear couplings, or nothing.

All start from the same random rotations, as Glow does (PLU with the permutation fixed), or from near the identity.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy.linalg

from shoal.bijections import (
    AbstractBijection,
    Affine,
    Chain,
    LULinear,
    Permutation,
    Scan,
    dense_coupling,
    halves,
    layers_of,
)
from shoal.distributions import Flow, StandardNormal
from shoal.flows import realnvp
from shoal.theory.linear import factor

from .matrices import condition, explicit
from .summary import SEED

STEPS = 4  # affine couplings with a net
ARMS = ("LU", "six", "six near identity", "no linear layers")


class SixLinear(AbstractBijection):
    """x = L U L U L U z with constant blocks, log-scales and biases: six linear couplings of the partition by halves."""

    blocks: Any
    log_scales: Any
    biases: Any
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, blocks: np.ndarray, log_scales: np.ndarray):
        self.blocks, self.log_scales = jnp.asarray(blocks, jnp.float32), jnp.asarray(log_scales, jnp.float32)
        self.biases = jnp.zeros_like(self.log_scales)
        self.shape, self.context_shape = (2 * blocks.shape[1],), None

    def forward_and_log_det(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        """The rightmost layer first."""
        top, rest = jnp.split(z, 2)
        for i in (5, 3, 1):
            top = jnp.exp(self.log_scales[i]) * top + self.blocks[i] @ rest + self.biases[i]
            rest = jnp.exp(self.log_scales[i - 1]) * rest + self.blocks[i - 1] @ top + self.biases[i - 1]
        return jnp.concatenate([top, rest]), jnp.sum(self.log_scales)

    def inverse_and_log_det(self, x: Any, context: Any = None) -> tuple[Any, Any]:
        """The leftmost layer first."""
        top, rest = jnp.split(x, 2)
        for i in (0, 2, 4):
            rest = jnp.exp(-self.log_scales[i]) * (rest - self.blocks[i] @ top - self.biases[i])
            top = jnp.exp(-self.log_scales[i + 1]) * (top - self.blocks[i + 1] @ rest - self.biases[i + 1])
        return jnp.concatenate([top, rest]), -jnp.sum(self.log_scales)


def make(arm: str, dim: int, width: int, seed: int) -> Flow:
    """An untrained flow; its nets have two hidden layers of `width`."""
    if arm == "no linear layers":
        return realnvp(jr.key(seed), dim, STEPS, hidden=(width, width))
    rng = np.random.default_rng([SEED, dim, seed])
    units = []
    for key in jr.split(jr.key(seed), STEPS):
        coupling = dense_coupling(halves(dim), Affine(), hidden=(width, width), key=key)
        units.append(Chain([*_linear(arm, dim, rng, key), coupling]))
    return Flow(StandardNormal(dim), Scan(units))


def _linear(arm: str, dim: int, rng: np.random.Generator, key: Any) -> list[AbstractBijection]:
    if arm == "six near identity":
        return [SixLinear(0.1 * rng.normal(size=(6, dim // 2, dim // 2)), np.zeros((6, dim // 2)))]
    order, lower, upper = rotation(dim, rng)
    if arm == "six":
        layers = factor(np.eye(dim)[order] @ lower @ upper).layers
        return [SixLinear(np.stack([a.block for a in layers]), np.stack([a.log_scale for a in layers]))]
    log_diagonal = np.log(np.diag(upper))
    where = lambda m: (m.lower, m.upper, m.log_diagonal)
    values = tuple(jnp.asarray(a, jnp.float32) for a in (np.tril(lower, -1), np.triu(upper, 1), log_diagonal))
    return [eqx.tree_at(where, LULinear(dim, key=key), values), Permutation(order)]


def rotation(dim: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(order, L, U) with I[order] L U a rotation and diag(U) positive: signs of U's rows are taken out."""
    while True:
        q, _ = np.linalg.qr(rng.normal(size=(dim, dim)))
        parts: Any = scipy.linalg.lu(q)
        p, lower, upper = parts
        signs = np.sign(np.diag(upper))
        if np.linalg.det(p) > 0:
            return np.argmax(p, axis=1), signs[:, None] * lower * signs, signs[:, None] * upper


def parameters(flow: Flow) -> int:
    """Numbers that are used: of LU layers only the strict triangles, the diagonal and the bias."""
    count = 0
    for layer in layers_of(flow.bijection):
        n = layer.shape[0]
        arrays = jax.tree.leaves(eqx.filter(layer, eqx.is_inexact_array))
        count += n * (n - 1) + 2 * n if isinstance(layer, LULinear) else sum(a.size for a in arrays)
    return count


def matched_width(arm: str, dim: int, budget: int) -> int:
    """The width whose number of parameters, a quadratic in it, is nearest to `budget`."""
    known = (8, 16, 32)
    count = np.poly1d(np.polyfit(known, [parameters(make(arm, dim, w, 0)) for w in known], 2))
    return min(range(8, 97), key=lambda w: abs(count(w) - budget))


def linear_condition(flow: Flow) -> float:
    """The largest κ of a linear layer's factor: of L and of U, or of one of the six couplings; 1 where there is none."""
    worst = 1.0
    for layer in layers_of(flow.bijection):
        if isinstance(layer, LULinear):
            lower = np.tril(np.asarray(layer.lower, np.float64), -1) + np.eye(layer.shape[0])
            upper = np.triu(np.asarray(layer.upper, np.float64), 1) + np.diag(
                np.exp(np.asarray(layer.log_diagonal, np.float64))
            )
            worst = max(worst, condition(lower), condition(upper))
        elif isinstance(layer, SixLinear):
            for i in range(6):
                b, s = np.asarray(layer.blocks[i], np.float64), np.asarray(layer.log_scales[i], np.float64)
                worst = max(worst, condition(explicit(i, b, s)))
    return worst
