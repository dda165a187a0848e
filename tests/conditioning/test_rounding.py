"""The bounds of `rounding` where they are known by hand, and where kappa of the whole map promises too much."""

from typing import Any

import numpy as np
import pytest

from shoal.conditioning import AbstractMap, from_callables
from tests.conditioning.maps import Linear
from tests.conditioning.rounding import CONSTANT, EPS, growth

STRETCH, SHIFT = 300.0, np.array([0.0, 1000.0])
POINTS = np.array([[3.0, 4.0], [0.6, -0.8], [0.1, 0.7]])


class Both:
    """One after the other."""

    def __init__(self, first: Any, second: Any):
        self.first, self.second = first, second

    def __call__(self, v: Any) -> Any:
        return self.second(self.first(v))


@pytest.fixture(scope="module")
def there_and_back() -> AbstractMap:
    """The identity, of kappa 1, as v -> v / 300 + (0, 1000) and back: what the first layer rounds the second stretches."""
    one = np.eye(2, dtype=np.float32)
    shrink, grow = Linear(one / STRETCH, SHIFT), Linear(one * STRETCH, -STRETCH * SHIFT)
    inverses = Linear(one * STRETCH, -STRETCH * SHIFT), Linear(one / STRETCH, SHIFT)
    layers = [(shrink, inverses[0]), (grow, inverses[1])]
    return from_callables(Both(shrink, grow), Both(inverses[1], inverses[0]), 2, layers)


def test_linear_layers_by_hand(there_and_back: AbstractMap) -> None:
    found = growth(there_and_back, POINTS, None)
    outer, middle = np.linalg.norm(POINTS, axis=1), np.linalg.norm(POINTS / STRETCH + SHIFT, axis=1)
    sizes = outer + STRETCH * middle + outer  # the states, each stretched by what is behind it: 1, 300 and 1
    np.testing.assert_allclose(found.images, np.stack([sizes, sizes], 1), rtol=1e-5)
    logs = 2 * 2 * (1 + np.log(STRETCH))  # two layers, in each two singular values
    np.testing.assert_allclose(found.log_dets, logs, rtol=1e-5)
    np.testing.assert_allclose(
        found.jacobians, 2.0, rtol=1e-5
    )  # either layer's entries are off by eps of its largest


def test_holds_where_kappa_of_the_whole_does_not(there_and_back: AbstractMap) -> None:
    bound = growth(there_and_back, POINTS, None).tolerance("float32")
    value = POINTS
    for layer in there_and_back.layers():
        value = layer.at("forward", "float32")(value)
    error = np.abs(value - POINTS)
    assert np.linalg.cond(there_and_back.at().jacobian(POINTS)).max() < 1 + 1e-5
    assert error.max() > 64 * EPS["float32"] * 5  # of points of size up to 5
    assert (error <= bound.images).all()
    assert error.max() > bound.images.max() / (10 * CONSTANT)  # nor does it promise too little
