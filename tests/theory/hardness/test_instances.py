"""Mixtures on spheres, their generator, gaps of given pairs, and multimodal obstructions."""

from functools import cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import ot
import pytest
from scipy.spatial.distance import cdist
from scipy.special import ndtr
from scipy.stats import ks_2samp

from shoal.theory import hardness
from shoal.theory.hardness import (
    GaussianMixtureOnSphere,
    least_lipschitz,
    total_variation_bound,
    wasserstein_gap,
)


@pytest.mark.parametrize(("k", "d"), [(1, 2), (64, 8), pytest.param(1000, 40, marks=pytest.mark.long)])
def test_density_samples_and_separation(k: int, d: int) -> None:
    g = GaussianMixtureOnSphere(jr.key(0), k, d, gamma=0.5, radius=3.0)
    means = np.asarray(g.means, np.float64)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 3.0, rtol=1e-5)
    gaps = np.linalg.norm(means[:, None] - means[None], axis=2)[~np.eye(k, dtype=bool)]
    assert k == 1 or g.distance <= gaps.min() * (1 + 1e-5)
    x, density = g.sample_and_log_prob(jr.key(1), 50)
    rows = np.asarray(x, np.float64)
    squares = np.square(rows[:, None] - means[None]).sum(axis=2) / (2 * 0.25)
    oracle = np.log(np.exp(-squares).mean(axis=1)) - 0.5 * d * np.log(2 * np.pi * 0.25)
    np.testing.assert_allclose(density, oracle, rtol=1e-4, atol=1e-3)


images = eqx.filter_jit(lambda net, z: jax.vmap(net)(z))


@pytest.mark.parametrize(("k", "d"), [(100, 8)])
def test_the_generator_makes_the_mixture(k: int, d: int) -> None:
    """1e5 samples: two-sample tests on projections; the ramps' mass may shift each distribution function by at most that."""
    g = GaussianMixtureOnSphere(jr.key(3), k, d, gamma=1.0)
    net = g.generator(1e-3)
    made, exact = np.asarray(net.sample(jr.key(4), 100_000)), np.asarray(g.sample(jr.key(5), 100_000))
    rng = np.random.default_rng(0)
    limit = 1.95 * np.sqrt(2 / 100_000) + net.ramps  # Kolmogorov's 0.1 % point
    for v in rng.normal(size=(20, d)):
        test: Any = ks_2samp(made @ v, exact @ v)
        assert test.statistic < limit
    nearest = lambda x: np.argmin(np.linalg.norm(x[:, None] - np.asarray(g.means)[None], axis=2), axis=1)
    counts = np.bincount(nearest(made[:20_000]), minlength=k)
    assert np.abs(counts - 20_000 / k).max() < 6 * np.sqrt(20_000 / k)


@pytest.mark.parametrize("ramps", [pytest.param(0.3, marks=pytest.mark.long), 1e-2])
def test_the_generator_is_as_near_as_it_says(ramps: float) -> None:
    """The same (z, zeta), the mean by the cell of zeta: a coupling with the exact mixture."""
    k, d, rows = 12, 6, 50_000
    g = GaussianMixtureOnSphere(jr.key(2), k, d, gamma=0.5, radius=3.0)
    net = g.generator(ramps)
    z = jr.normal(jr.key(6), (rows, d + 1))
    cell = np.minimum((k * ndtr(np.asarray(z[:, -1], np.float64))).astype(int), k - 1)
    exact = 0.5 * np.asarray(z[:, :-1]) + np.asarray(g.means)[cell]
    made = np.asarray(images(net, z))
    moved = np.linalg.norm(made - exact, axis=1)
    share = np.mean(moved > 1e-4)
    assert share <= ramps + 4 * np.sqrt(ramps / rows)
    assert share > 0.5 * ramps  # neighbouring cells differ in their words, so that a ramp is one
    assert moved.mean() <= net.distance == 2 * 3.0 * ramps
    small = slice(0, 400)
    weights = np.full(400, 1 / 400)
    w1: Any = ot.emd2(weights, weights, cdist(made[small], exact[small]))
    assert w1 <= moved[small].mean() + 1e-6


@pytest.mark.parametrize("k", [16, 1024])
def test_the_generator_has_of_the_order_of_k_parameters(k: int) -> None:
    d = 64
    net = GaussianMixtureOnSphere(jr.key(0), k, d).generator()
    count = net.parameters
    leaves = [b for bit in net.bits for b in (bit.knots, bit.values)]
    assert count["staircases"] == sum(a.size for a in leaves) <= 8 * k
    assert count["code"] == d * int(np.log2(k))
    assert sum(count.values()) < k * d


def test_the_generator_is_a_relu_network() -> None:
    """A dense ReLU network with these weights has the same values."""
    g = GaussianMixtureOnSphere(jr.key(0), 6, 4, gamma=0.3)
    net = g.generator(0.1)
    z = np.asarray(jr.normal(jr.key(1), (200, 5)), np.float64)
    relu = lambda x: np.maximum(x, 0.0)
    bits = np.concatenate(
        [
            relu(z[:, -1:] @ n.weight.T + n.bias) @ n.last.T + n.offset
            for n in (b.as_relu() for b in net.bits)
        ],
        axis=1,
    )
    s = bits @ np.asarray(net.code, np.float64).T
    wave = net.zigzag.as_relu()
    signs = relu(s[..., None] @ wave.weight.T + wave.bias) @ wave.last.T + wave.offset
    dense = 0.3 * z[:, :-1] + net.radius / 2 * signs[..., 0]
    made = np.asarray(images(net, jnp.asarray(z, jnp.float32)))
    np.testing.assert_allclose(made, dense, atol=2e-2)
    exact = np.abs(dense - made).max(axis=1)
    assert np.quantile(exact, 0.9) < 1e-4  # on ramps float32 zeta loses digits to slopes of 1 / width


class Shifted:
    """An instance moved by a vector: W1 to it is the vector's length exactly."""

    def __init__(self, instance: GaussianMixtureOnSphere, shift: np.ndarray):
        self.instance, self.shift = instance, shift

    def sample(self, key, rows):
        return self.instance.sample(key, rows) + jnp.asarray(self.shift, jnp.float32)


@cache
def small_instance(k: int, d: int) -> GaussianMixtureOnSphere:
    """Shared, so that its sampler is compiled once."""
    return GaussianMixtureOnSphere(jr.key(10 * d + k), min(k, 2**d), d, gamma=1.0, radius=4.0)


@pytest.mark.parametrize("batch", [0, *(pytest.param(b, marks=pytest.mark.long) for b in (1, 2, 3, 4))])
def test_certified_gaps_never_exceed_the_distance(batch: int) -> None:
    """100 pairs whose W1 is known; the lower bound may fail for one in a hundred by its own account."""
    rng = np.random.default_rng(batch)
    failed, informative = 0, 0
    for i in range(20):
        d, k = int(rng.choice([2, 8])), int(rng.choice([2, 4, 16])) if i % 2 else 2
        g = small_instance(k, d)
        shift = rng.normal(size=d)
        shift *= rng.uniform(0, 6) / np.linalg.norm(shift)
        found = wasserstein_gap(
            Shifted(g, shift), g, key=jr.key(i + 100 * batch), samples=4000, transported=100
        )
        failed += found.lower > np.linalg.norm(shift)
        informative += found.lower > 0.2 * np.linalg.norm(shift)
        assert found.upper > 0.8 * np.linalg.norm(shift) - 0.2
    assert failed == 0
    assert informative >= 8


def test_a_gap_of_nothing_is_nothing() -> None:
    g = GaussianMixtureOnSphere(jr.key(0), 4, 4, radius=4.0)
    assert wasserstein_gap(g, g, key=jr.key(1), transported=100).lower == 0.0
    with pytest.raises(ValueError, match="needs the instance's `means`"):
        wasserstein_gap(g, Shifted(g, np.zeros(4)), key=jr.key(1))


@pytest.mark.parametrize("modes", [3, *(pytest.param(m, marks=pytest.mark.long) for m in (2, 5))])
def test_no_lipschitz_map_of_the_line_beats_the_variation_bound(modes: int) -> None:
    """Best monotone maps with slope at most L: x = L * sum of clipped steps; TV by a grid over the latent line."""
    rng = np.random.default_rng(modes)
    distance, width = 6.0, 0.5
    z = np.linspace(-8, 8, 40_001)
    dz = z[1] - z[0]
    weight = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * dz
    centres = (np.arange(modes) - (modes - 1) / 2) * (distance + width)
    for lipschitz in (1.0, 3.0, 10.0):
        bound = total_variation_bound(modes, distance, lipschitz)
        best = 1.0
        for _ in range(200):
            jumps = np.sort(rng.normal(size=modes - 1)) if modes > 2 else rng.normal(size=1) * 0.3
            need = (distance + 1e-9) / lipschitz
            slope = np.zeros_like(z)
            for j in jumps:
                slope = np.maximum(slope, np.where(np.abs(z - j) <= need / 2, lipschitz, 0.0))
            slope = np.maximum(slope, 0.02)
            x = np.cumsum(slope) * dz
            x -= np.interp(0, z, x) - rng.normal() * 0.5
            mass = [weight[np.abs(x - c) <= width / 2].sum() for c in centres]
            best = min(best, 1 - sum(min(m, 1 / modes) for m in mass))
        assert best >= bound - 1e-6
    assert total_variation_bound(modes, distance, 1.0) > 0.3
    limit = least_lipschitz(modes, distance, 0.05)
    around = [total_variation_bound(modes, distance, f * limit) for f in (0.99, 1.01)]
    assert around[0] > 0.05 >= around[1]


def test_two_modes_are_sharp() -> None:
    """A map with slope L through a gap that begins at the median: one mode is full, Phi(-D / L) is left for the other."""
    assert total_variation_bound(2, 3.0, 1.5) == pytest.approx(0.5 - ndtr(-2.0))
    assert total_variation_bound(2, 0.0, 1.0) == 0.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GaussianMixtureOnSphere(jr.key(0), 8, 2), "too small for 8 different means"),
        (lambda: GaussianMixtureOnSphere(jr.key(0), 8, 4, gamma=0.0), "gamma > 0"),
        (lambda: GaussianMixtureOnSphere(jr.key(0), 8, 4).generator(1.0), "`ramps` must lie"),
        (lambda: hardness.total_variation_bound(2, -1.0, 1.0), "distance >= 0"),
    ],
)
def test_refuses(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
