"""Means and deviations that a table is standardised by, against exact whole numbers."""

from fractions import Fraction

import numpy as np
import pytest

from shoal.selection._prepare import _moments

UNIT = 1024  # values are whole multiples of 1/1024, so that Python's integers sum them exactly


@pytest.mark.parametrize("offset", [0, 10**9, -(10**12)])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_an_offset_costs_no_digits(offset: int, weighted: bool):
    rng = np.random.default_rng(0)
    units = np.round(rng.normal(size=(100_000, 3)) * UNIT).astype(np.int64) + offset * UNIT
    counts = rng.integers(1, 5, len(units)) if weighted else np.ones(len(units), int)
    mean, scale = _moments(units / UNIT, counts.astype(float) if weighted else None, ("a", "b", "c"), "t.csv")
    for i, column in enumerate(units.T.tolist()):
        pairs = list(zip(column, counts.tolist(), strict=True))
        total = sum(count for _, count in pairs)
        exact = Fraction(sum(value * count for value, count in pairs), total)
        square = Fraction(sum(value**2 * count for value, count in pairs), total) - exact**2
        assert abs(Fraction(mean[i]) - exact / UNIT) <= abs(offset) * np.finfo(float).eps + 1e-15
        assert scale[i] == pytest.approx(float(square) ** 0.5 / UNIT, rel=1e-12)
