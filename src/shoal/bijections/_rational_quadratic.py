"""Monotone rational-quadratic splines on [-B, B], the identity outside (Durkan et al. 2019, after Gregory and
Delbourgo 1982). Elementwise: every argument has one row per coordinate.

With bin widths w_k, heights h_k, slopes s_k = h_k / w_k and knot derivatives d_k, on bin k, with
t = (u - u_k) / w_k:  v = v_k + h_k (s_k t^2 + d_k t (1-t)) / (s_k + (d_k + d_{k+1} - 2 s_k) t (1-t)).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from shoal._types import Array, Float

MIN_BIN = 1e-3  # least bin width and height, as a share of the box
MIN_DERIVATIVE = 1e-3
_RAW_ONE = math.log(math.expm1(1.0 - MIN_DERIVATIVE))  # softplus(_RAW_ONE) + MIN_DERIVATIVE = 1


class Knots(NamedTuple):
    """m splines with K bins: `edges` (m, 2, K + 1), positions u then values v; `derivatives` (m, K + 1)."""

    edges: Float[Array, "m 2 k"]
    derivatives: Float[Array, "m k"]


def knots(raw: Float[Array, "m p"], bins: int, bound: float) -> Knots:
    """The knots from 3 K - 1 free values per coordinate; all zero gives the identity. Outer derivatives are 1."""
    rows = raw.shape[0]
    both = jax.nn.softmax(raw[:, : 2 * bins].reshape(rows, 2, bins), axis=2)
    inner = jnp.cumsum(MIN_BIN + (1.0 - MIN_BIN * bins) * both[:, :, :-1], axis=2)
    end = jnp.full((rows, 2, 1), bound, raw.dtype)
    edges = jnp.concatenate([-end, -bound + 2.0 * bound * inner, end], axis=2)
    slopes = MIN_DERIVATIVE + jax.nn.softplus(raw[:, 2 * bins :] + _RAW_ONE)
    one = jnp.ones((rows, 1), raw.dtype)
    return Knots(edges, jnp.concatenate([one, slopes, one], axis=1))


def evaluate(k: Knots, x: Float[Array, "m"], bound: float) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
    """v(x) and log v'(x)."""
    inside = (x > -bound) & (x < bound)
    safe = jnp.where(inside, x, 0.0)
    u0, w, v0, h, d0, d1 = _bin(k, safe, 0)
    t = (safe - u0) / w
    value, log_slope = _forward(t, v0, h, h / w, d0, d1)
    return jnp.where(inside, value, x), jnp.where(inside, log_slope, 0.0)


def invert(k: Knots, y: Float[Array, "m"], bound: float) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
    """u with v(u) = y, and log v'(u). The root is the stable form 2c / (-b - sqrt(b^2 - 4ac))."""
    inside = (y > -bound) & (y < bound)
    safe = jnp.where(inside, y, 0.0)
    u0, w, v0, h, d0, d1 = _bin(k, safe, 1)
    s = h / w
    curve = d0 + d1 - 2.0 * s
    y0 = (safe - v0) / h  # in [0, 1]
    a = s - d0 + y0 * curve
    b = d0 - y0 * curve
    c = -s * y0
    root = jnp.sqrt(jnp.maximum(b * b - 4.0 * a * c, 0.0))  # exact arithmetic has it >= min(d0, d1)^2 > 0
    t = jnp.clip(-2.0 * c / (b + root), 0.0, 1.0)
    _, log_slope = _forward(t, v0, h, s, d0, d1)
    return jnp.where(inside, u0 + t * w, y), jnp.where(inside, log_slope, 0.0)


def _bin(k: Knots, x: Float[Array, "m"], axis: int) -> tuple[Array, ...]:
    """(u0, w, v0, h, d0, d1) of the bin that holds x along `axis` (0: u, 1: v).

    By one sum over a one-hot mask, which `vmap` keeps free of gathers and which compiles to one loop.
    """
    above = x[:, None] >= k.edges[:, axis, 1:-1]  # (m, K - 1), True up to the bin
    yes = jnp.ones((x.shape[0], 1), bool)
    hot = jnp.concatenate([yes, above], 1) & ~jnp.concatenate([above, ~yes], 1)  # one True per row
    low, size = k.edges[:, :, :-1], jnp.diff(k.edges, axis=2)
    d = k.derivatives[:, None, :]
    table = jnp.concatenate([low, size, d[:, :, :-1], d[:, :, 1:]], axis=1)  # (m, 6, K)
    u0, v0, w, h, d0, d1 = jnp.moveaxis(jnp.sum(jnp.where(hot[:, None, :], table, 0.0), axis=2), 1, 0)
    return u0, w, v0, h, d0, d1


def _forward(t: Array, v0: Array, h: Array, s: Array, d0: Array, d1: Array) -> tuple[Array, Array]:
    """Value and log-derivative at t in [0, 1] of a bin."""
    mixed = t * (1.0 - t)
    below = s + (d0 + d1 - 2.0 * s) * mixed
    value = v0 + h * (s * t * t + d0 * mixed) / below
    slope = d1 * t * t + 2.0 * s * mixed + d0 * (1.0 - t) ** 2
    return value, jnp.log(slope * (s / below) ** 2)
