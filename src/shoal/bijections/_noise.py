"""Randomness as data: estimators of log-dets and of likelihoods hold a `Noise`, from which each row draws its own numbers.

A row's numbers are a function of the seed and of the row, so an evaluation repeats, rows are independent, and no key goes
through the interface. Training calls `reseeded` with a fresh key at every step; validation and users keep the seed.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, Float, Key, Shaped


class Noise(eqx.Module):
    """A seed, stored as the two words of a random key; not trained."""

    words: Shaped[Array, "*repeats 2"]

    def __init__(self, key: Key):
        self.words = jr.key_data(key).astype(jnp.uint32)

    def key_for(self, row: Float[Array, "n"]) -> Key:
        """The key of one row: a hash of the row's bits folded into the seed. No gradient flows."""
        bits = _words(jax.lax.stop_gradient(row))
        multipliers = 2 * jnp.arange(bits.size, dtype=jnp.uint32) + jnp.uint32(0x9E3779B1)
        mixed = (bits ^ (bits >> jnp.uint32(15))) * multipliers
        mixed = jnp.sum(mixed ^ (mixed >> jnp.uint32(13)), dtype=jnp.uint32)
        return jr.fold_in(jr.wrap_key_data(self.words), mixed)


def reseeded(tree: Any, key: Key) -> Any:
    """Any pytree with every `Noise` in it drawn anew from `key`, each differently; without one, the tree as it is."""
    is_noise = lambda node: isinstance(node, Noise)
    nodes, structure = jax.tree.flatten(tree, is_leaf=is_noise)
    fresh = [_drawn(n, jr.fold_in(key, i)) if is_noise(n) else n for i, n in enumerate(nodes)]
    return jax.tree.unflatten(structure, fresh)


def _drawn(noise: Noise, key: Key) -> Noise:
    return eqx.tree_at(lambda n: n.words, noise, jr.bits(key, noise.words.shape, jnp.uint32))


def _words(row: Float[Array, "n"]) -> Shaped[Array, "words"]:
    wide = row.astype(jnp.float32)  # rows that differ in float64 alone share their noise
    return jax.lax.bitcast_convert_type(wide, jnp.uint32).reshape(-1)
