"""Extreme singular values without matrices: known spectra, decompositions of large random flows, the law of bounds."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal import flows
from shoal.conditioning import JaxMap, extremes, from_bijection, from_callables
from tests.conditioning.known_maps import Diagonal, KnownMap, planar, with_spectrum
from tests.conditioning.shaken import shaken

EPS = np.finfo(np.float64).eps
C = 50.0  # of the rounding of a bound: C n eps kappa


@pytest.mark.parametrize("kappa", [1.0, 10.0, 1e3, 1e5, 1e8, 1e12])
@pytest.mark.parametrize("kind", ["geometric", "linear", "two values"])
def test_prescribed_spectra(kappa, kind):
    n = 120
    sigma = {
        "geometric": np.geomspace(1, 1 / kappa, n),
        "linear": np.linspace(1, 1 / kappa, n),
        "two values": np.where(np.arange(n) % 2, 1.0, 1 / kappa),
    }[kind]
    found = extremes(with_spectrum(np.random.default_rng(1), sigma), np.zeros((2, n)))
    assert (found.steps <= 60).all()
    assert (found.residuals <= 1e-3).all()
    slack = C * n * EPS * kappa
    assert np.abs(found.sigma_max - 1).max() <= 1e-4 + slack
    assert np.abs(found.sigma_min * kappa - 1).max() <= 1e-4 + slack
    assert (found.sigma_max <= 1 + slack).all()
    assert (found.sigma_min * kappa >= 1 - slack).all()


@pytest.mark.parametrize("n", [16, pytest.param(64, marks=pytest.mark.long)])
def test_large_random_coupling_flows_against_dense_decompositions(n):
    flow = shaken(flows.realnvp(jr.key(n), n, depth=3, hidden=(24,)).bijection, 0.5)
    map, z = from_bijection(flow), np.random.default_rng(2).normal(size=(6, n))
    dense = np.linalg.svd(map.at().jacobian(z), compute_uv=False)
    kappa = dense[:, 0] / dense[:, -1]
    found = extremes(map, z)
    assert kappa.min() > 100
    slack = C * n * EPS * kappa
    assert (found.sigma_max <= dense[:, 0] * (1 + slack)).all()
    assert (found.sigma_min >= dense[:, -1] * (1 - slack)).all()
    assert found.sigma_max == pytest.approx(dense[:, 0], rel=1e-3)
    assert found.sigma_min == pytest.approx(dense[:, -1], rel=1e-3)
    assert found.condition_numbers == pytest.approx(found.sigma_max / found.sigma_min)
    scale = np.geomspace(0.01, 10, n)
    dense = np.linalg.svd(map.at().jacobian(z) / scale[:, None], compute_uv=False)
    scaled = extremes(map, z, scale=scale)
    assert scaled.sigma_max == pytest.approx(dense[:, 0], rel=1e-3)
    assert scaled.sigma_min == pytest.approx(dense[:, -1], rel=1e-3)


def test_the_residual_tells_how_far_a_short_run_is():
    n = 200
    map = with_spectrum(np.random.default_rng(0), np.linspace(1, 0.5, n))
    short, long = (extremes(map, np.zeros((1, n)), steps=k, tolerance=0.0) for k in (4, 120))
    assert short.steps.tolist() == [[4, 4]]
    assert 0.9 < short.sigma_max[0] < 1 - 1e-4
    assert short.residuals.min() > 1e-2
    assert abs(long.sigma_max[0] - 1) < 1e-6
    assert long.residuals.max() < 1e-3


def test_a_converged_run_stops():
    map = with_spectrum(np.random.default_rng(0), np.geomspace(1, 1e-6, 40))
    found = extremes(map, np.zeros((3, 40)), tolerance=0.1)
    assert map.products == found.steps[0].sum() < 20


def test_an_outlier_that_the_start_hardly_has_is_found():
    n = 3000
    sigma = 1 + 2e-4 * np.sin(np.arange(n))
    sigma[7], sigma[8] = 1.03, 0.97
    slopes = lambda v: lambda p: np.broadcast_to(v, p.shape)
    found = extremes(Diagonal(n, lambda z: sigma * z, slopes(sigma), slopes(1 / sigma)), np.ones((1, n)))
    assert found.sigma_max[0] == pytest.approx(1.03, rel=1e-4)
    assert found.sigma_min[0] == pytest.approx(0.97, rel=1e-4)


def test_figures_of_a_point_do_not_depend_on_the_others():
    map, _ = planar(np.random.default_rng(3), 5, 0.1)
    z = np.random.default_rng(4).normal(size=(7, 5))
    together = extremes(map, z, tolerance=0.0)
    alone = extremes(map, z[3:4], tolerance=0.0)
    assert together.sigma_max[3] == pytest.approx(alone.sigma_max[0], rel=4 * EPS)
    other = extremes(map, z[3:4], tolerance=0.0, steps=1, seed=1)
    assert other.sigma_max[0] != extremes(map, z[3:4], tolerance=0.0, steps=1).sigma_max[0]


def test_what_is_not_finite_stays_so_at_its_point_alone():
    f, g = (lambda z: z + jnp.exp(400 * z - 400)), (lambda x: x - 1.0)
    found = extremes(from_callables(f, g, 2), np.array([[0.0, 0.0], [3.0, 0.0]]))
    assert found.sigma_max[0] == pytest.approx(1)
    assert found.sigma_min[0] == pytest.approx(1)
    assert np.isnan(found.sigma_max[1])
    assert np.isnan(found.sigma_min[1])
    assert np.isnan(found.condition_numbers[1])
    assert np.isnan(found.residuals[1]).all()


def test_a_slope_at_infinity_is_no_figure():
    blown = lambda z: np.where(z > 1, np.inf, z)
    eye = lambda p: np.broadcast_to(np.eye(2), (len(p), 2, 2))
    found = extremes(KnownMap(2, blown, eye, eye), np.array([[0.0, 0.0], [2.0, 0.0]]))
    assert found.sigma_min[0] == pytest.approx(1)
    assert np.isnan(found.sigma_min[1])
    assert np.isnan(found.condition_numbers[1])


def test_huge_and_tiny_maps_do_not_overflow():
    for size in (1e180, 1e-180):
        found = extremes(
            with_spectrum(np.random.default_rng(0), size * np.array([1.0, 0.5, 0.1])), np.ones((1, 3))
        )
        assert found.sigma_max[0] == pytest.approx(size)
        assert found.sigma_min[0] == pytest.approx(0.1 * size)


def test_no_points_and_one_coordinate():
    map = with_spectrum(np.random.default_rng(0), np.array([3.0]))
    assert extremes(map, np.zeros((0, 1))).condition_numbers.shape == (0,)
    found = extremes(map, np.zeros((2, 1)))
    assert found.sigma_max == pytest.approx([3, 3])
    assert found.steps.tolist() == [[1, 1], [1, 1]]


def test_blocks_of_points_are_joined(monkeypatch):
    map, exact = planar(np.random.default_rng(5), 4, 0.1)
    z = np.random.default_rng(6).normal(size=(5, 4))
    monkeypatch.setattr("shoal.conditioning._krylov._NUMBERS", 2 * 2 * 4 * 5)
    assert extremes(map, z).sigma_max == pytest.approx(exact(z)[0], rel=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": np.zeros((2, 4))}, r"`points` must have shape \(rows, 3\); got \(2, 4\)"),
        ({"context": np.zeros((3, 1))}, "`context` needs a row for each of 2 points; got 3"),
        ({"scale": np.array([1.0, 0.0, 1.0])}, "`scale` must be 3 positive numbers, one a coordinate"),
        ({"steps": 0}, "`steps` must be at least 1; got 0"),
        ({"tolerance": -1.0}, "`tolerance` must be a finite number of at least 0"),
    ],
    ids=["points", "context", "scale", "steps", "tolerance"],
)
def test_words_on_bad_input(change, words):
    map = with_spectrum(np.random.default_rng(0), np.ones(3))
    with pytest.raises(ValueError, match=words):
        extremes(**{"map": map, "points": np.zeros((2, 3)), **change})


class Sinh(eqx.Module):
    """x = A sinh(a z) and back, parameters as data: one program for all cases."""

    matrix: np.ndarray
    rates: np.ndarray

    def forward(self, z, context):
        return jnp.asarray(self.matrix, z.dtype) @ jnp.sinh(jnp.asarray(self.rates, z.dtype) * z)

    def inverse(self, x, context):
        inner = jnp.asarray(self.matrix, x.dtype).T @ x
        return jnp.arcsinh(inner) / jnp.asarray(self.rates, x.dtype)


@settings(max_examples=300)
@given(
    kind=st.sampled_from(["linear", "planar", "sinh"]),
    n=st.integers(1, 6),
    log_kappa=st.floats(0, 11),
    steps=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_lower_bound_exact_upper_bound(kind, n, log_kappa, steps, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(2, n))
    if kind == "linear":
        sigma = np.geomspace(1, 10**-log_kappa, n) * 10 ** rng.uniform(-3, 3)
        map, top, bottom = with_spectrum(rng, sigma), sigma.max(), sigma.min()
    elif kind == "planar":
        map, exact = planar(rng, n, 10 ** -(log_kappa / 2))
        top, bottom = exact(z)
    else:
        n, z = 4, rng.normal(size=(2, 4))
        q, rates = np.linalg.qr(rng.normal(size=(4, 4)))[0], 10 ** rng.uniform(-2, 1, 4)
        slopes = rates * np.cosh(rates * z)
        module = Sinh(q, rates)
        map, top, bottom = JaxMap(module.forward, module.inverse, 4), slopes.max(1), slopes.min(1)
    found = extremes(map, z, steps=steps, tolerance=0.0)
    slack = C * n * EPS * top / bottom
    assert (found.sigma_max <= top * (1 + slack)).all()
    assert (found.sigma_min >= bottom * (1 - slack)).all()
    assert (found.condition_numbers <= top / bottom * (1 + 2 * slack)).all()
    if steps >= n:
        assert (np.abs(found.sigma_max / top - 1) <= slack).all()
        assert (np.abs(bottom / found.sigma_min - 1) <= slack).all()
