"""Bounds of the spectral norm are at least NumPy's largest singular value, on every kind of matrix, in both dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shoal.bijections import ExactNorm, GramBound, HoelderBound, held_below

BOUNDS = {
    "exact": ExactNorm(),
    "hoelder": HoelderBound(),
    **{f"gram-{k}": GramBound(k) for k in (0, 6)},
}
bounds = pytest.mark.parametrize("bound", BOUNDS.values(), ids=BOUNDS.keys())


def matrices(dtype):
    """Random, ill-conditioned, rank-one, flat, sparse, huge, tiny and empty ones, rounded to the dtype."""
    rng = np.random.default_rng(0)
    top, tiny = float(np.finfo(dtype).max), float(np.finfo(dtype).tiny)
    square = lambda: rng.normal(size=(12, 12))
    u = np.linalg.qr(square())[0]
    found = {
        "random": square(),
        "wide": rng.normal(size=(3, 40)),
        "tall": rng.normal(size=(40, 3)),
        "one": np.array([[-3.0]]),
        "ill-conditioned": u @ np.diag(10.0 ** -np.linspace(0, 12, 12)) @ np.linalg.qr(square())[0],
        "rank-one": np.outer(rng.normal(size=12), rng.normal(size=12)),
        "rank-one-ones": np.ones((12, 12)),
        "flat": u,
        "identity": np.eye(12),
        "nearly-flat": u + 1e-7 * square(),
        "one-entry": np.outer(np.eye(12)[0], np.eye(12)[3]),
        "graded": 10.0 ** rng.uniform(-20, 20, size=(12, 12)) * rng.choice([-1, 1], size=(12, 12)),
        "huge": square() * (top / 80),
        "tiny": square() * (tiny * 1e6),
        "around-tiny": square() * tiny,
        "subnormal": square() * (tiny / 50),
        "zero": np.zeros((12, 12)),
        "no-column": np.zeros((4, 0)),
    }
    return {name: np.asarray(m, dtype) for name, m in found.items()}


def largest(matrix):
    """NumPy's largest singular value in float64, of the matrix scaled by its largest entry."""
    wide = np.asarray(matrix, np.float64)
    top = np.max(np.abs(wide), initial=0.0)
    return top * np.linalg.svd(wide / top, compute_uv=False)[0] if top > 0 else 0.0


def violations(bound, dtype):
    """Names of the matrices whose bound is below the largest singular value or not finite."""
    bound = jax.jit(bound)
    got = {name: float(bound(jnp.asarray(m))) for name, m in matrices(dtype).items()}
    return {n for n, m in matrices(dtype).items() if not (np.isfinite(got[n]) and got[n] >= largest(m))}


@bounds
def test_bound_is_at_least_the_norm(bound, dtype):
    assert violations(bound.bound, dtype) == set()


def test_power_iteration_is_no_bound(dtype):
    def power(w):
        def step(_, v):
            v = w.T @ (w @ v)
            return v / jnp.maximum(jnp.linalg.norm(v), jnp.finfo(w.dtype).tiny)

        v = jax.lax.fori_loop(0, 50, step, jnp.ones((w.shape[1],), w.dtype))
        return jnp.linalg.norm(w @ v)

    assert len(violations(power, dtype)) >= 5


@pytest.mark.parametrize("squarings", [0, 6])
def test_gram_bound_is_as_tight_as_stated(squarings, x64):
    bound = jax.jit(GramBound(squarings).bound)
    for name in ("random", "ill-conditioned", "flat", "huge", "tiny"):
        m = matrices("float64")[name]
        ratio = float(bound(jnp.asarray(m))) / largest(m)
        stated = min(m.shape) ** (0.5 ** (squarings + 2))
        assert 1.0 <= ratio <= stated * (1 + 1e-3), name
    flat = float(bound(jnp.asarray(matrices("float64")["flat"])))
    assert flat >= 0.99 * 12 ** (0.5 ** (squarings + 2)), "a flat spectrum is the worst case"


def test_exact_norm_is_tight(dtype):
    for name in ("random", "ill-conditioned", "flat", "huge", "tiny"):
        m = matrices(dtype)[name]
        assert float(ExactNorm().bound(jnp.asarray(m))) <= largest(m) * (1 + 1e-4), name


def test_hoelder_bound_is_exact_where_columns_or_rows_are():
    assert float(HoelderBound().bound(jnp.ones((17, 17)))) == pytest.approx(17.0, rel=1e-4)
    assert float(HoelderBound().bound(jnp.eye(16))) == pytest.approx(1.0, rel=1e-4)


@bounds
def test_gradient(bound, x64):
    rng = np.random.default_rng(1)
    w, d, h = jnp.asarray(rng.normal(size=(5, 4))), jnp.asarray(rng.normal(size=(5, 4))), 1e-6
    got = jnp.sum(jax.grad(bound.bound)(w) * d)
    want = (bound.bound(w + h * d) - bound.bound(w - h * d)) / (2 * h)
    assert float(got) == pytest.approx(float(want), rel=1e-6)


@bounds
def test_gradient_of_a_held_weight_is_finite_where_norms_have_corners(bound):
    jacobian = jax.jit(jax.jacobian(lambda w: held_below(w, 0.5, bound)))
    eye, ones = jnp.eye(2), jnp.ones((2, 2))
    for w in (0.0 * eye, eye, 5.0 * eye, ones, 1e-39 * ones):
        assert bool(jnp.all(jnp.isfinite(jacobian(w))))
    at_zero = jacobian(0.0 * eye).reshape(4, 4)
    np.testing.assert_allclose(at_zero, np.eye(4), atol=1e-6)


@bounds
def test_held_weights_have_the_stated_norm(bound, dtype):
    hold = jax.jit(lambda w: held_below(w, 0.7, bound))
    square = {name: m for name, m in matrices(dtype).items() if m.shape == (12, 12)}  # one program
    assert len(square) >= 12
    for name, m in square.items():
        held = hold(jnp.asarray(m))
        assert bool(jnp.all(jnp.isfinite(held))), name
        assert largest(held) <= 0.7, name


def test_a_small_weight_is_used_as_it_is(dtype):
    w = jnp.asarray(0.01 * np.random.default_rng(2).normal(size=(4, 4)), dtype)
    np.testing.assert_array_equal(held_below(w, 0.7, ExactNorm()), w)


@pytest.mark.parametrize("squarings", [-1, 2.5])
def test_bad_squarings(squarings, unchecked):
    with pytest.raises(ValueError, match="whole number of at least 0; got"):
        GramBound(squarings)
