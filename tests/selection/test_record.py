"""Parts of the record that rounding must not break."""

import numpy as np
import pytest

from shoal.conditioning import summarize
from shoal.selection._measure import Figures
from shoal.selection._record import _histogram


@pytest.mark.parametrize("spread", [0.0, 1e-16, 1e-9])
def test_one_condition_number_but_for_rounding_has_a_histogram(spread: float):
    values = np.stack([3.0 + spread * np.arange(5), np.ones(5)], axis=1)
    condition = summarize(values[:, 0])
    figures = Figures(np.zeros(5), values, condition, condition, {}, np.zeros(5))
    made = _histogram(figures)
    assert made is not None
    assert sum(made.counts) == 5
    assert len(made.log10_edges) == 41
    assert np.all(np.diff(made.log10_edges) > 0)
