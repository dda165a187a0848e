"""Estimators of log det(1 + J): the error bound of the truncated series, unbiased values and gradients, flat memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import ExactLogDet, Noise, PowerSeries, Residual, RussianRoulette, reseeded
from tests.bijections.test_lipschitz import drawn

SEEDS = 20_000
Z = 4.5  # standard errors: a false alarm once in 150,000 numbers


@pytest.mark.parametrize("terms", [1, 4, 15])
@pytest.mark.parametrize("c", [0.3, 0.9])
def test_error_bound_of_the_series(terms, c, x64):
    for sign, tight in ((-1.0, 0.2), (1.0, 0.0)):  # -c is the worst case, up to 1/k <= 1/(m + 1)
        function = jax.tree_util.Partial(lambda s, x: s * x, jnp.asarray(sign * c))
        x = jnp.ones(3)
        series = PowerSeries(terms)
        error = abs(float(series.log_det(function, x)) - 3 * np.log1p(sign * c))
        bound = series.error_bound(3, c)
        assert tight * bound < error <= bound


def _contraction(strategy):
    """A layer with a strong, far from symmetric Jacobian: |J| about 0.6, L = 0.7."""
    layer = Residual(2, hidden=(), lipschitz=0.7, log_det=strategy, key=jr.key(0))
    last = jnp.array([[0.9, 1.5], [-0.6, 0.2]])
    return eqx.tree_at(lambda r: r.g.last, layer, last)


def _value_and_gradient(layer):
    x = jnp.array([0.4, -0.3])
    return eqx.filter_value_and_grad(lambda r: r.inverse_and_log_det(x)[1])(layer)


def _samples(strategy):
    """Values (seeds,) and gradients to the weight (seeds, 4), each seed another draw."""
    layer = _contraction(strategy)

    def one(key):
        value, gradient = _value_and_gradient(reseeded(layer, key))
        return jnp.concatenate([value[None], gradient.g.last.reshape(-1)])

    return np.asarray(jax.jit(jax.vmap(one))(jr.split(jr.key(7), SEEDS)), np.float64)


def _exact(strategy):
    value, gradient = _value_and_gradient(_contraction(strategy))
    return np.concatenate([np.asarray(value)[None], np.asarray(gradient.g.last).reshape(-1)])


@pytest.mark.parametrize(
    ("estimate", "exact"),
    [
        pytest.param(RussianRoulette(Noise(jr.key(0)), 0.2, exact_terms=2), ExactLogDet(), id="roulette"),
        pytest.param(RussianRoulette(Noise(jr.key(0)), 0.4, exact_terms=1), ExactLogDet(), id="early"),
        pytest.param(PowerSeries(3, Noise(jr.key(0))), PowerSeries(3), id="hutchinson"),
        pytest.param(PowerSeries(3, Noise(jr.key(0)), probes=3), PowerSeries(3), id="three-probes"),
    ],
)
def test_value_and_gradient_are_unbiased(estimate, exact):
    samples, want = _samples(estimate), _exact(exact)
    deviation = samples.std(0, ddof=1) / np.sqrt(SEEDS)
    assert np.all(deviation > 0)
    assert np.all(deviation < 0.02)
    np.testing.assert_array_less(np.abs(samples.mean(0) - want), Z * deviation)


def test_the_test_sees_a_biased_estimate():
    samples, want = _samples(PowerSeries(2, Noise(jr.key(0)))), _exact(ExactLogDet())
    deviation = samples.std(0, ddof=1) / np.sqrt(SEEDS)
    assert np.any(np.abs(samples.mean(0) - want) > 3 * Z * deviation)


def test_series_converges_to_the_exact_value_and_gradient(x64):
    layer, exact = (jax.tree.map(lambda a: a, _contraction(s)) for s in (PowerSeries(120), ExactLogDet()))
    (value, gradient), (value0, gradient0) = _value_and_gradient(layer), _value_and_gradient(exact)
    assert float(value) == pytest.approx(float(value0), abs=1e-14)
    np.testing.assert_allclose(gradient.g.last, gradient0.g.last, atol=1e-13)


def test_rows_draw_their_own_numbers_and_a_seed_repeats():
    layer = drawn(Residual(3, hidden=(4,), log_det=RussianRoulette(Noise(jr.key(1))), key=jr.key(0)), 1.0)
    x = jr.normal(jr.key(2), (6, 3))
    run = jax.jit(jax.vmap(lambda r, v: r.inverse_and_log_det(v)[1], (None, 0)))
    np.testing.assert_array_equal(run(layer, x), run(layer, x))
    assert np.all(run(layer, x) != run(reseeded(layer, jr.key(3)), x))


def test_memory_of_the_gradient_does_not_grow_with_the_terms():
    def bytes_of(terms):
        layer = Residual(8, hidden=(32,), log_det=PowerSeries(terms, Noise(jr.key(0))), key=jr.key(0))
        x = jnp.zeros((64, 8))
        loss = lambda r, x: jnp.sum(jax.vmap(r.inverse_and_log_det)(x)[1])
        free, rest = eqx.partition(layer, eqx.is_inexact_array)
        program = jax.jit(jax.grad(lambda free, x: loss(eqx.combine(free, rest), x)))
        analysis = program.lower(free, x).compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert bytes_of(200) == bytes_of(2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PowerSeries(0), r"`PowerSeries\(terms\)` must be a whole number of at least 1; got 0"),
        (lambda: RussianRoulette(Noise(jr.key(0)), 1.0), "must lie between 0 and 1; got 1"),
        (lambda: RussianRoulette(Noise(jr.key(0)), exact_terms=0), "at least 1; got 0"),
        (
            lambda: Residual(2, lipschitz=0.9, log_det=RussianRoulette(Noise(jr.key(0)), 0.5), key=jr.key(0)),
            r"p=0.5\)` may have infinite variance at Lipschitz constant 0.9; take p below 1 - 0.9\^2 = 0.19",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
