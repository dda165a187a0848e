"""`fit_density` on densities whose answers are known: the Gaussian that a flow is exactly, and one that no flow meets."""

import re
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal._errors import InputError
from shoal.bijections import Whitening
from shoal.distributions import Flow, GaussianMixture, StandardNormal
from shoal.flows import realnvp
from shoal.training import ConditioningMonitor, Settings, fit_density, pull_back
from shoal.training._density import check_flow, judged
from shoal.training._reverse_kl import ReverseKL
from shoal.training._weights import weight_figures

MEAN, DEVIATIONS = np.array([1.0, -2.0]), np.array([0.4, 2.5])
LOG_Z = np.log(2 * np.pi * np.prod(DEVIATIONS))
SHORT = Settings(batch_size=64, max_epochs=10, learning_rate=0.02, patience=None)


def gaussian(x):
    """A normal density with its constant left out: log Z = log(2 pi s_1 s_2)."""
    return -0.5 * jnp.sum(((x - MEAN) / DEVIATIONS) ** 2)


def exact() -> Flow:
    """The flow that is that Gaussian."""
    return normal(MEAN, DEVIATIONS)


def normal(mean, deviations) -> Flow:
    n = len(mean)
    mean, scale = (jnp.asarray(v, jnp.float32) for v in (mean, deviations))
    return Flow(StandardNormal(n), Whitening(mean, jnp.zeros((n, n)), -jnp.log(scale)))


def small() -> Flow:
    return realnvp(jr.key(0), 2, 2, hidden=(8,))


@pytest.fixture(scope="module")
def fitted():
    return fit_density(
        small(), gaussian, key=jr.key(1), settings=SHORT, draws=2000, monitor=ConditioningMonitor(every=250)
    )


def test_a_gaussian_is_reached(fitted) -> None:
    assert fitted.training.status == "finished"
    assert fitted.weights.elbo == pytest.approx(LOG_Z, abs=1e-3)  # KL(q | p) is what the bound lacks
    assert fitted.weights.log_z == pytest.approx(LOG_Z, abs=1e-3)
    assert fitted.weights.ess > 0.99
    assert fitted.notes == ()
    assert fitted.steps == 500


def test_the_samples_have_the_moments(fitted) -> None:
    x = np.asarray(fitted.flow.sample(jr.key(2), 4000), np.float64)
    error = 4 / np.sqrt(len(x))
    np.testing.assert_allclose((x.mean(axis=0) - MEAN) / DEVIATIONS, 0, atol=error)
    np.testing.assert_allclose(x.std(axis=0) / DEVIATIONS, 1, atol=error)


def test_the_monitor_looks_at_images_of_latents(fitted) -> None:
    looks = fitted.training.conditioning
    assert [look.step for look in looks] == [0, 250, 500]
    assert looks[-1].condition_max == pytest.approx(1.0, abs=0.25)  # 6.25 without the units of the draws


def test_the_path_gradient_vanishes_draw_by_draw_at_the_density_itself() -> None:
    z = jr.normal(jr.key(0), (3, 2))

    def size(shift: float) -> float:
        moved = normal(MEAN + shift, DEVIATIONS)
        gradient = eqx.filter_grad(lambda f: ReverseKL(gaussian).value(f, z, jnp.ones(())))(moved)
        return float(sum(jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(gradient)))

    assert size(0.0) < 1e-5
    assert size(0.1) > 1e-2


def test_the_value_and_its_gradient_in_one_parameter_by_hand() -> None:
    """q = N(m, 1), p = N(0, 1): a draw z has log q - log p = -z²/2 + (z + m)²/2, with path derivative (m + z) - z = m."""
    flow = normal([0.3], [1.0])
    z, loss = jnp.array([[0.7], [-1.1]]), ReverseKL(lambda x: -0.5 * jnp.sum(x**2) - 0.5 * np.log(2 * np.pi))
    value, gradient = eqx.filter_value_and_grad(lambda f: loss.value(f, z, jnp.ones(())))(flow)
    assert float(value) == pytest.approx(
        np.mean([0.5 * (v + 0.3) ** 2 - 0.5 * v**2 for v in (0.7, -1.1)]), abs=1e-6
    )
    assert float(jax.tree.leaves(gradient.bijection)[0][0]) == pytest.approx(0.3, abs=1e-6)


def test_annealing_ends_at_the_density() -> None:
    loss = ReverseKL(gaussian, coldest=0.1)
    betas = [float(loss.beta(jnp.float32(u))) for u in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert betas == pytest.approx([0.1, 0.55, 1.0, 1.0, 1.0])
    found = fit_density(small(), gaussian, key=jr.key(1), settings=SHORT, draws=2000, coldest=0.1)
    assert found.weights.elbo == pytest.approx(LOG_Z, abs=3e-3)


def test_figures_of_weights_by_hand() -> None:
    logs = np.log([1.0, 2.0, 3.0, 2.0]) + 100.0
    found = weight_figures(logs)
    assert found.log_z == pytest.approx(100 + np.log(2.0))
    assert found.elbo == pytest.approx(100 + np.log(12.0) / 4)
    assert found.ess == pytest.approx(4.0 / 4.5)
    assert found.log_z_error == pytest.approx(np.std([1, 2, 3, 2], ddof=1) / (2.0 * 2.0))


def test_the_interval_of_the_share_covers() -> None:
    """log w ~ N(0, s²) has the share exp(-s²); 95 of 100 intervals hold it, give or take 7."""
    rng, s = np.random.default_rng(0), 0.5
    intervals = [weight_figures(s * rng.normal(size=2000)).ess_interval for _ in range(100)]
    assert sum(low <= np.exp(-(s**2)) <= high for low, high in intervals) >= 88


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_stay_so(bad: float) -> None:
    found = weight_figures(np.array([0.0, bad, 1.0]))
    assert np.isnan([found.elbo, found.log_z, found.ess, *found.ess_interval]).all()
    assert np.isfinite(weight_figures(np.array([0.0, -np.inf, 1.0])).log_z)  # a weight of 0


def test_pareto_k() -> None:
    rng = np.random.default_rng(0)
    heavy = np.log(rng.pareto(1.0, size=40_000) + 1)  # 600 draws of the tail: an error of 2 / sqrt(600)
    assert weight_figures(heavy).pareto_k == pytest.approx(1.0, abs=4 * 0.08)
    for none in (0.1 * rng.normal(size=4000), -heavy):  # the second: weights below 1
        light = weight_figures(none).pareto_k
        assert light is not None
        assert light < 0.3
    few = weight_figures(rng.normal(size=24)).pareto_k
    assert few is not None
    assert np.isnan(few)
    nothing = np.append(0.1 * rng.normal(size=4000), -np.inf)  # a weight of 0 changes no tail
    assert weight_figures(nothing).pareto_k == pytest.approx(weight_figures(nothing[:-1]).pareto_k, abs=0.05)


def test_missed_mass_is_noted(fitted) -> None:
    """Two modes almost six apart of equal weight, and a flow that has one of them: half of the mass, log 2 nats."""
    modes = lambda x: jnp.logaddexp(-0.5 * jnp.sum((x / 0.5) ** 2), -0.5 * jnp.sum(((x - 4.0) / 0.5) ** 2))
    one = normal([0.0, 0.0], [0.5, 0.5])
    wide = normal([0.0, 0.0], [3.0, 3.0])
    trained = replace(fitted.training, flow=one)
    found = judged(one, modes, trained, key=jr.key(0), draws=30_000)
    assert found.notes == ()  # nothing else was tried, and twice as wide does not reach it
    found = judged(wide, modes, trained, key=jr.key(0), draws=30_000)
    assert found.weights.log_z == pytest.approx(np.log(2 * np.pi * 0.25), abs=0.01)
    share = re.search(r"misses about (\d+)% of the mass", " ".join(found.notes))
    assert share is not None
    assert abs(int(share[1]) - 50) <= 12  # some fifty of the draws are there


def test_a_density_that_is_not_finite_somewhere_is_data() -> None:
    """Half of the plane has no density: steps are refused, the rate falls, and the result says so."""
    half = lambda x: jnp.where(x[0] > 0, gaussian(x), jnp.nan)
    found = fit_density(small(), half, key=jr.key(0), settings=replace(SHORT, max_rollbacks=2), draws=200)
    assert found.training.status == "diverged"
    assert found.training.rollbacks[0].layer == "the target density"
    assert "log-weights are not finite" in found.notes[-1]
    assert np.isnan(found.weights.log_z)


def test_pull_back_is_the_base_where_the_flow_is_the_density(fitted) -> None:
    for flow, tolerance in ((exact(), 1e-5), (fitted.flow, 0.1)):
        z = jr.normal(jr.key(5), (50, 2))
        pulled = jax.vmap(pull_back(flow, gaussian))(z)
        np.testing.assert_allclose(pulled, LOG_Z - 0.5 * jnp.sum(z**2, 1) - np.log(2 * np.pi), atol=tolerance)


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (3.0, "must be a function of one point; got a float"),
        (lambda x: x, r"one real number for one point of shape \(2,\); got shape \(2,\)"),
        (lambda x: 1, r"one real number.*got shape \(\), int32"),
        (lambda x: x @ jnp.zeros(3), r"fails at a point of shape \(2,\)"),
        (lambda x: jnp.sum(x) * jnp.nan, "is nan at all of 256 points"),
    ],
)
def test_bad_densities(density, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_density(small(), density, key=jr.key(0))


def test_bad_flows_and_numbers() -> None:
    mixture = GaussianMixture(jnp.zeros(1), jnp.zeros((1, 2)), jnp.zeros((1, 2, 2)), jnp.zeros((1, 2)))
    with pytest.raises(InputError, match="trainable arrays, whose draws have no gradient"):
        fit_density(Flow(mixture, small().bijection), gaussian, key=jr.key(0))
    with pytest.raises(InputError, match="has a context"):
        fit_density(realnvp(jr.key(0), 2, 1, context_dim=1, hidden=(4,)), gaussian, key=jr.key(0))
    with pytest.raises(InputError, match="`flow` must be a flow"):
        check_flow(StandardNormal(2))
    with pytest.raises(InputError, match="`coldest` must be"):
        fit_density(small(), gaussian, key=jr.key(0), coldest=0.0)
    with pytest.raises(InputError, match="`draws` must be"):
        fit_density(small(), gaussian, key=jr.key(0), draws=0)
