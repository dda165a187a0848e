"""`Layerwise` and its parts: matrices multiplied out by NumPy, inverses far out, numbers of parameters, errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import mpmath
import numpy as np
import pytest

from shoal.bijections import (
    DiagonalPlusLowRank,
    Layerwise,
    LeakySoftsign,
    SingularValues,
    SmoothLeakyReLU,
    TrainedLeakyReLU,
    layers_of,
)
from shoal.flows import layerwise
from tests.bijections.test_lipschitz import drawn


def _reflected(numbers, n, k):
    """H_1 ... H_k, one reflection after the other."""
    out, rest = np.eye(n), list(np.asarray(numbers, np.float64))
    for i in range(k):
        v = np.zeros(n)
        v[i] = 1.0
        for j in range(i + 1, n):
            v[j] = rest.pop(0)
        out = out @ (np.eye(n) - 2.0 * np.outer(v, v) / (v @ v))
    assert not rest
    return out


def _matrix(linear):
    return np.asarray(jax.jit(jax.jacfwd(linear.apply))(jnp.zeros(linear.dim)), np.float64)


@pytest.mark.parametrize("reflections", [0, 1, 2, 4])
def test_singular_value_product(reflections, x64):
    a = drawn(SingularValues(5, 0.2, 3.0, reflections=reflections, key=jr.key(0)), 1.5)
    u, v = (_reflected(w, 5, reflections) for w in (a.left, a.right))
    s = np.exp(np.log(0.2) + np.log(15.0) / (1.0 + np.exp(-np.asarray(a.raw))))
    np.testing.assert_allclose(_matrix(a), u @ np.diag(s) @ v.T, atol=1e-14)
    np.testing.assert_allclose(jax.jacfwd(a.solve)(jnp.zeros(5)), v @ np.diag(1 / s) @ u.T, atol=1e-13)
    assert float(a.log_det()) == pytest.approx(np.sum(np.log(s)), abs=1e-13)


def test_every_matrix_of_positive_determinant_has_numbers(x64):
    rng = np.random.default_rng(0)
    target = rng.normal(size=(4, 4))
    target[0] *= np.sign(np.linalg.det(target))
    u, s, vt = np.linalg.svd(target)
    if np.linalg.det(u) > 0:  # three reflections have determinant -1
        u[:, 0], vt[0] = -u[:, 0], -vt[0]
    numbers = []
    for q in (u.copy(), vt.T.copy()):
        found = []
        for i in range(3):  # the reflection that takes column i to +-e_i, with the larger leading entry
            column = q[:, i].copy()
            v = column
            v[i] += np.copysign(1.0, v[i])
            found.extend(v[i + 1 :] / v[i])
            q -= 2.0 * np.outer(v, v @ q) / (v @ v)
        numbers.append((found, np.diag(q)))
    np.testing.assert_allclose(np.abs(numbers[0][1]), 1.0, atol=1e-14)
    signs = numbers[0][1] * numbers[1][1]
    assert np.prod(signs) == pytest.approx(1.0)
    a = SingularValues(4, 1e-3, 1e3, key=jr.key(0))
    raw = np.log(s / 1e-3) / np.log(1e6)
    a = eqx.tree_at(
        lambda m: (m.left, m.right, m.raw),
        a,
        (jnp.asarray(numbers[0][0]), jnp.asarray(numbers[1][0]), jnp.asarray(np.log(raw / (1 - raw)))),
    )
    u, v = (_reflected(n, 4, 3) for n, _ in numbers)
    np.testing.assert_allclose(_matrix(a), u @ np.diag(s) @ v.T, atol=1e-12)
    np.testing.assert_allclose(u @ np.diag(numbers[0][1] * s * numbers[1][1]) @ v.T, target, atol=1e-12)


@pytest.mark.parametrize("size", [0.05, 20.0])
def test_diagonal_plus_low_rank(size, x64):
    a = drawn(DiagonalPlusLowRank(5, 0.2, 3.0, rank=2, key=jr.key(0)), size)
    matrix = _matrix(a)
    sigma = np.linalg.svd(matrix)[1]
    assert np.all((sigma > 0.2) & (sigma < 3.0))
    np.testing.assert_allclose(jax.jacfwd(a.solve)(jnp.zeros(5)), np.linalg.inv(matrix), atol=1e-13)
    sign, log_det = np.linalg.slogdet(matrix)
    assert sign == 1
    assert float(a.log_det()) == pytest.approx(log_det, abs=1e-13)
    if size < 1:  # weights below their limit act as they are
        ratio = np.sqrt(15.0)
        c = (ratio - 1) / (ratio + 1)
        share = 1 / (1 + np.exp(-np.asarray(a.raw)))
        d = (0.2 / (1 - c)) ** (1 - share) * (3.0 / (1 + c)) ** share
        want = np.diag(d) @ (np.eye(5) + np.asarray(a.left) @ np.asarray(a.right).T)
        np.testing.assert_allclose(matrix, want, atol=1e-14)


def _oracle(leaky, t):
    """s(t) at 50 digits."""
    t, a = mpmath.mpf(t), mpmath.mpf(leaky.slope)
    if isinstance(leaky, SmoothLeakyReLU):
        return ((1 + a) * t + (1 - a) * (mpmath.sqrt(t * t + 1) - 1)) / 2
    return a * t + (1 - a) * t / (1 + abs(t))


leaky_ones = pytest.mark.parametrize(
    "leaky",
    [f(a) for f in (SmoothLeakyReLU, LeakySoftsign) for a in (0.01, 0.3, 1.0)],
    ids=str,
)


@leaky_ones
def test_leaky_functions_and_their_inverses(leaky, dtype):
    eps = float(np.finfo(dtype).eps)
    t = np.concatenate([s * np.logspace(-8, 8, 65) for s in (-1, 1)] + [[0.0]]).astype(dtype)
    y, log_slope = (np.asarray(v, np.float64) for v in leaky.apply(jnp.asarray(t)))
    with mpmath.workdps(50):
        want = np.array([float(_oracle(leaky, float(v))) for v in t])
        slope = np.array([float(mpmath.diff(lambda s: _oracle(leaky, s), float(v))) for v in t if v != 0])
    np.testing.assert_allclose(y, want, rtol=8 * eps, atol=0)
    np.testing.assert_allclose(np.exp(log_slope[:-1]), slope, rtol=8 * eps)
    assert np.all((np.exp(log_slope) >= leaky.slope * (1 - 8 * eps)) & (np.exp(log_slope) <= 1 + 8 * eps))
    back = np.asarray(leaky.invert(jnp.asarray(y, dtype)), np.float64)
    np.testing.assert_array_less(np.abs(back - t), 8 * eps / leaky.slope * (np.abs(t) + 1.0))
    assert float(np.exp(log_slope[-1])) == pytest.approx(leaky.slope_at_zero, rel=8 * eps)


def test_trained_slopes_are_those_of_the_fixed_function(x64):
    trained = drawn(TrainedLeakyReLU(4, 0.1), 2.0)
    t = jnp.array([-3.0, -0.2, 0.4, 5.0])
    slopes = 0.1 ** (1.0 / (1.0 + np.exp(np.asarray(trained.raw))))
    assert np.all((slopes > 0.1) & (slopes < 1.0))
    each = [SmoothLeakyReLU(float(a)).apply(v[None]) for a, v in zip(slopes, t, strict=True)]
    y, log_slope = trained.apply(t)
    np.testing.assert_allclose(y, [float(e[0][0]) for e in each], rtol=1e-14)
    np.testing.assert_allclose(log_slope, [float(e[1][0]) for e in each], atol=1e-14)
    np.testing.assert_allclose(trained.invert(y), t, rtol=1e-13)


def test_numbers_per_layer():
    count = lambda m: sum(a.size for a in jax.tree.leaves(eqx.filter(m, eqx.is_inexact_array)))
    for n in (1, 2, 5, 9):
        full = Layerwise(SingularValues(n, key=jr.key(0)), key=jr.key(1))
        assert count(full) == n * (n + 1)
        low = Layerwise(DiagonalPlusLowRank(n, rank=3, key=jr.key(0)), key=jr.key(1))
        assert count(low) == n * (2 * 3 + 2)


@pytest.mark.parametrize("settings", [{}, {"leaky": SmoothLeakyReLU(0.3), "reflections": 1}])
def test_a_deep_stack_starts_without_growth(settings):
    """Far out, 32 layers of slopes 1 and a, stretched by 1/sqrt(a), change lengths by less than a thousandfold."""
    flow = layerwise(jr.key(0), 3, 32, **settings)
    far = 1e3 * jr.normal(jr.key(2), (200, 3))
    x = flow.forward(far)
    ratio = jnp.linalg.norm(x, axis=1) / jnp.linalg.norm(far, axis=1)
    assert 1e-3 < float(jnp.min(ratio)) < float(jnp.max(ratio)) < 1e3
    near = jr.normal(jr.key(3), (200, 3))
    few = layerwise(jr.key(0), 3, 4, **settings)
    np.testing.assert_allclose(few.inverse(few.forward(near)), near, atol=1e-4)
    layer = layers_of(flow.bijection)[0]
    assert isinstance(layer, Layerwise)
    assert layer.bounds == pytest.approx((0.1 * layer.leaky.slope, 10.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SingularValues(3, 2.0, 1.0, key=jr.key(0)), "needs 0 < low < high; got 2.0 and 1.0"),
        (lambda: SingularValues(3, reflections=3, key=jr.key(0)), "from 0 to dim - 1 = 2; got 3"),
        (lambda: SingularValues(0, key=jr.key(0)), "at least 1; got 0"),
        (
            lambda: SingularValues(3, 0.1, 2.0, start=2.0, key=jr.key(0)),
            "must lie between 0.1 and 2; got 2",
        ),
        (lambda: DiagonalPlusLowRank(3, rank=0, key=jr.key(0)), "at least 1; got 0"),
        (
            lambda: DiagonalPlusLowRank(3, 0.1, 10.0, start=9.0, key=jr.key(0)),
            "must lie between 0.55 and 5.5; got 9",
        ),
        (lambda: SmoothLeakyReLU(0.0), "above 0 and at most 1; got 0.0"),
        (lambda: TrainedLeakyReLU(2, 0.95), "needs 0 < slope < start < 1; got 0.95 and 0.5"),
        (lambda: LeakySoftsign(1.5), "above 0 and at most 1; got 1.5"),
        (
            lambda: layerwise(jr.key(0), 3, 2, rank=1, reflections=1),
            "takes `rank` or `reflections`, not both",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
