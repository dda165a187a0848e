"""The layers of benchmarks/whitening.py: their loss by another way, and bounds that no sample mean exceeds."""

import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
W = runpy.run_path(str(ROOT / "benchmarks" / "whitening.py"))


def kl(a: np.ndarray) -> float:
    return float(np.trace(a) - len(a) - np.linalg.slogdet(a)[1]) / 2


@pytest.mark.parametrize("n", [2, 5, 8])
def test_a_layer_is_the_best_affine_coupling(n: int) -> None:
    """The coupling as a matrix; no other shift or scale nearby has a smaller loss."""
    rng = np.random.default_rng(n)
    s, q = W["start"](rng, n, 30.0), W["haar"](rng, n)
    np.testing.assert_allclose(q @ q.T, np.eye(n), atol=40 * n * np.finfo(float).eps)
    t, kept = q @ s @ q.T, n // 2
    slope = t[kept:, :kept] @ np.linalg.inv(t[:kept, :kept])

    def coupled(slope: np.ndarray, log_scale: np.ndarray) -> np.ndarray:
        matrix = np.eye(n)
        scale = np.exp(log_scale)[:, None]
        matrix[kept:, :kept], matrix[kept:, kept:] = -scale * slope, scale * np.eye(n - kept)
        return matrix @ t @ matrix.T

    rest = np.linalg.inv(np.linalg.inv(t)[kept:, kept:])
    best = -0.5 * np.log(np.diag(rest))
    made = W["layer"](s, q)
    np.testing.assert_allclose(made, coupled(slope, best), atol=1e3 * np.finfo(float).eps)
    least = kl(made)
    assert W["loss"](made) == pytest.approx(least, rel=1e-10)
    for _ in range(20):
        other = coupled(slope + 0.05 * rng.normal(size=slope.shape), best + 0.05 * rng.normal(size=n - kept))
        assert kl(other) > least


@pytest.mark.parametrize("condition", [3.0, 1e3])
@pytest.mark.parametrize("n", [4, 8])
def test_bounds_hold_for_the_mean_over_rotations(n: int, condition: float) -> None:
    rng = np.random.default_rng([n, int(condition)])
    s = W["start"](rng, n, condition)
    assert np.linalg.cond(s) == pytest.approx(condition, rel=1e-8)
    assert np.trace(s) == pytest.approx(n)
    for scale in (1.0, 1.3):
        found = [W["loss"](W["layer"](scale * s, W["haar"](rng, n))) for _ in range(400)]
        error = np.std(found) / 20
        bound = W["spectrum_bound"](scale * s)
        assert np.mean(found) <= bound + 4 * error
        assert bound < W["loss"](scale * s)
    assert W["spectrum_bound"](s) <= W["loss_bound"](W["loss"](s), n) < W["loss"](s)


def test_the_bound_is_sharp_near_the_identity() -> None:
    """Loss near 0: the mean share that is left is 1 - 2 a b / ((n - 1) (n + 2)) to first order."""
    rng, n = np.random.default_rng(1), 6
    s = W["start"](rng, n, 1.01)
    rate = np.mean([W["loss"](W["layer"](s, W["haar"](rng, n))) for _ in range(2000)]) / W["loss"](s)
    bound = W["spectrum_bound"](s) / W["loss"](s)
    assert bound == pytest.approx(1 - 2 * 9 / (5 * 8), abs=0.01)
    assert rate < bound + 0.01
