"""Recipes of the planar family: which direction is fast, where they start, what they can hold, and what is refused."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import Chain, Householder, Inverse, Planar, Scan
from shoal.flows import householder, planar, radial, sylvester


@pytest.mark.parametrize(("recipe", "spread"), [(planar, 0.05), (radial, 1e-6)], ids=["planar", "radial"])
def test_starts_near_the_identity(recipe: Any, spread: float) -> None:
    flow, x = recipe(jr.key(0), 3, 2), np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(flow.inverse(x), x, atol=spread)


def test_density_is_fast_and_sampling_works() -> None:
    """By default log_prob is the closed form; samples come from the solver and agree with it."""
    flow = planar(jr.key(0), 2, 2, context_dim=1, hidden=(4,))
    assert isinstance(flow.bijection, Scan)
    assert isinstance(flow.bijection.unit, Inverse)
    flow = jax.tree.map(lambda a: 3.0 * a, flow)
    c = np.linspace(-1.0, 1.0, 6)[:, None]
    assert "while" not in str(
        jax.make_jaxpr(lambda x, c: flow.log_prob(x, c))(jnp.ones((6, 2)), jnp.asarray(c))
    )
    x, log_prob = flow.sample_and_log_prob(jr.key(1), 6, c)
    np.testing.assert_allclose(flow.log_prob(x, c), log_prob, rtol=1e-5, atol=1e-5)


def test_samples_can_be_the_fast_direction() -> None:
    flow = planar(jr.key(0), 2, 3, fast="samples")
    assert isinstance(flow.bijection, Scan)
    assert isinstance(flow.bijection.unit, Planar)


def test_householder_is_a_gaussian_of_any_covariance() -> None:
    """One unit whose reflections and scales come from NumPy's eigenvectors: log_prob is the Gaussian's."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(3, 3))
    covariance = factor @ factor.T + 0.1 * np.eye(3)
    values, vectors = np.linalg.eigh(covariance)
    flow = householder(jr.key(0), 3, 1, reflections=3)
    assert isinstance(flow.bijection, Chain)
    parts = flow.bijection.bijections
    assert isinstance(parts[1], Householder)
    reflections, matrix = np.zeros((3, 3)), vectors.copy()
    for i in range(3):  # QR by reflections: each turns a column of the matrix into an axis, up to sign
        v = np.where(np.arange(3) >= i, matrix[:, i], 0.0)
        v[i] += np.copysign(np.linalg.norm(v), v[i])
        reflections[i] = v
        matrix = matrix - 2.0 * np.outer(v, v @ matrix) / (v @ v)
    arrays = (jnp.asarray(np.log(values) / 2, jnp.float32), jnp.asarray(reflections, jnp.float32))
    where = lambda f: (f.bijection.bijections[0].log_scale, f.bijection.bijections[1].vectors)
    flow = eqx.tree_at(where, flow, arrays)
    x = rng.normal(size=(7, 3))
    quadratic = np.einsum("ri,ij,rj->r", x, np.linalg.inv(covariance), x)
    want = -0.5 * (quadratic + np.linalg.slogdet(2.0 * np.pi * covariance)[1])
    np.testing.assert_allclose(flow.log_prob(x), want, rtol=2e-5)


@pytest.mark.usefixtures("unchecked")
def test_bad_settings() -> None:
    with pytest.raises(ValueError, match='`fast` must be "density" or "samples"; got \'inverse\''):
        planar(jr.key(0), 2, 2, fast="inverse")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="`depth` \\(the number of layers\\) must be at least 1; got 0"):
        sylvester(jr.key(0), 2, 0)
