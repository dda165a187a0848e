"""`winsorised_mean`: the plain mean where no row is far, moved little by a handful of rows, and by more rows in full."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shoal.training import winsorised_mean

INF, NAN = np.inf, np.nan


def ordinary(rows: int, seed: int = 0) -> np.ndarray:
    """Log-densities of rows of N(0, I) in four dimensions under their own law."""
    return -0.5 * np.random.default_rng(seed).chisquare(4, rows) - 2 * np.log(2 * np.pi)


def with_rows(rows: int, *values: float) -> np.ndarray:
    """Ordinary rows, the first of them replaced."""
    found = ordinary(rows)
    found[: len(values)] = values
    return found


@pytest.mark.parametrize("rows", [1, 2, 19, 20, 999, 1000, 20_000])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_it_is_the_mean_where_no_row_is_far(rows: int, weighted: bool):
    values = ordinary(rows)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, rows) if weighted else None
    found = winsorised_mean(values, weights)
    assert found.value == found.mean  # to the last bit
    assert found.value == pytest.approx(np.average(values, weights=weights), rel=1e-14)
    assert (found.far_rows, found.non_finite_rows) == (0, 0)


@pytest.mark.parametrize(("rows", "handful"), [(40, 1), (999, 1), (1999, 1), (2000, 2), (5000, 5)])
@pytest.mark.parametrize("sign", [-1.0, 1.0], ids=["below", "above"])
@pytest.mark.parametrize("size", [1e3, 1e9, 1e300, INF])
def test_a_handful_moves_it_little_and_one_row_more_in_full(
    rows: int, handful: int, sign: float, size: float
):
    rest = ordinary(rows)[handful:]
    held = winsorised_mean(with_rows(rows, *[sign * size] * handful))
    bound = handful / rows * (np.ptp(rest) + 25.0)
    assert 0 < sign * (held.value - rest.mean()) <= bound
    assert held.far_rows == handful
    assert held.non_finite_rows == (handful if size == INF else 0)
    more = winsorised_mean(with_rows(rows, *[sign * size] * (handful + 1)))
    assert sign * (more.value - rest.mean()) >= 0.9 * size / rows
    assert more.far_rows == handful + 1


def test_the_far_rows_are_held_25_nats_below_the_lowest_twentieth():
    values = np.concatenate([np.arange(100.0), [-1e6]])
    found = winsorised_mean(values)
    limit = np.sort(values)[5] - 25.0  # the sixth: five of 101 are within a twentieth
    assert found.value == pytest.approx((np.arange(100.0).sum() + limit) / 101, rel=1e-15)
    assert found.mean == pytest.approx(values.mean(), rel=1e-15)


def test_below_twenty_rows_it_is_the_plain_mean():
    assert winsorised_mean(with_rows(19, -1e9)).value == pytest.approx(with_rows(19, -1e9).mean())
    assert winsorised_mean(with_rows(20, -1e9)).value > -100


def test_many_far_rows_are_counted_and_noticed():
    found = winsorised_mean(with_rows(1000, *[-1e6] * 30))
    assert found.far_rows == 30
    assert found.value < 0.9 * -1e6 * 29 / 1000


@pytest.mark.parametrize(
    ("values", "value", "non_finite"),
    [
        (with_rows(40, NAN), "finite", 1),
        (with_rows(40, -INF), "finite", 1),
        (with_rows(40, INF), "finite", 1),
        (with_rows(40, NAN, INF), "finite", 2),
        (with_rows(40, NAN, NAN), "nan", 2),
        (with_rows(40, NAN, -INF), "nan", 2),
        (with_rows(40, -INF, -INF), "-inf", 2),
        (with_rows(40, INF, INF), "inf", 2),
        (with_rows(19, NAN), "nan", 1),
        (np.full(40, NAN), "nan", 40),
        (np.full(40, -INF), "-inf", 40),
    ],
)
def test_what_is_not_finite(values: np.ndarray, value: str, non_finite: int):
    with np.errstate(invalid="ignore"):
        found = winsorised_mean(values)
    assert ("finite" if np.isfinite(found.value) else str(float(found.value))) == value
    assert not np.isfinite(found.mean)
    assert (found.far_rows, found.non_finite_rows) == (non_finite, non_finite)


@pytest.mark.parametrize("far", [[], [-1e3, -1e9, 1e4]], ids=["ordinary", "far"])
def test_weights_count_like_repeated_rows(far: list[float]):
    values = with_rows(2000, *far)
    times = np.random.default_rng(2).integers(1, 3, 2000)
    times[: len(far)] = 1
    weighted, repeated = winsorised_mean(values, times * 0.7), winsorised_mean(np.repeat(values, times))
    assert weighted.value == pytest.approx(repeated.value, rel=1e-12)
    assert weighted.mean == pytest.approx(repeated.mean, rel=1e-12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [30, 1500])
def test_it_never_falls_where_a_value_rises(rows: int, seed: int):
    rng = np.random.default_rng(seed)
    values = ordinary(rows, seed) * rng.choice([1.0, 10.0, 1e4], rows, p=[0.97, 0.02, 0.01])
    before = winsorised_mean(values).value
    order = np.argsort(values)
    chosen = [*order[:10], *order[-10:], *rng.integers(0, rows, 10)]
    raised = values + np.eye(rows)[chosen] * 10.0 ** rng.uniform(-2, 5, (30, 1))
    after = np.array([winsorised_mean(row).value for row in raised])
    assert (after >= before - 1e-12 * abs(before)).all()
    assert (after > before).any()


def test_shifts_and_order():
    values = with_rows(3000, -1e5, 1e3, -300.0, -250.0)
    before = winsorised_mean(values).value
    assert winsorised_mean(values + 7.0).value == pytest.approx(before + 7.0, rel=1e-12)
    shuffled = np.random.default_rng(0).permutation(values)
    assert winsorised_mean(shuffled).value == pytest.approx(before, rel=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    "weighted", [pytest.param(False, marks=pytest.mark.long), True], ids=["plain", "weighted"]
)
def test_the_same_in_numpy_and_compiled(weighted: bool):
    values = with_rows(3000, NAN, -1e9, -1e9, 1e4)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 3000) if weighted else None
    with np.errstate(invalid="ignore"):
        host = winsorised_mean(values, weights)
    there: Any = None if weights is None else jnp.asarray(weights)
    device = jax.jit(winsorised_mean)(jnp.asarray(values), there)
    assert float(device.value) == pytest.approx(host.value, rel=1e-13)
    assert [int(device.far_rows), int(device.non_finite_rows)] == [4, 1]
    assert [host.far_rows, host.non_finite_rows] == [4, 1]
