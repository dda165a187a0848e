"""Error bars on log p where they are known by hand, and what they promise."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import mpmath
import numpy as np
import pytest
from scipy import special

from shoal import flows
from shoal.conditioning import AbstractMap, JaxMap, audit, density_errors, from_callables, log_prob_errors
from shoal.conditioning._rounding import ULPS
from shoal.records.audit import Trip
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


class Bend(eqx.Module):
    """x -> (x_0, (x_1 - tanh(3 x_0)) exp(-s)), s = 2 tanh(x_0 x_0 / 2), from data to latent."""

    def __call__(self, x: Any, context: Any = None) -> Any:
        s = 2.0 * jnp.tanh(x[0] * x[0] / 2.0)
        return jnp.stack([x[0], (x[1] - jnp.tanh(3.0 * x[0])) * jnp.exp(-s)]), -s


class Turn(eqx.Module):
    """x -> (x_1, x_0), and a stretch by 1.7 of the second."""

    stretch: Any

    def __call__(self, x: Any, context: Any = None) -> Any:
        return jnp.stack([x[1], self.stretch * x[0]]), jnp.log(self.stretch)


def exact_log_prob(row: np.ndarray, stretch: float, layers: int) -> Any:
    """The same flow in 40 digits: `Bend`, then `Turn`, so many times, from data to latent."""
    x, y, total = mpmath.mpf(row[0]), mpmath.mpf(row[1]), mpmath.mpf(0)
    for _ in range(layers):
        s = 2 * mpmath.tanh(x * x / 2)
        x, y = (y - mpmath.tanh(3 * x)) * mpmath.exp(-s), stretch * x
        total += mpmath.log(stretch) - s
    return total - (x * x + y * y) / 2 - mpmath.log(2 * mpmath.pi)


def test_float64_against_forty_digits() -> None:
    stretch = np.float32(1.7)
    layers = [
        f for _ in range(3) for f in (Turn(jnp.asarray(stretch)), Bend())
    ]  # forward order: the last meets data first
    singles = [JaxMap(f, f, 2, log_dets=True) for f in layers]
    found = log_prob_errors(
        JaxMap(Composed(layers), Composed(layers), 2, log_dets=True, layers=singles), rows(100)
    )
    assert found is not None
    with mpmath.workdps(40):
        exact = [exact_log_prob(row, mpmath.mpf(float(stretch)), 3) for row in rows(100)]
        error = np.array([float(abs(mpmath.mpf(v) - e)) for v, e in zip(found.log_prob, exact, strict=True)])
    bound = found.bound_in("float64")
    assert (error <= bound).all()
    assert (
        np.median(bound / np.maximum(error, 1e-18)) < 40
    )  # tanh counts as it is in float32: four times worse
    assert (found.measured <= found.bound).all()


class Composed(eqx.Module):
    """From data to latent through maps in forward order."""

    maps: Any

    def __call__(self, v: Any, context: Any = None) -> Any:
        total = jnp.zeros((), v.dtype)
        for f in reversed(self.maps):
            v, log_det = f(v)
            total = total + log_det
        return v, total


def test_a_density_as_one_program_has_the_same_bars() -> None:
    flow = flows.realnvp(jr.key(0), 3, 2, hidden=(8,), context_dim=2)
    moved = jax.tree.map(lambda a: a + 0.2 if a.dtype == np.float32 and a.ndim == 2 else a, flow)
    rng = np.random.default_rng(0)
    x, c = rng.standard_normal((64, 3)), rng.standard_normal((64, 2))
    whole = density_errors(moved.log_prob_one, x, c)
    by_layers = log_prob_errors(moved.to_map(), x, c)
    assert by_layers is not None
    np.testing.assert_allclose(whole.log_prob, by_layers.log_prob, rtol=1e-12)
    np.testing.assert_allclose(whole.of_input, by_layers.of_input, atol=1e-14)
    np.testing.assert_allclose(whole.deviation, by_layers.deviation, rtol=0.05)  # but for the order of sums
    assert (whole.measured <= whole.bound).all()
    np.testing.assert_array_equal(whole.single, np.asarray(moved.log_prob(x, c)))


@pytest.mark.parametrize("name", sorted(set(ULPS) - {"integer_pow", "atan2", "lgamma", "digamma", "cbrt"}))
def test_elementary_functions_are_as_good_as_the_table_says(name: str) -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=20_000) * s for s in (0.01, 1.0, 3.0)]).astype(np.float32)
    if name in ("log", "rsqrt", "log1p", "pow"):
        x = np.abs(x) + np.float32(1e-6)
    x = np.tanh(x) if name == "erf_inv" else x
    power = np.float32(1.7)
    f = (lambda v: jax.lax.pow(v, power)) if name == "pow" else getattr(jax.lax, name)
    exact = EXACTLY[name](x.astype(np.float64))
    known = np.isfinite(exact) & (np.abs(exact) > 1e-30)
    units = 2.0 ** (np.floor(np.log2(np.abs(exact[known]))) - 23)
    error = np.abs(np.asarray(jax.jit(f)(x), np.float64)[known] - exact[known]) / units
    worst, typical = ULPS[name]
    assert error.max() <= worst
    assert np.sqrt(np.mean(error**2)) <= typical


EXACTLY = {
    **{
        n: getattr(np, n)
        for n in ("exp", "exp2", "log", "log1p", "expm1", "sin", "cos", "tan", "tanh", "sinh", "cosh")
    },
    "atan": np.arctan,
    "asinh": np.arcsinh,
    "rsqrt": lambda v: v**-0.5,
    "logistic": special.expit,
    "erf": special.erf,
    "erfc": special.erfc,
    "erf_inv": special.erfinv,
    "pow": lambda v: v ** np.float64(np.float32(1.7)),
}


def test_it_says_where_log_p_is_right_and_round_trips_are_lost() -> None:
    """The sentence of a record, by the trips that it is told of; and of a flow whose data lie at 1000 ± 1e-6."""
    found = log_prob_errors(affine((2.0, 0.0)), rows())
    assert found is not None
    lost = found.to_record(Trip(1e-3, 0.2, 0, 200), max_round_trip=1e-3)
    assert lost.sentence.endswith("log p is usable, samples are not inverse of it.")
    kept = found.to_record(Trip(1e-7, 1e-6, 0, 200), max_round_trip=1e-3)
    assert "usable" not in kept.sentence
    assert [r.bound for r in kept.rows] == sorted((r.bound for r in kept.rows), reverse=True)
    assert len(kept.rows) == 20
    wrong = log_prob_errors(affine((1e-6, 1e3)), 1e-6 * rows() + 1e3)
    assert wrong is not None
    assert wrong.to_record(Trip(1e-7, 1e-6, 0, 200), 1e-3).sentence.endswith("compute it in float64.")


def test_loops_and_solvers_count_as_backward_stable() -> None:
    """Planar layers are solved for from data to latent; an error bar is there, and holds."""
    flow = flows.planar(jr.key(0), 3, 2)
    found = log_prob_errors(flow.to_map(), np.random.default_rng(0).standard_normal((64, 3)))
    assert found is not None
    assert (found.measured <= found.bound).all()


class Gap(eqx.Module):
    """x = z - 1 below z = 1, and above the same 20 further on; between, over 2e-5 of z, a slope of a million. Or back."""

    back: bool = eqx.field(static=True, default=False)

    def __call__(self, v: Any, context: Any = None) -> Any:
        steep, half = (1e6, 10.0) if not self.back else (1e-6, 10.0)
        u = v if self.back else v - 1.0
        inside = jnp.abs(u) < (half if self.back else 1e-5)
        step = (1e-5 - half) * jnp.sign(u)
        moved = jnp.where(inside, steep * u, u + step if self.back else u - step)
        return moved + 1.0 if self.back else moved, jnp.sum(jnp.where(inside, jnp.log(steep), 0.0))


def test_an_audit_finds_round_trips_lost_and_log_p_right() -> None:
    gap = JaxMap(Gap(), Gap(back=True), 2, log_dets=True)
    x = np.concatenate([rows(100) - 12.0, 4.0 * rows(20), rows(100) + 11.0])
    found = audit(gap, x)
    assert found.log_prob_errors is not None
    assert found.round_trip["float32"].max > 1e-3
    assert found.log_prob_errors.measured.max() < 1e-4
    assert not found.log_prob_errors.outside.any()
    record = found.to_record()
    assert record.log_prob_errors is not None
    assert "log p is usable, samples are not inverse of it" in record.log_prob_errors.sentence
    assert record.kinds["log_prob_bound"] == "estimate"


def test_a_map_without_log_det_or_with_another_latent_has_none() -> None:
    one = np.eye(2, dtype=np.float32)
    plain = from_callables(Linear(one, np.zeros(2)), Linear(one, np.zeros(2)), 2)
    assert log_prob_errors(plain, rows()) is None
    other = affine((2.0, 0.0))
    other.latent = "Mixture"
    assert log_prob_errors(other, rows()) is None


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
