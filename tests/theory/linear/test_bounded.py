"""Theorem C1: bounds that do not know the size, on many matrices; products are NumPy's, of explicit layer matrices."""

import numpy as np
import pytest
from scipy.stats import special_ortho_group

from shoal.theory.linear import Effort, Layer, factor, gaussian
from shoal.theory.linear._closed_forms import covariance_layers, nine_layers

EPS = float(np.finfo(float).eps)
ACCEPTED = 1e-12  # relative residual that `factor` accepts, whatever κ
SLACK = (
    1 + 1e-6
)  # of the bounds; their largest ratios are 0.99 where K > 1.1, and both sides round near K = 1


def explicit(layers: tuple[Layer, ...]) -> np.ndarray:
    """The product, block by block."""
    d = len(layers[0].block)
    total = np.eye(2 * d)
    for layer in layers:
        m, moved, kept = np.eye(2 * d), slice(d, None), slice(0, d)
        if layer.kind == "upper":
            moved, kept = kept, moved
        m[moved, kept], m[moved, moved] = layer.block, np.diag(np.exp(layer.log_scale))
        total = total @ m
    return total


def drawn(rng: np.random.Generator, largest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random rotations U, V and geometric numbers s with product one, n = 2 ... 16, max s / min s up to `largest`."""
    n = 2 * int(rng.integers(1, 9))
    spread = np.log(10.0) * rng.uniform(0, np.log10(largest))
    logs = np.sort(rng.uniform(-0.5, 0.5, n))
    if rng.uniform() < 0.3:  # two clusters
        logs = np.sign(logs) / 2
    logs = (logs - logs.mean()) * spread
    u, v = special_ortho_group.rvs(n, size=2, random_state=rng)
    return u, np.exp(logs), v


def norm(layer: Layer) -> float:
    return float(np.linalg.norm(layer.block, 2))


def test_every_gaussian_in_four_layers():
    rng = np.random.default_rng(0)
    for _ in range(300):
        u, s, _ = drawn(rng, 1e6)
        sigma = (u * s) @ u.T
        sigma = (sigma + sigma.T) / 2
        kappa = float(s.max() / s.min())
        k = kappa**0.5
        layers = covariance_layers(sigma)
        assert [layer.kind for layer in layers] == ["lower", "upper", "lower", "upper"]
        bounds = ((k - 1 / k) / 2 + k, k + k**0.5, k**0.5, k + k**0.5)
        assert all(norm(x) <= b * SLACK for x, b in zip(layers, bounds, strict=True))
        assert all(np.max(np.abs(layer.log_scale)) < 1e-9 for layer in layers)
        worst = max(np.linalg.cond(layer.matrix()) for layer in layers)
        assert worst <= (k + (k * k + 1) ** 0.5) ** 2 * SLACK
        assert worst <= 6 * kappa
        t = explicit(layers)
        assert np.linalg.norm(t @ t.T - sigma, 2) <= 40 * EPS * kappa * np.linalg.norm(sigma, 2)


def test_any_determinant():
    """det Σ = c^(2n) costs at most a factor max(c, 1/c) of the conditions."""
    rng = np.random.default_rng(1)
    for c in (1e-3, 0.5, 1e3):
        u, s, _ = drawn(rng, 1e2)
        sigma = c * c * (u * s) @ u.T
        layers = covariance_layers((sigma + sigma.T) / 2)
        t = explicit(layers)
        np.testing.assert_allclose(t @ t.T, sigma, rtol=0, atol=1e-12 * float(np.linalg.norm(sigma, 2)))
        worst = max(np.linalg.cond(layer.matrix()) for layer in layers)
        assert worst <= 6 * s.max() / s.min() * max(c, 1 / c)


def test_every_matrix_in_nine_layers():
    rng = np.random.default_rng(2)
    for _ in range(1000):
        u, s, v = drawn(rng, 1e3)
        t = (u * s) @ v
        k = float(s.max() / s.min())
        layers = nine_layers(t)
        bounds = ((k - 1 / k) / 2 + k, k + k**0.5, k**0.5, k + k**0.5 + 2, 1, 3, 2, 1, 3)
        assert len(layers) == 9
        assert all(norm(x) <= b * SLACK for x, b in zip(layers, bounds, strict=True))
        assert np.linalg.norm(explicit(layers) - t) <= ACCEPTED * np.linalg.norm(t)


def test_nine_layers_of_condition_1e4():
    """T T^T, of condition 1e8, is not formed: forming it would cost four digits more (3e-9)."""
    u, v = special_ortho_group.rvs(16, size=2, random_state=0)
    t = u * np.exp(np.linspace(-0.5, 0.5, 16) * np.log(1e4)) @ v
    assert np.linalg.norm(explicit(nine_layers(t)) - t) <= ACCEPTED * np.linalg.norm(t)


@pytest.mark.parametrize(
    ("condition", "count", "route"), [(10, 11, "nine"), (1e4, 11, "svd"), (10, 9, "nine"), (10, 10, "nine")]
)
@pytest.mark.parametrize("first", ["lower", "upper"])
def test_factor_takes_the_better_closed_form(condition: float, count: int, route: str, first):
    u, v = special_ortho_group.rvs(6, size=2, random_state=3)
    t = 7.0 * u * np.exp(np.linspace(-0.5, 0.5, 6) * np.log(condition)) @ v
    made = factor(t, count, first=first, effort=Effort(0))
    assert (made.route, len(made.layers)) == (route, count)
    assert made.layers[0].kind == first
    assert np.linalg.norm(made.matrix() - t) <= 1e-12 * np.linalg.norm(t)


def test_nine_layers_where_six_are_not_found(monkeypatch):
    """A search that fails is not the end: nine layers exist in closed form."""
    from shoal._errors import NumericalFailure
    from shoal.theory.linear import _routes

    def refused(*_):
        raise NumericalFailure("no path")

    monkeypatch.setattr(_routes, "six_layers", refused)
    t = np.random.default_rng(0).normal(size=(4, 4))
    assert factor(t, 9, effort=Effort(3)).route == "nine"
    with pytest.raises(NumericalFailure, match="no path"):
        factor(t, 7, effort=Effort(3))


def test_four_layers_of_a_large_covariance():
    """n = 160, beyond what is searched: units of columns do not enter, the correlation matrix's condition bounds κ."""
    n = 160
    u = special_ortho_group.rvs(n, random_state=0)
    sigma = (u * np.exp(np.linspace(-1, 1, n))) @ u.T
    scale = np.sqrt(np.diag(sigma))
    correlation = sigma / scale / scale[:, None]
    made = gaussian(np.zeros(n), (correlation + correlation.T) / 2)
    assert len(made.factors.layers) == 4
    assert made.residual < 1e-13
    assert made.conditions.largest < 6 * np.linalg.cond(correlation) * np.linalg.det(correlation) ** (
        -1 / (2 * n)
    )
