"""Laws of discrete variables and of mixed rows: masses and densities that sum to 1, against brute force and quadrature."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import shoal
from shoal._errors import InputError
from shoal.bijections import (
    Chain,
    Standardize,
    Support,
    Whitening,
    marginals,
)
from shoal.distributions import Categorical, Filling, Flow, Mixed, StandardNormal, Turns, log_prob_of_cells
from shoal.distributions._cells import ROWS
from shoal.tables import Lattice
from shoal.training import Settings, fit

SIZES = (2, 3, 2)
ALL = np.array(list(itertools.product(*map(range, SIZES))), np.float64)
RNG = np.random.default_rng(0)


def drawn(rows=4000, seed=0):
    """x_1 a coin, x_2 mostly x_1, x_3 the parity of both."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 2, rows)
    second = np.where(rng.random(rows) < 0.8, first, 2)
    return np.stack([first, second, (first + second) % 2], axis=1)


def large(mass, key=3, size=2.0):
    """The law at large random parameters."""
    leaves, tree = jax.tree.flatten(eqx.filter(mass, eqx.is_inexact_array))
    keys = jr.split(jr.key(key), len(leaves))
    moved = [size * jr.normal(k, a.shape, a.dtype) for k, a in zip(keys, leaves, strict=True)]
    new = eqx.combine(jax.tree.unflatten(tree, moved), mass)
    return eqx.tree_at(lambda m: m.smoothing, new, mass.smoothing)


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("size", [0.0, 2.0])
def test_probabilities_sum_to_1_whatever_the_weights(context, size, x64):
    mass = Categorical(drawn(200), SIZES, context=context, key=jr.key(0))
    mass = large(mass, size=size) if size else mass
    c = jnp.asarray(RNG.normal(size=context)) if context else None
    assert float(jnp.sum(jnp.exp(mass.log_prob(ALL, c)))) == pytest.approx(1.0, abs=1e-12)


def test_it_starts_with_the_frequencies_of_independent_variables_and_one_row_more_in_every_state(x64):
    codes = drawn(500)
    codes[:, 1] = np.minimum(codes[:, 1], 1)  # the state 2 never occurs
    mass = Categorical(codes, SIZES, key=jr.key(0))
    shares = [(np.bincount(codes[:, j], minlength=n) + 1) / (len(codes) + n) for j, n in enumerate(SIZES)]
    wanted = shares[0][:, None, None] * shares[1][:, None] * shares[2]
    np.testing.assert_allclose(np.exp(mass.log_prob(ALL)).reshape(SIZES), wanted, rtol=1e-6)


def test_weights_count_as_rows(x64):
    codes = drawn(300)
    w = RNG.integers(1, 4, 300).astype(float)
    some, often = (
        Categorical(c, SIZES, weights=v, key=jr.key(0))
        for c, v in ((codes, w), (np.repeat(codes, w.astype(int), 0), None))
    )
    np.testing.assert_allclose(some.bias, often.bias, atol=1e-12)


def test_training_finds_the_dependence():
    """The entropy is log 2 + H(0.8): with independent variables it would be 0.9 nats more."""
    codes, held, test = drawn(3000), drawn(800, 1), drawn(4000, 2)
    start = Categorical(codes, SIZES, key=jr.key(0))
    settings = Settings(batch_size=128, max_epochs=40, patience=10, learning_rate=1e-2)
    result = fit(start, codes.astype(float), key=jr.key(1), validation=held.astype(float), settings=settings)
    exact = -np.log(2) + 0.8 * np.log(0.8) + 0.2 * np.log(0.2)
    got = np.asarray(result.flow.log_prob(test.astype(np.float32)))
    assert float(got.mean()) == pytest.approx(exact, abs=0.02 + 4 * float(got.std()) / len(got) ** 0.5)
    samples = np.asarray(result.flow.sample(jr.key(2), (4000,)))
    np.testing.assert_allclose((samples[:, 0] == samples[:, 1]).mean(), 0.8, atol=0.04)
    assert (samples[:, 2] == (samples[:, 0] + samples[:, 1]) % 2).mean() > 0.97


@pytest.mark.parametrize("context", [0, 2])
def test_mean_probabilities_are_the_frequencies(context, x64):
    """P(x_j | x_1 ... x_{j-1}) by sums over all rows, averaged over weighted ones: one row in each state is added."""
    codes, w = drawn(300, 5), RNG.integers(1, 4, 300).astype(float)
    c = RNG.normal(size=(300, context)) if context else None
    far = large(Categorical(codes, SIZES, context=context, key=jr.key(0)))
    law = far.with_frequencies(codes, context=c, weights=w)
    everything = lambda m, c: np.exp(np.asarray(m.log_prob(ALL, c))).reshape(SIZES)
    for found, agrees in ((law, True), (far, False)):
        joint = np.stack([everything(found, None if c is None else c[i]) for i in range(300)])
        for j, n in enumerate(SIZES):
            upto = joint.sum(axis=tuple(range(j + 2, 4)))  # of x_1 ... x_j
            seen = upto[(np.arange(300), *codes[:, :j].T)]
            mean = np.average(seen / seen.sum(axis=1, keepdims=True), axis=0, weights=w)
            share = np.bincount(codes[:, j], w, n) / w.sum()
            wanted = (share * 300 + 1) / (300 + n)
            assert np.allclose(mean, wanted, atol=1e-4) == agrees  # scaling converges linearly


def test_a_context_in_other_units_is_the_same_law(x64):
    mass = large(Categorical(drawn(200), SIZES, context=2, key=jr.key(0)))
    mean, scale = np.array([5.0, -3.0]), np.array([2.0, 0.1])
    moved, c = mass.with_context_units(mean, scale), RNG.normal(size=(12, 2))
    np.testing.assert_allclose(moved.log_prob(ALL, mean + scale * c), mass.log_prob(ALL, c), rtol=1e-9)


def test_wrong_sizes_are_refused():
    with pytest.raises(InputError, match="size"):
        Categorical(drawn(50), (2, 3), key=jr.key(0))


def conditional(dim, states, key):
    """A normal law in R^dim whose mean depends on the one-hot codes."""
    a, b, c = jr.split(key, 3)
    lower = jnp.tril(0.3 * jr.normal(a, (dim, dim)), -1)
    return Flow(
        StandardNormal(dim),
        Whitening(jr.normal(b, (dim,)), lower, jnp.zeros(dim), jr.normal(c, (dim, states))),
    )


def mixed(filled=True, context=0) -> Any:
    """A word of two and a number that is there or one of an atom and a gap; a number that is always there."""
    codes = np.stack([RNG.integers(0, 3, 400), RNG.integers(0, 3, 400)], axis=1)
    mass = large(Categorical(codes, (3, 3), context=context, key=jr.key(0)), size=0.5)
    curves = marginals(RNG.normal(size=(400, 2)))
    filling = Filling(curves, jnp.array([1.0, 0.0]), jnp.array([2.0, 1.0]), (1, -1)) if filled else None
    return Mixed(mass, conditional(2, 6 + context, jr.key(1)), filling, key=jr.key(2))


def test_masses_and_densities_sum_to_1_together():
    """Over all codes, the integral over the numbers that are there; a lacking one is integrated by many draws of it."""
    law, grid = mixed(), np.linspace(-9, 9, 61)
    cell = grid[1] - grid[0]
    total = 0.0
    for word, gate in itertools.product(range(3), range(3)):
        both = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
        numbers = both if gate == 0 else np.stack([np.zeros(61), grid], axis=1)
        rows = np.hstack([np.tile([word, gate], (len(numbers), 1)), numbers])
        draws = 1 if gate == 0 else 400
        found = law.log_prob_estimate(jr.key(word), rows, samples=draws)
        total += float(jnp.sum(jnp.exp(found.value))) * cell ** (2 if gate == 0 else 1)
    assert total == pytest.approx(1.0, abs=0.01)


def test_a_row_that_lacks_nothing_is_exact_and_one_that_does_is_a_bound():
    law = mixed()
    whole, lacking = np.array([[1.0, 0.0, 0.3, -0.2]]), np.array([[1.0, 2.0, 0.0, -0.2]])
    few, many = (law.log_prob_estimate(jr.key(0), whole, samples=n).value for n in (1, 50))
    np.testing.assert_allclose(few, many, rtol=1e-5)
    exact = law.mass.log_prob(whole[:, :2]) + law.flow.log_prob(
        whole[:, 2:], law.mass.one_hot(jnp.array(whole[0, :2]))
    )
    np.testing.assert_allclose(few, exact, rtol=1e-5)
    bound = law.log_prob_bound(jr.key(1), lacking, samples=4000)
    estimate = law.log_prob_estimate(jr.key(1), lacking, samples=4000)
    assert float(bound.value[0]) < float(estimate.value[0]) - 3 * float(estimate.error[0])


@pytest.mark.parametrize("filled", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_score_is_a_function_of_the_row_alone(filled):
    """Of rows that lack numbers and of values on lattices: alone, in a table, in another order, in other pieces."""
    law, rows = mixed(filled), np.asarray(mixed(filled).sample(jr.key(7), (ROWS + 300,)), np.float64)
    rows[:, 2:] = np.rint(rows[:, 2:])
    lattices = [Lattice(name, 1.0, 1.0, i) for i, name in enumerate("ab", 2)]
    scores = log_prob_of_cells(law, rows, None, lattices)
    for some in (np.arange(ROWS + 300)[::-1], np.arange(3, 500), np.array([ROWS + 7]), np.array([5, 5])):
        np.testing.assert_allclose(
            log_prob_of_cells(law, rows[some], None, lattices), scores[some], rtol=0, atol=2e-6
        )
    assert len(np.unique(scores[(rows[:, 1] == 0) | ~np.array(filled)])) > 20


def test_places_in_cells_and_draws_are_without_bias():
    """Seed by seed they scatter around the integral over the cells, of a law whose second number follows the first."""
    flow = conditional(2, 1, jr.key(1))
    law = Mixed(Categorical(np.zeros((9, 1), int), (1,), key=jr.key(0)), flow, None, key=jr.key(2))
    rows, lattices = np.array([[0.0, 1.0, -1.0]]), [Lattice(n, 1.0, 1.0, i) for i, n in enumerate("ab", 1)]
    middles = (np.arange(200) + 0.5) / 200 - 0.5
    cell = np.stack(np.meshgrid(middles + 1.0, middles - 1.0), axis=-1)
    exact = np.exp(np.asarray(flow.log_prob(cell, np.ones(1)))).mean()
    found = np.array([np.exp(log_prob_of_cells(law, rows, None, lattices, seed)[0]) for seed in range(60)])
    assert abs(found.mean() - exact) < 4 * found.std() / 60**0.5
    assert found.std() < 0.05 * exact


def test_without_gaps_it_is_exact():
    law = mixed(filled=False)
    rows = np.array([[1.0, 0.0, 0.3, -0.2], [2.0, 2.0, 0.1, 0.7]])
    found = law.log_prob_estimate(jr.key(0), rows, samples=7)
    assert found.kind == "exact"
    np.testing.assert_allclose(found.value, law.log_prob(rows), rtol=1e-6)


@pytest.mark.parametrize("context", [0, 2])
def test_samples_have_zeros_where_a_number_is_lacking_and_the_frequencies_of_the_law(context):
    law = mixed(context=context)
    c = np.ones((3000, 2)) if context else None
    rows = np.asarray(law.sample(jr.key(4), (), context=c) if context else law.sample(jr.key(4), (3000,)))
    assert np.all(rows[rows[:, 1] != 0, 2] == 0)
    assert not np.any(rows[rows[:, 1] == 0, 2] == 0)
    every = np.array(list(itertools.product(range(3), repeat=2)), float)
    want = np.exp(law.mass.log_prob(every, None if c is None else np.ones((9, 2)))).reshape(3, 3).sum(axis=1)
    share = np.bincount(rows[:, 0].astype(int), minlength=3) / 3000
    np.testing.assert_allclose(share, want, atol=4 * 0.5 / 3000**0.5)


def test_it_is_saved_and_loaded(tmp_path):
    law = mixed()
    shoal.save(law, tmp_path / "m")
    rows = np.asarray(law.sample(jr.key(0), (20,)))
    np.testing.assert_array_equal(shoal.load(tmp_path / "m").log_prob(rows), law.log_prob(rows))


def test_a_flow_that_does_not_take_the_codes_is_refused():
    law = mixed()
    with pytest.raises(InputError, match="context"):
        Mixed(law.mass, conditional(2, 5, jr.key(0)), None, key=jr.key(0))


PERIOD, CENTER = 2.0, 0.3


def on_line(key=0):
    """Curves of one number with bins far from those that were set, all but nothing beyond 1.5 turns from the center."""
    curves = marginals(np.random.default_rng(key).normal(size=(2000, 1)))
    free = 2.0 * jr.normal(jr.key(key), curves.free_heights.shape)
    curves = eqx.tree_at(lambda m: m.free_heights, curves, free.astype(curves.free_heights.dtype))
    return Flow(StandardNormal(1), Chain([curves, Standardize(jnp.array([CENTER]), jnp.array([0.5]))]))


@pytest.mark.parametrize("key", range(3))
def test_the_law_of_a_circle_has_no_seam_and_sums_to_1(key, x64):
    flow = on_line(key)
    law = Mixed(None, flow, turns=Turns((PERIOD,), (CENTER,)), key=jr.key(0))
    angles = (np.arange(20_000) + 0.5) * PERIOD / 20_000
    density = np.exp(np.asarray(law.log_prob(angles[:, None])))
    assert density.mean() * PERIOD == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(density, np.exp(law.log_prob(angles[:, None] - 3 * PERIOD)), rtol=1e-9)
    far = angles[None] + PERIOD * np.arange(-9, 10)[:, None]
    wrapped = np.exp(np.asarray(flow.log_prob(far[..., None]))).sum(axis=0)
    np.testing.assert_allclose(density, wrapped, rtol=1e-6, atol=1e-3)
    for seam in (0.0, CENTER - 0.5 * PERIOD, CENTER):
        beside = np.exp(np.asarray(law.log_prob(np.array([[seam - 1e-9], [seam + 1e-9]]))))
        assert beside[0] == pytest.approx(beside[1], rel=1e-5, abs=1e-3)
    drawn_ = np.mod(np.asarray(law.sample(jr.key(3), (20_000,)))[:, 0], PERIOD)
    share = np.histogram(drawn_, 8, (0, PERIOD))[0] / 20_000
    np.testing.assert_allclose(share, density.reshape(8, -1).mean(axis=1) * PERIOD / 8, atol=0.015)


def test_an_angle_that_is_not_there_is_drawn_and_weighed(x64):
    """A number that is periodic and at times missing, beside one that is positive: by many draws, the law of the rest."""
    codes = (np.arange(1000) % 4 == 0).astype(int)[:, None]
    mass = Categorical(codes, (2,), key=jr.key(0))
    window = Support(2, low=(-np.inf, 0.0), high=np.inf)
    inner = conditional(2, 2, jr.key(5))
    flow = Flow(inner.base, Chain([inner.bijection, window]))
    filling = Filling(marginals(RNG.normal(size=(500, 2)) * 1.7), jnp.zeros(2), jnp.ones(2), (0, -1), window)
    law = Mixed(mass, flow, filling, Turns((PERIOD, 0.0), (CENTER, 0.0)), key=jr.key(1))
    rows = np.array([[1.0, 0.0, 0.5], [1.0, 0.0, 2.0]])
    found = law.log_prob_estimate(jr.key(2), rows, samples=20_000)
    line = 40 * ((np.arange(40_000) + 0.5) / 40_000 - 0.5)
    for row, value, error in zip(rows, found.value, found.error, strict=True):
        grid = np.stack([line, np.full(len(line), row[2])], axis=1)
        density = np.exp(flow.log_prob(grid, np.array([0.0, 1.0]))).mean() * 40
        assert abs(float(value) - np.log(251 / 1002 * density)) < 4 * float(error) + 1e-4
