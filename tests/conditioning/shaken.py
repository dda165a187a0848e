"""Parameters far from a start."""

import equinox as eqx
import jax
import jax.random as jr


def shaken(bijection, size):
    """The same bijection with all parameters moved at random."""
    arrays, static = eqx.partition(bijection, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    keys = jr.split(jr.key(7), len(leaves))
    moved = [a + size * jr.normal(k, a.shape) for a, k in zip(leaves, keys, strict=True)]
    return eqx.combine(jax.tree.unflatten(tree, moved), static)
