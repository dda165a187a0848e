"""Conditional laws of cells against those of a normal, a mixture of words and a circle, which are known in closed form."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from shoal._errors import InputError
from shoal.bijections import Chain, Standardize, Support, Whitening, marginals
from shoal.distributions import (
    Categorical,
    Conditionals,
    Filling,
    Flow,
    Mixed,
    Mixture,
    StandardNormal,
    Turns,
)
from shoal.tables._column import Column
from shoal.tables._schema import Schema

COVARIANCE = np.array([[1.0, 0.9, 0.3], [0.9, 1.0, -0.1], [0.3, -0.1, 1.0]])
SLOPES = np.array([[2.0, 0.0], [-1.0, 1.0], [0.0, 3.0]])
RNG = np.random.default_rng(0)


def normal(states=0):
    """The normal law of that covariance; with `states` entries of a context that changes nothing."""
    inverse = jnp.asarray(np.linalg.inv(np.linalg.cholesky(COVARIANCE)))
    weights = jnp.zeros((3, states)) if states else None
    return Flow(StandardNormal(3), Whitening(jnp.zeros(3), inverse, jnp.log(jnp.diag(inverse)), weights))


def given(rows, j, known):
    """Mean and deviation of column j given the columns `known`."""
    if not known:
        return np.zeros(len(rows)), 1.0
    weights = np.linalg.solve(COVARIANCE[np.ix_(known, known)], COVARIANCE[known, j])
    return rows[:, known] @ weights, float((1.0 - COVARIANCE[j, known] @ weights) ** 0.5)


def test_the_law_of_these_tests_is_the_normal_one():
    rows = RNG.multivariate_normal(np.zeros(3), COVARIANCE, 50)
    exact = stats.multivariate_normal(np.zeros(3), COVARIANCE.tolist()).logpdf(rows)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(normal().log_prob(rows), exact, atol=1e-4)


def test_surprises_of_a_normal_law():
    """-log p(x | rest) - entropy = ((x - m)^2 / s^2 - 1) / 2."""
    schema = Schema(columns=tuple(Column(name, "number") for name in "abc"))
    rows = RNG.multivariate_normal(np.zeros(3), COVARIANCE, 200)
    rows[0, 0] = rows[0, 1] + 4.0
    found = Conditionals(normal(), schema).surprises(rows)
    for j in range(3):
        mean, deviation = given(rows, j, [i for i in range(3) if i != j])
        exact = 0.5 * (((rows[:, j] - mean) / deviation) ** 2 - 1.0)
        np.testing.assert_allclose(found[:, j], exact, atol=0.05, rtol=0.03)


def moved(states=0):
    """The normal law, its mean moved by two columns of a context (and not by the entries of states behind them)."""
    inverse = jnp.asarray(np.linalg.inv(np.linalg.cholesky(COVARIANCE)))
    slopes = jnp.asarray(np.pad(SLOPES, ((0, 0), (0, states))))
    return Flow(StandardNormal(3), Whitening(jnp.zeros(3), inverse, jnp.log(jnp.diag(inverse)), slopes))


def test_surprises_given_a_context():
    schema = Schema(columns=tuple(Column(name, "number") for name in "abc"))
    context = RNG.normal(size=(100, 2))
    noise = RNG.multivariate_normal(np.zeros(3), COVARIANCE, 100)
    rows = context @ SLOPES.T + noise
    found = Conditionals(moved(), schema, context=context).surprises(rows)
    for j in range(3):
        mean, deviation = given(noise, j, [i for i in range(3) if i != j])
        exact = 0.5 * (((noise[:, j] - mean) / deviation) ** 2 - 1.0)
        np.testing.assert_allclose(found[:, j], exact, atol=0.05, rtol=0.03)
    with pytest.raises(InputError, match="give rows of it as `context`"):
        Conditionals(moved(), schema)


def with_gaps():
    """Three columns of which each is missing in a fifth of the rows, whatever stands elsewhere."""
    codes = (RNG.random((4000, 3)) < 0.2).astype(int)
    mass = Categorical(codes, (2, 2, 2), key=jr.key(0))
    filling = Filling(marginals(RNG.normal(size=(2000, 3))), jnp.zeros(3), jnp.ones(3), (0, 1, 2))
    columns = tuple(Column(name, "number", missing=0.2) for name in "abc")
    return Mixed(mass, normal(6), filling, key=jr.key(1)), Schema(columns=columns)


@pytest.mark.long
def test_completed_cells_have_the_ranks_of_their_law():
    law, schema = with_gaps()
    numbers = RNG.multivariate_normal(np.zeros(3), COVARIANCE, 1500)
    gone = RNG.random(numbers.shape) < 0.3
    rows = np.hstack([gone.astype(float), np.where(gone, 0.0, numbers)])
    made = Conditionals(law, schema, seed=3).completed(rows)
    assert not made[:, :3].any()
    np.testing.assert_array_equal(made[:, 3:][~gone], numbers[~gone])
    for j in range(3):
        ranks = []
        for pattern in np.unique(gone[gone[:, j]], axis=0):
            index = np.flatnonzero((gone == pattern).all(axis=1))
            mean, deviation = given(numbers[index], j, np.flatnonzero(~pattern).tolist())
            ranks.append(stats.norm.cdf((made[index, 3 + j] - mean) / deviation))
        assert stats.kstest(np.concatenate(ranks), "uniform").pvalue > 1e-3
    both = gone[:, 0] & gone[:, 1]
    assert np.corrcoef(made[both, 3], made[both, 4])[0, 1] > 0.8


def test_cells_are_completed_given_a_context():
    _, schema = with_gaps()
    mass = Categorical((RNG.random((4000, 3)) < 0.2).astype(int), (2, 2, 2), context=2, key=jr.key(0))
    filling = Filling(marginals(RNG.normal(size=(2000, 3))), jnp.zeros(3), jnp.ones(3), (0, 1, 2))
    law = Mixed(mass, moved(6), filling, key=jr.key(1))
    context = RNG.normal(size=(1200, 2))
    centre = context @ SLOPES.T
    numbers = RNG.multivariate_normal(np.zeros(3), COVARIANCE, 1200)
    gone = np.zeros((1200, 3), bool)
    gone[:, 0] = True
    rows = np.hstack([gone.astype(float), np.where(gone, 0.0, centre + numbers)])
    made = Conditionals(law, schema, 3, context).completed(rows)
    assert made.shape == (1200, 6)
    np.testing.assert_array_equal(made[:, 4:], rows[:, 4:])
    mean, deviation = given(numbers, 0, [1, 2])
    ranks = stats.norm.cdf((made[:, 3] - centre[:, 0] - mean) / deviation)
    assert stats.kstest(ranks, "uniform").pvalue > 1e-3


def test_words_and_atoms():
    """A word decides the mean of a number that holds 0 at times; a missing word is drawn by Bayes' rule."""
    share = np.array([0.6, 0.3, 0.1])  # of the words x, y and of a missing cell
    codes = np.stack([RNG.choice(3, 5000, p=share), (RNG.random(5000) < 0.25).astype(int)], axis=1)
    mass = Categorical(codes, (4, 2), key=jr.key(0))
    shift = jnp.zeros((1, 6)).at[0, 1].set(3.0)  # the mean of the word y
    layer = Whitening(jnp.zeros(1), jnp.zeros((1, 1)), jnp.zeros(1), shift)
    filling = Filling(marginals(RNG.normal(size=(2000, 1))), jnp.zeros(1), jnp.ones(1), (1,))
    law = Mixed(mass, Flow(StandardNormal(1), layer), filling, key=jr.key(1))
    schema = Schema(
        columns=(
            Column("w", "category", "text", levels=("x", "y"), missing=0.1),
            Column("v", "number", atoms=(0.0,)),
        )
    )
    assert float(
        law.log_prob(np.array([1.0, 0.0, 3.0])) - law.log_prob(np.array([1.0, 0.0, 0.0]))
    ) == pytest.approx(4.5)
    value = 1.5 + 0.4
    rows = np.tile([2.0, 0.0, value], (3000, 1))
    made = Conditionals(law, schema, seed=1).completed(rows)
    odds = share[:2] * stats.norm.pdf(value, [0.0, 3.0])
    assert (made[:, 0] == 1).mean() == pytest.approx(odds[1] / odds.sum(), abs=0.04)
    surprise = Conditionals(law, schema).surprises(np.array([[0.0, 0.0, 5.0]]))[0]
    p = share[:2] * stats.norm.pdf(5.0, [0.0, 3.0])
    p /= p.sum()
    assert surprise[0] > -np.log(p[0]) - 1.0
    inner = -0.75 * np.log(0.75) - 0.25 * np.log(0.25) + 0.75 * stats.norm.entropy()
    assert surprise[1] == pytest.approx(-np.log(0.75) - stats.norm.logpdf(5.0) - inner, abs=0.1)


def test_a_turn_is_counted_once_and_a_bound_is_kept():
    schema = Schema(
        columns=(
            Column("angle", "periodic", low=0.0, high=2.0, center=1.9),
            Column("size", "positive", low=0.0),
        )
    )
    flow = Flow(
        StandardNormal(2),
        Chain(
            [
                Standardize(jnp.array([1.9, 0.0]), jnp.array([0.2, 1.0])),
                Support(2, low=(-np.inf, 0.0), high=np.inf),
            ]
        ),
    )
    law = Mixed(None, flow, turns=Turns((2.0, 0.0), (1.9, 0.0)), key=jr.key(0))
    found = Conditionals(law, schema).surprises(np.array([[0.1, 1.0], [1.7, 1.0], [0.9, 9.0]]))
    away = np.array([0.2, 0.2, 1.0]) / 0.2
    np.testing.assert_allclose(found[:2, 0], 0.5 * (away[:2] ** 2 - 1), atol=0.05)
    assert found[2, 0] == pytest.approx(0.5 * (25 - 1) - np.log(2), abs=0.1)  # two places are as near
    exact = -stats.lognorm.logpdf([1.0, 9.0], 1.0) - stats.lognorm.entropy(1.0)
    np.testing.assert_allclose(found[1:, 1], exact, atol=0.1)


@pytest.mark.parametrize("apart", [20.0, 1000.0])
def test_groups_far_apart_have_nothing_between_them(apart):
    """Half N(0, 1), half N(d, 1), in rows that lack the number, beside one that says nothing of it."""
    locations = jnp.array([[0.0, 0.0], [apart, 0.0]])
    base = Mixture(jnp.zeros(2), locations, jnp.zeros((2, 2)))
    inner = Whitening(jnp.zeros(2), jnp.eye(2), jnp.zeros(2), jnp.zeros((2, 2)))
    codes = (RNG.random((2000, 1)) < 0.3).astype(int)
    filling = Filling(
        marginals(RNG.normal(size=(2000, 2))), jnp.full(2, apart / 2), jnp.full(2, apart), (0, -1)
    )
    law = Mixed(Categorical(codes, (2,), key=jr.key(0)), Flow(base, inner), filling, key=jr.key(1))
    schema = Schema(columns=(Column("x", "number", missing=0.3), Column("y", "number")))
    rows = np.stack([np.ones(1000), np.zeros(1000), RNG.normal(size=1000)], axis=1)
    made = Conditionals(law, schema, seed=2).completed(rows)[:, 1]
    away = np.minimum(np.abs(made), np.abs(made - apart))
    assert (away > 4.5).mean() < 0.01
    assert (made > apart / 2).mean() == pytest.approx(0.5, abs=0.06)
    plain = Schema(columns=(Column("x", "number"), Column("y", "number")))
    flow = Flow(base, Whitening(jnp.zeros(2), jnp.eye(2), jnp.zeros(2)))
    cells = np.array([[0.0, 0.0], [2.0, 0.0], [apart + 3.0, 0.0]])
    found = Conditionals(flow, plain).surprises(cells)[:, 0]
    np.testing.assert_allclose(found, 0.5 * (np.array([0.0, 2.0, 3.0]) ** 2 - 1), atol=0.15)
