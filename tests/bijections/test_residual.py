"""`Residual`: normflows' numbers, the certified error of its inverse, its outcomes, its tangents, its files."""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import Noise, Residual, Result, RussianRoulette, convergence, layers_of
from shoal.bijections import _residual as module
from shoal.flows import load, residual, save
from tests.bijections.test_lipschitz import drawn
from tests.laws.saving import same

PARITY = json.loads((Path(__file__).parents[1] / "fixtures" / "parity-residual.json").read_text())


def _linear(c, tolerance, max_steps=1000):
    """z = x + g(x) with g close to -c x, the slowest contraction, and the matrix of g."""
    layer = Residual(2, hidden=(), lipschitz=c, tolerance=tolerance, max_steps=max_steps, key=jr.key(0))
    layer = eqx.tree_at(lambda r: r.g.last, layer, -jnp.eye(2))
    return layer, np.asarray(layer.g.net().matrices[0], np.float64)


def test_parity_with_normflows(x64):
    layer = Residual(2, hidden=(8,), lipschitz=0.97, tolerance=1e-10, key=jr.key(0))
    p = {k: jnp.asarray(v) for k, v in PARITY.items() if isinstance(v, list | float)}
    layer = eqx.tree_at(
        lambda r: (r.g.weights, r.g.biases, r.g.last, r.g.bias, r.g.log_sharpness),
        layer,
        (
            (p["first_weight"],),
            (p["first_bias"],),
            p["last_weight"],
            p["last_bias"],
            jnp.log(p["beta"])[None],
        ),
    )
    z, log_det = jax.jit(jax.vmap(layer.inverse_and_log_det))(p["x"])
    np.testing.assert_allclose(z, p["z"], atol=1e-12)
    np.testing.assert_allclose(log_det, p["log_det"], atol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.vmap(layer.forward))(p["z"]), p["x"], atol=1e-9)
    np.testing.assert_allclose(p["inverse_of_z"], p["x"], atol=0.05)  # normflows' own tolerance
    assert np.ptp(np.asarray(p["log_det"])) > 0.1


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6, 1e-12])
@pytest.mark.parametrize("c", [0.5, 0.98])
def test_error_is_below_the_certified_one_and_the_tolerance(c, tolerance, x64):
    layer, g = _linear(c, tolerance, max_steps=3000)
    z = jnp.array([[0.3, -0.2], [8.0, 8.0], [-500.0, 3.0]])
    x, _, outcome = jax.jit(jax.vmap(layer.solve_forward))(z)
    error = np.linalg.norm(np.asarray(x) - np.linalg.solve(np.eye(2) + g, np.asarray(z).T).T, axis=1)
    size = 1.0 + np.linalg.norm(z, axis=1) + np.linalg.norm(np.asarray(x) @ g.T, axis=1)
    floor = 8 * np.finfo(np.float64).eps * size * 1.01 * c / (1 - c)
    assert np.all(outcome.converged)
    assert np.all(np.asarray(outcome.error) <= np.maximum(tolerance, floor))
    assert np.all(error <= np.asarray(outcome.error) * (1 + 1e-3) + floor)
    assert np.all(error <= 10 * np.maximum(tolerance, floor))
    if tolerance == 1e-2:
        assert np.all(error > 1e-4), "the bound is sharp for g = -c x: more steps than stated were taken"


def test_float32_goes_as_far_as_it_resolves():
    layer, g = _linear(0.9, 1e-30)
    z = jnp.array([8.0, -8.0])
    x, _, outcome = layer.solve_forward(z)
    assert bool(outcome.converged)
    assert np.max(np.abs(np.asarray(x) - np.linalg.solve(np.eye(2) + g, np.asarray(z)))) < 1e-3
    size = 1.0 + np.linalg.norm(z) + np.linalg.norm(g @ np.asarray(x))
    assert float(outcome.error) < 9.01 * 8 * np.finfo(np.float32).eps * size


def test_no_convergence_is_reported_and_gives_nan():
    layer, _ = _linear(0.9, 1e-6, max_steps=5)
    z = jnp.array([[1.0, 2.0], [0.0, 0.0]])
    x, log_det = jax.vmap(layer.forward_and_log_det)(z)
    assert np.all(np.isnan(x[0]))
    assert np.isnan(log_det[0])
    np.testing.assert_array_equal(x[1], 0.0)
    last, _, outcome = layer.solve_forward(z[0])
    assert bool(outcome.result == Result.max_steps)
    assert int(outcome.steps) == 5
    assert np.all(np.isfinite(last))
    (found,) = convergence(layer, z, direction="forward")
    assert (found.failed, found.rows, found.steps) == (1, 2, 5)
    assert str(found).endswith("1 of 2 rows did not reach 1e-06; the largest number of steps was reached")
    (inverse,) = convergence(layer, z)
    assert (inverse.failed, inverse.error) == (0, 0.0)


def test_what_is_not_finite_is_reported():
    layer, _ = _linear(0.9, 1e-6)
    for bad in (jnp.nan, jnp.inf):
        outcome = layer.solve_forward(jnp.array([bad, 1.0]))[2]
        assert bool(outcome.result == Result.not_finite)
        assert np.all(np.isnan(layer.forward(jnp.array([bad, 1.0]))))


def test_tangents_of_many_coordinates_are_those_of_few(monkeypatch, x64):
    layer = drawn(Residual(3, hidden=(5,), lipschitz=0.9, tolerance=1e-14, key=jr.key(0)), 1.0)
    layer = eqx.tree_at(lambda r: (r.g.weights, r.g.last), layer, ((3 * jnp.eye(5, 3),), -3 * jnp.eye(3, 5)))
    z = jnp.array([0.4, -1.0, 0.7])
    both = lambda: jax.jit(lambda z: (jax.jacfwd(layer.forward)(z), jax.jacrev(layer.forward)(z)))(z)
    dense = both()
    monkeypatch.setattr(module, "DENSE", 0)
    iterated = both()
    for a, b in zip(dense, iterated, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-14)
    back = jax.jit(lambda z: jax.jacfwd(layer.inverse)(layer.forward(z)))(z)
    np.testing.assert_allclose(np.linalg.inv(back), dense[0], atol=1e-13)
    assert np.max(np.abs(dense[0] - np.eye(3))) > 0.1


def test_recipe_starts_at_the_identity_and_layers_draw_their_own_noise():
    flow = residual(jr.key(0), 3, 4, hidden=(5,), log_det=RussianRoulette(Noise(jr.key(1))))
    z = jr.normal(jr.key(2), (5, 3))
    np.testing.assert_array_equal(flow.forward(z), z)
    words = [np.asarray(layer.log_det.noise.words) for layer in layers_of(flow.bijection)]  # pyright: ignore[reportAttributeAccessIssue]
    assert len({tuple(w) for w in words}) == 4


def test_noise_is_saved(tmp_path):
    flow = residual(
        jr.key(0), 3, 2, hidden=(5,), log_det=RussianRoulette(Noise(jr.key(1)), 0.1, exact_terms=3)
    )
    save(flow, tmp_path / "model")
    assert same(load(tmp_path / "model"), flow)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lipschitz": 1.0}, r"`Residual\(lipschitz\)` must lie between 0 and 1; got 1"),
        ({"tolerance": 0.0}, r"`Residual\(tolerance=...\)` must be positive and finite; got 0.0"),
        ({"max_steps": 0}, r"`Residual\(max_steps=...\)` must be a whole number of at least 1; got 0"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        Residual(2, key=jr.key(0), **change)
