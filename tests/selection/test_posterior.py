"""A conditional flow on a linear-Gaussian simulator, whose posterior has a closed form.

theta ~ N(0, I_2), y = A theta + e, e ~ N(0, s^2 I_3). Posterior: N(m(y), S), S = (I + A^T A / s^2)^{-1},
m = S A^T y / s^2. Calibration: the rank of the true theta among posterior samples is uniform. Rows have weights that do
not depend on them, so the posterior is the same.
"""

from typing import Any

import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from shoal.selection import ladder
from shoal.training import Settings

A = np.array([[1.0, 0.4], [-0.3, 0.8], [0.5, -0.6]])
NOISE = 0.5
COVARIANCE = np.linalg.inv(np.eye(2) + A.T @ A / NOISE**2)
TRIALS, DRAWS = 600, 99


def simulate(rows, seed):
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(rows, 2))
    return theta, theta @ A.T + NOISE * rng.normal(size=(rows, 3))


@pytest.fixture(scope="module")
def run(unprofiled):
    theta, y = simulate(10_000, 1)
    weights = np.random.default_rng(5).choice([1.0, 2.0], size=len(y))
    settings = Settings(max_epochs=30, batch_size=256, learning_rate=3e-3)
    one: dict[str, Any] = {"fronts": ("gaussian",), "depths": (2,), "hidden": (32,), "seeds": 1}
    events: list[dict[str, Any]] = []
    listened = {"weights": weights, "progress": events.append}
    return ladder(theta, context=y, families=("realnvp",), settings=settings, **one, **listened), events


@pytest.fixture(scope="module")
def fitted(run):
    return run[0]


def test_a_listener_is_told_what_the_record_says(run):
    result, events = run
    told = [event["summary"].get("validation") for event in events if event["stage"] == "rung"]
    recorded = [rung.validation_log_likelihood for rung in result.record.rungs]
    assert told == [None if v is None else pytest.approx(v, abs=1e-9) for v in recorded]


def test_the_density_is_the_closed_form(fitted):
    theta, y = simulate(4000, 2)
    mean = y @ A @ COVARIANCE / NOISE**2
    off = theta - mean
    squares = np.einsum("ri,ij,rj->r", off, np.linalg.inv(COVARIANCE), off)
    exact = -0.5 * (squares + np.linalg.slogdet(2 * np.pi * COVARIANCE)[1])
    divergence = np.mean(exact - np.asarray(fitted.flow.log_prob(theta, y)))
    assert -0.01 < divergence < 0.02  # KL in nats, up to the noise of 4,000 points


def test_ranks_are_uniform_against_the_closed_form(fitted):
    theta, y = simulate(TRIALS, 3)
    draws = np.asarray(fitted.flow.sample(jr.key(0), (DRAWS,), y))  # (draws, trials, 2)
    mean = y @ A @ COVARIANCE / NOISE**2
    rng = np.random.default_rng(4)
    exact = mean + rng.multivariate_normal(np.zeros(2), COVARIANCE, size=(DRAWS, TRIALS))
    for i in range(2):
        ranks = (draws[:, :, i] < theta[:, i]).sum(axis=0)
        assert _uniformity(ranks) > 0.01
        assert _uniformity((exact[:, :, i] < theta[:, i]).sum(axis=0)) > 0.01  # the reference passes too


def test_the_rank_statistic_sees_a_wrong_posterior(fitted):
    theta, y = simulate(TRIALS, 3)
    draws = np.asarray(fitted.flow.sample(jr.key(0), (DRAWS,), y[::-1]))  # the contexts in another order
    mean = draws.mean(axis=0)
    narrow = mean + 0.6 * (np.asarray(fitted.flow.sample(jr.key(1), (DRAWS,), y)) - mean)
    assert _uniformity((narrow[:, :, 0] < theta[:, 0]).sum(axis=0)) < 1e-6


def _uniformity(ranks):
    """p-value of a chi-squared test in 20 equal bins of the 100 possible ranks."""
    counts = np.bincount(ranks * 20 // (DRAWS + 1), minlength=20)
    return stats.chisquare(counts).pvalue
