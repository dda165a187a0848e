"""A small trained flow and rows for the tests of remedies: a banana written down twice, with a little noise."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal import flows
from shoal.bijections import ExponentialScale
from shoal.distributions import Flow

DEPTH, NOISE = 2, 1e-3
TRAINING: dict[str, Any] = {"batch_size": 64, "learning_rate": 1e-2}
EPOCHS = 40


def repeated(rows: int, seed: int) -> np.ndarray:
    """x2, x3 = x0, x1 up to noise of deviation `NOISE`."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 2))
    x = np.stack([z[:, 0], 0.5 * z[:, 1] + z[:, 0] ** 2], axis=1)
    return np.concatenate([x, x + NOISE * rng.normal(size=x.shape)], axis=1)


PARTS = (repeated(256, 0), repeated(64, 1), repeated(128, 2))


def recipe(key: Any, dim: int) -> Flow:
    return flows.realnvp(key, dim, DEPTH, hidden=(8,), scale=ExponentialScale())


def at_random(flow: Any, spread: float, seed: int = 0) -> Any:
    """The flow with every trained array drawn anew, N(0, spread^2)."""
    arrays, rest = eqx.partition(flow, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    keys = jr.split(jr.key(seed), len(leaves))
    drawn = [spread * jr.normal(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)]
    return eqx.combine(jax.tree.unflatten(tree, drawn), rest)


def finite(values: Any) -> bool:
    return bool(jnp.isfinite(jnp.asarray(values)).all())
