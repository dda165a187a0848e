"""Random parameters for unit tests."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal.bijections import AbstractBijection


def noisy(bijection: AbstractBijection, seed: int = 0, spread: float = 0.5) -> AbstractBijection:
    """The bijection with a normal draw times `spread` added to every floating-point array."""
    rng = np.random.default_rng(seed)
    moved = lambda a: jnp.asarray(np.asarray(a) + spread * rng.standard_normal(a.shape), a.dtype)
    free, rest = eqx.partition(bijection, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(moved, free), rest)


def normal(seed: int, *shape: int) -> jax.Array:
    """Standard normal draws, in JAX's default dtype."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.result_type(float))
