"""The ladder for known densities: a Gaussian needs no layer, a curved density needs one, and the words say so."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.flows import Family, iaf
from shoal.selection import density_ladder
from shoal.selection._density import _share
from shoal.selection._gaussian import _draws, closest_gaussian
from shoal.training import Settings

SHORT = Settings(batch_size=64, max_epochs=20, learning_rate=0.02, patience=None)
ROOT = np.array([[3.0, 0.0, 0.0], [2.9, 0.05, 0.0], [-1.0, 0.3, 1.0]])  # kappa 100
MEAN = np.array([5.0, -3.0, 1.0])


def gaussian(x):
    return -0.5 * jnp.sum(jnp.linalg.solve(ROOT, x - MEAN) ** 2)


def curved(x):
    """x_2 follows x_1 squared; log Z = log(2 pi 0.5)."""
    return -0.5 * x[0] ** 2 - 2.0 * (x[1] - x[0] ** 2) ** 2


def test_the_closest_gaussian_of_a_gaussian_is_itself() -> None:
    front = closest_gaussian(gaussian, 3, 1.0, seed=0)
    jacobian = np.asarray(front.forward(jnp.eye(3)[0]) - front.forward(jnp.zeros(3)))
    # gradients are of float32, eps kappa(S) = 6e-8 * 1e4, and what they give is inverted: 2e-3 is three times that
    np.testing.assert_allclose(front.forward(jnp.zeros(3)), MEAN, atol=2e-3)
    np.testing.assert_allclose(jacobian, ROOT[:, 0], rtol=2e-3)


def test_the_closest_gaussian_has_the_stationary_deviation() -> None:
    """For p = exp(-beta x^4 / 4) the bound over draws z is -beta s^4 mean(z^4) / 4 + log s: s^-4 = beta mean(z^4)."""
    fourth = np.mean(_draws(1, 0) ** 4)
    for beta in (1.0, 1 / 16):
        front = closest_gaussian(lambda x: -0.25 * jnp.sum(x**4), 1, beta, seed=0)
        found = float(front.forward(jnp.ones(1))[0] - front.forward(jnp.zeros(1))[0])
        assert found == pytest.approx((beta * fourth) ** -0.25, rel=2e-3)


def test_the_draws_are_white() -> None:
    z = _draws(5, 3)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.T @ z / len(z), np.eye(5), atol=1e-12)


def test_a_gaussian_needs_no_layer() -> None:
    found = density_ladder(gaussian, 3, key=jr.key(0), depths=(1,), draws=2000)
    assert found.rung.depth == 0
    assert found.result.weights.ess == pytest.approx(1.0, abs=1e-3)
    assert found.result.weights.log_z == pytest.approx(1.5 * np.log(2 * np.pi) + np.log(3.0 * 0.05), abs=1e-3)
    assert found.result.steps == 0
    assert [_share(None, 0.0, found.result, False), _share(100.0, 20.0, found.result, False)] == [None, 40.0]
    assert [_share(100.0, 60.0, found.result, False), _share(9.0, 10.0, found.result, True)] == [40.0, 0.0]
    assert [rung.depth for rung in found.rungs] == [0]
    assert found.rung.dropped.startswith("the bound is within")
    assert "gaussian, no layer" in found.why
    assert "evidence lower bound" in found.why


def test_a_curved_density_needs_one_layer_and_no_second() -> None:
    seen = []
    found = density_ladder(
        curved,
        2,
        key=jr.key(0),
        layers=Family(iaf, hidden=(16,), activation="gelu"),
        depths=(1, 2, 3),
        draws=4000,
        settings=SHORT,
        progress=seen.append,
    )
    assert len(found.rungs) <= 3  # one layer is enough, or a second one gained nothing
    assert found.rung.depth == 1
    assert found.choice.verdicts[0] is not None
    assert found.choice.verdicts[0].state == "worse"
    assert all(rung.dropped for rung in found.rungs[1:][-1:])
    weights = found.result.weights
    assert weights.log_z == pytest.approx(np.log(2 * np.pi * 0.5), abs=0.03)
    assert weights.ess > 0.9
    assert {event["rung"] for event in seen} == {rung.name for rung in found.rungs[1:]}


def test_a_front_that_covers_two_modes_by_annealing() -> None:
    modes = lambda x: jnp.logaddexp(-0.5 * ((x[0] - 2) / 0.3) ** 2, -0.5 * ((x[0] + 2) / 0.3) ** 2)
    front = closest_gaussian(modes, 1, 0.01, seed=0)
    assert float(front.forward(jnp.ones(1))[0] - front.forward(jnp.zeros(1))[0]) > 1.5
