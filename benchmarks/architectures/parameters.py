"""How many parameters each layer has: the p of Theorem 4 in Koehler, Mehta and Risteski (2021)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal.bijections import (
    AbstractBijection,
    LULinear,
    MaskedConditioner,
    Standardize,
    StandardizedContext,
    layers_of,
)

_SPECIAL = LULinear | MaskedConditioner | Standardize | StandardizedContext


def parameters_per_layer(bijection: AbstractBijection) -> tuple[int, ...]:
    """The number of trained numbers that the layer's value depends on, for every layer in forward order.

    Entries that a mask or a triangle hides (`MaskedAutoregressive`, `LULinear`) are not counted, nor are the fixed
    numbers of a standardisation, nor integers. Numbers that act only together (a matrix given as a product) count
    each.
    """
    return tuple(_count(layer) for layer in layers_of(bijection))


def _count(node: Any) -> int:
    total = 0
    for leaf in jax.tree.leaves(node, is_leaf=lambda m: isinstance(m, _SPECIAL)):
        if isinstance(leaf, LULinear):
            n = leaf.shape[0]
            total += n * (n - 1) + 2 * n
        elif isinstance(leaf, MaskedConditioner):
            total += _visible(leaf)
        elif isinstance(leaf, StandardizedContext):
            total += _count(leaf.bijection)
        elif not isinstance(leaf, Standardize) and eqx.is_inexact_array(leaf):
            total += leaf.size
    return total


def _visible(net: MaskedConditioner) -> int:
    """The weights that the masks let through (set to 1, the masked ones are 1), and the biases."""
    ones = jax.tree.map(jnp.ones_like, net)
    seen = sum(int(jnp.sum(a)) for a in jax.tree.leaves(ones._masked()))
    return seen + sum(b.size for b in (net.bias, *net.biases))
