"""Volume-preserving flows: a gap that no additive coupling or rearrangement beats, that some reach, and what closes it."""

from itertools import pairwise
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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
    assert gap.covariance is not None
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
    assert gap.covariance is not None
    kept = np.linalg.cholesky(gap.covariance)
    assert np.linalg.det(kept) == pytest.approx(1.0, abs=100 * eps)  # a product of shears
    scaled = gap.scale * kept
    assert abs(gaussian_kl(s, scaled @ scaled.T)) <= 100 * eps * np.linalg.cond(s)
    assert gap.kl.value > 0.02


def test_no_gap_for_determinant_one_and_none_lost_near_it() -> None:
    assert universal.volume_preserving_gap(np.diag([4.0, 0.25])).kl.value <= 1e-30
    small = universal.volume_preserving_gap(np.eye(2) * (1 + 1e-7)).kl.value  # (c - 1)^2 / 2 to first order
    assert small == pytest.approx(0.5e-14, rel=1e-2)


def grid(reach: float, count: int, n: int) -> tuple[np.ndarray, float]:
    """The centres of count^n cells of [-reach, reach]^n, (count, ..., n), and the volume of one."""
    axis = (np.arange(count) + 0.5) * 2 * reach / count - reach
    return np.stack(np.meshgrid(*(axis,) * n, indexing="ij"), axis=-1), (2 * reach / count) ** n


@pytest.mark.parametrize("name", COVARIANCES)
def test_a_gaussian_on_a_grid_has_the_closed_form(name: str) -> None:
    s = COVARIANCES[name]
    exact, errors = universal.volume_preserving_gap(s), []
    for count in (150, 600):
        x, cell = grid(7 * np.sqrt(np.diag(s).max()), count, 2)
        p = np.exp(-0.5 * np.einsum("...i,ij,...j", x, np.linalg.inv(s), x)) / (
            2 * np.pi * np.sqrt(np.linalg.det(s))
        )
        gap = universal.volume_preserving_gap(density=p, cell=cell)
        errors.append(abs(gap.kl.value - exact.kl.value))
        assert gap.scale == pytest.approx(exact.scale, rel=0.2 / count**0.5)
        assert (gap.kl.kind, gap.reverse_kl.kind) == ("estimate", "unresolved")
    assert errors[1] < 2e-3
    assert abs(gap.scaled_kl.value) < 1e-3


def test_uniform_laws_have_closed_forms() -> None:
    """On a set of length L: -log L + log(2 pi) / 2 + L^2 / 24; of area A: -log A + log 2 pi + A / 4 pi, in pieces."""
    mask = np.random.default_rng(0).random(900) < 0.3
    length, area = 0.01 * mask.sum(), 0.02 * mask.sum()
    one = universal.volume_preserving_gap(density=mask / length, cell=0.01)
    two = universal.volume_preserving_gap(density=(mask / area).reshape(30, 30), cell=0.02)
    assert one.kl.value == pytest.approx(-np.log(length) + np.log(2 * np.pi) / 2 + length**2 / 24, abs=1e-12)
    assert two.kl.value == pytest.approx(-np.log(area) + np.log(2 * np.pi) + area / (4 * np.pi), abs=1e-12)
    assert two.scale == pytest.approx(np.sqrt(area / (4 * np.pi)), rel=1e-12)
    assert two.scaled_kl.value == pytest.approx(1 - np.log(2), abs=1e-12)


def test_a_bent_normal_law_has_no_gap_and_a_stretched_one_that_of_its_volume() -> None:
    """x -> (x1, x2 + x1^2) keeps volumes."""
    x, cell = grid(9.0, 900, 2)
    bent = lambda a: (
        np.exp(-0.5 * ((x[..., 0] / a) ** 2 + (x[..., 1] - x[..., 0] ** 2 + 2) ** 2)) / (2 * np.pi * a)
    )
    assert 0 <= universal.volume_preserving_gap(density=bent(1.0), cell=cell).kl.value < 5e-4
    exact = universal.volume_preserving_gap(np.diag([0.25, 1.0])).kl.value
    assert universal.volume_preserving_gap(density=bent(0.5), cell=cell).kl.value == pytest.approx(
        exact, abs=1e-3
    )


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 3), st.lists(st.floats(0, 8), min_size=2, max_size=12), st.randoms(use_true_random=False)
)
def test_no_order_of_shells_comes_below(n: int, logs: list[float], random) -> None:
    """A law constant on cells, laid on shells of equal volume in any order; each shell's mean of r^2 by QUADPACK."""
    cell = 0.7
    p = np.exp(np.array(logs)) / (np.exp(logs).sum() * cell)
    ball = {1: 2.0, 2: np.pi, 3: 4 * np.pi / 3}[n]
    radii = (cell * np.arange(len(p) + 1) / ball) ** (1 / n)
    square = [quad(lambda r: n * ball * r ** (n + 1), a, b)[0] for a, b in pairwise(radii)]
    value = lambda law: cell * law @ np.log(law) + n / 2 * np.log(2 * np.pi) + law @ square / 2
    gap = universal.volume_preserving_gap(density=p.reshape(-1, *(1,) * (n - 1)), cell=cell).kl.value
    best = value(np.sort(p)[::-1])
    assert gap == pytest.approx(best, abs=1e-10 * (1 + abs(best)))
    assert value(np.array(random.sample(list(p), len(p)))) >= gap - 1e-10 * (1 + abs(best))


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


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "takes a covariance, or a density"),
        ({"covariance": np.eye(2), "density": np.ones(2), "cell": 0.5}, "takes a covariance, or a density"),
        ({"density": np.ones(2)}, "volume of its cells"),
        ({"density": np.array([1.0, -0.1]), "cell": 1.0}, "at least 0"),
        ({"density": np.array([0.5, np.inf]), "cell": 1.0}, "finite"),
        ({"density": np.ones(2), "cell": 0.0}, "`cell`"),
        ({"density": np.ones(2), "cell": 0.4}, "sum to 1; got 0.8"),
    ],
)
def test_bad_densities(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        universal.volume_preserving_gap(**given)
