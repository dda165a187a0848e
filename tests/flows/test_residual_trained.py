"""Trained residual flows invert to ten times their tolerance, tails included, and say where they do not converge."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import Noise, Residual, RussianRoulette, convergence, layers_of
from shoal.flows import residual
from shoal.training import Settings, fit

TOLERANCE = 1e-5


def _arcs(rows):
    rng = np.random.default_rng(0)
    angle, upper = rng.uniform(0, np.pi, rows), rng.random(rows) < 0.5
    x = np.where(upper, np.cos(angle), 1 - np.cos(angle)), np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    table = np.stack(x, axis=1) + 0.1 * rng.normal(size=(rows, 2))
    return ((table - table.mean(0)) / table.std(0)).astype(np.float32)


@pytest.mark.long
@pytest.mark.parametrize("estimate", [None, RussianRoulette(Noise(jr.key(1)))], ids=["exact", "roulette"])
def test_inverse_of_a_trained_flow(estimate):
    depth = 6
    flow = residual(jr.key(0), 2, depth, hidden=(32, 32), log_det=estimate, tolerance=TOLERANCE)
    table = _arcs(3000)
    before = float(np.mean(flow.log_prob(table)))
    result = fit(
        flow,
        table[:2500],
        key=jr.key(2),
        validation=table[2500:],
        settings=Settings(max_epochs=60, batch_size=250, learning_rate=1e-2),
    )
    trained = result.flow
    assert float(np.mean(trained.log_prob(table[2500:]))) > before + 0.4
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    z = np.concatenate([r * np.stack([np.cos(angle), np.sin(angle)], axis=1) for r in (1, 3, 5, 8)])
    x = trained.forward(z)
    assert np.all(np.isfinite(x))
    assert np.max(np.linalg.norm(trained.inverse(x) - z, axis=1)) <= 10 * TOLERANCE * depth
    for layer in convergence(trained.bijection, jnp.asarray(z, jnp.float32), direction="forward"):
        assert layer.failed == 0, str(layer)
    layers = layers_of(trained.bijection)
    v = jnp.asarray(z, jnp.float32)
    worst = 0.0
    for layer in layers:
        assert isinstance(layer, Residual)
        out = eqx.filter_vmap(layer.forward)(v)
        again = eqx.filter_vmap(layer.inverse)(out)
        worst = max(worst, float(jnp.max(jnp.linalg.norm(again - v, axis=1))))
        v = out
    assert worst <= 10 * TOLERANCE
    first = layers[0]
    assert isinstance(first, Residual)
    short = Residual(2, hidden=(32, 32), tolerance=TOLERANCE, max_steps=2, key=jr.key(0))
    stopped = eqx.tree_at(lambda r: r.g, short, first.g)
    (found,) = convergence(stopped, jnp.asarray(z, jnp.float32), direction="forward")
    assert found.failed > 0
    assert "the largest number of steps was reached" in str(found)
    assert np.any(np.isnan(eqx.filter_vmap(stopped.forward)(jnp.asarray(z, jnp.float32))))
