"""Points on their way: known errors of round trips, closed forms of how far doubled points go, the audit's verdict on it."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from shoal.conditioning import AbstractMap, JaxMap, audit, round_trip, summarize_round_trip
from shoal.conditioning._reach import DOUBLED, LIMIT, reach
from tests.conditioning.maps import Linear, linear_pair

N = 2


class Shear(eqx.Module):
    """x = (a, b + sign (e^(rate |a|) - 1)): mild near 0, beyond float32 far out."""

    rate: float
    sign: float

    def __call__(self, v):
        return jnp.stack([v[0], v[1] + self.sign * jnp.expm1(self.rate * jnp.abs(v[0]))])


def pairs(rate):
    return [(Shear(rate, 1.0), Shear(rate, -1.0))]


def points(rows=40):
    """The corners of a square with both means 0, so that doubling is doubling."""
    return np.tile([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], (rows // 4, 1))


class Layer(AbstractMap):
    """A function of rows as a layer; derivatives are not asked for."""

    def __init__(self, function):
        self.name, self.size, self.function = "layer", N, function

    def evaluate(self, quantity, view, *arrays):
        assert quantity == "apply"
        return (self.function(*arrays),)

    def layers(self):
        return (self,)


@pytest.mark.parametrize("slope", [1e-9, 1.0, 1e12])
def test_a_linear_map_grows_by_two_whatever_its_units(slope):
    found = reach([Layer(lambda p: slope * p)], points(), None, direction="forward", name="samples")
    assert not found.runs_away
    np.testing.assert_allclose(found.growth, DOUBLED, rtol=4 * np.finfo(float).eps)


@pytest.mark.parametrize("power", [3, 23, 25, 60])
def test_a_power_grows_by_two_to_that_power_and_the_limit_is_two_to_the_24(power):
    assert LIMIT == 2.0**24
    found = reach([Layer(lambda p: p**power)], points(), None, direction="forward", name="samples")
    np.testing.assert_allclose(found.growth, 2.0**power, rtol=1e-12)
    assert found.runs_away == (power > 24)
    assert found.layer == (0 if power > 24 else None)
    assert found.rows == (40 if power > 24 else 0)


def test_the_layer_is_the_first_in_the_order_of_the_direction_and_what_is_not_finite_is_infinite():
    layers = [Layer(lambda p: p), Layer(lambda p: p**30), Layer(lambda p: p)]
    both = [reach(layers, points(), None, direction=d, name="data").layer for d in ("forward", "inverse")]
    assert both == [1, 1]
    with np.errstate(over="ignore", invalid="ignore"):
        lost = reach([Layer(lambda p: np.exp(500 * p) - 1)], points(), None, direction="forward", name="data")
    assert np.isinf(lost.growth)
    assert lost.layer == 0


def test_a_runaway_is_named_while_data_and_samples_are_finite_and_no_layer_is():
    z = np.random.default_rng(0).uniform(-1, 1, (60, N))
    forward, back = pairs(9.0)[0]
    x = np.stack([np.asarray(forward(jnp.asarray(v))) for v in z])
    found = audit(forward, x, inverse=back, layers=pairs(9.0), max_condition=1e12, max_round_trip=1e12)
    assert found.diagnosis.cause == "runaway"
    assert found.worst_layer is None
    assert "No single layer" in found.diagnosis.sentence
    assert not found.nonfinite or all(n.points.startswith("tails") for n in found.nonfinite)
    mild = audit(*(pairs(0.5)[0][:1]), x / 100, inverse=pairs(0.5)[0][1], layers=pairs(0.5))
    assert mild.diagnosis.cause == "none"
    assert len(mild.to_record().reach) == 2


def test_a_large_float64_error_of_samples_is_no_wrong_inverse_where_round_off_explains_it():
    # kappa is 1 at the data (x = 0) and e^40 and more at samples: float64 keeps no digit there, yet the inverse is right
    x = 1e-6 * np.random.default_rng(1).standard_normal((30, N))
    found = audit(pairs(20.0)[0][0], x, inverse=pairs(20.0)[0][1], layers=pairs(20.0), scale=np.ones(N))
    assert found.round_trips["samples"]["float64"].max > 1e-3
    assert found.diagnosis.cause == "runaway"


def test_layers_behind_the_one_that_lost_a_point_are_not_blamed():
    rng = np.random.default_rng(2)
    singular = linear_pair(rng, np.geomspace(1.0, 1e-6, N))
    mild = [linear_pair(rng, np.ones(N)) for _ in range(3)]
    huge = (Linear(np.eye(N), np.zeros(N)), Blow())
    layers = [*mild, singular, huge]
    found = audit(
        lambda v: _through([p[0] for p in layers], v), rng.standard_normal((20, N)) + 3, layers=layers
    )
    assert "nan" not in found.diagnosis.sentence.lower()


class Blow(eqx.Module):
    """The identity, but infinite where the first coordinate is above 5."""

    def __call__(self, v):
        return jnp.where(v[0] > 5, jnp.inf, v)


def _through(functions, v):
    for f in functions:
        v = f(v)
    return v


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
