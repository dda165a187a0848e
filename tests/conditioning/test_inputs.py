"""The units of condition numbers: deviations of the columns, ones where these say nothing."""

import numpy as np

from shoal.conditioning import unit_scale


def test_deviations_or_ones() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)) * [1.0, 50.0, 1e-6]
    np.testing.assert_allclose(unit_scale(x), x.std(axis=0))
    np.testing.assert_array_equal(unit_scale(rng.normal(size=(200, 3))), 1.0)


def test_columns_that_are_constant_but_for_rounding_have_the_scale_one() -> None:
    """1 / 3 summed and divided again differs from itself by rounding; so do copies of a large number."""
    rng = np.random.default_rng(0)
    flat = np.full(200, 1e6 / 3) * (1 + rng.integers(-1, 2, size=200) * np.finfo(np.float64).eps)
    x = np.stack([np.full(200, 0.1), flat, 30 * rng.normal(size=200)], axis=1)
    assert flat.std() > 0
    scale = unit_scale(x)
    np.testing.assert_array_equal(scale[:2], 1.0)
    np.testing.assert_allclose(scale[2], x[:, 2].std())
