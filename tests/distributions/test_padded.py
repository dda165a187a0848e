"""Padded distributions against closed forms: a linear-Gaussian joint, and a variational autoencoder in NumPy."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from shoal.bijections import LULinear, reseeded
from shoal.distributions import (
    Flow,
    GaussianClampedPadding,
    GaussianPadding,
    Padded,
    StandardNormal,
    ZeroDequantizedPadding,
    ZeroPadding,
)
from shoal.flows import anf, load, padded, realnvp, save
from shoal.training import Settings, fit

M, K = 2, 2
X = np.random.default_rng(1).normal(size=(5, M)).astype(np.float32)


def linear(mixing: float, padding: Any = None) -> tuple[Padded, np.ndarray]:
    """x, e = B z with B lower triangular; its padding block depends on x by `mixing`. Also the covariance B B^T."""
    lower = np.eye(M + K)
    lower[1, 0] = 0.7
    lower[M:, :M] = mixing * np.array([[0.8, -0.5], [0.3, 0.6]])
    layer = LULinear(M + K, key=jr.key(0))
    layer = eqx.tree_at(
        lambda b: (b.lower, b.upper, b.log_diagonal),
        layer,
        (jnp.asarray(lower, jnp.float32), jnp.zeros((M + K, M + K)), jnp.zeros(M + K)),
    )
    joint = Flow(StandardNormal(M + K), layer)
    return Padded(joint, padding or GaussianPadding(K), key=jr.key(3)), lower @ lower.T


def exact(covariance: np.ndarray) -> np.ndarray:
    return stats.multivariate_normal(np.zeros(M), covariance[:M, :M]).logpdf(X)


def gap(covariance: np.ndarray) -> np.ndarray:
    """KL(N(0, I) || p(e | x)) in closed form, one a row."""
    a, b = covariance[M:, :M], covariance[:M, :M]
    mean = X @ np.linalg.solve(b, a.T)
    rest = covariance[M:, M:] - a @ np.linalg.solve(b, a.T)
    inverse = np.linalg.inv(rest)
    quadratic = np.einsum("ri,ij,rj->r", mean, inverse, mean)
    return 0.5 * (np.trace(inverse) - K + quadratic + np.linalg.slogdet(rest)[1])


def test_no_gap_where_the_padding_is_independent():
    made, covariance = linear(0.0)
    np.testing.assert_allclose(made.log_prob(X), exact(covariance), rtol=1e-5)
    bound = made.log_prob_bound(jr.key(0), X, samples=3)
    np.testing.assert_allclose(bound.value, exact(covariance), rtol=1e-5)
    np.testing.assert_allclose(bound.error, 0.0, atol=1e-5)


def test_the_bound_is_below_by_the_divergence_and_the_estimate_closes_it():
    made, covariance = linear(1.0)
    bound = made.log_prob_bound(jr.key(0), X, samples=4000)
    assert bound.kind == "lower_bound"
    want = exact(covariance) - gap(covariance)
    assert np.all(np.abs(np.asarray(bound.value) - want) < 4 * np.asarray(bound.error))
    assert np.all(bound.value < exact(covariance))
    assert np.all(gap(covariance) > 0.02)
    found = [made.log_prob_estimate(jr.key(1), X, samples=n) for n in (1, 4000)]
    assert {f.kind for f in found} == {"estimate"}
    errors = [np.mean(np.abs(np.asarray(f.value) - exact(covariance))) for f in found]
    assert errors[1] < 0.1
    assert np.all(np.abs(np.asarray(found[1].value) - exact(covariance)) < 5 * np.asarray(found[1].error))
    assert errors[1] < errors[0] / 5
    assert np.all(np.isnan(np.asarray(found[0].error)))


def test_a_box_leaves_out_what_lies_outside():
    """With q on [0, step)^k the estimate tends to log of p(x, e in the box), and says that it is a bound."""
    step = 1.5
    made, covariance = linear(0.0, ZeroDequantizedPadding(K, step))
    got = made.log_prob_estimate(jr.key(1), X, samples=4000)
    inside = K * np.log(stats.norm.cdf(step) - 0.5)
    assert got.kind == "lower_bound"
    np.testing.assert_allclose(got.value, exact(covariance) + inside, atol=0.05)


@pytest.mark.parametrize("padding", [ZeroPadding(K), GaussianClampedPadding(K)], ids=["zero", "clamped"])
def test_a_padding_without_density_gives_the_joint_and_no_bound(padding):
    made, covariance = linear(1.0, padding)
    rows = np.asarray(jax.vmap(made.extended)(jnp.asarray(X)))
    want = stats.multivariate_normal(np.zeros(M + K), covariance).logpdf(rows)
    np.testing.assert_allclose(made.log_prob(X), want, rtol=1e-4)
    for method in (made.log_prob_bound, made.log_prob_estimate):
        with pytest.raises(ValueError, match="has no density, so there is no bound"):
            method(jr.key(0), X, samples=2)


def test_what_a_flow_and_a_padded_one_have_in_common():
    """The joint, the points of its space, the same flow on another joint, and an estimate of log p."""
    made, _ = linear(1.0)
    rows = np.random.default_rng(4).normal(size=(5, M))  # float64: the data's columns keep all digits
    whole = made.extended_rows(rows)
    assert np.array_equal(whole[:, :M], rows)
    assert np.array_equal(whole[:, M:], np.asarray(jax.vmap(made.extended)(jnp.asarray(rows)))[:, M:])
    assert (made.extra, made.joint.extra) == (K, 0)
    named = made.with_joint(made.joint, ("a", "b"))
    assert named.columns == ("a", "b")
    assert np.array_equal(named.log_prob(X), made.log_prob(X))
    plain = made.joint
    assert plain.joint is plain
    assert plain.extended_rows(whole) is whole
    assert plain.with_joint(plain, tuple("abcd")).columns == ("a", "b", "c", "d")
    found = plain.log_prob_estimate(jr.key(0), whole, samples=3)
    assert (found.kind, float(jnp.max(found.error))) == ("exact", 0.0)
    assert np.array_equal(found.value, plain.log_prob(whole))


def test_paddings_draw_what_their_names_say():
    like, keys = jnp.zeros(3), jr.split(jr.key(0), 4000)
    draws = lambda p: np.asarray(jax.vmap(lambda k: p.draw(k, like)[0])(keys)).ravel()
    assert not np.any(draws(ZeroPadding(2)))
    assert stats.kstest(draws(ZeroDequantizedPadding(2, 0.5)), "uniform", (0, 0.5)).pvalue > 1e-3
    assert stats.kstest(draws(GaussianPadding(2, 0.3)), "norm", (0, 0.3)).pvalue > 1e-3
    clamped = draws(GaussianClampedPadding(2))
    assert abs(np.mean(clamped == 0.0) - 0.5) < 0.03
    assert abs(np.mean(clamped == 1.0) - stats.norm.sf(1)) < 0.03
    e, log_q = GaussianPadding(2, 0.3).draw(keys[0], like)
    np.testing.assert_allclose(log_q, stats.norm.logpdf(np.asarray(e), 0, 0.3).sum(), rtol=1e-5)
    np.testing.assert_allclose(
        ZeroDequantizedPadding(2, 0.5).draw(keys[0], like)[1], -2 * np.log(0.5), rtol=1e-6
    )


def test_rows_keep_their_noise_samples_are_the_joints_and_training_draws_anew():
    made, covariance = linear(1.0)
    first = np.asarray(made.log_prob(np.tile(X, (2, 1))))
    assert np.array_equal(first[:5], first[5:])
    fresh: Any = reseeded(made, jr.key(8))
    assert np.all(np.asarray(fresh.log_prob(X)) != first[:5])
    x, log_prob = made.sample_and_log_prob(jr.key(4), 4000)
    assert x.shape == (4000, M)
    np.testing.assert_allclose(np.cov(np.asarray(x).T), covariance[:M, :M], atol=0.1)
    np.testing.assert_allclose(log_prob[:9], made.log_prob(x[:9]), rtol=1e-5)


def test_fit_draws_the_padding_anew_at_every_step_and_evaluates_with_one_draw():
    """With a learning rate that moves nothing, the bound of the same rows differs from epoch to epoch by its noise alone."""
    made, covariance = linear(1.0)
    rows = (
        np.random.default_rng(2).multivariate_normal(np.zeros(M), covariance[:M, :M], 64).astype(np.float32)
    )
    settings: Any = {
        "validation": rows,
        "settings": Settings(max_epochs=6, batch_size=32, learning_rate=1e-30, patience=None),
    }
    found = fit(made, rows, key=jr.key(5), **settings)
    train = [row.train for row in found.history]
    assert len(set(train)) == 6
    assert len({row.validation for row in found.history}) == 1
    deviation = (
        np.std(np.asarray(made.log_prob_bound(jr.key(6), rows, samples=6).value)) / 8
    )  # of a mean of 64 rows
    assert 0 < np.std(train) < 4 * deviation


def test_one_step_anf_is_a_variational_autoencoder():
    """`log_prob` is the ELBO with one draw, computed in NumPy from encoder and decoder weights and the same noise."""
    made = anf(jr.key(0), M, 1, augment=3, hidden=(4,))
    rng = np.random.default_rng(0)
    made = jax.tree.map(
        lambda a: jnp.asarray(0.5 * rng.normal(size=a.shape), a.dtype) if eqx.is_inexact_array(a) else a, made
    )
    decoder, encoder = made.bijection.bijections

    def network(coupling: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation, log-deviation bounded by 3 tanh(. / 3) as the default scale map has it."""
        c = jax.tree.map(np.asarray, coupling.conditioner)
        out = x @ c.skip.T + c.bias + np.tanh(x @ c.weights[0].T + c.biases[0]) @ c.last.T
        raw, shift = np.split(out, 2, axis=1)
        return shift, np.exp(3 * np.tanh(raw / 3))

    rows = np.asarray(jax.vmap(made.extended)(jnp.asarray(X)), np.float64)
    noise = rows[:, M:]
    shift, s = network(encoder, X.astype(np.float64))
    mean, deviation = -shift / s, 1 / s  # the encoder q(latent | x)
    latent = mean + deviation * noise
    x_mean, x_deviation = network(decoder, latent)
    log = lambda v, m, d: stats.norm.logpdf(v, m, d).sum(1)
    elbo = log(X, x_mean, x_deviation) + log(latent, 0, 1) - log(latent, mean, deviation)
    np.testing.assert_allclose(made.log_prob(X), elbo, rtol=2e-5)


def test_context_files_and_refusals(tmp_path):
    made = padded(jr.key(0), realnvp, M, 2, padding=GaussianPadding(3), hidden=(4,), context_dim=2)
    c = np.ones((5, 2), np.float32)
    assert made.log_prob_bound(jr.key(0), X, c, samples=2).value.shape == (5,)
    assert made.sample(jr.key(1), context=c).shape == (5, M)
    save(made, tmp_path)
    assert np.array_equal(load(tmp_path).log_prob(X, c), made.log_prob(X, c))
    with pytest.raises(ValueError, match="leaves no data of 5 coordinates"):
        Padded(made.joint, GaussianPadding(5), key=jr.key(0))
    with pytest.raises(ValueError, match=r"samples.*at least 1; got 0"):
        made.log_prob_bound(jr.key(0), X, c, samples=0)
    with pytest.raises(ValueError, match=r"GaussianPadding\(size=.*got 0"):
        GaussianPadding(0)
    with pytest.raises(ValueError, match=r"step=.*positive and finite; got 0"):
        ZeroDequantizedPadding(1, 0.0)
