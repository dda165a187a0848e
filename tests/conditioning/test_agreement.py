"""What a map claims to be: wrong inverses of every size against what rounding explains, chance, wrong log-dets."""

import numpy as np
import pytest

from shoal.conditioning._agreement import disagreement, unsteady, wrong_log_det
from shoal.conditioning._spectrum import LogDets
from tests.conditioning.numpy_maps import Rows, composed, linear

N = 3


def found(map, rows=100, scale=1.0):
    z = np.random.default_rng(0).standard_normal((rows, N))
    data = scale * map.at()(z)
    return disagreement(map, data, z, None, dense=True, most=1e-3)


def matrix(kappa, seed=1):
    rng = np.random.default_rng(seed)
    q = [np.linalg.qr(rng.standard_normal((N, N)))[0] for _ in range(2)]
    return q[0] @ np.diag(np.geomspace(1.0, 1.0 / kappa, N)) @ q[1]


@pytest.mark.parametrize("kappa", [1.0, 1e2, 1e4, 1e8])
def test_inverses_that_are_exact_or_stored_in_float32_agree(kappa):
    a = matrix(kappa)
    exact = np.linalg.inv(a)
    assert found(linear(a, exact)) is None
    if kappa <= 1e4:  # beyond, its error is above what is allowed to any inverse
        assert found(linear(a, exact.astype(np.float32).astype(float))) is None


@pytest.mark.parametrize("kappa", [1.0, 30.0, 1e3])
def test_a_wrong_fifth_digit_and_float16_do_not_whatever_kappa_is(kappa):
    a = matrix(kappa)
    exact = np.linalg.inv(a)
    for wrong in (exact * (1 + 1e-4 * np.eye(N)[0]), exact.astype(np.float16).astype(float)):
        fault = found(linear(a, wrong))
        assert fault is not None
        assert fault.layer == 0
        assert fault.lost > 1e4 * fault.explained


def test_the_layer_that_is_wrong_is_named_and_not_those_that_amplify_it():
    steep, right = linear(matrix(500.0)), linear(matrix(2.0, 2))
    a = matrix(3.0, 3)
    wrong = linear(a, np.linalg.inv(a) * (1 + 1e-5), name="wrong")
    fault = found(composed(right, wrong, steep))
    assert fault is not None
    assert (fault.layer, fault.name) == (1, "wrong")
    assert 5e-6 < fault.lost < 1e-4  # 1e-5 times the largest coordinate, not what the steep layer makes of it


def test_a_squasher_that_loses_digits_where_it_is_flat_agrees():
    """tanh in all coordinates has κ 1 where they are equal, and loses all digits where they are large."""
    squash = Rows(N, np.tanh, lambda x: np.arctanh(np.clip(x, -1 + 2**-53, 1 - 2**-53)))
    z = np.linspace(-16, 16, 99)[:, None] * np.ones(N)
    assert abs(np.arctanh(np.tanh(16.0)) - 16) > 1e-4
    assert disagreement(squash, np.tanh(z / 8), z, None, dense=True, most=1e-3) is None


def test_columns_in_other_units_hide_nothing():
    units = np.diag([1e6, 1.0, 1e-6])
    assert found(linear(units)) is None
    fault = found(linear(units, np.diag([1e-6, 1.0, 1e6 * (1 + 1e-4)])))
    assert fault is not None
    assert fault.lost > 1e-5


def test_an_inverse_that_is_right_at_the_data_and_wrong_at_samples():
    narrow = Rows(N, lambda z: 2 * z, lambda x: np.clip(x / 2, -2.5, 2.5))
    z = np.random.default_rng(0).standard_normal((400, N))
    fault = disagreement(narrow, np.clip(2 * z, -4, 4), z, None, dense=True, most=1e-3)
    assert fault is not None
    assert fault.lost > 0.1


def test_a_map_whose_layers_agree_and_which_itself_does_not():
    right = composed(linear(matrix(2.0)), linear(matrix(3.0)))
    whole = Rows(
        N, right.functions["forward"], lambda x: 1.01 * right.functions["inverse"](x), parts=right.parts
    )
    fault = found(whole)
    assert fault is not None
    assert fault.layer is None


def test_images_that_depend_on_the_batch_or_on_chance_are_seen_and_named():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((100, N))
    chance = Rows(N, lambda z: z, lambda x: x + 0.1 * rng.standard_normal(x.shape), name="dropout")
    batch = Rows(N, lambda z: z, lambda x: (x - x.mean(axis=0)) / x.std(axis=0), name="batch norm")
    plain = linear(matrix(3.0))
    for bad in (chance, batch):
        fault = unsteady(composed(plain, bad, plain), x, None)
        assert fault is not None
        assert (fault.layer, fault.name) == (1, bad.name)
    assert unsteady(composed(plain, plain), x, None) is None


def test_a_log_det_that_lies_is_seen_and_its_layer_named():
    doubled = lambda lie: Rows(N, lambda z: 2 * z, lambda x: x / 2, log_det=lambda z: np.full(len(z), lie))
    right, x = N * np.log(2.0), np.random.default_rng(0).standard_normal((40, N))
    for lie, layer in ((right, None), (right + 0.01, 1), (-right, 1)):
        parts = [doubled(right), doubled(lie), doubled(right)]
        own = np.full(len(x), 2 * right + lie)
        fault = wrong_log_det(
            composed(*parts), x, None, LogDets(own, np.full(40, 3 * right), own), np.full(40, 1.0)
        )
        assert (None if fault is None else fault.layer) == layer


def test_log_dets_from_random_numbers_are_not_judged():
    rng = np.random.default_rng(0)
    noisy = Rows(N, lambda z: z, lambda x: x, log_det=lambda z: rng.standard_normal(len(z)))
    x = rng.standard_normal((40, N))
    own = rng.standard_normal(40)
    assert wrong_log_det(noisy, x, None, LogDets(own, np.zeros(40), own), np.ones(40)) is None
