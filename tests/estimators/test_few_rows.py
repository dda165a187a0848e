"""A normal of few rows: its mean, shrinkage and variance by closed forms, that it is a density, units, weights."""

from typing import Any

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from shoal import FlowDensity
from shoal._errors import InputError
from shoal.estimators._few_rows import few_rows_normal, shrunk
from shoal.tables import as_table

ROWS = np.array([1.0, 2.0, 4.0, 8.0, 9.0, 10.0, 12.0])


def test_one_column_is_a_normal_with_the_variance_of_the_next_row() -> None:
    density = FlowDensity().fit(ROWS[:, None])
    variance = np.mean((ROWS - ROWS.mean()) ** 2) * 8 / 4
    x = np.linspace(-10, 25, 36)
    exact = stats.norm.logpdf(x, ROWS.mean(), np.sqrt(variance))
    assert density.score_samples(x[:, None]) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("rows", [5, 8, 40])
def test_that_variance_is_the_likeliest_on_new_rows(rows: int) -> None:
    """E over samples of n standard normal rows, their mean and the next row, by the law of the sample variance."""
    law: Any = stats.chi2(rows - 1)
    inverse = integrate.quad(lambda v: rows / v * law.pdf(v), 0, np.inf)[0]
    loss = lambda log_c: 0.5 * log_c + 0.5 * (1 + 1 / rows) * inverse / np.exp(log_c)
    least: Any = optimize.minimize_scalar(loss, bounds=(-1, 3), method="bounded", options={"xatol": 1e-9})
    best = np.exp(least.x)
    x = np.random.default_rng(rows).normal(size=(rows, 1))
    at_mean = FlowDensity().fit(x).score_samples(x.mean(axis=0)[None])[0]
    assert np.exp(-2 * at_mean) / (2 * np.pi * x.var()) == pytest.approx(best, rel=1e-5)


def test_correlations_are_shrunk_as_in_the_paper() -> None:
    x = np.random.default_rng(0).normal(size=(9, 3)) @ np.array([[1, 0.9, 0], [0, 0.5, 0.4], [0, 0, 1]])
    r = np.atleast_2d(np.corrcoef(x.T))
    tr2, tr, p, n = np.trace(r @ r), np.trace(r), 3, 9
    share = ((1 - 2 / p) * tr2 + tr**2) / ((n + 1 - 2 / p) * (tr2 - tr**2 / p))
    assert 0 < share < 1
    wanted = (1 - share) * r + share * tr / p * np.eye(p)
    assert shrunk(r, n) == pytest.approx(wanted, abs=1e-12)
    deviations = x.std(axis=0)
    covariance = wanted * np.outer(deviations, deviations) * (n + 1) / (n - 3)
    exact: Any = stats.multivariate_normal(x.mean(axis=0), covariance)
    fresh = exact.rvs(50, random_state=1)
    inside = (
        np.linalg.norm(np.linalg.solve(np.linalg.cholesky(covariance), (fresh - exact.mean).T), axis=0) < 4
    )
    assert inside.sum() > 40
    assert FlowDensity().fit(x).score_samples(fresh[inside]) == pytest.approx(
        exact.logpdf(fresh[inside]), abs=1e-5
    )


def test_fewer_rows_than_columns_have_a_density() -> None:
    x = np.random.default_rng(0).normal(size=(4, 12))
    density = FlowDensity().fit(x)
    fresh = np.random.default_rng(1).normal(size=(500, 12))
    exact = stats.norm.logpdf(fresh).sum(axis=1).mean()
    assert exact - 12 < density.score(fresh) < exact


@pytest.mark.parametrize("rows", [np.array([[0.0], [1.0]]), ROWS[:, None], np.array([[0.0], [0.0], [7.0]])])
def test_it_integrates_to_one(rows: np.ndarray) -> None:
    density = FlowDensity().fit(rows)
    place, width = rows.mean(), 2 * np.ptp(rows)
    t = np.linspace(-18, 18, 40_001)  # the tails beyond 4 deviations are a log-normal's
    x = place + width * np.sinh(t)
    mass = np.exp(density.score_samples(x[:, None])) * width * np.cosh(t)
    assert np.trapezoid(mass, t) == pytest.approx(1.0, abs=1e-3)
    assert density.score_samples(np.array([[place + 100 * width]]))[0] > -100


def test_an_offset_costs_no_digits() -> None:
    x = ROWS[:, None] + 1e12
    here, there = FlowDensity().fit(ROWS[:, None]), FlowDensity().fit(x)
    assert there.score_samples(x) == pytest.approx(here.score_samples(ROWS[:, None]), abs=1e-3)


def test_another_unit_moves_log_densities_by_its_logarithm() -> None:
    x = np.random.default_rng(2).normal(size=(30, 2))
    unit = np.array([1e-9, 1e12])
    shift = FlowDensity().fit(x).score_samples(x) - FlowDensity().fit(x * unit).score_samples(x * unit)
    assert shift == pytest.approx(np.log(1e-9) + np.log(1e12), abs=1e-4)


def test_weights_count_rows_and_have_no_unit() -> None:
    x = np.random.default_rng(3).normal(size=(12, 3))
    weights = np.arange(12) % 4
    fits = [
        FlowDensity().fit(np.repeat(x, weights, axis=0)),
        FlowDensity().fit(x, sample_weight=weights),
        FlowDensity().fit(x, sample_weight=0.01 * weights),
        FlowDensity().fit(np.vstack([x, np.full((5, 3), 1e9)]), sample_weight=np.r_[weights, np.zeros(5)]),
    ]
    first, *rest = [density.score_samples(x) for density in fits]
    for other in rest:
        assert other == pytest.approx(first, abs=1e-5)


def test_a_column_beyond_float32_is_told() -> None:
    with pytest.raises(
        InputError, match=r"The column 'x1' varies by 1\.\d+e-40, beyond what float32 can hold"
    ):
        few_rows_normal(as_table(np.stack([ROWS, ROWS * 1e-40 / 2.5], axis=1)))
