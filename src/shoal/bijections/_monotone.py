"""Increasing scalar equations y + p tanh(q y + s) = t, p q > -1: what planar and Sylvester layers solve to be inverted.

The left side has slopes between min(1, 1 + p q) and max(1, 1 + p q), so there is one root; as |tanh| < 1, it lies in
[t - |p|, t + |p|]. Newton's method inside that bracket, with bisection where a step leaves it or does not halve the one
before, ends at the rounding of the dtype. Derivatives are those of the implicit function.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._products import matmul
from shoal._types import Array, Bool, Float, Int, Scalar
from shoal.bijections._iterative import Outcome, result_of

_ROUNDINGS = 4.0  # the residual of a root, in roundings of the terms that it is the sum of


class Root(eqx.Module):
    """A root, whether its residual is at the rounding of its terms, the residual, and the steps that it took."""

    y: Scalar
    solved: Bool[Array, ""]
    residual: Scalar
    steps: Int[Array, ""]


def solve(p: Scalar, q: Scalar, s: Scalar, t: Scalar, *, max_steps: int) -> Root:
    """The root y of y + p tanh(q y + s) = t, where p q > -1; its derivatives, of any order, are exact at y."""
    args = jax.lax.stop_gradient((p, q, s, t))
    y, solved, steps = _bracketed_newton(args, max_steps)
    return Root(_implicit(y, p, q, s, t), solved & jnp.isfinite(y), _equation(y, args)[0], steps)


def _bracketed_newton(
    args: tuple[Scalar, ...], max_steps: int
) -> tuple[Scalar, Bool[Array, ""], Int[Array, ""]]:
    """The last y, whether it is a root, and the steps. Ends where the equation holds to its rounding error, or where the
    bracket has no point inside.
    """
    p, q, s, t = args

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        y, lower, upper, last, _, steps = state
        value, (slope, rounding) = _equation(y, args)
        lower, upper = jnp.where(value < 0, y, lower), jnp.where(value < 0, upper, y)
        newton, middle = y - value / slope, lower + 0.5 * (upper - lower)
        good = (newton >= lower) & (newton <= upper) & (2.0 * jnp.abs(newton - y) <= jnp.abs(last))
        new = jnp.where(good, newton, middle)
        done = (jnp.abs(value) <= rounding) | (new == y)
        best = jnp.where(done & ~good, y, new)  # at the end, Newton's step still takes off a rounding or two
        return best, lower, upper, new - y, done, steps + 1

    lower, upper = t - jnp.abs(p), t + jnp.abs(p)
    saturated = t - p * jnp.tanh(q * t + s)  # the root, where tanh is
    start = (saturated, lower, upper, upper - lower, jnp.zeros((), bool), jnp.zeros((), jnp.int32))
    going = lambda state: ~state[4] & (state[5] < max_steps) & jnp.isfinite(state[0])
    y, *_, done, steps = jax.lax.while_loop(going, step, start)
    return y, done, steps


def outcome(solved: Bool[Array, ""], error: Scalar, steps: Int[Array, ""], tolerance: float) -> Outcome:
    """Successful where the error estimate is within the tolerance, or the dtype resolves no more."""
    met = solved | (error <= tolerance)
    return Outcome(result_of(met, jnp.isfinite(error)), steps, jax.lax.stop_gradient(error))


def slope_of_tanh(a: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """tanh'(a) = 4 / (e^a + e^-a)^2, to rounding in the tails too."""
    return 4.0 * jax.nn.sigmoid(2.0 * a) * jax.nn.sigmoid(-2.0 * a)


def above(s: Float[Array, "*any"], least: float) -> Float[Array, "*any"]:
    """m(s), increasing and once continuously differentiable, with m(s) = s for s >= 0 and m > least - 1: 1 + m > least."""
    width = 1.0 - least
    return jnp.where(s < 0, width * jnp.expm1(jnp.minimum(s, 0.0) / width), s)


def projected(u: Float[Array, "n"], w: Float[Array, "n"], least: float) -> tuple[Float[Array, "n"], Scalar]:
    """û = u + (m(w.u) - w.u) w / |w|^2 and its product with w, m(w.u) > least - 1; u itself where w.u >= 0.

    As m(s) - s = O(s^2), the shift is O(|w|): it vanishes with w, where Rezende and Mohamed's, with m(0) = log 2 - 1, does
    not stay bounded.
    """
    product, square = matmul(w, u), matmul(w, w)
    bounded = above(product, least)
    return u + (bounded - product) / jnp.where(square > 0, square, 1.0) * w, bounded


@jax.custom_jvp
def _implicit(y: Scalar, p: Scalar, q: Scalar, s: Scalar, t: Scalar) -> Scalar:
    """y, with the derivatives of the root: dy (1 + p q tanh') = dt - tanh dp - p tanh' (y dq + ds)."""
    return y


@_implicit.defjvp
def _implicit_jvp(primals: tuple[Scalar, ...], tangents: tuple[Scalar, ...]) -> tuple[Scalar, Scalar]:
    _, p, q, s, _ = primals
    _, dp, dq, ds, dt = tangents
    y = _implicit(*primals)
    a = q * y + s
    inner = p * slope_of_tanh(a)
    return y, (dt - jnp.tanh(a) * dp - inner * (y * dq + ds)) / (1.0 + q * inner)


def _equation(y: Scalar, args: tuple[Scalar, ...]) -> tuple[Scalar, tuple[Scalar, Scalar]]:
    p, q, s, t = args
    a = q * y + s
    inner = p * slope_of_tanh(a)
    terms = jnp.abs(y) + jnp.abs(t) + jnp.abs(p) + jnp.abs(inner) * (jnp.abs(q * y) + jnp.abs(s))
    rounding = _ROUNDINGS * jnp.finfo(y.dtype).eps * terms
    return (y - t) + p * jnp.tanh(a), (1.0 + inner * q, rounding)
