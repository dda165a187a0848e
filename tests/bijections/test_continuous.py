"""Continuous flows against closed forms, counts, other derivatives, and another library's numbers."""

# pyright: reportAttributeAccessIssue=false

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.linalg

from shoal.bijections import (
    FFJORD,
    AdaptiveSteps,
    BacksolveAdjoint,
    DiscreteAdjoint,
    FixedSteps,
    HutchinsonTrace,
    Noise,
    _continuous,
    convergence,
)
from shoal.bijections._ode import check_method
from shoal.distributions import Flow, StandardNormal

PARITY = Path(__file__).resolve().parents[1] / "fixtures" / "parity-continuous.json"
A = np.array([[0.5, -1.2, 0.3, 0.7], [0.4, 0.1, -0.8, -0.5], [0.2, 0.9, -0.6, 0.1]])
B = np.array([0.3, -0.2, 0.6])
Z = np.array([0.7, -1.1, 0.4])


def affine(dtype: Any, **settings: Any) -> FFJORD:
    """dz/dt = A [z, t] + b."""
    made = FFJORD(3, hidden=(), key=jr.key(0), **settings)
    at = lambda f: (f.velocity.skip, f.velocity.bias, f.velocity.last)
    return eqx.tree_at(at, made, (jnp.asarray(A, dtype), jnp.asarray(B, dtype), jnp.zeros((3, 0), dtype)))


def exact() -> np.ndarray:
    """x by the matrix exponential of the system of (z, t, 1)."""
    system = np.zeros((5, 5))
    system[:3, :4], system[:3, 4], system[3, 4] = A, B, 1.0
    return (scipy.linalg.expm(system) @ np.array([*Z, 0.0, 1.0]))[:3]


def wild(seed: int = 0, size: float = 1.0, **settings: Any) -> FFJORD:
    """A velocity with normal weights, not at its start."""
    made, rng = FFJORD(2, hidden=(4,), key=jr.key(0), **settings), np.random.default_rng(seed)
    draw = lambda a: jnp.asarray(size * rng.normal(size=a.shape), a.dtype) if eqx.is_inexact_array(a) else a
    return jax.tree.map(draw, made)


@pytest.mark.parametrize(
    ("solver", "steps"),
    [
        pytest.param("tsit5", AdaptiveSteps(1e-9, 1e-9), id="tsit5-adaptive"),
        pytest.param("dopri5", AdaptiveSteps(1e-9, 1e-9), id="dopri5-adaptive"),
        pytest.param("dopri8", FixedSteps(40), id="dopri8-fixed"),
    ],
)
def test_affine_velocity_and_the_count_of_evaluations(solver, steps, monkeypatch):
    calls, rates = [], _continuous._rates

    def counted(t, state, arguments):
        jax.debug.callback(lambda _: calls.append(1), t)
        return rates(t, state, arguments)

    monkeypatch.setattr(_continuous, "_rates", counted)
    with jax.enable_x64(True):
        f = affine(jnp.float64, solver=solver, steps=steps)
        x, log_det, outcome = eqx.filter_jit(f.solve_forward)(jnp.asarray(Z))
        x = np.asarray(x)
        jax.effects_barrier()
        np.testing.assert_allclose(x, exact(), atol=1e-7 if solver != "dopri8" else 1e-8)
        np.testing.assert_allclose(log_det, np.trace(A[:, :3]), atol=1e-10)
        assert int(outcome.steps) == len(calls)
        assert bool(outcome.converged)
        assert float(outcome.error) == pytest.approx(
            1e-9 * (1 + abs(x).max()) if steps.tolerance < 1 else np.inf
        )


def test_identity_at_the_start():
    f = FFJORD(2, hidden=(4,), key=jr.key(0))
    x, log_det = f.forward_and_log_det(jnp.array([0.3, -2.0]))
    np.testing.assert_array_equal(x, np.array([0.3, -2.0], np.float32))
    assert float(log_det) == 0.0


@pytest.mark.long
def test_hutchinson_is_unbiased_in_value_and_gradient():
    z, count = jnp.asarray(Z, jnp.float32), 400
    keys = jr.split(jr.key(2), count)
    f = affine(jnp.float32, steps=FixedSteps(3))
    estimated = lambda k: eqx.tree_at(lambda m: m.trace, f, HutchinsonTrace(Noise(k)))
    log_det = lambda m: m.forward_and_log_det(z)[1]

    @eqx.filter_jit
    def sample(keys):
        def one(key):
            value, slope = eqx.filter_value_and_grad(log_det)(estimated(key))
            return value, slope.velocity.skip

        return jax.vmap(one)(keys)

    values, slopes = (np.asarray(a, np.float64) for a in sample(keys))
    assert values.std() > 0.1
    assert abs(values.mean() - np.trace(A[:, :3])) < 4 * values.std(ddof=1) / count**0.5
    error = np.abs(slopes.mean(0) - np.eye(3, 4)) / (slopes.std(0, ddof=1) / count**0.5 + 1e-6)
    assert np.all(error < 4)
    noise = HutchinsonTrace(Noise(jr.key(0)), 5).probes(z)
    np.testing.assert_allclose(jnp.sum(noise * noise, axis=0), 1.0, rtol=1e-6)


@pytest.mark.long
def test_the_continuous_adjoint_agrees_to_the_tolerance():
    with jax.enable_x64(True):
        z = jnp.array([0.4, -0.9])
        slope = eqx.filter_jit(eqx.filter_grad(lambda f: jnp.sum(f.forward_and_log_det(z)[0] ** 2)))
        one, two = (
            slope(wild(steps=AdaptiveSteps(1e-8, 1e-8), adjoint=a))
            for a in (DiscreteAdjoint(), BacksolveAdjoint())
        )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        assert np.any(np.asarray(a) != np.asarray(b)) or a.size == 0


def test_what_does_not_converge_is_nan_and_reported():
    z = jnp.array([[0.4, -0.9], [8.0, 8.0]])
    few = wild(size=3.0, steps=AdaptiveSteps(1e-5, 1e-5, 4))
    x, log_det = jax.vmap(few.forward_and_log_det)(z)
    assert np.all(np.isnan(x))
    assert np.all(np.isnan(log_det))
    (found,) = convergence(few, z, direction="forward")
    assert (found.failed, found.steps) == (2, 4 * 6 + 1)
    assert str(found).endswith("2 of 2 rows did not reach 2e-05; the largest number of steps was reached")
    broken = eqx.tree_at(lambda f: f.velocity.bias, wild(steps=FixedSteps(3)), jnp.array([jnp.inf, 0.0]))
    (found,) = convergence(broken, z, direction="inverse")
    assert found.reason == "a value on the way was not finite"


@pytest.mark.long
def test_round_trip_of_tails_within_ten_tolerances():
    """|z| = 8, on velocities like trained ones: the inverse misses by at most ten times the tolerance, in float64."""
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    z = 8.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    with jax.enable_x64(True):
        for tolerance in (1e-5, 1e-8):
            f = wild(size=0.7, steps=AdaptiveSteps(tolerance, tolerance))
            back = jax.vmap(f.inverse)(jax.vmap(f.forward)(jnp.asarray(z)))
            allowed = 10 * float(np.max(f.steps.allowed(jnp.asarray(z))))
            assert float(np.max(np.abs(back - z))) <= allowed


def test_second_derivatives_are_refused():
    f = wild(steps=FixedSteps(3))
    with pytest.raises(NotImplementedError, match="there are no second derivatives"):
        jax.hessian(lambda z: f.forward_and_log_det(z)[1])(jnp.zeros(2))


def test_parity_with_zuko():
    """zuko's free-form transformation with the same weights, both solved to 1e-10, gives the same numbers."""
    given = json.loads(PARITY.read_text(encoding="utf-8"))
    with jax.enable_x64(True):
        f = FFJORD(3, hidden=(5,), steps=AdaptiveSteps(1e-10, 1e-10), solver="dopri8", key=jr.key(0))
        at = lambda f: (f.velocity.weights[0], f.velocity.biases[0], f.velocity.last, f.velocity.bias)
        f = eqx.tree_at(
            at, f, tuple(jnp.asarray(given[k]) for k in ("first", "first_bias", "last", "last_bias"))
        )
        flow = Flow(StandardNormal(3), jax.tree.map(lambda a: a.astype(jnp.float64), f))
        np.testing.assert_allclose(flow.inverse(np.array(given["x"])), given["z"], atol=1e-5)
        np.testing.assert_allclose(flow.log_prob(np.array(given["x"])), given["log_prob"], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: FFJORD(0, key=jr.key(0)), r"dim=...\)` must be a whole number of at least 1; got 0"),
        (lambda: check_method("euler"), "tsit5, dopri5, dopri8; got 'euler'"),
        (lambda: FFJORD(2, activation="relu", key=jr.key(0)), 'smooth activation.*got "relu"'),
        (lambda: AdaptiveSteps(0.0), "0 < rtol < 1"),
        (lambda: AdaptiveSteps(max_steps=0), "at least 1; got 0"),
        (lambda: FixedSteps(0), "at least 1; got 0"),
        (lambda: DiscreteAdjoint(0), "at least 1; got 0"),
        (lambda: HutchinsonTrace(Noise(jr.key(0)), 0), "at least 1; got 0"),
    ],
    ids=["dim", "solver", "relu", "rtol", "max-steps", "fixed", "checkpoints", "probes"],
)
def test_refused(make, text):
    with pytest.raises(ValueError, match=text):
        make()
