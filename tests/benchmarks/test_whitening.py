"""The layers of benchmarks/hardness/whitening.py: their loss by another way, and bounds that no sample mean exceeds."""

import json
from pathlib import Path

import numpy as np
import pytest
from _hardness_whitening import whitening_table
from hardness import whitening

ROOT = Path(__file__).parents[2]
RECORD = json.loads((ROOT / "results" / "whitening.json").read_text())


def kl(a: np.ndarray) -> float:
    return float(np.trace(a) - len(a) - np.linalg.slogdet(a)[1]) / 2


@pytest.mark.parametrize("n", [2, 5, 8])
def test_a_layer_is_the_best_affine_coupling(n: int) -> None:
    """The coupling as a matrix; no other shift or scale nearby has a smaller loss."""
    rng = np.random.default_rng(n)
    s, q = whitening.start(rng, n, 30.0), whitening.haar(rng, n)
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
    made = whitening.layer(s, q)
    np.testing.assert_allclose(made, coupled(slope, best), atol=1e3 * np.finfo(float).eps)
    least = kl(made)
    assert whitening.loss(made) == pytest.approx(least, rel=1e-10)
    for _ in range(20):
        other = coupled(slope + 0.05 * rng.normal(size=slope.shape), best + 0.05 * rng.normal(size=n - kept))
        assert kl(other) > least


@pytest.mark.parametrize("condition", [3.0, 1e3])
@pytest.mark.parametrize("n", [4, 8])
def test_bounds_hold_for_the_mean_over_rotations(n: int, condition: float) -> None:
    rng = np.random.default_rng([n, int(condition)])
    s = whitening.start(rng, n, condition)
    assert np.linalg.cond(s) == pytest.approx(condition, rel=1e-8)
    assert np.trace(s) == pytest.approx(n)
    for scale in (1.0, 1.3):
        found = [whitening.loss(whitening.layer(scale * s, whitening.haar(rng, n))) for _ in range(400)]
        error = np.std(found) / 20
        bound = whitening.spectrum_bound(scale * s)
        assert np.mean(found) <= bound + 4 * error
        assert bound < whitening.loss(scale * s)
    assert whitening.spectrum_bound(s) <= whitening.loss_bound(whitening.loss(s), n) < whitening.loss(s)


def test_the_bound_is_sharp_near_the_identity() -> None:
    """Loss near 0: the mean share that is left is 1 - 2 a b / ((n - 1) (n + 2)) to first order."""
    rng, n = np.random.default_rng(1), 6
    s = whitening.start(rng, n, 1.01)
    rate = np.mean(
        [whitening.loss(whitening.layer(s, whitening.haar(rng, n))) for _ in range(2000)]
    ) / whitening.loss(s)
    bound = whitening.spectrum_bound(s) / whitening.loss(s)
    assert bound == pytest.approx(1 - 2 * 9 / (5 * 8), abs=0.01)
    assert rate < bound + 0.01


@pytest.mark.parametrize("condition", whitening.CONDITIONS)
def test_the_stored_rows_repeat(condition: float) -> None:
    """Within rounding; the late losses, near rounding themselves, to its size."""
    stored = next(r for r in RECORD["rows"] if (r["n"], r["condition"]) == (4, condition))
    again = whitening.run(4, condition)
    eps = float(np.finfo(float).eps)
    for name in ("loss", "loss_low", "loss_high", "bound_of_next"):
        np.testing.assert_allclose(again[name], stored[name], rtol=100 * condition * eps, atol=100 * eps)
    assert again["layers_to"] == stored["layers_to"]


def test_no_stored_loss_is_above_its_bound() -> None:
    assert RECORD["status"] == "done"
    assert [(r["n"], r["condition"]) for r in RECORD["rows"]] == [
        (n, c) for n in (4, 16, 64) for c in (10, 1e3)
    ]
    for row in RECORD["rows"]:
        last = row["layers_above_floor"]
        assert last > 15
        excess = np.array(row["loss"][1:]) - np.array(row["bound_of_next"])
        assert np.all(excess[:last] <= 4 * np.array(row["excess_error"])[:last])
        assert row["measured_of_first"] <= row["bound_by_loss_of_first"] + 4 * row["measured_of_first_error"]
        assert row["bound_of_next"][0] <= row["bound_by_loss_of_first"]


def test_the_stored_exact_answers_are_exact() -> None:
    """KL of rounding only: n eps^2 times the condition; random couplings need layers where two are exact."""
    eps = float(np.finfo(float).eps)
    for row in RECORD["rows"]:
        for found in row["exact"]:
            assert found["status"] == "done"
            assert abs(found["kl"]) <= 100 * row["n"] * row["condition"] * eps**2
        assert row["layers_to"]["1e-06"] > max(found["layers"] for found in row["exact"])


def test_the_table_has_the_figures_of_the_record() -> None:
    made = whitening_table(RECORD)
    for row in RECORD["rows"]:
        layers = " | ".join(str(row["layers_to"][x]) for x in ("0.1", "0.001", "1e-06"))
        assert f"| {row['n']} | {row['condition']:g} | {row['loss'][0]:.3g} | {layers} |" in made
        assert f"| {row['rate_tail']:.3f} | {row['rate_bound_tail']:.3f} |" in made
    with pytest.raises(ValueError, match="partial"):
        whitening_table({**RECORD, "status": "partial"})
