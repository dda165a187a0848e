"""The continuous and augmented recipes are trained, saved, and climbed by the ladder."""

from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import AdaptiveSteps, FixedSteps, HutchinsonTrace, Noise, convergence
from shoal.distributions import GaussianPadding, Padded
from shoal.flows import anf, anode, ffjord, load, save
from shoal.selection import in_user_units, ladder
from shoal.training import Settings, fit

RECIPES = {
    "ffjord": lambda: ffjord(
        jr.key(0), 2, 1, hidden=(8,), steps=FixedSteps(2), trace=HutchinsonTrace(Noise(jr.key(5)))
    ),
    "anode": lambda: anode(jr.key(0), 2, 1, padding=GaussianPadding(1), hidden=(8,), steps=FixedSteps(4)),
    "anf": lambda: anf(jr.key(0), 2, 3, hidden=(8,)),
}


def table(rows: int = 400) -> np.ndarray:
    """Two dependent columns: a normal one, and its square with noise, far from the start's N(0, I)."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=rows)
    return np.stack([first, 0.5 * first**2 + 0.2 * rng.normal(size=rows)], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    "recipe", [*(pytest.param(name, marks=pytest.mark.long) for name in ("ffjord", "anode")), "anf"]
)
def test_trained_and_saved(recipe: str, tmp_path: Path):
    x = table()
    start = RECIPES[recipe]()
    settings = Settings(batch_size=100, max_epochs=60, learning_rate=2e-2)
    result = fit(start, x[:300], validation=x[300:], key=jr.key(1), settings=settings)
    gain = float(np.mean(result.flow.log_prob(x[300:])) - np.mean(start.log_prob(x[300:])))
    assert gain > 0.3
    save(result.flow, tmp_path)
    back = load(tmp_path)
    assert np.array_equal(back.log_prob(x), result.flow.log_prob(x))
    assert back.sample(jr.key(2), 7).shape == (7, 2)


@pytest.mark.long
@pytest.mark.usefixtures("unprofiled")
def test_the_ladder_climbs_a_padded_family():
    settings = Settings(max_epochs=5, batch_size=100)
    found = ladder(
        table(),
        families=("anf",),
        fronts=("standardize",),
        depths=(1,),
        seeds=1,
        hidden=(8,),
        settings=settings,
    )
    rung = found.rungs[-1]
    standard = rung.flows[0]
    assert isinstance(standard, Padded)
    flow = in_user_units(standard, found.prepared)
    assert isinstance(flow, Padded)
    assert flow.columns is not None
    x = table()
    want = np.asarray(standard.sample(jr.key(0), 3)) * found.prepared.scale + found.prepared.mean
    np.testing.assert_allclose(flow.sample(jr.key(0), 3), want, rtol=1e-4, atol=1e-5)
    assert np.all(np.isfinite(flow.log_prob(x)))
    assert rung.figures[0].singular_values.shape[1] == 4  # of the joint, data and padding


@pytest.mark.long
def test_a_trained_flow_comes_back_within_ten_tolerances():
    """Data rows and tails |z| = 8, float64: the inverse misses by at most ten times what a step is allowed."""
    steps = AdaptiveSteps(1e-5, 1e-5)
    x = table()
    start = ffjord(jr.key(0), 2, 1, hidden=(16,), steps=steps)
    settings = Settings(max_epochs=150, batch_size=100, learning_rate=1e-2)
    flow = fit(start, x, key=jr.key(1), settings=settings).flow
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    tails = 8.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    with jax.enable_x64(True):
        f = jax.tree.map(lambda a: a.astype(jnp.float64) if a.dtype == jnp.float32 else a, flow.bijection)
        for rows, go, back in ((tails, f.forward, f.inverse), (x.astype(np.float64), f.inverse, f.forward)):
            error = np.abs(np.asarray(jax.vmap(back)(jax.vmap(go)(jnp.asarray(rows)))) - rows)
            assert np.all(error <= 10 * np.asarray(steps.allowed(jnp.asarray(rows)))), error.max()
        assert all(c.failed == 0 for c in convergence(f, jnp.asarray(tails), direction="forward"))
