"""The Lipschitz network keeps its constant: activations, products of norms, and pairs of points in both dtypes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import mpmath
import numpy as np
import pytest

from shoal.bijections import GramBound, LipschitzMLP
from shoal.bijections._lipschitz import _ACTIVATIONS


def drawn(network, scale, seed=0):
    """The network with every array normal times `scale`."""
    keys = iter(jr.split(jr.key(seed), 50))
    return jax.tree.map(
        lambda a: scale * jr.normal(next(keys), a.shape) if eqx.is_inexact_array(a) else a, network
    )


@pytest.mark.parametrize("name", _ACTIVATIONS)
def test_slopes_of_activations_are_at_most_one(name, x64):
    t = jnp.concatenate([jnp.linspace(-40, 40, 200_001), jnp.array([-1e4, 1e4])])
    slopes = jax.jit(jax.vmap(jax.grad(_ACTIVATIONS[name])))(t)
    assert float(jnp.max(jnp.abs(slopes))) <= 1.0
    assert float(jnp.max(slopes)) > 0.99


def test_slope_of_swish_by_mpmath():
    with mpmath.workdps(30):
        t = mpmath.findroot(lambda t: t * mpmath.tanh(t / 2) - 2, 2.4)
        slope = mpmath.diff(lambda t: t / (1 + mpmath.exp(-t)), t)
        assert abs(slope - (mpmath.mpf(1) / 2 + t / 4)) < 1e-15
        assert slope < mpmath.mpf("1.0999")


@pytest.mark.parametrize("scale", [0.05, 30.0])
def test_pairs_of_points(scale, dtype):
    network = LipschitzMLP(3, 2, hidden=(7, 5), lipschitz=0.6, context=2, norm=GramBound(), key=jr.key(0))
    network = drawn(network, 1.0)
    network = eqx.tree_at(lambda n: n.weights, network, tuple(scale * w for w in network.weights))
    network = jax.tree.map(lambda a: a.astype(dtype) if eqx.is_inexact_array(a) else a, network)
    x, step, c = (jr.normal(jr.key(i), (500, k), dtype) for i, k in ((1, 3), (2, 3), (3, 2)))
    y = x + 10.0 ** jr.uniform(jr.key(4), (500, 1), dtype, -2, 2) * step
    run = jax.jit(jax.vmap(network))
    moved = np.linalg.norm(np.asarray(run(x, c) - run(y, c), np.float64), axis=1)
    assert np.all(moved <= 0.6 * np.linalg.norm(np.asarray(x - y, np.float64), axis=1) + 1e-5)


def test_constant_is_reached_by_an_affine_network(x64):
    network = drawn(LipschitzMLP(3, 3, hidden=(), lipschitz=0.8, key=jr.key(0)), 2.0)
    sigma = np.linalg.svd(jax.jacobian(network)(jnp.zeros(3)))[1][0]
    assert 0.8 * (1 - 1e-3) < sigma <= 0.8


def test_starts_at_zero_and_can_leave_it():
    network = LipschitzMLP(3, 2, hidden=(7,), lipschitz=0.6, key=jr.key(0))
    x = jnp.array([0.3, -1.0, 2.0])
    assert not np.any(network(x))
    gradient = jax.grad(lambda n: jnp.sum(n(x)))(network)
    assert np.all(np.isfinite(gradient.last))
    assert np.any(gradient.last != 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lipschitz": 0.0}, r"`LipschitzMLP\(lipschitz\)` must be positive and finite; got 0.0"),
        ({"lipschitz": float("inf")}, r"must be positive and finite; got inf"),
        ({"hidden": (0,)}, "`hidden` must be a tuple of positive integers"),
        ({"activation": "relu"}, "`activation` must be one of lipswish, elu, tanh; got 'relu'"),
        ({"context": -1}, r"`LipschitzMLP\(context\)` must be a whole number of at least 0; got -1"),
    ],
)
def test_errors(change, message, unchecked):
    with pytest.raises(ValueError, match=message):
        LipschitzMLP(3, 3, **{"hidden": (4,), "lipschitz": 0.5, "key": jr.key(0), **change})
