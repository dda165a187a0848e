"""Volume-preserving flows and Gaussians: a gap that no additive coupling beats, that some reach, and one layer closes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.stats import norm

from shoal.bijections import (
    Additive,
    Chain,
    Partition,
    dense_coupling,
)
from shoal.distributions import Flow, StandardNormal
from shoal.theory import linear, universal

COVARIANCES = {
    "wide": np.array([[3.0, 1.0], [1.0, 2.0]]),
    "narrow": np.array([[0.3, -0.2], [-0.2, 0.4]]),
    "skewed": np.array([[9.0, 0.5], [0.5, 0.1]]),
}


def gaussian_kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(N(0, p) || N(0, q)) by the textbook formula."""
    ratio = np.linalg.solve(q, p)
    return 0.5 * float(np.trace(ratio) - len(p) - np.linalg.slogdet(ratio)[1])


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_the_stated_law_has_the_gap_and_keeps_volume(n: int) -> None:
    a = np.random.default_rng(n).normal(size=(n, n + 2))
    s = a @ a.T / n
    gap = universal.volume_preserving_gap(s)
    bound = 100 * n * np.finfo(float).eps * np.linalg.cond(s)
    assert gap.kl.kind == gap.reverse_kl.kind == "exact"
    assert gap.kl.value == pytest.approx(gaussian_kl(s, gap.covariance), abs=bound)
    assert gap.reverse_kl.value == pytest.approx(gaussian_kl(gap.covariance, s), abs=bound)
    assert np.linalg.det(gap.covariance) == pytest.approx(1.0, rel=bound)
    np.testing.assert_allclose(gap.scale**2 * gap.covariance, s, rtol=bound)


@pytest.mark.parametrize("sigma", [0.2, 0.7, 3.0])
def test_one_dimension_by_quadrature(sigma: float) -> None:
    """Shifts and reflections, piece by piece: also a cut and pasted map is no better."""
    ends = 12 * sigma
    p, log_p = (lambda x: norm.pdf(x, scale=sigma)), (lambda x: norm.logpdf(x, scale=sigma))
    direct = quad(lambda x: p(x) * (log_p(x) - norm.logpdf(x)), -ends, ends, epsabs=1e-11)[0]
    gap = universal.volume_preserving_gap(np.array([[sigma**2]])).kl.value
    assert gap == pytest.approx(direct, abs=1e-9)
    moved = lambda x: norm.logpdf(1.5 - x if 0 < x < 1.5 else x)
    extra = {"points": [0, 1.5], "epsabs": 1e-9, "limit": 200}
    assert quad(lambda x: p(x) * (log_p(x) - moved(x)), -ends, ends, **extra)[0] > gap + 1e-4


@pytest.mark.parametrize("name", COVARIANCES)
def test_linear_nice_trained_on_the_exact_kl_ends_at_the_gap(name: str) -> None:
    """Four shears, maximum likelihood in closed form: never below, and there within 1e-6."""
    s = COVARIANCES[name]
    gap = universal.volume_preserving_gap(s).kl.value
    values = []

    def kl(shears: np.ndarray) -> float:
        t = np.eye(2)
        for i, shear in enumerate(shears):
            t[i % 2] += shear * t[1 - i % 2]
        values.append(gaussian_kl(s, t @ t.T))
        return values[-1]

    found = minimize(kl, 0.3 * np.random.default_rng(0).normal(size=4), tol=1e-12)
    assert min(values) >= gap - 1e-12
    assert values[0] > gap + 0.01
    assert found.fun == pytest.approx(gap, abs=1e-6)


@pytest.mark.long
@pytest.mark.usefixtures("x64")
def test_trained_nice_with_networks_does_not_come_below() -> None:
    """Additive couplings with tanh nets, trained on the KL by Gauss-Hermite quadrature of 40 x 40 nodes."""
    s = COVARIANCES["wide"]
    gap = universal.volume_preserving_gap(s).kl.value
    keys = jr.split(jr.key(2), 4)
    nets = [dense_coupling(Partition(2, [i % 2]), Additive(), hidden=(8,), key=k) for i, k in enumerate(keys)]
    flow = Flow(StandardNormal(2), Chain(nets))
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    mass = np.outer(weights, weights).reshape(-1) / (2 * np.pi)
    x = jnp.asarray(grid @ np.linalg.cholesky(s).T)
    entropy = 1 + np.log(2 * np.pi) + 0.5 * np.linalg.slogdet(s)[1]
    arrays, static = eqx.partition(flow, eqx.is_inexact_array)

    def kl(arrays):
        return -entropy - jnp.asarray(mass) @ eqx.combine(arrays, static).log_prob(x)

    rule = optax.adam(0.03)

    @jax.jit
    def moved(arrays, state):
        value, slope = jax.value_and_grad(kl)(arrays)
        change, state = rule.update(slope, state)
        return optax.apply_updates(arrays, change), state, value

    state, values = rule.init(arrays), []
    for _ in range(200):
        arrays, state, value = moved(arrays, state)
        values.append(float(value))
    assert min(values) >= gap - 1e-6
    assert values[-1] <= gap + 0.02 < values[0]


@pytest.mark.parametrize("name", COVARIANCES)
def test_affine_couplings_and_one_scaling_layer_reach_zero(name: str) -> None:
    s = COVARIANCES[name]
    eps = np.finfo(float).eps
    assert 0 <= linear.gaussian(np.ones(2), s).kl <= (100 * eps * np.linalg.cond(s)) ** 2 + 1e-24
    gap = universal.volume_preserving_gap(s)
    kept = np.linalg.cholesky(gap.covariance)
    assert np.linalg.det(kept) == pytest.approx(1.0, abs=100 * eps)  # a product of shears
    scaled = gap.scale * kept
    assert abs(gaussian_kl(s, scaled @ scaled.T)) <= 100 * eps * np.linalg.cond(s)
    assert gap.kl.value > 0.02


def test_no_gap_for_determinant_one_and_none_lost_near_it() -> None:
    assert universal.volume_preserving_gap(np.diag([4.0, 0.25])).kl.value <= 1e-30
    small = universal.volume_preserving_gap(np.eye(2) * (1 + 1e-7)).kl.value  # (c - 1)^2 / 2 to first order
    assert small == pytest.approx(0.5e-14, rel=1e-2)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        (np.ones((2, 3)), "shape"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (np.ones((2, 2)), "positive definite"),
        (np.diag([1.0, -1.0]), "positive definite"),
        (np.array([[np.nan]]), "finite"),
    ],
)
def test_bad_covariances(matrix: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        universal.volume_preserving_gap(matrix)
