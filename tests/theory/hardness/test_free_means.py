"""Mixtures with given means against SciPy, the ring against its chord, and a gap that only mass between neighbours shows."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from shoal.theory.hardness import FreeMeansMixture, ring, wasserstein_gap

MEANS = np.array([[0.0, 3.0, 1.0], [-2.0, 0.5, 0.0], [4.0, 4.0, -4.0], [0.0, 0.0, 0.1]])


def test_log_prob_is_that_of_scipy() -> None:
    mixture = FreeMeansMixture(MEANS, 0.7)
    x = np.random.default_rng(0).normal(size=(50, 3), scale=3.0)
    parts = [stats.norm.pdf(x, m, 0.7).prod(axis=1) for m in MEANS]
    wanted = np.log(np.mean(parts, axis=0))
    eps = float(jnp.finfo(mixture.means.dtype).eps)
    # squares / gamma^2 reach 500 or so: their rounding is what the log-density has
    np.testing.assert_allclose(np.asarray(mixture.log_prob(x)), wanted, rtol=8 * eps, atol=2000 * eps)


def test_samples_have_the_means_and_the_deviation() -> None:
    mixture, rows = FreeMeansMixture(MEANS, 0.05), 4000
    x, log_prob = (np.asarray(a, np.float64) for a in mixture.sample_and_log_prob(jr.key(1), rows))
    near = np.linalg.norm(x[:, None] - MEANS, axis=2).argmin(axis=1)
    for i in range(4):
        share = np.mean(near == i)
        assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / rows)
        part = x[near == i] - MEANS[i]
        assert np.abs(part.mean(axis=0)).max() < 4 * 0.05 / np.sqrt(len(part))
        assert part.std() == pytest.approx(0.05, rel=4 / np.sqrt(2 * 3 * len(part)))
    np.testing.assert_allclose(log_prob, np.asarray(mixture.log_prob(x)), atol=1e-2)


@pytest.mark.parametrize("k", [2, 3, 16, 64])
def test_neighbours_of_the_ring_are_a_chord_apart(k: int) -> None:
    found = ring(k, radius=1.7, gamma=0.1)
    means = np.asarray(found.means, np.float64)
    eps = float(jnp.finfo(found.means.dtype).eps)
    assert np.abs(np.linalg.norm(means, axis=1) - 1.7).max() < 4 * eps
    gaps = np.linalg.norm(means - np.roll(means, 1, axis=0), axis=1)
    np.testing.assert_allclose(gaps, 3.4 * np.sin(np.pi / k), atol=8 * eps)
    assert found.distance == pytest.approx(3.4 * np.sin(np.pi / k), rel=1e-12)


@pytest.mark.parametrize(
    ("means", "gamma", "words"),
    [
        ([[0.0, 1.0], [0.0, 1.0]], 1.0, "coincide"),
        ([[0.0, np.nan]], 1.0, "finite"),
        ([0.0, 1.0], 1.0, "shape"),
        ([[0.0, 1.0]], 0.0, "gamma"),
        ([[0.0, 1.0]], np.inf, "gamma"),
    ],
)
def test_bad_means(means: list, gamma: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FreeMeansMixture(np.array(means), gamma)


@pytest.mark.parametrize(("k", "radius"), [(1, 1.0), (4, 0.0), (4, np.inf)])
def test_bad_rings(k: int, radius: float) -> None:
    with pytest.raises(ValueError, match="ring"):
        ring(k, radius=radius, gamma=0.1)


class Circle:
    """A circle of the ring's radius, evenly: all moments of low order are those of the ring."""

    def __init__(self, radius: float, gamma: float):
        self.radius, self.gamma = radius, gamma

    def sample(self, key, rows: int) -> np.ndarray:
        rng = np.random.default_rng(3)
        angle = 2 * np.pi * rng.random(rows)
        return self.radius * np.stack([np.cos(angle), np.sin(angle)], 1) + self.gamma * rng.normal(
            size=(rows, 2)
        )


def test_mass_between_neighbours_is_seen() -> None:
    target = ring(64, radius=1.0, gamma=2 * np.sin(np.pi / 64) / 20)
    gap = wasserstein_gap(Circle(1.0, target.gamma), target, key=jr.key(0), samples=20_000, transported=50)
    chord = target.distance
    assert f"up to {chord / 2:.3g}" in gap.witness
    assert (
        0.05 * chord < gap.lower < 0.25 * chord
    )  # the circle's mass moves by a quarter of a chord on average
