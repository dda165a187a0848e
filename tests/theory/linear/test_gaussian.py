"""`gaussian` against SciPy's multivariate normal and the covariance of explicit layer matrices."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal, special_ortho_group

from shoal.theory.linear import Effort, GaussianFactors, gaussian, gaussian_frontier
from shoal.theory.linear.gaussians import _gaussian as gaussians

QUICK = Effort(4)
EPS = float(np.finfo(float).eps)


def covariance(seed: int, n: int, condition: float) -> np.ndarray:
    """Random eigenvectors, eigenvalues geometric around 1."""
    if n == 1:
        return np.array([[condition]])
    u = special_ortho_group.rvs(n, random_state=seed)
    return (u * np.exp(np.linspace(-0.5, 0.5, n) * np.log(condition))) @ u.T


def log_density(mean: Any, sigma: Any, x: np.ndarray) -> np.ndarray:
    """SciPy's."""
    return multivariate_normal(mean, sigma).logpdf(x)


def root(made: GaussianFactors) -> np.ndarray:
    """The product of the layers, written out block by block, in the user's order of coordinates."""
    n, kept = len(made.mean), list(made.factors.kept)
    rest = [i for i in range(n) if i not in kept]
    total = np.eye(n)
    for layer in made.factors.layers:
        moved, fixed = (rest, kept) if layer.kind == "lower" else (kept, rest)
        m = np.eye(n)
        m[np.ix_(moved, fixed)], m[moved, moved] = layer.block, np.exp(layer.log_scale)
        total = total @ m
    return total


def divergence(made: GaussianFactors, t: np.ndarray) -> float:
    """KL(N(m, Σ) || N(m, T T^T)) from the eigenvalues of T^{-1} Σ T^{-T}, the small differences kept as such.

    With λ_i = 1 + e_i the divergence is sum (e - log(1 + e)) / 2; np.linalg.solve of SciPy's own root, no layers.
    """
    values, vectors = np.linalg.eigh(made.covariance)
    white = np.linalg.solve(t, vectors * np.sqrt(values))
    e = np.linalg.svd(white, compute_uv=False) ** 2 - 1
    return float(np.sum(e - np.log1p(e)) / 2)


@pytest.mark.parametrize(
    ("n", "condition", "layers"),
    [
        *((2, 1e4, m) for m in (2, 3, 4, 5, 11)),
        *((5, 1e2, m) for m in (2, 3, 4, 6, 9, 11)),
        *((16, 1e4, m) for m in (2, 3, 4, 11)),
    ],
)
def test_exact_gaussians(n: int, condition: float, layers: int):
    rng = np.random.default_rng(n)
    first = "lower" if layers % 3 else "upper"
    kept = tuple(int(i) for i in rng.permutation(n)[: n // 2])
    sigma, mean = covariance(n, n, condition), rng.normal(size=n)
    made = gaussian(mean, sigma, layers, first=first, kept=kept, effort=QUICK)
    t = root(made)
    assert [layer.kind for layer in made.factors.layers[:2]] == [
        first,
        "upper" if first == "lower" else "lower",
    ]
    assert len(made.factors.layers) == layers
    np.testing.assert_allclose(t @ t.T, sigma, atol=40 * EPS * float(np.linalg.norm(sigma, 2)) * n)
    assert np.linalg.det(t) > 0
    assert 0 <= divergence(made, t) < 1e-12
    assert abs(made.kl) < 1e-12
    x = rng.normal(size=(7, n))
    np.testing.assert_allclose(made.log_prob(x), log_density(mean, sigma, x), rtol=50 * EPS * condition)


@pytest.mark.parametrize("n", [3, 4, 7, 8, 14])
def test_one_pair_is_enough(n: int):
    made = gaussian(np.zeros(n), covariance(n, n, 1e3), 2, effort=QUICK)
    assert len(made.factors.layers) == 2
    assert 0 <= divergence(made, root(made)) < 1e-12
    assert made.factors.residual.float64 < 1e-12


def test_one_layer_is_not():
    """L(A, B) z keeps z_1: cov(x)_11 = I whatever A and B, and U keeps z_2; so Σ_11 = I or Σ_22 = I is necessary."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.normal(size=(2, 2)), np.diag(np.exp(rng.normal(size=2)))
        t = np.block([[np.eye(2), np.zeros((2, 2))], [a, b]])
        np.testing.assert_allclose((t @ t.T)[:2, :2], np.eye(2), atol=0)
    sigma = np.diag([4.0, 1.0, 1.0, 1.0])
    with pytest.raises(
        ValueError, match=r"one layer leaves the coordinates that it keeps .* differs from I by 3"
    ):
        gaussian(np.zeros(4), sigma, 1)
    assert gaussian(np.zeros(4), sigma, 2, effort=QUICK).kl < 1e-12


def test_conditions_are_small_and_the_bound_is_one():
    """At κ(Σ) = 1e4 every root has κ = 100; four layers share it."""
    sigma = covariance(1, 6, 1e4)
    made = gaussian_frontier(sigma, (2, 3, 4), effort=Effort(20))
    found = [row.condition or np.inf for row in made.rows]
    assert found == sorted(found, reverse=True)
    assert found[1] < 8
    assert found[2] < 5
    for row, condition in zip(made.rows, found, strict=True):
        assert condition >= row.lower_bound > 1
        assert row.factors is not None
        each = [np.linalg.cond(layer.matrix()) for layer in row.factors.factors.layers]
        np.testing.assert_allclose(condition, max(each), rtol=1e-6)
    chosen = made.within(found[2])
    assert chosen is not None
    assert len(chosen.factors.layers) == 4
    assert made.within(1.0) is None
    assert "4 layers: condition" in repr(made)


def test_the_bound_of_the_kept_half():
    """Scaling one kept coordinate by 100 needs κ >= 100 of a pair's second layer alone, where the whole allows 10."""
    row = gaussian_frontier(np.diag([1e4, 1.0]), (2,), effort=QUICK).rows[0]
    np.testing.assert_allclose(row.lower_bound, 100.0, rtol=1e-12)
    assert row.condition is not None
    assert row.condition >= 100.0 * (1 - 1e-12)


def test_units_of_columns_do_not_matter_to_the_accuracy():
    scale = np.array([1e-3, 1.0, 1e3, 5.0, 1e-2, 7.0])
    sigma = scale[:, None] * covariance(0, 6, 1e2) * scale
    made = gaussian(scale, sigma, 3, effort=QUICK)
    t = root(made) / scale[:, None]
    np.testing.assert_allclose(t @ t.T, sigma / scale / scale[:, None], atol=1e-12)
    assert abs(made.kl) < 1e-12


def test_maximum_likelihood_without_training():
    """The sample's Gaussian has the likelihood that SciPy gives it, and a trace of the layers' figures."""
    x = np.random.default_rng(4).normal(size=(200, 5)) @ np.random.default_rng(5).normal(size=(5, 5)) + 3
    mean, sigma = x.mean(0), np.cov(x.T, bias=True)
    made = gaussian(mean, sigma, effort=QUICK)
    expected = log_density(mean, sigma, x).sum()
    np.testing.assert_allclose(made.log_prob(x).sum(), expected, rtol=1e-11)
    assert made.conditions.largest == max(made.conditions.layers)
    assert repr(made).startswith("GaussianFactors(n = 5, 4 layers L U L U, KL ")
    assert made.factors.residual.float64 < 1e-12


def test_large_sizes_factor_the_symmetric_root(monkeypatch):
    monkeypatch.setattr(gaussians, "LARGEST", 4)
    sigma = covariance(3, 6, 1e2)
    made = gaussian(np.zeros(6), sigma, 6, first="upper", effort=QUICK)
    assert made.factors.route == "continuation"
    assert 0 <= divergence(made, root(made)) < 1e-12
    four = gaussian(np.zeros(6), sigma, first="upper")
    assert four.factors.route == "gaussian"
    assert 0 <= divergence(four, root(four)) < 1e-12
    assert gaussian(np.zeros(5), covariance(3, 5, 1e2), 5, effort=QUICK).factors.route == "five"
    with pytest.raises(ValueError, match=r"`layers` must be 5 \.\.\. 11"):
        gaussian(np.zeros(6), sigma, 2)
    with pytest.raises(ValueError, match=r"`layers` must be 5 \.\.\. 11"):
        gaussian(np.zeros(5), covariance(3, 5, 1e2))
    with pytest.raises(ValueError, match="searches up to n = 4; got n = 6"):
        gaussian_frontier(sigma)


def test_the_same_every_time():
    sigma = covariance(3, 6, 1e2)
    one, two = (gaussian(np.zeros(6), sigma, 3, effort=QUICK) for _ in range(2))
    for a, b in zip(one.factors.layers, two.factors.layers, strict=True):
        assert a.block.tobytes() == b.block.tobytes()


def test_a_miss_is_not_returned():
    with pytest.raises(RuntimeError, match="`tolerance` is 0"):
        gaussian(np.zeros(5), covariance(1, 5, 1e2), 3, tolerance=0.0, effort=QUICK)


@pytest.mark.parametrize(
    ("sigma", "text"),
    [
        (np.ones((3, 3)), "numerical rank 1 of 3"),
        (np.diag([1.0, -1.0]), "variance of coordinate 1 is -1"),
        (
            np.array([[1.0, 2.0], [2.0, 1.0]]),
            "positive definite; its correlation matrix has numerical rank 1 of 2",
        ),
        (np.array([[1.0, 0.5], [0.4, 1.0]]), r"symmetric; entries \(0, 1\) and \(1, 0\) are 0.5 and 0.4"),
        (np.array([[1.0, np.nan], [0.0, 1.0]]), r"`covariance` must be finite; entry \(0, 1\) is nan"),
        (np.ones((2, 3)), r"square matrix; got shape \(2, 3\)"),
    ],
)
def test_bad_covariances(sigma: np.ndarray, text: str):
    with pytest.raises(ValueError, match=text):
        gaussian(np.zeros(len(sigma)), sigma)


def test_other_bad_arguments():
    with pytest.raises(ValueError, match="`mean` must have length 2"):
        gaussian(np.zeros(3), np.eye(2))
    with pytest.raises(ValueError, match=r"`mean` must be finite; entry \(1,\) is inf"):
        gaussian([0.0, np.inf], np.eye(2))
    with pytest.raises(ValueError, match="`layers` must be 2 or more; got 0"):
        gaussian(np.zeros(2), np.eye(2), 0)
    with pytest.raises(ValueError, match="`kept` must hold 2 distinct indices"):
        gaussian(np.zeros(4), np.eye(4), kept=(0, 0))
