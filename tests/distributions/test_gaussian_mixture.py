"""`GaussianMixture` against SciPy, and EM against what it must do: climb, count weights, find known components."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from shoal.distributions import GaussianMixture, choose_gaussian_mixture, fit_gaussian_mixture
from shoal.distributions import _em as em


def drawn(k=3, n=4, seed=0):
    rng = np.random.default_rng(seed)
    uppers = np.triu(rng.normal(size=(k, n, n)), 1)
    return rng.normal(size=k), 3 * rng.normal(size=(k, n)), uppers, 0.5 * rng.normal(size=(k, n))


def exact(logits, means, uppers, log_diagonals, x):
    logs = []
    for w, m, u, d in zip(logits - np.asarray(logsumexp(logits)), means, uppers, log_diagonals, strict=True):
        p = np.triu(u, 1) + np.diag(np.exp(d))
        logs.append(w + stats.multivariate_normal.logpdf(x, m, np.linalg.inv(p @ p.T)))
    return np.asarray(logsumexp(logs, axis=0))


@pytest.mark.parametrize(("k", "n"), [(1, 1), (3, 4), (7, 2)])
def test_the_density_is_the_mixture_of_normals(k, n):
    parts = drawn(k, n)
    x = 3 * np.random.default_rng(1).normal(size=(50, n))
    with jax.enable_x64(True):
        got = np.asarray(GaussianMixture(*map(jnp.asarray, parts)).log_prob(x))
    np.testing.assert_allclose(got, exact(*parts, x), rtol=1e-9, atol=1e-9)


def test_samples_have_its_moments_and_their_log_prob():
    parts = drawn()
    with jax.enable_x64(True):
        mixture = GaussianMixture(*map(jnp.asarray, parts))
        x, logs = mixture.sample_and_log_prob(jr.key(0), (200_000,))
        np.testing.assert_allclose(logs[:100], mixture.log_prob(x[:100]), rtol=1e-9)
    w = np.exp(parts[0] - np.asarray(logsumexp(parts[0])))
    spread = [
        np.linalg.inv(p @ p.T)
        for p in (np.triu(u, 1) + np.diag(np.exp(d)) for u, d in zip(*parts[2:], strict=True))
    ]
    mean = w @ parts[1]
    second = sum(wi * (s + np.outer(m, m)) for wi, s, m in zip(w, spread, parts[1], strict=True))
    x = np.asarray(x)
    size = np.sqrt(np.diag(second - np.outer(mean, mean)))
    assert np.abs((x.mean(axis=0) - mean) / size).max() < 5 / np.sqrt(len(x))
    np.testing.assert_allclose(x.T @ x / len(x), second, rtol=0.05, atol=0.3)


def clusters(rows, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.array([[-4.0, 0.0], [4.0, 1.0], [0.0, 5.0]])
    which = rng.integers(0, 3, rows)
    return centres[which] + rng.normal(size=(rows, 2)) @ np.array([[1.0, 0.5], [0.0, 0.4]])


def test_the_number_of_components_is_found_and_the_density_is_near():
    x, held, test = clusters(3000), clusters(500, 1), clusters(20_000, 2)
    found = choose_gaussian_mixture(x, held)
    assert len(found.weights) in (2 + 1, 4 + 1)  # and the wide one
    spread: Any = np.array([[1.0, 0.5], [0.0, 0.4]]).T @ np.array([[1.0, 0.5], [0.0, 0.4]])
    truth = np.asarray(
        logsumexp(
            [
                np.log(1 / 3) + stats.multivariate_normal.logpdf(test, c, spread)
                for c in ([-4, 0], [4, 1], [0, 5])
            ],
            axis=0,
        )
    )
    assert 0 < np.mean(truth - found.log_density(test)) < 0.03
    got = np.asarray(found.distribution().log_prob(test[:200]))
    np.testing.assert_allclose(got, found.log_density(test[:200]), atol=1e-4)


def test_every_step_climbs():
    x = clusters(400)
    w = np.random.default_rng(5).uniform(0.5, 2.0, 400)
    found = fit_gaussian_mixture(x, 4, w, seed=2)
    values = []
    for steps in range(4):
        climbed = em.Rows(x, w).climbed(found, steps, None, None) if steps else found
        values.append(np.average(climbed.log_density(x), weights=w))
    assert np.all(np.diff(values) > -1e-6)


def test_a_weight_counts_as_so_many_rows():
    x = clusters(300)
    weights = np.random.default_rng(4).integers(1, 4, 300)
    begin = em.Rows(x, np.ones(300)).begun(np.arange(300) % 3, 3, None)
    once = em.Rows(x, weights.astype(float)).climbed(begin, 5, None, None)
    repeated = np.repeat(x, weights, axis=0)
    often = em.Rows(repeated, np.ones(len(repeated))).climbed(begin, 5, None, None)
    np.testing.assert_allclose(once.log_density(x), often.log_density(x), atol=1e-8)


def test_one_component_a_row_is_a_kernel_density_estimate():
    x, test = clusters(150), clusters(400, 1)
    weights = np.random.default_rng(3).uniform(0.5, 2.0, 150)
    found = fit_gaussian_mixture(x, 150, weights, prior=0.25)
    n, rows, k = 2, weights / weights.mean(), 150
    strength, share = n + 2, 0.25 * k ** (-2 / n)
    for x_k, w_k, mean, factor in zip(x, rows, found.means, found.factors, strict=True):
        np.testing.assert_allclose(mean, x_k, atol=1e-8)
        wanted = strength * share * np.cov(x.T, aweights=weights, bias=True) / (
            w_k + strength
        ) + em.FLOOR * np.eye(n)
        np.testing.assert_allclose(np.linalg.inv(factor @ factor.T), wanted, rtol=1e-6, atol=1e-12)
    even = fit_gaussian_mixture(x, 150, prior=0.25)
    factor = np.sqrt(strength * share / (1 + strength) * 149 / 150)  # of the unbiased deviation
    kernel = stats.gaussian_kde(x.T, factor)
    np.testing.assert_allclose(even.log_density(test), kernel.logpdf(test.T), rtol=1e-3, atol=1e-3)


def test_every_step_climbs_with_a_prior():
    """The log-posterior, whose prior is an inverse Wishart with the mode of Σ where it is the only thing known."""
    x = clusters(60)
    w = np.ones(60)
    prior = em._Prior(0.5, 8, x, w)
    found = em.Rows(x, w).begun(np.arange(60) % 8, 8, prior)
    values = []
    for _ in range(6):
        precisions = found.factors @ found.factors.transpose(0, 2, 1)
        logs = np.linalg.slogdet(precisions)[1] - np.trace(prior.centre @ precisions, axis1=1, axis2=2)
        values.append(found.log_density(x).sum() + 0.5 * prior.strength * logs.sum())
        found = em.Rows(x, w).climbed(found, 1, None, prior)
    assert np.all(np.diff(values) > -1e-3)  # FLOOR is in no posterior
    assert values[-1] > values[0] + 5


def test_a_prior_is_chosen_where_rows_come_in_small_groups():
    """Groups of six rows near each other, as repeated measurements are: components need more rows than there are."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(120, 1, 8)) + 0.1 * rng.normal(size=(120, 6, 8))).reshape(720, 8)
    x = x[rng.permutation(720)]
    found = choose_gaussian_mixture(x[:600], x[600:660])
    assert len(found.weights) > 100
    kernel = stats.gaussian_kde(x[:600].T, 0.2).logpdf(x[660:].T)
    assert found.log_density(x[660:]).mean() > kernel.mean() - 0.1


def test_rows_of_one_value_and_of_a_line_are_finite():
    x = np.random.default_rng(0).normal(size=(200, 3))
    x[:, 2] = x[:, 0] + x[:, 1]
    x[:50] = 0.5
    for count in (1, 4, 200):
        assert np.isfinite(fit_gaussian_mixture(x, count).log_density(x)).all()
        assert np.isfinite(fit_gaussian_mixture(x, count, prior=0.25).log_density(x)).all()


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="needs"):
        GaussianMixture(jnp.zeros(2), jnp.zeros((2, 3)), jnp.zeros((2, 3, 2)), jnp.zeros((2, 3)))


def test_weights_follow_the_context():
    logits, means, uppers, diagonals = parts = drawn(3, 2)
    gates = 2 * np.random.default_rng(4).normal(size=(3, 4))
    rng = np.random.default_rng(1)
    x, c = 3 * rng.normal(size=(20, 2)), rng.normal(size=(20, 4))
    with jax.enable_x64(True):
        mixture = GaussianMixture(*map(jnp.asarray, parts), gates=jnp.asarray(gates))
        got = np.asarray(mixture.log_prob(x, c))
        mean, scale = rng.normal(size=4), rng.uniform(0.1, 9.0, size=4)
        moved = np.asarray(mixture.with_context_units(mean, scale).log_prob(x, mean + scale * c))
        drawn_, logs = mixture.sample_and_log_prob(jr.key(0), (100_000,), c[0])
        np.testing.assert_allclose(logs[:50], mixture.log_prob(drawn_[:50], c[0]), rtol=1e-9)
    want = [
        float(exact(logits + gates @ ci, means, uppers, diagonals, xi)) for xi, ci in zip(x, c, strict=True)
    ]
    np.testing.assert_allclose(got, want, rtol=1e-9)
    np.testing.assert_allclose(moved, want, rtol=1e-9)
    w = np.exp(logits + gates @ c[0] - np.asarray(logsumexp(logits + gates @ c[0])))
    np.testing.assert_allclose(np.asarray(drawn_).mean(axis=0), w @ means, atol=0.1)


def of_states(rows, seed=0):
    """Two variables of 3 and 2 states; numbers N(m, S) by both, of two correlated columns."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(3, size=rows), rng.integers(2, size=rows)
    means, turn = np.array([[-4.0, 0], [0, 3], [5, 5]]), np.array([0.9, -0.8])[b]
    z = rng.normal(size=(rows, 2))
    x = means[a] + np.stack([z[:, 0], turn * z[:, 0] + np.sqrt(1 - turn**2) * z[:, 1]], axis=1)
    spread = lambda i: np.array([[1.0, turn[i]], [turn[i], 1.0]])
    density: Any = stats.multivariate_normal.logpdf
    truth = [density(x[i], means[a[i]], spread(i)) for i in range(rows)]
    return x, np.hstack([np.eye(3)[a], np.eye(2)[b]]), np.array(truth)


def test_a_law_for_each_state_is_found():
    """Six normals that the states tell apart: what is lost against the truth is the error of their 29 parameters."""
    x, states, _ = of_states(4000)
    held, held_states, truth = of_states(2000, seed=1)
    found = choose_gaussian_mixture(x, held, states=states, validation_states=held_states)
    logs = found.log_density(held, held_states)
    assert 0.0 < float(np.mean(truth - logs)) < 2 * 29 / (2 * 4000)
    with jax.enable_x64(True):
        law = found.distribution(7)  # two more columns of a context, which have no say
        more = np.hstack([np.random.default_rng(2).normal(size=(2000, 2)), held_states])
        np.testing.assert_allclose(law.log_prob(held, more), logs, atol=1e-9)
    pooled = choose_gaussian_mixture(x, held).log_density(held)
    assert float(np.mean(logs - pooled)) > 0.5


def test_rare_patterns_of_states_count_as_their_nearest():
    states = np.repeat([[1.0, 0, 1, 0], [0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1]], [50, 40, 30, 2], axis=0)
    labels = em._patterns(states, 5)
    assert [set(labels[a:b]) for a, b in ((0, 50), (50, 90), (90, 120))] == [{0}, {1}, {2}]
    assert set(labels[120:]) <= {0, 1}
    assert set(em._patterns(states, 500)) == {0}


def test_a_step_with_states_climbs_their_joint_likelihood():
    x, states, _ = of_states(500)
    rows = em.Rows(x, np.ones(500), states, states.mean(axis=0))
    found, values = rows.begun(np.arange(500) % 6, 6, None), []
    for _ in range(12):
        gates = np.asarray(found.gates)
        logs = np.log(found.weights) + states @ gates.T
        for k in range(6):
            covariance = np.linalg.inv(found.factors[k] @ found.factors[k].T)
            logs[:, k] += stats.multivariate_normal.logpdf(x, found.means[k], covariance)
        penalty = float((gates * states.mean(axis=0)).sum())  # of the row that each component has more
        values.append(float(np.asarray(logsumexp(logs, axis=1)).sum()) + penalty)
        found = rows.climbed(found, 1, None, None)
    assert np.diff(values).min() > -1e-3
    assert values[-1] > values[0] + 300
    np.testing.assert_allclose(
        np.exp(np.asarray(found.gates)) @ np.array([[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]).T, 1.0
    )


def test_given_the_states_the_density_integrates_to_one():
    x, states, _ = of_states(1000)
    found = fit_gaussian_mixture(x, 3, states=states)
    grid = np.stack(np.meshgrid(*[np.linspace(-12, 14, 521)] * 2), axis=-1).reshape(-1, 2)
    for row in np.unique(states, axis=0):
        total = np.exp(found.log_density(grid, np.tile(row, (len(grid), 1)))).sum() * (26 / 520) ** 2
        assert abs(total - 1) < 1e-3
    wider = choose_gaussian_mixture(x, x, states=states, validation_states=states)
    assert abs(wider.weights.sum() - 1) < 1e-12
    assert wider.weights[-1] == pytest.approx(1 / 1001)


def test_a_row_far_from_all_others_costs_tens_of_nats_and_not_thousands():
    """A nearly flat table: a small error across is a hundred deviations of what is flat, and one of its own column."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=3000)
    x = np.stack([a, a + 0.005 * rng.normal(size=3000)], axis=1)
    found = choose_gaussian_mixture(x[:2700], x[2700:])
    wrong = found.log_density(np.array([[0.5, -0.5]]))[0]
    density: Any = stats.multivariate_normal.logpdf
    alone = density([0.5, -0.5], np.zeros(2), np.cov(x.T))
    assert alone < -10_000
    assert -np.log(2701) - 8.0 < wrong < -5.0
    truth = stats.norm.logpdf(a[2700:]) + stats.norm.logpdf(x[2700:, 1] - a[2700:], scale=0.005)
    assert abs(float(np.mean(truth - found.log_density(x[2700:])))) < 0.02
