"""`trainable`: no optimizer moves what is fixed, however deep it lies; everything else of floats is moved."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax

from shoal.bijections import Chain, Inverse, Scan, Standardize, StandardizedContext, marginals
from shoal.distributions import Flow, StandardNormal
from shoal.flows import realnvp
from shoal.training import trainable

ROWS = np.random.default_rng(0).normal(size=(200, 2))


def flow() -> Flow:
    inner = realnvp(jr.key(0), 2, 4, context_dim=1).bijection
    assert isinstance(inner, Chain | Scan)
    contextual = StandardizedContext(inner, jnp.array([3.0]), jnp.array([2.0]))
    fixed = Standardize(jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0]))
    return Flow(StandardNormal(2), Chain([contextual, marginals(ROWS), Inverse(fixed), fixed]))


def test_fixed_arrays_are_false_and_the_others_true() -> None:
    given: Any = flow()
    mask = trainable(given)
    context, front, inverse, last = mask.bijection.bijections
    assert not any((context.mean, context.scale, front.knots, inverse.bijection.mean, last.mean, last.scale))
    assert all((front.first, front.free_heights, front.free_slopes, front.raw_tails))
    assert not any((front.log_heights, front.log_slopes))
    floats = jax.tree.leaves(jax.tree.map(eqx.is_inexact_array, given.bijection.bijections[0].bijection))
    assert jax.tree.leaves(context.bijection) == floats
    assert any(floats)


def test_decay_leaves_fixed_arrays_alone() -> None:
    given: Any = flow()
    weights, rest = eqx.partition(given, trainable(given))
    optimizer = optax.adamw(0.1, weight_decay=0.5)
    updates, _ = optimizer.update(jax.tree.map(jnp.ones_like, weights), optimizer.init(weights), weights)
    moved: Any = eqx.combine(eqx.apply_updates(weights, updates), rest)
    old, new = given.bijection.bijections, moved.bijection.bijections
    np.testing.assert_array_equal(old[1].knots, new[1].knots)
    np.testing.assert_array_equal(old[3].mean, new[3].mean)
    np.testing.assert_array_equal(old[0].mean, new[0].mean)
    assert np.all(old[1].first != new[1].first)
