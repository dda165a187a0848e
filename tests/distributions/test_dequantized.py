"""Dequantization against integrals that SciPy knows."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from shoal.bijections import reseeded
from shoal.distributions import (
    Dequantized,
    DiagonalNormal,
    Flow,
    StandardNormal,
    VariationalDequantization,
)
from shoal.flows import realnvp

LEVELS, MEAN, DEVIATION = 5, 2.2, 0.9
ROWS = np.arange(LEVELS, dtype=np.float32)[:, None]
EXACT = np.log(np.diff(stats.norm.cdf((np.arange(LEVELS + 1) - MEAN) / DEVIATION)))


def dequantized(key: int = 0, **settings: Any) -> Dequantized:
    return Dequantized(
        DiagonalNormal(jnp.array([MEAN]), jnp.log(jnp.array([DEVIATION]))),
        LEVELS,
        key=jr.key(key),
        **settings,
    )


@pytest.mark.long
def test_many_draws_give_the_integral():
    got = dequantized().log_prob_estimate(jr.key(1), ROWS, samples=2000).value
    np.testing.assert_allclose(got, EXACT, atol=0.08)


def test_one_draw_is_below_in_expectation_and_as_much_as_the_integral_of_log_p():
    draws = np.stack([np.asarray(dequantized(k).log_prob(ROWS)) for k in range(400)])
    u = (np.arange(2000) + 0.5) / 2000
    want = np.mean(stats.norm.logpdf(np.arange(LEVELS)[:, None] + u, MEAN, DEVIATION), axis=1)
    error = (draws.mean(0) - want) / (draws.std(0, ddof=1) / 20)
    assert np.all(np.abs(error) < 4)
    assert np.all(want < EXACT)


def test_a_row_keeps_its_noise_and_rows_differ():
    made = dequantized()
    twice = np.tile(ROWS, (2, 1))
    log_prob = np.asarray(made.log_prob(twice))
    assert np.array_equal(log_prob[:LEVELS], log_prob[LEVELS:])
    fresh: Any = reseeded(made, jr.key(9))
    assert np.all(np.asarray(fresh.log_prob(ROWS)) != log_prob[:LEVELS])
    u = [
        float(made.dequantization.draw(made.noise.key_for(jnp.asarray(r)), jnp.asarray(r))[0][0])
        for r in ROWS
    ]
    assert len(set(u)) == LEVELS


def test_a_flow_over_the_noise_has_its_own_density_subtracted():
    """log q(u | x) against a histogram of u: the bound's correction is the density of what is drawn."""
    inner = realnvp(jr.key(0), 1, 1, hidden=(), context_dim=1)
    bijection = jax.tree.map(
        lambda a: a + 0.7 if jnp.issubdtype(a.dtype, jnp.floating) else a, inner.bijection
    )
    q = VariationalDequantization(Flow(inner.base, bijection), LEVELS)
    x = jnp.array([3.0])
    u, log_q = jax.jit(jax.vmap(lambda k: q.draw(k, x)))(jr.split(jr.key(1), 20_000))
    counts, edges = np.histogram(np.asarray(u[:, 0]), bins=20, range=(0, 1))
    inside = np.digitize(np.asarray(u[:, 0]), edges) - 1
    for i in np.flatnonzero(counts > 800):
        weights = np.exp(-np.asarray(log_q, np.float64)) * (inside == i)  # mean: the width of the bin
        error = np.std(weights) / np.sqrt(len(weights))
        assert abs(np.mean(weights) - 0.05) < 4 * error < 0.01
    made = dequantized(dequantization=q)
    np.testing.assert_allclose(made.log_prob_estimate(jr.key(2), ROWS, samples=3000).value, EXACT, atol=0.15)


def test_samples_are_whole_numbers_with_these_probabilities():
    x = np.asarray(dequantized().sample(jr.key(0), 20_000))[:, 0]
    p = np.exp(EXACT)
    p[0] += stats.norm.cdf(-MEAN / DEVIATION)
    p[-1] += stats.norm.sf((LEVELS - MEAN) / DEVIATION)
    counts = np.bincount(x.astype(int), minlength=LEVELS)
    assert stats.chisquare(counts, p * 20_000).pvalue > 1e-3


def test_refused():
    with pytest.raises(ValueError, match=r"levels=.*at least 2; got 1"):
        Dequantized(StandardNormal(2), 1, key=jr.key(0))
    with pytest.raises(ValueError, match="context of n entries"):
        VariationalDequantization(realnvp(jr.key(0), 2, 1), 4)
    q = VariationalDequantization(realnvp(jr.key(0), 2, 1, context_dim=2), 4)
    with pytest.raises(ValueError, match=r"\(2,\) and 4 levels"):
        Dequantized(StandardNormal(2), 5, dequantization=q, key=jr.key(0))
