"""Fronts set from rows: the closed forms they claim to be, weights as repeated rows, heavy tails, overflow."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from shoal.bijections import Chain, LogTails, Marginals, Whitening, identity_marginals, marginals, whitening
from shoal.bijections.fronts import _set_marginals as setting
from shoal.distributions import Flow, StandardNormal

RNG = np.random.default_rng(3)


def log_prob(parts, x):
    flow = Flow(StandardNormal(x.shape[1]), parts if not isinstance(parts, list) else Chain(parts))
    return np.asarray(flow.log_prob(x), np.float64)


@pytest.mark.parametrize("condition", [1.0, 1e3])
def test_a_whitening_is_the_maximum_likelihood_gaussian(condition):
    z = RNG.normal(size=(500, 4)) * np.array([condition, 3.0, 1.0, 0.1])
    x = z @ RNG.normal(size=(4, 4)) + np.array([1.0, -2.0, 0.0, 5.0])
    with jax.enable_x64(True):
        got = log_prob(whitening(x), x)
    covariance: Any = np.cov(x.T, bias=True)
    exact = stats.multivariate_normal.logpdf(x, x.mean(axis=0), covariance)
    np.testing.assert_allclose(got, exact, atol=1e-7)


def test_a_whitening_of_a_context_is_the_regression():
    c = RNG.normal(size=(800, 2))
    x = c @ np.array([[1.0, -0.5, 0.2], [0.3, 0.0, 2.0]]) + 0.1 * RNG.normal(size=(800, 3))
    with jax.enable_x64(True):
        front = whitening(x, None, c)
        z = np.asarray(jax.vmap(front.inverse)(jnp.asarray(x), jnp.asarray(c)))
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(3), atol=1e-8)
    np.testing.assert_allclose(c.T @ z, 0, atol=1e-7)


def test_columns_that_are_functions_of_each_other_leave_a_whitening_finite():
    x = RNG.normal(size=(50, 2))
    front = whitening(np.hstack([x, x @ np.array([[1.0], [1.0]])]))
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(front))


@pytest.mark.parametrize("make", [whitening, marginals])
def test_a_weight_counts_as_so_many_rows(make):
    x, weights = RNG.normal(size=(300, 3)) + RNG.exponential(size=(300, 3)), RNG.integers(1, 4, 300)
    repeated = np.repeat(x, weights, axis=0)
    with jax.enable_x64(True):
        once, often = make(x, weights.astype(float)), make(repeated)
        if isinstance(once, Whitening):
            pairs = zip(jax.tree.leaves(once), jax.tree.leaves(often), strict=True)
            assert all(np.allclose(a, b, atol=1e-10) for a, b in pairs)
        else:  # quantiles are the same, how far the outer knots go depends on the effective number of rows
            grid = np.quantile(x, np.linspace(0.05, 0.95, 19), axis=0)
            a, b = (np.asarray(jax.vmap(m.inverse)(jnp.asarray(grid))) for m in (once, often))
            assert np.abs(a - b).max() < 0.25


@pytest.mark.parametrize(
    ("law", "scipy"),
    [
        ("normal", stats.norm()),
        ("bimodal", None),
        ("lognormal, sigma 3", stats.lognorm(3.0)),
        ("Student t, 2", stats.t(2)),
        ("exponential", stats.expon()),
    ],
)
def test_marginals_come_near_the_density(law, scipy):
    rng = np.random.default_rng(7)
    draw = lambda n: np.concatenate([rng.normal(-3, 0.3, n // 2), rng.normal(2, 1, n - n // 2)])
    rows, held, test = (
        draw(n) if scipy is None else scipy.rvs(n, random_state=rng) for n in (8000, 1000, 20_000)
    )
    exact = (
        np.log(0.5 * stats.norm.pdf(test, -3, 0.3) + 0.5 * stats.norm.pdf(test, 2, 1))
        if scipy is None
        else scipy.logpdf(test)
    )
    scale = np.subtract(*np.quantile(rows, [0.75, 0.25]))
    front = marginals(rows[:, None] / scale, validation=held[:, None] / scale)
    got = log_prob(front, test[:, None] / scale) - np.log(scale)
    loss = np.mean(exact - got)
    assert -0.005 < loss < 0.05, f"{law}: {loss}"


# Values, their shares, and what may be lost in nats: an edge costs about a row in 4,000 times the logarithm of how
# much denser its plateau is than what lies beside it (up to 7 nats in the last one, with 59 edges), a share half a row.
LATTICES = {
    "flag": ([0.0, 1.0], [0.7, 0.3], 0.01),
    "grades with a gap": ([1.0, 2.0, 3.0, 7.0], [0.1, 0.4, 0.3, 0.2], 0.02),
    "sixty values": (
        np.arange(60.0),
        np.exp(-0.002 * (np.arange(60) - 25.0) ** 2) * (1 + np.arange(60) % 3),
        0.06,
    ),
    "few places, far apart": (
        np.cumsum(np.random.default_rng(2).integers(3, 90, 30)),
        np.random.default_rng(2).dirichlet(np.full(30, 2.0)),
        0.15,
    ),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", LATTICES)
def test_a_lattice_with_noise_of_one_step_is_followed(name, weighted):
    """The density is constant around each value: its entropy is that of the values. Smooth curves lose 0.2 to 2.5 nats."""
    rng = np.random.default_rng(11)
    values, shares, loss = (np.asarray(v, np.float64) for v in LATTICES[name])
    p = shares / shares.sum()
    drawn = np.ones(len(p)) / len(p) if weighted else p  # weights make up for rows drawn evenly
    picks = [rng.choice(len(p), size=n, p=drawn) for n in (4000, 1500, 20_000)]
    rows, held, _ = (values[i] + rng.uniform(-0.5, 0.5, len(i)) for i in picks)
    test = values[i := rng.choice(len(p), size=20_000, p=p)] + rng.uniform(-0.5, 0.5, len(i))
    weights, held_weights = (p[i] / drawn[i] if weighted else None for i in picks[:2])
    scale = rows.std()
    front = marginals(
        rows[:, None] / scale, weights, validation=held[:, None] / scale, validation_weights=held_weights
    )
    got = np.mean(log_prob(front, test[:, None] / scale)) - np.log(scale)
    exact = float(np.sum(p * np.log(p)))  # minus the entropy, up to the draw of the test rows
    error = np.std(np.log(p)[i]) / np.sqrt(len(test))
    worth = 1.0 if weights is None else np.sum(weights) ** 2 / np.sum(weights**2) / len(weights)
    assert -4 * error < exact - got < loss / worth + 4 * error
    assert bool(jnp.any(front.log_jumps != 0))


@pytest.mark.parametrize("law", [stats.norm(), stats.gamma(2), stats.t(3)], ids=["normal", "gamma", "t"])
def test_a_smooth_density_gets_a_smooth_curve(law):
    rng = np.random.default_rng(5)
    rows, held = law.rvs((5000, 1), random_state=rng), law.rvs((1200, 1), random_state=rng)
    assert not bool(jnp.any(marginals(rows, validation=held).log_jumps))


def test_ties_and_atoms_leave_slopes_bounded_and_knots_ascending():
    x = np.concatenate([np.zeros(600), RNG.normal(size=400)])[:, None]
    front = marginals(x)
    assert bool(jnp.all(jnp.diff(front.knots) > 0))
    assert bool(jnp.all(front.log_jumps == 0))  # without validation rows
    slopes = jnp.exp(front.log_slopes)
    assert float(slopes.max()) <= 2 * setting.STEEPEST / 0.1
    assert np.isfinite(log_prob(front, x)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_latent_overflows(dtype):
    with jax.enable_x64(dtype == "float64"):
        rows = RNG.standard_t(1, size=(1000, 2))
        for front in (LogTails(2), marginals(rows), Chain([LogTails(2), marginals(rows)])):
            z = jnp.asarray(np.array([[300.0, -300.0], [1e4, -1e4], [60.0, -60.0]]), dtype)
            x, log_det = jax.vmap(front.forward_and_log_det)(z)
            assert bool(jnp.all(jnp.isfinite(x)) & jnp.all(jnp.isfinite(log_det)))
            assert bool(jnp.all(jnp.diff(x[jnp.argsort(z[:, 0]), 0]) > 0))


def test_far_rows_have_finite_densities():
    rows = RNG.normal(size=(500, 2))
    for front in (LogTails(2), marginals(rows)):
        assert np.isfinite(log_prob(front, np.array([[1e10, 0.0], [-1e12, 1e12]]))).all()


def test_nan_stays_nan():
    front = marginals(RNG.normal(size=(500, 2)))
    for f in (front, LogTails(2), whitening(RNG.normal(size=(50, 2)))):
        assert np.isnan(np.asarray(f.inverse(jnp.array([np.nan, 0.0])))).any()


def test_wrong_shapes_are_refused():
    one = jnp.zeros((1, 2))
    with pytest.raises(ValueError, match="needs"):
        Marginals(one, jnp.zeros(2), jnp.zeros((1, 1)), one, one)
    with pytest.raises(ValueError, match="ascend"):
        Marginals(one, jnp.zeros(1), jnp.zeros((1, 1)), one, one)
    with pytest.raises(ValueError, match="outer knots"):
        Marginals(jnp.arange(2.0)[None], jnp.zeros(1), jnp.zeros((1, 1)), one, one, jnp.ones((1, 2)))
    with pytest.raises(ValueError, match="needs"):
        Whitening(jnp.zeros(2), jnp.zeros((3, 3)), jnp.zeros(2))
    with pytest.raises(ValueError, match="positive"):
        LogTails(2, start=0.0)


def test_the_identity_has_the_form_of_marginals_and_the_tails_of_log_tails(x64):
    rows = RNG.normal(size=(500, 3))
    set_ = marginals(rows, validation=RNG.normal(size=(50, 3)))
    made, tails = identity_marginals(3, set_.knots.shape[1] - 1), LogTails(3, start=4.0, index=1.0)
    x = jnp.asarray(10.0 ** RNG.uniform(-2, 6, size=(200, 3)) * RNG.choice([-1, 1], size=(200, 3)))
    for name in ("inverse_and_log_det", "forward_and_log_det"):
        at = x if name.startswith("inverse") else jnp.clip(x, -15, 15)
        got, want = (jax.vmap(getattr(b, name))(at) for b in (made, tails))
        np.testing.assert_allclose(got[0], want[0], rtol=1e-11)
        np.testing.assert_allclose(got[1], want[1], rtol=1e-11, atol=1e-12)
    assert jax.tree.structure(made) == jax.tree.structure(set_)
    assert [a.shape for a in jax.tree.leaves(made)] == [a.shape for a in jax.tree.leaves(set_)]
