"""T near a multiple of I: the closed form in rational arithmetic, and certificates that the old starts can not have."""

import numpy as np
import pytest

from shoal.theory.linear import Factorization, Layer, factor
from shoal.theory.linear._closed_forms import additive, rotation_layers
from shoal.theory.linear._factorization import assembled
from shoal.theory.linear._near_scalar import scalar_layers
from tests.theory.linear.oracles import EPS, exact, rational, written_out

SIZES = [2, 4, 6, 12, pytest.param(32, marks=pytest.mark.long)]


def near(sign: float, n: int, noise: float) -> np.ndarray:
    return sign * np.eye(n) + noise * np.random.default_rng(n).normal(size=(n, n))


def of(t: np.ndarray, layers: tuple[Layer, ...]) -> Factorization:
    return assembled(t, layers, np.ones(len(t)), range(len(t) // 2), "by hand", "lower")


def with_a_equal_i(sign: float, d: int) -> tuple[Layer, ...]:
    """Theorem B's layers for G = I with A = I, X = 0."""
    eye, zero = np.eye(d), np.zeros((d, d))
    if sign > 0:
        return additive(zero, zero, zero, eye, zero, -eye)
    return additive(eye, zero, eye, -eye, 2 * eye, -eye)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("d", [2, 3, 5])
def test_any_x_gives_the_layers(sign: int, d: int):
    """Dyadic X, so that the float64 layers are exact."""
    eye, zero = np.eye(d), np.zeros((d, d))
    x = np.random.default_rng(d).integers(-4, 5, (d, d)) / 4
    blocks = (x, zero, -x, eye, zero, -eye) if sign > 0 else (eye + x, zero, eye - x, -eye, 2 * eye, -eye)
    total = rational(np.eye(2 * d))
    for layer in additive(*blocks):
        total = total @ written_out(layer, 2 * d)
    assert np.array_equal(total, rational(sign * np.eye(2 * d)))
    made = of(sign * np.eye(2 * d), scalar_layers(d, sign > 0))
    assert exact(made).residual < 8 * EPS
    assert made.conditions.largest == pytest.approx(3 + 8**0.5 if sign < 0 else (3 + 5**0.5) / 2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("n", SIZES)
def test_existence_is_proved_near_plus_and_minus_i(n: int, sign: float):
    t = near(sign, n, 1e-13)
    made = factor(t)
    assert made.route == "scalar"
    certificate = made.certificate()
    assert certificate.proved, certificate.reason
    assert certificate.radius is not None
    assert certificate.radius < 1e-12
    assert certificate.least_singular is not None
    assert certificate.least_singular > 0.9 / n
    if n >= 4:
        assert not of(t, with_a_equal_i(sign, n // 2)).certificate().proved
    if n >= 6:
        assert not of(t, rotation_layers(t)).certificate().proved


@pytest.mark.parametrize(
    ("scalar", "noise", "worst"), [(3.0, 1e-5, 6.2), (-0.4, 1e-4, 15.0), (2.0**-400, 1e-9, np.inf)]
)
def test_other_multiples(scalar: float, noise: float, worst: float):
    t = scalar * near(1.0, 6, noise)
    made = factor(t)
    assert made.route == "scalar"
    assert exact(made).residual < 1e-13
    assert made.conditions.largest < worst
    assert made.certificate().proved


def test_the_identity_is_identity_layers():
    made = factor(np.eye(6))
    assert made.conditions.largest == 1.0
    assert made.certificate().radius == 0.0


def test_not_near_is_left_to_the_other_routes():
    assert factor(near(1.0, 4, 1e-2)).route == "continuation"
    turn = np.cos(1e-4) * np.eye(2) + np.sin(1e-4) * np.array([[0, -1], [1, 0]])
    assert factor(np.kron(np.eye(2), turn)).route == "rotation"
