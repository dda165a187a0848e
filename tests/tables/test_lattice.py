"""Lattice columns: found, and spread by noise of one step."""

import numpy as np
import pytest

from shoal.tables import dequantize, detect_lattice

ROWS = 4000


def column(kind: str) -> np.ndarray:
    """A column of each kind, from a fixed seed."""
    rng = np.random.default_rng(11)
    normal = rng.normal(size=ROWS)
    return {
        "hundredths": np.round(normal, 2),
        "integers": np.round(50 * normal) + 1e6,
        "halves from 0.25": np.round(2 * normal) / 2 + 0.25,
        "two values": (normal > 0).astype(float),
        "thirds": np.round(3 * normal) / 3,
        "float32 hundredths": np.round(normal, 2).astype(np.float32).astype(np.float64),
        "summed tenths": np.round(normal, 1) + 0.1 + 0.2,
        "normal": normal,
        "float32 normal": normal.astype(np.float32).astype(np.float64),
        "zero-inflated": np.where(normal > 0, normal, 0.0),
        "two lattices": np.where(normal > 0, np.round(normal, 1), np.round(normal * 7) / 7),
        "few ties": np.where(np.arange(ROWS) < 0.04 * ROWS, np.round(normal), normal),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("hundredths", 0.01),
        ("integers", 1.0),
        ("halves from 0.25", 0.5),
        ("two values", 1.0),
        ("thirds", 1 / 3),
        ("float32 hundredths", 0.01),
        ("summed tenths", 0.1),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-6, -3.7])
def test_lattices_are_found_in_any_unit(kind: str, step: float, scale: float):
    (lattice,) = detect_lattice(scale * column(kind)[:, None], ["c"])
    assert lattice.column == "c"
    assert lattice.index == 0
    assert lattice.step == pytest.approx(abs(scale) * step, rel=1e-6)
    assert 0.05 < lattice.ties <= 1


@pytest.mark.parametrize("kind", ["hundredths", "integers", "thirds", "summed tenths"])
def test_the_step_scales_with_the_column_up_to_rounding(kind: str):
    values = column(kind)[:, None]
    (plain,), (scaled,) = detect_lattice(values, ["c"]), detect_lattice(1e6 * values, ["c"])
    rounding = 8 * np.finfo(float).eps * np.abs(values).max() / plain.step
    assert scaled.step == pytest.approx(1e6 * plain.step, rel=rounding)
    assert scaled.ties == plain.ties


@pytest.mark.parametrize("kind", ["normal", "float32 normal", "zero-inflated", "few ties"])
@pytest.mark.parametrize("scale", [1.0, 1e6])
def test_other_columns_are_left(kind: str, scale: float):
    assert detect_lattice(scale * column(kind)[:, None], ["c"]) == ()


def test_two_lattices_in_one_are_a_grid_of_their_values():
    values = column("two lattices")
    (found,) = detect_lattice(values[:, None], ["c"])
    np.testing.assert_array_equal(found.grid, np.unique(values))


def test_noise_on_a_grid_stays_in_the_cells_and_is_undone():
    grid = np.log1p(np.arange(12.0))
    values = grid[np.random.default_rng(0).integers(0, 12, 4000)]
    (found,) = detect_lattice(values[:, None], ["c"])
    noisy = dequantize(values[:, None], [found], 1)[:, 0]
    np.testing.assert_array_equal(found.rounded(noisy), values)
    at = noisy[values == grid[3]]  # uniform from middle to middle
    low, high = 0.5 * (grid[2] + grid[3]), 0.5 * (grid[3] + grid[4])
    assert low <= at.min() < low + 0.02
    assert high - 0.02 < at.max() <= high
    assert abs(np.median(at) - 0.5 * (low + high)) < 4 * 0.5 * (high - low) / len(at) ** 0.5


def test_one_value_beside_the_lattice_is_named_and_does_not_change_the_step():
    values = np.append(np.random.default_rng(0).integers(0, 10, 1500).astype(float), [3.001])
    (found,) = detect_lattice(values[:, None], ["c"])
    assert (found.step, found.stray) == (1.0, (3.001,))


@pytest.mark.parametrize(("step", "origin"), [(0.1, 0.0), (0.1, 0.05), (0.25, 0.1), (5.0, 2.0), (1 / 3, 0.0)])
def test_values_go_back_to_their_lattice_as_they_are_written(step: float, origin: float):
    written = np.array([float(f"{origin + k * step:.10g}") for k in range(-40, 40)])
    values = np.random.default_rng(0).choice(written, 2000)
    (found,) = detect_lattice(values[:, None], ["c"])
    back = found.rounded(dequantize(values[:, None], [found], 3)[:, 0])
    if step == 1 / 3:
        np.testing.assert_allclose(back, values, atol=1e-8)  # ten digits are written
    else:
        np.testing.assert_array_equal(back, values)


def test_ties_are_the_share_of_rows_that_repeat():
    values = np.array([0.0, 1, 1, 2, 2, 2, 3, 4, 5, 6])[:, None]
    (lattice,) = detect_lattice(values, ["c"])
    assert lattice.ties == 0.5


def test_a_constant_column_is_no_lattice():
    assert detect_lattice(np.ones((10, 1)), ["c"]) == ()


def test_dequantize_spreads_each_value_over_its_step():
    values = np.stack([column("hundredths"), column("normal"), column("integers")], axis=1)
    lattices = detect_lattice(values, ["a", "b", "c"])
    assert [lattice.column for lattice in lattices] == ["a", "c"]
    before = values.copy()
    noisy = dequantize(values, lattices, 4)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(noisy[:, 1], values[:, 1])
    for lattice in lattices:
        noise = (noisy - values)[:, lattice.index] / lattice.step
        assert np.abs(noise).max() <= 0.5 + 1e-6
        assert abs(noise.mean()) < 5 / np.sqrt(12 * ROWS)  # five standard errors of a uniform mean
        assert noise.var() == pytest.approx(1 / 12, rel=0.05)
        assert detect_lattice(noisy, ["a", "b", "c"]) == ()


def test_dequantize_is_a_function_of_the_seed():
    values = column("integers")[:, None]
    lattices = detect_lattice(values, ["c"])
    np.testing.assert_array_equal(dequantize(values, lattices, 1), dequantize(values, lattices, 1))
    again = dequantize(values, lattices, np.random.default_rng(1))
    np.testing.assert_array_equal(dequantize(values, lattices, 1), again)
    assert (dequantize(values, lattices, 1) != dequantize(values, lattices, 2)).all()


def test_dequantize_noise_scales_with_the_column():
    values = column("hundredths")[:, None]
    plain = dequantize(values, detect_lattice(values, ["c"]), 1)
    scaled = dequantize(1e6 * values, detect_lattice(1e6 * values, ["c"]), 1)
    np.testing.assert_allclose(scaled, 1e6 * plain, rtol=1e-12, atol=1e-8)
