"""Padded flows against a joint Gaussian, whose marginals SciPy knows, and against a variational autoencoder in NumPy."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from shoal.bijections import ActNorm, Chain, DenseLinear, ExponentialScale, Noise, reseeded
from shoal.distributions import (
    Flow,
    GaussianClampedPadding,
    GaussianPadding,
    Padded,
    StandardNormal,
    ZeroDequantizedPadding,
    ZeroPadding,
)
from shoal.flows import anf, load, realnvp, save
from shoal.training import fit

MATRIX = np.array([[1.0, 0.3, 0.4], [0.2, 0.7, -0.3], [0.4, -0.3, 0.9]], np.float32)
X = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)


def linear(matrix: np.ndarray, padding: Any, key: int = 0) -> Padded:
    """The flow x = matrix z, whose law is N(0, matrix matrix^T)."""
    n = len(matrix)
    inner = eqx.tree_at(lambda d: d.weight, DenseLinear(n, key=jr.key(0)), jnp.asarray(matrix))
    return Padded(Flow(StandardNormal(n), Chain([inner, ActNorm(n)])), padding, key=jr.key(key))


def exact(matrix: np.ndarray) -> np.ndarray:
    return stats.multivariate_normal(np.zeros(2), (matrix @ matrix.T)[:2, :2]).logpdf(X)


def test_the_bound_is_below_and_the_estimate_tends_to_the_marginal():
    model = linear(MATRIX, GaussianPadding(1))
    bound = model.log_prob_bound(jr.key(1), X, samples=400)
    estimate = model.log_prob_estimate(jr.key(1), X, samples=4000)
    assert (bound.kind, estimate.kind) == ("lower_bound", "estimate")
    np.testing.assert_allclose(estimate.value, exact(MATRIX), atol=0.06)
    cross = MATRIX @ MATRIX.T
    gain, rest = cross[2, :2] @ np.linalg.inv(cross[:2, :2]), 0.0
    rest = cross[2, 2] - gain @ cross[:2, 2]
    mean = X @ gain
    gap = 0.5 * (np.log(rest) + (1 + mean**2) / rest - 1)  # KL(N(0, 1) || p(e | x))
    error = np.asarray(bound.value) - (exact(MATRIX) - gap)
    spread = np.sqrt(0.5 * (1 / rest - 1) ** 2 + (mean / rest) ** 2) / 20  # of the mean of 400 draws
    assert np.all(np.abs(error) < 4 * spread)
    assert np.all(spread < 0.5 * gap + 0.1)


def test_no_gap_where_the_padding_is_independent():
    block = np.block([[MATRIX[:2, :2], np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]]).astype(
        np.float32
    )
    np.testing.assert_allclose(linear(block, GaussianPadding(1)).log_prob(X), exact(block), atol=1e-5)


def test_dequantized_zeros_subtract_their_density():
    """x of scale 1 beside e = 0.01 (u), a flow with that scale: bound = marginal + E log p(e) + log step."""
    block = np.diag([1.0, 1.0, 0.01]).astype(np.float32)
    model = linear(block, ZeroDequantizedPadding(1, step=0.02))
    got = np.mean(np.asarray(model.log_prob_bound(jr.key(0), X, samples=2000).value) - exact(block))
    u = (np.arange(1000) + 0.5) / 1000 * 0.02
    want = np.mean(stats.norm.logpdf(u, 0, 0.01)) + np.log(0.02)
    assert got == pytest.approx(want, abs=0.03)


def test_what_has_no_density_refuses_to_bound():
    for padding in (ZeroPadding(1), GaussianClampedPadding(1)):
        model = linear(MATRIX, padding)
        with pytest.raises(ValueError, match="has no density, so nothing bounds"):
            model.log_prob_bound(jr.key(0), X)
        with pytest.raises(ValueError, match="has no density, so nothing bounds"):
            model.log_prob_estimate(jr.key(0), X, samples=2)
    joint = stats.multivariate_normal(np.zeros(3), MATRIX @ MATRIX.T).logpdf(np.c_[X, np.zeros(6)])
    np.testing.assert_allclose(linear(MATRIX, ZeroPadding(1)).joint_log_prob(jr.key(0), X), joint, rtol=1e-4)
    np.testing.assert_allclose(linear(MATRIX, ZeroPadding(1)).log_prob(X), joint, rtol=1e-4)


def test_the_clamped_draws_are_clamped_normals():
    e, _ = jax.vmap(lambda k: GaussianClampedPadding(2).draw(k, np.dtype("float32")))(
        jr.split(jr.key(0), 4000)
    )
    values = np.asarray(e).reshape(-1)
    assert np.mean(values == 0) == pytest.approx(0.5, abs=0.03)
    assert np.mean(values == 1) == pytest.approx(stats.norm.sf(1), abs=0.02)


def test_padding_is_fresh_and_a_row_keeps_its_own():
    model = linear(MATRIX, GaussianPadding(1))
    first, again = model.log_prob(X), model.log_prob(X)
    assert np.array_equal(first, again)
    other: Any = reseeded(model, jr.key(5))
    assert np.all(np.asarray(other.log_prob(X)) != np.asarray(first))


def test_samples_have_the_marginal_law():
    x = np.asarray(linear(MATRIX, GaussianPadding(1)).sample(jr.key(2), 20_000))
    assert x.shape == (20_000, 2)
    np.testing.assert_allclose(np.cov(x.T), (MATRIX @ MATRIX.T)[:2, :2], atol=0.05)


def test_two_layers_are_a_variational_autoencoder():
    """The bound is the evidence lower bound, computed in NumPy from the conditioners' matrices with the same noise."""
    model = anf(jr.key(0), 2, 2, augment=3, hidden=(), scale=ExponentialScale())
    keys = iter(jr.split(jr.key(1), 20))
    draw = lambda a: 0.4 * jr.normal(next(keys), a.shape) if jnp.issubdtype(a.dtype, jnp.floating) else a  # noqa: E731
    model = eqx.tree_at(lambda m: m.flow.bijection, model, jax.tree.map(draw, model.flow.bijection))
    decoder, encoder = model.flow.bijection.layers()
    e = np.stack(
        [
            np.asarray(model.padding.draw(model.noise.key_for(jnp.asarray(r)), np.dtype("float32"))[0])
            for r in X
        ]
    )
    raw = X @ np.asarray(encoder.conditioner.skip).T + np.asarray(encoder.conditioner.bias)
    log_s, t = raw[:, :3], raw[:, 3:]
    mean, deviation = -t * np.exp(-log_s), np.exp(-log_s)
    h = mean + deviation * e
    raw = h @ np.asarray(decoder.conditioner.skip).T + np.asarray(decoder.conditioner.bias)
    elbo = (
        stats.norm.logpdf(X, raw[:, 2:], np.exp(raw[:, :2])).sum(1)
        + stats.norm.logpdf(h).sum(1)
        - stats.norm.logpdf(h, mean, deviation).sum(1)
    )
    np.testing.assert_allclose(model.log_prob(X), elbo, rtol=2e-5, atol=2e-5)


def test_it_trains_takes_a_context_and_comes_back_from_disk(tmp_path):
    rng = np.random.default_rng(0)
    c = rng.normal(size=(600, 1)).astype(np.float32)
    x = (np.c_[c, -c] + 0.3 * rng.normal(size=(600, 2))).astype(np.float32)
    model = anf(jr.key(0), 2, 2, augment=1, hidden=(8,), context_dim=1)
    before = float(jnp.mean(model.log_prob(x, c)))
    trained = fit(model, x, context=c, key=jr.key(1), max_epochs=25, batch_size=100, learning_rate=1e-2).flow
    assert float(jnp.mean(trained.log_prob_estimate(jr.key(2), x, c, samples=8).value)) > before + 0.7
    assert trained.sample(jr.key(0), 3, c[:5]).shape == (3, 5, 2)
    save(trained, tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").log_prob(x, c), trained.log_prob(x, c))


def test_refused():
    with pytest.raises(ValueError, match="one of data; got 3 of padding in a flow on 3"):
        Padded(realnvp(jr.key(0), 3, 1), GaussianPadding(3), key=jr.key(0))
    with pytest.raises(ValueError, match="step"):
        ZeroDequantizedPadding(1, step=0.0)
    with pytest.raises(ValueError, match="`augment` must be at least 1; got 0"):
        anf(jr.key(0), 2, 2, augment=0)
    with pytest.raises(ValueError, match="`samples` must be at least 1; got 0"):
        linear(MATRIX, GaussianPadding(1)).log_prob_bound(jr.key(0), X, samples=0)
    assert Noise(jr.key(0)).words.shape == (2,)
