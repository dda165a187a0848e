"""The rational-quadratic spline against an oracle in SciPy, and its behaviour at knots, bounds, outside, and extremes.

One spline on the line is a coupling with nothing kept and no net: its bias is (log s, t, widths, heights,
derivatives). The oracle writes it in another form, a quotient of two quadratic Bernstein polynomials.
"""

# Bad values on purpose, and optimisers whose stubs are narrower than they are.
# pyright: reportArgumentType=false, reportCallIssue=false

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.interpolate import BPoly
from scipy.optimize import brentq
from scipy.special import softmax

from shoal.bijections import (
    Coupling,
    DenseConditioner,
    ExponentialScale,
    Partition,
    RationalQuadratic,
    dense_coupling,
)
from tests.bijections.draws import noisy, normal

BOUND, BINS = 3.0, 5


def one_spline(raw: np.ndarray, bins: int = BINS) -> Coupling:
    """The spline on the line with these 3 K - 1 free values, s = 1, t = 0."""
    b = dense_coupling(
        Partition(1, ()),
        RationalQuadratic(bins=bins, bound=BOUND, scale=ExponentialScale()),
        hidden=(),
        key=jr.key(0),
    )
    return eqx.tree_at(lambda c: c.conditioner.bias, b, jnp.asarray(np.concatenate([[0.0, 0.0], raw])))


def oracle(raw: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray, BPoly, BPoly]:
    """Knot positions and values, and numerator and denominator of the spline, from the free values."""

    def positions(values: np.ndarray) -> np.ndarray:
        share = 1e-3 + (1.0 - 1e-3 * bins) * softmax(values)
        return np.concatenate([[-BOUND], -BOUND + 2.0 * BOUND * np.cumsum(share)[:-1], [BOUND]])

    u, v = positions(raw[:bins]), positions(raw[bins : 2 * bins])
    shift = np.log(np.expm1(1.0 - 1e-3))
    d = np.concatenate([[1.0], 1e-3 + np.logaddexp(0.0, raw[2 * bins :] + shift), [1.0]])
    s = np.diff(v) / np.diff(u)
    # (1-t)^2 + 2 w t (1-t) + t^2 below, v_k (1-t)^2 + ... + v_{k+1} t^2 above
    below = BPoly(np.stack([np.ones(bins), (d[:-1] + d[1:]) / (2.0 * s), np.ones(bins)]), u)
    above = BPoly(np.stack([v[:-1], (v[:-1] * d[1:] + v[1:] * d[:-1]) / (2.0 * s), v[1:]]), u)
    return u, v, above, below


def both_ways(b: Coupling, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """z, log|dz/dx| at x by the inverse, and x, log|dx/dz| by the forward at those z."""
    return tuple(np.asarray(a) for a in _both_ways(b, jnp.asarray(x)))


@eqx.filter_jit
def _both_ways(b: Coupling, x: jax.Array) -> tuple[jax.Array, ...]:
    z, down = jax.vmap(b.inverse_and_log_det)(x[:, None])
    again, up = jax.vmap(b.forward_and_log_det)(z)
    return z[:, 0], down, again[:, 0], up


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_oracle(seed, x64):
    rng = np.random.default_rng(seed)
    raw = 1.5 * rng.standard_normal(3 * BINS - 1)
    u, v, above, below = oracle(raw)
    x = np.concatenate([np.linspace(-BOUND, BOUND, 202)[1:-1], u[1:-1]])
    z, log_slope, again, log_slope_up = both_ways(one_spline(raw), x)
    n, d = above(x), below(x)
    np.testing.assert_allclose(z, n / d, rtol=0, atol=1e-13)
    slope = (above.derivative()(x) * d - n * below.derivative()(x)) / d**2
    np.testing.assert_allclose(log_slope, np.log(slope), rtol=0, atol=1e-11)
    np.testing.assert_allclose(log_slope_up, -log_slope, rtol=0, atol=1e-12 * np.max(np.exp(-log_slope)))
    np.testing.assert_allclose(again, x, rtol=0, atol=1e-13 * np.max(np.exp(-log_slope)))
    assert np.all(np.diff(z[:200]) > 0.0)
    np.testing.assert_allclose(z[200:], v[1:-1], rtol=0, atol=1e-14 * 50)


def test_the_inverse_agrees_with_a_root_finder(x64):
    raw = 1.5 * np.random.default_rng(5).standard_normal(3 * BINS - 1)
    _, _, above, below = oracle(raw)
    z = np.linspace(-2.9, 2.9, 25)
    x = np.asarray(jax.jit(jax.vmap(one_spline(raw).forward))(jnp.asarray(z[:, None])))[:, 0]
    want = [brentq(lambda t, y=y: above(t) / below(t) - y, -BOUND, BOUND, xtol=1e-14, rtol=1e-14) for y in z]
    np.testing.assert_allclose(x, want, rtol=0, atol=1e-11)


def test_zero_parameters_give_the_identity(dtype):
    eps = float(np.finfo(dtype).eps)
    x = np.linspace(-4.0, 4.0, 101)
    z, down, again, up = both_ways(one_spline(np.zeros(3 * BINS - 1)), x)
    for got in (z, again):
        np.testing.assert_allclose(got, x, rtol=0, atol=20 * eps)
    for got in (down, up):
        np.testing.assert_allclose(got, 0.0, rtol=0, atol=20 * eps)


def test_outside_the_box_it_is_the_identity(dtype):
    b = one_spline(np.random.default_rng(0).standard_normal(3 * BINS - 1))
    x = np.array([-1e30, -1e6, -3.5, -BOUND, BOUND, 3.5, 1e6, 1e30])
    z, down, again, up = both_ways(b, x)
    np.testing.assert_array_equal(z, x.astype(dtype))
    np.testing.assert_array_equal(again, x.astype(dtype))
    assert not np.any(down)
    assert not np.any(up)


def test_it_joins_the_identity_smoothly(x64):
    b = one_spline(np.random.default_rng(0).standard_normal(3 * BINS - 1))
    x = np.array([-BOUND + 1e-9, BOUND - 1e-9])
    z, down, _, _ = both_ways(b, x)
    np.testing.assert_allclose(z, x, rtol=0, atol=1e-15 + 1e-9 * 1e-6)
    np.testing.assert_allclose(down, 0.0, rtol=0, atol=1e-6)


def test_slope_is_continuous_at_knots(x64):
    raw = np.random.default_rng(3).standard_normal(3 * BINS - 1)
    u = oracle(raw)[0][1:-1]
    _, before, _, _ = both_ways(one_spline(raw), u - 1e-10)
    _, after, _, _ = both_ways(one_spline(raw), u + 1e-10)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-7)


def test_gradients_are_finite_everywhere(dtype):
    raw = np.random.default_rng(3).standard_normal(3 * BINS - 1)
    b, u = one_spline(raw), oracle(raw)[0]
    edge = np.array([BOUND], dtype)
    x = np.concatenate(
        [u, oracle(raw)[1], np.nextafter(edge, 0), np.nextafter(edge, 9), [-1e30, -1e3, 0.0, 1e3, 1e30]]
    )

    @eqx.filter_jit
    def gradients(b, x):
        def one(b, v, name):
            out, log_det = getattr(b, name)(v[None])
            return out[0] + log_det

        names = ("forward_and_log_det", "inverse_and_log_det")
        return [jax.vmap(jax.grad(one, argnums=(0, 1)), in_axes=(None, 0, None))(b, x, n) for n in names]

    leaves = jax.tree.leaves(gradients(b, jnp.asarray(x)))
    assert len(leaves) >= 4
    assert all(np.all(np.isfinite(a)) for a in leaves)


@pytest.mark.parametrize("spread", [10.0, 100.0, 1e4])
def test_float32_extremes(spread):
    raw = spread * np.random.default_rng(1).standard_normal(3 * BINS - 1)
    x = np.linspace(-3.2, 3.2, 401).astype(np.float32)
    z, down, again, up = both_ways(one_spline(raw), x)
    assert {a.dtype for a in (z, down, again, up)} == {np.dtype("float32")}
    for a in (z, down, again, up):
        assert np.all(np.isfinite(a))
    assert np.all(np.diff(z) >= 0.0)
    assert np.all(np.diff(again) >= 0.0)
    assert np.all(np.abs(z[np.abs(x) < BOUND]) <= BOUND)


def test_many_narrow_bins_in_float32():
    raw = 3.0 * np.random.default_rng(1).standard_normal(3 * 500 - 1)
    x = np.linspace(-2.99, 2.99, 301).astype(np.float32)
    z, down, _, up = both_ways(one_spline(raw, bins=500), x)
    assert np.all(np.isfinite([z, down, up]))
    assert np.all(np.diff(z) >= 0.0)


def test_nan_stays_nan():
    z, down, again, up = both_ways(one_spline(np.zeros(3 * BINS - 1)), np.array([np.nan, 0.0]))
    assert np.isnan(z[0])
    assert np.isnan(again[0])
    assert np.all(np.isfinite([z[1], down[1], again[1], up[1]]))
    kept = noisy(dense_coupling(Partition(2, (0,)), RationalQuadratic(bins=3), hidden=(), key=jr.key(0)))
    for function in (kept.forward_and_log_det, kept.inverse_and_log_det):
        out, log_det = function(jnp.array([jnp.nan, 0.5]))
        assert np.isnan(out[1])
        assert np.isnan(log_det)


def test_scale_and_shift_act_after_the_spline(x64):
    """x = s q^{-1}(z) + t."""
    raw = np.random.default_rng(2).standard_normal(3 * BINS - 1)
    plain = one_spline(raw)
    assert isinstance(plain.conditioner, DenseConditioner)
    bias = plain.conditioner.bias.at[:2].set(jnp.array([0.7, -1.3]))
    moved = eqx.tree_at(lambda c: c.conditioner.bias, plain, bias)
    z = normal(0, 8)[:, None]
    a, la = jax.vmap(plain.forward_and_log_det)(z)
    b, lb = jax.vmap(moved.forward_and_log_det)(z)
    np.testing.assert_allclose(b, np.exp(0.7) * a - 1.3, rtol=1e-13)
    np.testing.assert_allclose(lb, la + 0.7, rtol=1e-13)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"bins": 1}, "must lie in 2 ... 500; got 1"),
        ({"bins": 501}, "must lie in 2 ... 500; got 501"),
        ({"bound": 0.0}, "must be positive and finite; got 0.0"),
        ({"bound": float("inf")}, "must be positive and finite; got inf"),
    ],
    ids=str,
)
def test_settings_are_checked(settings, text):
    with pytest.raises(ValueError, match=text.replace(".", r"\.")):
        RationalQuadratic(**settings)
