"""Planar, radial, Sylvester and Householder layers: solver, tails, failures, and the numbers of other libraries."""

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import mpmath
import numpy as np
import pytest

from shoal.bijections import (
    ExponentialScale,
    Householder,
    Planar,
    Radial,
    Sylvester,
    convergence,
)
from shoal.bijections._monotone import above, solve

PARITY = Path(__file__).parents[1] / "fixtures" / "parity-planar.json"
EPS = np.finfo(np.float64).eps


@pytest.fixture(autouse=True)
def _wide():
    with jax.enable_x64(True):
        yield


def planar(w: Any, u: Any, b: float, **settings: Any) -> Planar:
    """The layer that uses exactly this u: its raw u is the one that the projection takes there."""
    w, u = np.asarray(w, np.float64), np.asarray(u, np.float64)
    layer = Planar(len(w), least_slope=1e-3, key=jr.key(0), **settings)
    width, c = 1.0 - layer.least_slope, float(w @ u)
    raw = width * np.log1p(c / width) if c < 0 else c
    u = u + (raw - c) * w / (w @ w)
    return with_arrays(layer, w=w, u=u, b=b)


def with_arrays(layer: Any, **arrays: Any) -> Any:
    for name, value in arrays.items():
        old = getattr(layer, name)
        layer = eqx.tree_at(lambda m, n=name: getattr(m, n), layer, jnp.asarray(value, old.dtype))
    return layer


def steep(seed: int) -> Sylvester:
    """Three bumps of size 20 whose slopes come close to the least one."""
    rng = np.random.default_rng(seed)
    arrays = {"upper": 20.0 * rng.normal(size=6), "upper_tilde": rng.normal(size=6)}
    return with_arrays(Sylvester(5, 3, key=jr.key(seed)), **arrays, b=rng.normal(size=3))


class TestSolver:
    """y + p tanh(q y + s) = t."""

    rng = np.random.default_rng(0)
    p = rng.normal(size=40) * 10 ** rng.uniform(-2, 4, 40)
    q = rng.normal(size=40) * 10 ** rng.uniform(-2, 2, 40)
    q = np.where(p * q < -0.99, -0.99 / p * rng.uniform(0.5, 1.0, 40), q)
    s, t = rng.normal(size=(2, 40)) * 10 ** rng.uniform(-2, 4, (2, 40))

    def test_root_against_mpmath(self) -> None:
        """Backward error: the residual in 50 digits is a few roundings of the terms."""
        found = jax.jit(jax.vmap(lambda *a: solve(*a, max_steps=128)))(self.p, self.q, self.s, self.t)
        assert np.all(found.solved)
        assert np.max(found.steps) <= 64
        with mpmath.workdps(50):
            for y, p, q, s, t in zip(np.asarray(found.y), self.p, self.q, self.s, self.t, strict=True):
                y, p, q, s, t = (mpmath.mpf(float(v)) for v in (y, p, q, s, t))
                a = q * y + s
                inner = p * mpmath.sech(a) ** 2
                terms = abs(y) + abs(t) + abs(p) + abs(inner) * (abs(q * y) + abs(s))
                assert abs(y + p * mpmath.tanh(a) - t) <= 8 * EPS * terms

    def test_second_derivatives(self) -> None:
        """Against mpmath's differences: the rule of the root is differentiated like any other."""
        at = (-1.5, 0.6, 0.3, 0.2)

        def root(p, q, s, t):
            return mpmath.findroot(lambda y: y + p * mpmath.tanh(q * y + s) - t, 0.0)

        hessian = jax.jit(jax.hessian(lambda v: solve(*v, max_steps=128).y))(jnp.array(at))
        with mpmath.workdps(40):
            want = [
                [mpmath.diff(root, at, tuple(int(k == i) + int(k == j) for k in range(4))) for j in range(4)]
                for i in range(4)
            ]
        np.testing.assert_allclose(hessian, np.array(want, np.float64), rtol=1e-12)

    @pytest.mark.parametrize("least", [0.3, 1e-2, 1e-6])
    def test_the_slope_stays_above_the_least(self, least: float) -> None:
        s = jnp.linspace(-60.0, 5.0, 400)
        m = above(s, least)
        assert np.all(1.0 + m >= least)
        assert np.all(np.diff(m) >= 0)
        np.testing.assert_array_equal(m[s >= 0], s[s >= 0])


class TestPlanar:
    def test_gradient_where_w_vanishes(self) -> None:
        """The projection has no singularity at w = 0, where Rezende and Mohamed's does not stay bounded."""
        layer = with_arrays(Planar(3, key=jr.key(0)), w=np.zeros(3), b=0.5, u=np.ones(3))

        def moved(m):
            x, log_det = m.forward_and_log_det(jnp.arange(3.0))
            return log_det + x[0], x

        (log_det, x), grads = eqx.filter_jit(eqx.filter_value_and_grad(moved, has_aux=True))(layer)
        np.testing.assert_allclose(x, np.arange(3.0) + np.tanh(0.5), rtol=1e-15)
        assert log_det == x[0]
        assert np.all(np.isfinite(grads.w))

    def test_one_loop_for_a_batch(self) -> None:
        layer = planar([2.0, -1.0, 0.5], [-0.4, 0.15, 0.0], 0.3)
        assert str(jax.make_jaxpr(jax.vmap(layer.inverse_and_log_det))(jnp.ones((9, 3)))).count("while[") == 1

    def test_float32_keeps_the_bound_where_u_is_large(self) -> None:
        """w.û as a sum of float32 products of size 1e6 would be anything but -0.99."""
        with jax.enable_x64(False):
            u = np.array([-1.1e6, 1e6, 0.0], np.float32)
            layer = with_arrays(Planar(3, key=jr.key(0)), w=np.array([1.0, 1.0, 0.3]), u=u)
            log_det = layer.forward_and_log_det(jnp.zeros(3))[1]
        np.testing.assert_allclose(log_det, np.log(layer.least_slope), rtol=1e-5)

    def test_negative_product_is_bounded(self) -> None:
        layer = with_arrays(Planar(2, key=jr.key(0)), w=np.array([1.0, 0.0]), u=np.array([-50.0, 3.0]))
        log_det = layer.forward_and_log_det(jnp.zeros(2))[1]
        np.testing.assert_allclose(log_det, np.log(layer.least_slope), rtol=1e-12)


class TestTails:
    """8 and 1e6 deviations out, at slopes near the least: the inverse is as good as rounding and the condition allow."""

    @pytest.mark.parametrize("size", [1e-9, 8.0, 1e6])
    @pytest.mark.parametrize(("u", "b"), [((-0.4, 0.15, 0.0), 0.3), ((40.0, 9.0, 3.0), -1.0)], ids="-+")
    def test_planar(self, u: tuple[float, ...], b: float, size: float) -> None:
        self._inverse(planar([2.0, -1.0, 0.5], u, b), size)

    @pytest.mark.parametrize("size", [1e-9, 8.0, 1e6])
    @pytest.mark.parametrize(("log_alpha", "stretch"), [(-2.0, -9.0), (1.0, 9.0), (-6.0, 9.0)])
    def test_radial(self, log_alpha: float, stretch: float, size: float) -> None:
        self._inverse(with_arrays(Radial(3, key=jr.key(1)), log_alpha=log_alpha, stretch=stretch), size)

    def _inverse(self, bijection: Any, size: float) -> None:
        rng = np.random.default_rng(5)
        z = rng.normal(size=(20, 3))
        z = jnp.asarray(size * z / np.linalg.norm(z, axis=1, keepdims=True))
        _round_trip(bijection, z)

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_sylvester(self, seed: int) -> None:
        z = jnp.asarray(8.0 * np.random.default_rng(seed).normal(size=(20, 5)))
        _round_trip(steep(seed), z)


@eqx.filter_jit
def both(bijection: Any, z: jax.Array, x: jax.Array) -> Any:
    """Both directions with their log-dets and the forward Jacobian: one program for a class, 20 rows everywhere."""
    jacobians = jax.vmap(jax.jacfwd(bijection.forward))(z)
    return jax.vmap(bijection.forward_and_log_det)(z), jax.vmap(bijection.inverse_and_log_det)(x), jacobians


def _round_trip(bijection: Any, z: jax.Array) -> None:
    (x, _), _, jacobians = both(bijection, z, z)
    back = both(bijection, z, x)[1][0]
    smallest = np.linalg.svd(np.asarray(jacobians), compute_uv=False)[:, -1]
    size = np.maximum(1.0, np.maximum(np.abs(x).max(axis=1), np.abs(z).max(axis=1)))
    assert np.all(np.abs(back - z).max(axis=1) <= 40 * EPS * size / np.minimum(1.0, smallest))


class TestRadial:
    def test_at_the_centre(self) -> None:
        """x = z0 goes to itself, with J = E there and finite derivatives in both modes."""
        layer = with_arrays(Radial(3, key=jr.key(0)), stretch=0.8)
        e = np.exp(float(layer.scale.log_scale(layer.stretch)))
        z = jnp.broadcast_to(layer.z0, (20, 3))
        (x, log_det), (back, log_det_inverse), jacobians = both(layer, z, z)
        np.testing.assert_array_equal(x, z)
        np.testing.assert_array_equal(back, z)
        np.testing.assert_allclose(log_det, 3 * np.log(e), rtol=1e-13)
        np.testing.assert_allclose(log_det_inverse, -3 * np.log(e), rtol=1e-13)
        np.testing.assert_allclose(jacobians[0], e * np.eye(3), rtol=1e-13, atol=1e-15)
        inverse = jax.jit(jax.jacrev(layer.inverse))(layer.z0)
        np.testing.assert_allclose(inverse, np.eye(3) / e, rtol=1e-13, atol=1e-15)


class TestSylvester:
    def test_a_planar_layer_is_one_of_rank_two(self) -> None:
        """u = R_11 q_1 and w = R~_11 q_1 + R~_12 q_2, the third bump 0: same numbers in both directions."""
        arrays = {"upper": [1.7, 0, 0, 0, 0, 0], "upper_tilde": [0.8, -1.1, 0, 0, 0, 0], "b": [0.4, 0, 0]}
        sylvester = with_arrays(Sylvester(5, 3, key=jr.key(3)), **arrays)
        q = np.eye(5)
        for v in np.asarray(sylvester.vectors):
            q = q @ (np.eye(5) - 2 * np.outer(v, v) / (v @ v))
        one = planar(0.8 * q[:, 0] - 1.1 * q[:, 1], 1.7 * q[:, 0], 0.4)
        z = jnp.asarray(2.0 * np.random.default_rng(0).normal(size=(20, 5)))
        got, want = (jax.tree.leaves(both(b, z, z)) for b in (sylvester, one))
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


class TestHouseholder:
    @pytest.mark.parametrize("count", [1, 96])
    def test_orthogonal_whatever_the_vectors(self, count: int) -> None:
        """Many, nearly parallel and badly scaled ones."""
        rng = np.random.default_rng(count)
        vectors = (np.ones(32) + 1e-3 * rng.normal(size=(count, 32))) * 10.0 ** rng.uniform(-9, 9, (count, 1))
        layer = with_arrays(Householder(32, count, key=jr.key(0)), vectors=vectors)
        matrix = np.asarray(jax.vmap(layer.forward)(jnp.eye(32)))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(32), atol=100 * EPS)
        back = jax.vmap(layer.inverse)(jnp.asarray(matrix))
        np.testing.assert_allclose(back, np.eye(32), atol=100 * EPS)
        assert np.sign(np.linalg.det(matrix)) == (-1) ** count

    def test_a_vector_of_length_zero_gives_nan(self) -> None:
        layer = with_arrays(Householder(2, 2, key=jr.key(0)), vectors=np.array([[1.0, 0.0], [0.0, 0.0]]))
        assert np.all(np.isnan(layer.forward(jnp.ones(2))))


class TestOutcome:
    def test_steps_are_few_and_errors_small(self) -> None:
        z = jnp.asarray(8.0 * np.random.default_rng(0).normal(size=(20, 5)))
        (found,) = convergence(steep(0), both(steep(0), z, z)[0][0])
        assert found.failed == 0
        assert 3 <= found.steps <= 60
        assert 0.0 < found.error < 1e-10
        (direct,) = convergence(Planar(5, key=jr.key(4)), z, direction="forward")
        assert (direct.failed, direct.steps, direct.error) == (0, 0, 0.0)

    def test_too_few_steps_are_reported(self) -> None:
        """NaN from the interface, the last iterate and the reason from `solve_inverse` and `convergence`."""
        layer = planar([2.0, -1.0, 0.5], [-0.4, 0.15, 0.0], 0.5, max_steps=1)
        x = jnp.array([[0.3, -0.2, 0.8]])
        (z, log_det), (last, _, outcome) = eqx.filter_jit(
            lambda b, x: (b.inverse_and_log_det(x), b.solve_inverse(x))
        )(layer, x[0])
        assert np.all(np.isnan(z))
        assert np.isnan(log_det)
        assert np.all(np.isfinite(last))
        assert not outcome.converged
        (report,) = convergence(layer, x)
        assert str(report).endswith(
            "1 of 1 rows did not reach 1e-10; the largest number of steps was reached"
        )

    def test_what_is_not_finite_is_reported(self) -> None:
        layer = planar([2.0, -1.0], [3.0, 1.0], 0.3)
        (report,) = convergence(layer, jnp.array([[jnp.inf, 0.0], [jnp.nan, 1.0], [1.0, 1.0]]))
        assert report.failed == 2
        assert report.reason == "a value on the way was not finite"

    def test_float32_is_solved_to_its_rounding(self) -> None:
        """A tolerance that float32 does not resolve is no failure."""
        layer = planar([2.0, -1.0], [3.0, 1.0], 0.3, tolerance=1e-14)
        low = jax.tree.map(lambda a: a.astype(jnp.float32), layer)
        (report,) = convergence(low, jax.random.normal(jr.key(1), (50, 2), jnp.float32))
        assert report.failed == 0
        assert 1e-14 < report.error < 2e-5


@pytest.mark.parametrize(
    "record", json.loads(PARITY.read_text())["layers"], ids=lambda r: f"{r['layer']}-{r['z'][0][0]:.2f}"
)
def test_same_numbers_as_other_libraries(record: dict[str, Any]) -> None:
    """To 1e-12 (they are in float64); and our inverse of their outputs gives their inputs back."""
    if "alpha" in record:
        alpha, beta = record["alpha"], record["beta"]
        layer = Radial(3, scale=ExponentialScale(), key=jr.key(0))
        arrays = {"z0": record["z0"], "log_alpha": np.log(alpha), "stretch": np.log1p(beta / alpha)}
        layer = with_arrays(layer, **arrays)
    else:
        layer = planar(record["w"], record["u"], record["b"])
    (x, log_det), (z, back), _ = both(layer, jnp.asarray(record["z"]), jnp.asarray(record["x"]))
    np.testing.assert_allclose(x, record["x"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(log_det, record["log_det"], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(z, record["z"], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(back, -np.asarray(record["log_det"]), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda k: Planar(0, key=k), "`Planar\\(dim\\)` must be a whole number of at least 1; got 0"),
        (
            lambda k: Planar(2, least_slope=1.0, key=k),
            "`Planar\\(least_slope=...\\)` must lie between 0 and 1",
        ),
        (lambda k: Planar(2, tolerance=0.0, key=k), "`Planar\\(tolerance=...\\)` must be positive"),
        (
            lambda k: Sylvester(2, 1, max_steps=0, key=k),
            "`Sylvester\\(max_steps=...\\)` must be a whole number of at least 1",
        ),
        (lambda k: Sylvester(2, 3, key=k), "needs 1 <= rank <= dim; got 2 and 3"),
        (
            lambda k: Sylvester(2, 1, reflections=0, key=k),
            "`Sylvester\\(reflections=...\\)` must be a whole number of at least 1",
        ),
        (
            lambda k: Householder(2, 0, key=k),
            "`Householder\\(reflections\\)` must be a whole number of at least 1; got 0",
        ),
        (lambda k: Radial(0, key=k), "`Radial\\(dim\\)` must be a whole number of at least 1; got 0"),
    ],
)
def test_bad_settings(build: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        build(jr.key(0))
