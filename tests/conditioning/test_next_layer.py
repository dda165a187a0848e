"""`next_layer` against laws whose largest gain is known: by hand for normals, by quadrature for a bent one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal._errors import InputError
from shoal.bijections import Affine, Partition, dense_coupling
from shoal.conditioning import from_callables, next_layer
from shoal.distributions import Flow, GaussianMixture, StandardNormal


def latents(n: int):
    """The map whose latents are the rows themselves."""
    return from_callables(lambda z: z, lambda x: x, n)


def correlated(rows: int, rho: float, seed: int) -> np.ndarray:
    z = np.random.default_rng(seed).normal(size=(rows, 2))
    return np.stack([z[:, 0], rho * z[:, 0] + (1 - rho**2) ** 0.5 * z[:, 1]], axis=1)


def bent(rows: int, seed: int) -> np.ndarray:
    """b ~ N(0, 1), a | b ~ N(sin 2b, e^{tanh b})."""
    z = np.random.default_rng(seed).normal(size=(rows, 2))
    return np.stack([z[:, 0], np.sin(2 * z[:, 0]) + np.exp(0.5 * np.tanh(z[:, 0])) * z[:, 1]], axis=1)


def best_of_bent() -> float:
    """1/2 E[m^2 + v - 1 - log v] by Gauss-Hermite quadrature."""
    b, weights = np.polynomial.hermite_e.hermegauss(80)
    value = np.sin(2 * b) ** 2 + np.exp(np.tanh(b)) - 1 - np.tanh(b)
    return float(0.5 * np.sum(weights * value) / np.sqrt(2 * np.pi))


@pytest.mark.parametrize("rho", [0.2, 0.6, 0.95])
def test_a_normal_law_in_closed_form(rho: float) -> None:
    """Both halves gain -log(1 - rho^2) / 2: the mutual information."""
    found = next_layer(latents(2), correlated(4000, rho, 1))
    best = -0.5 * np.log(1 - rho**2)
    assert found.gain.low is not None
    assert found.gain.high is not None
    assert 0 < found.gain.low < best < found.gain.high
    if (
        rho > 0.5
    ):  # where little is to be gained, the interval alone is claimed: a coupling that is fitted gains less than the best
        assert found.gain.value == pytest.approx(best, rel=0.15)
    assert [f.kind for f in found.halves] == ["estimate"] * 2
    assert (found.rows, found.fitted) == (4000, 2000)


def test_a_bent_law_by_quadrature_and_which_half() -> None:
    best = best_of_bent()
    found = next_layer(latents(2), bent(3000, 2))
    assert found.kept == [0]
    assert found.gain.low < best < found.gain.high  # type: ignore[operator]
    assert found.gain.value == pytest.approx(best, rel=0.1)
    sharper = next_layer(latents(2), bent(1000, 3), training=bent(8000, 4))
    assert sharper.gain.low < best < sharper.gain.high  # type: ignore[operator]
    assert (sharper.rows, sharper.fitted) == (1000, 8000)
    swapped = next_layer(latents(2), bent(3000, 2)[:, ::-1])
    assert swapped.kept == [1]
    assert swapped.gain.value == pytest.approx(found.gain.value, rel=0.05)


def test_the_lower_bound_is_one() -> None:
    """Over twenty samples of each: never above what is best, and never above 0 where nothing is to be gained."""
    best = best_of_bent()
    lows = [next_layer(latents(2), bent(150, 100 + seed)).gain.low for seed in range(20)]
    assert max(lows) < best  # type: ignore[type-var]
    nothing = [np.random.default_rng(seed).normal(size=(200, 4)) for seed in range(20)]
    assert all(next_layer(latents(4), z).gain.low == 0.0 for z in nothing)


def test_a_heavy_tail_is_no_proof() -> None:
    """Latents of a t distribution with two degrees of freedom: a rescaling gains, a few rows can not show how much."""
    z = np.random.default_rng(0).standard_t(2, size=(300, 2))
    found = next_layer(latents(2), z)
    assert found.gain.low <= found.gain.value <= found.gain.high  # type: ignore[operator]


def test_context_and_one_coordinate() -> None:
    """A mean that only the context knows: 1/2 E[c^2] + 1/2 (1 - 1 - 0)."""
    rng = np.random.default_rng(5)
    c = rng.normal(size=(2000, 1))
    identity = from_callables(lambda z: z, lambda x: x, 1)
    found = next_layer(identity, c + rng.normal(size=(2000, 1)), context=c, seed=1)
    assert found.kept == []
    assert len(found.halves) == 1
    assert found.gain.value == pytest.approx(0.5, abs=0.06)
    alone = next_layer(identity, c + rng.normal(size=(2000, 1)))  # variance 2, mean 0
    assert alone.gain.value == pytest.approx(0.5 * (2 - 1 - np.log(2)), abs=0.05)


def test_a_layer_that_is_taken_off_a_flow_is_missed() -> None:
    """Data of a known coupling, the flow without it: what it would gain is the best, by the flow's own log-densities."""
    key = jr.key(0)
    layer = _shaken(dense_coupling(Partition(4, (0, 1)), Affine(), hidden=(8,), key=key))
    whole, base = Flow(StandardNormal(4), layer), StandardNormal(4)
    x = np.asarray(whole.sample(jr.key(1), (3000,)), np.float64)
    missing = np.asarray(whole.log_prob(x)) - np.asarray(base.log_prob(x))
    found = next_layer(latents(4), x)
    assert found.kept == [0, 1]
    assert found.gain.low > 0.0  # type: ignore[operator]
    assert found.gain.low < missing.mean() + 3 * missing.std() / 3000**0.5 < found.gain.high + 0.1  # type: ignore[operator]
    after = next_layer(whole, x)
    assert after.gain.low == 0.0
    assert after.gain.value < 0.02


def _shaken(layer):
    leaves, tree = jax.tree.flatten(layer)
    keys = jr.split(jr.key(7), len(leaves))
    moved = [
        v + 0.5 * jr.normal(k, v.shape) if eqx.is_inexact_array(v) else v
        for v, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(tree, moved)


def test_refusals() -> None:
    x = np.zeros((200, 2))
    mixture = GaussianMixture(jnp.zeros(2), jnp.zeros((2, 2)), jnp.zeros((2, 2, 2)), jnp.zeros((2, 2)))
    flow = Flow(mixture, dense_coupling(Partition(2, (0,)), Affine(), hidden=(4,), key=jr.key(0)))
    with pytest.raises(
        InputError, match="needs a flow with a standard normal base; this one has GaussianMixture"
    ):
        next_layer(flow, x)
    with pytest.raises(InputError, match="needs 100 rows or more; got 20"):
        next_layer(latents(2), x[:20])
    with pytest.raises(InputError, match="`training` needs 100 rows or more"):
        next_layer(latents(2), x, training=x[:5])
    with pytest.raises(InputError, match="`kept` must be fewer than 2 distinct indices"):
        next_layer(latents(2), x, kept=(0, 1))
    with pytest.raises(InputError, match="the latent of row 0 is not finite"):
        next_layer(from_callables(lambda z: z, lambda x: x / 0.0, 2), x)
