"""The padding study: its figures against closed forms, and a tiny grid that repeats bit for bit."""

# pyright: reportArgumentType=false

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats
from studies.grid import Cell
from studies.padding import SMOKE
from studies.padding_data import Data, load
from studies.padding_figures import (
    condition_figures,
    condition_points,
    conditions,
    distances,
    likelihoods,
    transports,
)
from studies.padding_models import build, core, density_of, padding_of
from studies.padding_run import run_padding
from studies.registry import find

from shoal.bijections import LULinear, Noise, Standardize
from shoal.distributions import Dequantized, Flow, GaussianPadding, Padded, StandardNormal, ZeroPadding

TINY = {**SMOKE, "rows": 64, "held_out": 32, "depth": 1, "hidden": 4, "points": 4, "draws": 2, "samples": 16}
ROWS, DRAWS, M = 200, 50, 2


def cell(padding: str, seed: int = 0, **changes: Any) -> Cell:
    return Cell(f"{padding}/{seed}", {"target": "moons", "padding": padding, "seed": seed, **TINY, **changes})


def run(*cells: Cell) -> list[Any]:
    return list(run_padding(cells, lambda fraction, words: None))


def linear(padding: Any) -> tuple[Any, np.ndarray]:
    """x, e = B z, B lower triangular: a joint normal, and its covariance."""
    lower = np.eye(2 * M)
    lower[1, 0], lower[M:, :M] = 0.7, [[0.8, -0.5], [0.3, 0.6]]
    layer = eqx.tree_at(
        lambda b: (b.lower, b.upper, b.log_diagonal),
        LULinear(2 * M, key=jr.key(0)),
        (jnp.asarray(lower, jnp.float32), jnp.zeros((2 * M, 2 * M)), jnp.zeros(2 * M)),
    )
    return Padded(Flow(StandardNormal(2 * M), layer), padding, key=jr.key(3)), lower @ lower.T


def normal_data(covariance: np.ndarray, rows: int = ROWS) -> Data:
    rng = np.random.default_rng(5)
    parts = [
        rng.multivariate_normal(np.zeros(M), covariance[:M, :M], rows).astype(np.float32) for _ in range(3)
    ]
    return Data(*parts)


def test_bound_exact_and_estimate_are_in_order_for_a_joint_normal():
    model, covariance = linear(GaussianPadding(M))
    data = normal_data(covariance)
    found = likelihoods(jr.key(0), model, data, 2 * DRAWS)
    assert set(found) == {"bound", "bound_error", "estimate", "estimate_error", "estimate_effective"}
    log_p = stats.multivariate_normal(np.zeros(M), covariance[:M, :M]).logpdf(data.held_out)
    exact = log_p.mean() / M
    rest = covariance[M:, M:] - covariance[M:, :M] @ np.linalg.solve(covariance[:M, :M], covariance[:M, M:])
    mean = data.held_out @ np.linalg.solve(covariance[:M, :M], covariance[:M, M:])
    inverse = np.linalg.inv(rest)
    gaps = 0.5 * (
        np.trace(inverse) - M + np.einsum("ri,ij,rj->r", mean, inverse, mean) + np.log(np.linalg.det(rest))
    )
    assert found["bound"] < exact - 0.1
    assert found["bound"] == pytest.approx(exact - gaps.mean() / M, abs=0.03)
    assert found["estimate"] == pytest.approx(exact, abs=0.02)
    assert found["bound"] < found["estimate"]
    assert 1 < found["estimate_effective"] < 2 * DRAWS


def test_zeros_have_a_joint_and_a_marginal_and_no_likelihood():
    model, covariance = linear(ZeroPadding(M))
    data = normal_data(covariance)
    found = likelihoods(jr.key(0), model, data, DRAWS)
    at_zero = np.concatenate([data.held_out, np.zeros_like(data.held_out)], axis=1)
    joint = stats.multivariate_normal(np.zeros(2 * M), covariance).logpdf(at_zero).mean() / M
    exact = stats.multivariate_normal(np.zeros(M), covariance[:M, :M]).logpdf(data.held_out).mean() / M
    assert found["joint"] == pytest.approx(joint, rel=1e-5)
    assert found["marginal_estimate"] == pytest.approx(exact, abs=0.02)
    assert found["marginal_scale"] == pytest.approx(np.sqrt(np.trace(covariance[M:, M:]) / M), rel=0.2)
    assert abs(joint - exact) > 0.5
    assert not {"log_likelihood", "bound", "estimate"} & set(found)


def test_without_padding_the_likelihood_is_exact():
    model = Flow(StandardNormal(M), Standardize(jnp.array([0.5, -1.0]), jnp.array([2.0, 0.5])))
    data = normal_data(np.eye(M))
    found = likelihoods(jr.key(0), model, data, 2)
    log_p = stats.norm.logpdf(data.held_out, [0.5, -1.0], [2.0, 0.5]).sum(axis=1) / M
    assert found["log_likelihood"] == pytest.approx(log_p.mean(), rel=1e-5)
    assert found["log_likelihood_error"] == pytest.approx(log_p.std(ddof=1) / ROWS**0.5, rel=1e-4)


def test_condition_numbers_of_a_known_map_and_beyond_the_resolution():
    points = np.random.default_rng(0).normal(size=(20, 2))
    found = conditions(Standardize(jnp.zeros(2), jnp.array([4.0, 0.5])), points)
    assert [found[k] for k in ("median", "mean", "q10", "q90", "max", "mean_16")] == pytest.approx([8.0] * 6)
    assert found["unresolved"] == 0
    kappa = np.array([1.0, 2.0, 3.0, 1e17, np.nan])
    found = condition_figures(kappa)
    assert (found["median"], found["mean"], found["max"], found["unresolved"]) == (3.0, None, None, 2)
    assert condition_figures(np.concatenate([np.full(16, 2.0), [1e17]]))["mean_16"] == 2.0


def test_transport_distances_in_closed_form():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 1)), 2 * rng.normal(size=(50, 1)) + 1
    gaps = np.abs(np.sort(a, axis=0) - np.sort(b, axis=0))
    assert distances(a, b) == pytest.approx((gaps.mean(), np.sqrt((gaps**2).mean())))
    x, shift = rng.normal(size=(40, 3)), np.array([3.0, 0.0, 4.0])
    assert distances(x, rng.permutation(x) + shift) == pytest.approx((5.0, 5.0))


def test_samples_that_are_not_finite_leave_no_distance():
    model = Flow(StandardNormal(M), Standardize(jnp.zeros(M), jnp.array([1.0, 3e38])))
    found = transports(jr.key(0), model, normal_data(np.eye(M), 30), 30)
    assert found["samples_not_finite"] > 0
    assert (found["w1"], found["w2"]) == (None, None)
    assert found["w1_data"] > 0


def test_a_tiny_grid_repeats_bit_for_bit_and_alone():
    """What an exact, a bounded and a joint likelihood are is tested above; here a cell goes through the whole study."""
    first, second = run(cell("gaussian", 0), cell("gaussian", 1))
    assert run(cell("gaussian", 1)) == [second]
    assert first["bound"] != second["bound"]
    assert first["w1_data"] == second["w1_data"]  # the same data for all
    for found in (first, second):
        assert found["kappa_epochs"] == [0, 1, 2]
        assert found["kappa_median_by_epoch"][0] == pytest.approx(1.0)  # the identity
        assert found["kappa_median_by_epoch"][-1] == found["kappa_median"] > 1.0
        assert found["training"] == "finished"
        assert {"bound", "estimate"} <= set(found)
        assert not {"log_likelihood", "joint"} & set(found)


def test_kinds_keep_likelihoods_and_joints_apart():
    kinds = find("padding").kinds
    names = ("bound", "estimate", "bound_weighted", "joint", "marginal_estimate")
    assert [kinds[n] for n in names] == ["lower_bound", "estimate", "lower_bound", "joint", "estimate"]
    for padding in ("none", "zero", "gaussian"):
        stored = [c for c in find("padding").cells if c.config["padding"] == padding]
        assert len(stored) == 37  # six planar targets and the digits with five seeds, MNIST with two


def test_data_are_shared_by_paddings_and_seeds_but_not_by_targets():
    one, two = load(cell("none", 0)), load(cell("gaussian", 3))
    assert all(np.array_equal(getattr(one, n), getattr(two, n)) for n in ("train", "held_out", "other"))
    np.testing.assert_allclose([one.train.mean(), one.train.std()], [0.0, 1.0], atol=1e-5)
    assert not np.array_equal(load(cell("none", rows=65)).held_out, one.held_out)


def test_pixels_are_standardised_and_padding_stays_beside_them():
    image = cell("gaussian", target="digits", rows=100, held_out=50, partition="random")
    data = load(image)
    model = build(jr.key(0), image, data)
    assert isinstance(model, Dequantized)
    points = condition_points(jr.key(1), model, data, 50)
    pixels = points[:, :64]
    assert points.shape == (50, 128)
    assert stats.kstest(points[:, 64:].ravel(), "norm").pvalue > 1e-3
    assert np.abs(pixels.mean()) < 0.1
    assert 0.5 < pixels.std() < 1.2
    assert core(model, data).shape == density_of(model).bijection.shape
    last: Any = density_of(model).bijection.bijections[1]
    assert last.partition.kept == tuple(range(64, 128))
    standard: Any = last.bijection.bijections[0]
    logits = pixels * np.asarray(standard.scale, np.float64) + np.asarray(standard.mean, np.float64)
    rows = 17.0 * (1.0 / (1.0 + np.exp(-logits)) - 0.05) / 0.9
    assert np.all((rows > data.held_out - 1e-4) & (rows < data.held_out + 1 + 1e-4))  # x + u, u in [0, 1)


def test_an_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="`padding` must be one of none, zero, gaussian"):
        padding_of("ones", 2)


def test_noise_of_the_models_is_reseeded_by_seed():
    first, second = (build(jr.key(s), cell("gaussian"), load(cell("gaussian"))) for s in (0, 1))
    words = [np.asarray(m.noise.words) for m in (first, second)]
    assert isinstance(first.noise, Noise)
    assert not np.array_equal(*words)
