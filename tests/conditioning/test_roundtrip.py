"""Round trips: known errors are found, failures stay visible."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from shoal.conditioning import JaxMap, round_trip, summarize_round_trip


class Scale(eqx.Module):
    factor: float = eqx.field(static=True)
    offset: float = eqx.field(static=True, default=0.0)

    def __call__(self, x, context=None):
        return x * self.factor + self.offset


def test_a_wrong_inverse_is_measured():
    x = np.array([[1.0, -2.0], [0.0, 0.5]])
    errors = round_trip(JaxMap(Scale(2.0, 0.25), Scale(0.5), 2), x, precision="float64")
    assert errors == pytest.approx([0.25, 0.25], abs=1e-15)


def test_precision_is_that_which_was_asked_for():
    x = np.random.default_rng(0).normal(size=(100, 3))
    third, three = Scale(1 / 3, 1000.0), Scale(3.0)
    back = lambda v, c=None: (v - 1000.0) * 3.0
    single = round_trip(JaxMap(back, third, 3), x, precision="float32")
    double = round_trip(JaxMap(back, third, 3), x, precision="float64")
    assert 1e-6 < single.max() < 1e-2
    assert double.max() < 1e-11
    assert three.factor == 3.0


def test_overflow_is_nan_not_a_number():
    square = lambda v, c=None: jnp.exp(100 * v)
    back = lambda v, c=None: jnp.log(v) / 100
    errors = round_trip(JaxMap(back, square, 1), np.array([[1.0], [0.01]]), precision="float32")
    assert not np.isfinite(errors[0])
    assert errors[1] < 1e-6
    assert not np.isfinite(summarize_round_trip(errors).max)
