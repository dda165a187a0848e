"""The targets of `benchmarks/densities` against SciPy's densities: log Z, and the moments, which share no code with them."""

from typing import Any, cast

import numpy as np
import pytest
from densities.targets import Ops, Target, targets
from scipy import stats
from scipy.special import logsumexp

OPS = Ops(np.asarray, np.exp, lambda a: np.sum(a, axis=-1), lambda a: logsumexp(a, axis=-1))
ROWS = 100_000


def drawn(name: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the target, and their normalised log-density."""
    if name == "funnel":
        v = rng.normal(0, 3, ROWS)
        x = rng.normal(size=(ROWS, 9)) * np.exp(v / 2)[:, None]
        logs = stats.norm.logpdf(v, 0, 3) + stats.norm.logpdf(x, 0, np.exp(v / 2)[:, None]).sum(axis=1)
        return np.c_[v, x], logs
    if name == "banana":
        first = rng.normal(0, 2, ROWS)
        middle = 0.5 * (first**2 - 4)
        second = rng.normal(middle, 0.5)
        return np.c_[first, second], stats.norm.logpdf(first, 0, 2) + stats.norm.logpdf(second, middle, 0.5)
    if name == "modes":
        angles = np.arange(8) * np.pi / 4
        centres = 2 * np.c_[np.cos(angles), np.sin(angles)]
        x = centres[rng.integers(8, size=ROWS)] + 0.2 * rng.normal(size=(ROWS, 2))
        each = [cast(Any, stats.multivariate_normal).logpdf(x, c, 0.04 * np.eye(2)) for c in centres]
        return x, logsumexp(each, axis=0) - np.log(8)
    assert name == "gaussian"
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 50)))[0]
    values = np.logspace(0, 4, 50)
    x = rng.normal(size=(ROWS, 50)) @ (vectors * np.sqrt(values)).T
    return x, cast(Any, stats.multivariate_normal).logpdf(x, np.zeros(50), (vectors * values) @ vectors.T)


def agree(target: Target, x: np.ndarray, logs: np.ndarray) -> None:
    np.testing.assert_allclose(target.log_density(x[:50], OPS) - target.log_z, logs[:50], atol=1e-8)
    found, error = target.features(x), 5 / np.sqrt(len(x))
    np.testing.assert_allclose((found.mean(axis=0) - target.mean) / target.sd, 0, atol=error)
    np.testing.assert_allclose(found.std(axis=0) / target.sd, 1, atol=2 * error)


@pytest.mark.parametrize("name", ["funnel", "banana", "modes", "gaussian"])
def test_log_z_and_moments(name: str) -> None:
    agree(targets()[name], *drawn(name, np.random.default_rng(0)))


def test_the_regression_is_a_conjugate_posterior() -> None:
    """Posterior over evidence is the normal-inverse-gamma law, built here from the rows by another formula for b_n."""
    target, rng = targets()["regression"], np.random.default_rng(1)
    shared = rng.normal(size=(25, 1))
    rows = np.c_[np.ones(25), 0.9 * shared + 0.45 * rng.normal(size=(25, 8))]
    y = rows @ rng.normal(size=9) + 0.7 * rng.normal(size=25)
    marginal = np.eye(25) + rows @ rows.T / 0.1  # of y, over s^2: y is Student
    evidence = stats.multivariate_t(np.zeros(25), 0.5 * marginal, df=4).logpdf(y)
    assert target.log_z == pytest.approx(evidence, abs=1e-8)
    a, b = 2 + 12.5, 1 + 0.5 * y @ np.linalg.solve(marginal, y)
    draws = np.random.default_rng(2)
    s2 = stats.invgamma(a, scale=b).rvs(ROWS, random_state=draws)
    inverse = np.linalg.inv(rows.T @ rows + 0.1 * np.eye(9))
    mean = inverse @ rows.T @ y
    root = np.linalg.cholesky(inverse)
    x = mean + np.sqrt(s2)[:, None] * (draws.normal(size=(ROWS, 9)) @ root.T)
    of_s2 = stats.invgamma.logpdf(s2[:50], a, scale=b) + np.log(s2[:50])
    of_b = [
        stats.multivariate_normal(mean, s * inverse).logpdf(v) for s, v in zip(s2[:50], x[:50], strict=True)
    ]
    agree(target, np.c_[x, np.log(s2)], of_s2 + of_b)
