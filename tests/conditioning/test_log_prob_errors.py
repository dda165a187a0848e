"""Error bars on log p where they are known by hand, and what they promise."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from shoal.conditioning import AbstractMap, JaxMap, from_callables, log_prob_errors
from tests.conditioning.maps import Linear

SINGLE = 2.0**-24
STRETCH, SHIFT = 300.0, 1000.0


class Affine(eqx.Module):
    """v -> a v + b, with its log-det, forward or back."""

    a: Any
    b: Any
    back: bool = eqx.field(static=True, default=False)

    def __call__(self, v: Any, context: Any = None) -> Any:
        log_det = v.shape[0] * jnp.log(jnp.abs(self.a))
        return ((v - self.b) / self.a, -log_det) if self.back else (self.a * v + self.b, log_det)


def affine(*layers: tuple[float, float]) -> AbstractMap:
    """x = a_k (... a_1 z + b_1 ...) + b_k in two coordinates, layers in forward order; the numbers are data."""
    pairs = [(jnp.float32(a), jnp.float32(b)) for a, b in layers]
    singles = [JaxMap(Affine(a, b), Affine(a, b, back=True), 2, log_dets=True) for a, b in pairs]
    return JaxMap(Whole(pairs), Whole(pairs, back=True), 2, log_dets=True, layers=singles)


class Whole(eqx.Module):
    """All layers at once."""

    pairs: Any
    back: bool = eqx.field(static=True, default=False)

    def __call__(self, v: Any, context: Any = None) -> Any:
        total = jnp.zeros((), v.dtype)
        for a, b in reversed(self.pairs) if self.back else self.pairs:
            v, log_det = Affine(a, b, self.back)(v)
            total = total + log_det
        return v, total


def rows(count: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 2)).astype(np.float32).astype(np.float64)


def test_a_stretch_behind_a_shift_by_hand() -> None:
    """h = x / 300 + 1000 is a multiple of 2^-14, half of which it is off by at most; log p falls by 300 z for each of it."""
    found = log_prob_errors(affine((1 / STRETCH, SHIFT), (STRETCH, -STRETCH * SHIFT)), rows())
    assert found is not None
    a, b = np.float64(np.float32(STRETCH)), np.float64(np.float32(1 / STRETCH))
    h = (rows() + np.float64(np.float32(STRETCH * SHIFT))) / a
    slope = -(h - SHIFT) / b / b
    by_hand = np.abs(slope) * np.where(np.abs(h) >= 1024, 1024, 512)
    # x + 300000 is off by 2^18 u, and is divided by 300
    first = np.abs(slope) * 2.0**18 / a
    np.testing.assert_allclose(found.deviation, np.sqrt((by_hand**2 + first**2).sum(1) / 3), rtol=1e-2)
    np.testing.assert_allclose(found.worst, (by_hand + first).sum(1), rtol=1e-2)
    assert found.layers[1] > 0.99  # the layer next to the data rounds, whichever stretches
    assert (found.measured <= found.bound).all()
    assert np.median(found.bound / found.measured) < 10
    assert found.measured.max() > 1e-3


def test_nothing_that_is_exact_counts() -> None:
    """Multiplied by 2: what is left are the squares, their sum, the constant and the sums of logs."""
    found = log_prob_errors(affine((0.5, 0.0)), rows())
    assert found is not None
    z = 2 * rows()
    power = lambda v: 2.0 ** np.floor(np.log2(np.abs(v)))
    squares = power(z**2).sum(1) / 2
    constant, log_det = 2 * 0.5 * np.log(2 * np.pi), 2 * np.log(2.0)
    log_normal = -0.5 * (z**2).sum(1) - constant
    at_most = (
        squares + np.abs(log_normal) * 2 + constant * 2 + 2 * log_det * (2 * 2 + 1) + np.abs(found.log_prob)
    )
    assert (found.worst <= at_most).all()
    assert (found.worst >= squares).all()
    assert (found.measured <= SINGLE * found.worst).all()


def test_rows_that_are_not_finite_stay_so() -> None:
    x = rows(4)
    x[1, 0], x[2, 1] = np.nan, np.inf
    found = log_prob_errors(affine((2.0, 1.0)), x)
    assert found is not None
    for values in (found.log_prob, found.measured, found.bound, found.worst_case, found.bound_in("float64")):
        np.testing.assert_array_equal(np.isfinite(values), [True, False, False, True])
    assert not found.outside.any()
    np.testing.assert_array_equal(sorted(found.order[:2]), [1, 2])


def test_the_row_is_rounded_too() -> None:
    """Rows that float32 does not hold: what is lost of them is known, and moves log p by its slope."""
    x = rows() + 1e-9
    found = log_prob_errors(affine((1.0, 0.0)), x)
    assert found is not None
    np.testing.assert_allclose(found.of_input, -(x * (x.astype(np.float32) - x)).sum(1), rtol=1e-12)
    assert found.bound_in("float64").max() < 1e-13
    assert (found.bound >= np.abs(found.of_input)).all()


def test_a_map_that_gives_no_log_det_has_none() -> None:
    one = np.eye(2, dtype=np.float32)
    plain = from_callables(Linear(one, np.zeros(2)), Linear(one, np.zeros(2)), 2)
    assert log_prob_errors(plain, rows()) is None


@pytest.mark.parametrize("seed", [1, 2])
def test_more_layers_add_up(seed: int) -> None:
    """Variances of what the same layer rounds add, and so do the largest."""
    layers = [(1.25, 0.0)] * 8
    few, many = (
        log_prob_errors(affine(*layers[:2]), rows(seed=seed)),
        log_prob_errors(affine(*layers), rows(seed=seed)),
    )
    assert few is not None
    assert many is not None
    assert (many.worst > few.worst).mean() > 0.9
    assert len(many.layers) == 8
