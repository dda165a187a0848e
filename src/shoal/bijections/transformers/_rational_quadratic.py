"""The rational-quadratic transformer: a monotone spline on [-B, B], the identity outside (Durkan et al. 2019, after
Gregory and Delbourgo 1982), and an affine map, so that linear layers belong to it.

With bin widths w_k, heights h_k, slopes s_k = h_k / w_k and knot derivatives d_k, on bin k, with
t = (u - u_k) / w_k:  v = v_k + h_k (s_k t^2 + d_k t (1-t)) / (s_k + (d_k + d_{k+1} - 2 s_k) t (1-t)).
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Array, Bool, Float, Vector
from shoal.bijections._base import positive
from shoal.bijections.transformers._affine import AbstractScaleMap, scale_or
from shoal.bijections.transformers._base import AbstractTransformer, Raw

MIN_BIN = 1e-3  # least bin width and height, as a share of the box
MIN_DERIVATIVE = 1e-3
RAW_ONE = math.log(math.expm1(1.0 - MIN_DERIVATIVE))  # softplus(RAW_ONE) + MIN_DERIVATIVE = 1


class RationalQuadratic(AbstractTransformer):
    """z = q((x - t) / s), q a monotone spline on [-B, B] with K bins; the log slope is log s - log q'.

    3 K + 1 parameters: the raw scale, t, K widths, K heights, K - 1 derivatives. The direct evaluation is spent on data ->
    latent, the direction that training uses; the other direction solves one quadratic.
    **Arguments:** `bins`: K; `bound`: B, half the box, in units of standardised data; `scale`: the scale map, by default
    |log s| < 1 (narrow peaks are the knots' part, which leaves the tails as wide as the data). Knot derivatives are >= 1e-3,
    bins >= 1e-3 of the box. **Raises:** InputError for fewer than 2 or more than 500 bins and for a bound out of range.
    """

    scale: AbstractScaleMap
    bins: int = eqx.field(static=True)
    bound: float = eqx.field(static=True)

    def __init__(self, bins: int = 8, bound: float = 5.0, scale: AbstractScaleMap | None = None):
        self.bins, self.bound, self.scale = int(bins), float(bound), scale_or(scale, 1.0)

    def __check_init__(self) -> None:
        if not 2 <= self.bins <= 500:
            raise InputError(f"`RationalQuadratic(bins=...)` must lie in 2 ... 500; got {self.bins}.")
        positive("RationalQuadratic(bound=...)", self.bound)

    @property
    def parameters(self) -> int:
        """3 K + 1."""
        return 3 * self.bins + 1

    def forward(self, raw: Raw, z: Vector) -> tuple[Vector, Vector]:
        """s q^{-1}(z) + t and log s - log q'."""
        log_scale, shift, knots = self._split(raw, z.shape[0])
        u, log_slope = invert(knots, z, self.bound)
        return u * jnp.exp(log_scale) + shift, log_scale - log_slope

    def inverse(self, raw: Raw, x: Vector) -> tuple[Vector, Vector]:
        """q((x - t) / s) and log q' - log s."""
        log_scale, shift, knots = self._split(raw, x.shape[0])
        z, log_slope = evaluate(knots, (x - shift) * jnp.exp(-log_scale), self.bound)
        return z, log_slope - log_scale

    def linear(self, log_scale: Vector, shift: Vector, *, layer: str = "this layer") -> Raw:
        """The affine part's values, zero for the knots. **Raises:** InputError, naming `layer`, outside its range."""
        knots = jnp.zeros((self.parameters - 2) * shift.shape[0], shift.dtype)
        return jnp.concatenate([self.scale.raw(log_scale, layer=layer), shift, knots])

    def _split(self, raw: Raw, m: int) -> tuple[Vector, Vector, "Knots"]:
        free = raw[2 * m :].reshape(3 * self.bins - 1, m).T
        return self.scale.log_scale(raw[:m]), raw[m : 2 * m], knots(free, self.bins, self.bound)


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
    slopes = MIN_DERIVATIVE + jax.nn.softplus(raw[:, 2 * bins :] + RAW_ONE)
    one = jnp.ones((rows, 1), raw.dtype)
    return Knots(edges, jnp.concatenate([one, slopes, one], axis=1))


def evaluate(k: Knots, x: Float[Array, "m"], bound: float) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
    """v(x) and log v'(x)."""
    inside = (x > -bound) & (x < bound)
    safe = jnp.where(inside, x, 0.0)
    u0, w, v0, h, d0, d1 = _bin(k, safe, 0)
    t = (safe - u0) / w
    value, log_slope = value_in_bin(t, v0, h, h / w, d0, d1)
    return jnp.where(inside, value, x), jnp.where(inside, log_slope, 0.0)


def invert(k: Knots, y: Float[Array, "m"], bound: float) -> tuple[Float[Array, "m"], Float[Array, "m"]]:
    """u with v(u) = y, and log v'(u)."""
    inside = (y > -bound) & (y < bound)
    safe = jnp.where(inside, y, 0.0)
    u0, w, v0, h, d0, d1 = _bin(k, safe, 1)
    s = h / w
    t = place_in_bin((safe - v0) / h, s, d0, d1)
    _, log_slope = value_in_bin(t, v0, h, s, d0, d1)
    return jnp.where(inside, u0 + t * w, y), jnp.where(inside, log_slope, 0.0)


def one_hot(x: Float[Array, "m"], edges: Float[Array, "m k"]) -> Bool[Array, "m _bins"]:
    """True at the bin, between ascending edges, that holds x: once a row, in an outer bin where x lies outside."""
    above = x[:, None] >= edges[:, 1:-1]  # True up to the bin
    yes = jnp.ones((x.shape[0], 1), bool)
    return jnp.concatenate([yes, above], 1) & ~jnp.concatenate([above, ~yes], 1)


def _bin(k: Knots, x: Float[Array, "m"], axis: int) -> tuple[Array, ...]:
    """(u0, w, v0, h, d0, d1) of the bin that holds x along `axis` (0: u, 1: v).

    By one sum over a one-hot mask, which `vmap` keeps free of gathers and which compiles to one loop.
    """
    hot = one_hot(x, k.edges[:, axis])
    low, size = k.edges[:, :, :-1], jnp.diff(k.edges, axis=2)
    d = k.derivatives[:, None, :]
    table = jnp.concatenate([low, size, d[:, :, :-1], d[:, :, 1:]], axis=1)  # (m, 6, K)
    u0, v0, w, h, d0, d1 = jnp.moveaxis(jnp.sum(jnp.where(hot[:, None, :], table, 0.0), axis=2), 1, 0)
    return u0, w, v0, h, d0, d1


def value_in_bin(t: Array, v0: Array, h: Array, s: Array, d0: Array, d1: Array) -> tuple[Array, Array]:
    """Value and log-derivative at t in [0, 1] of a bin."""
    mixed = t * (1.0 - t)
    below = s + (d0 + d1 - 2.0 * s) * mixed
    value = v0 + h * (s * t * t + d0 * mixed) / below
    slope = d1 * t * t + 2.0 * s * mixed + d0 * (1.0 - t) ** 2
    return value, jnp.log(slope * (s / below) ** 2)


def place_in_bin(y: Array, s: Array, d0: Array, d1: Array) -> Array:
    """t in [0, 1] at which a bin has value y, in heights of the bin: the stable form 2c / (-b - sqrt(b^2 - 4ac))."""
    curve = d0 + d1 - 2.0 * s
    a = s - d0 + y * curve
    b = d0 - y * curve
    c = -s * y
    root = jnp.sqrt(jnp.maximum(b * b - 4.0 * a * c, 0.0))  # exact arithmetic has it >= min(d0, d1)^2 > 0
    return jnp.clip(-2.0 * c / (b + root), 0.0, 1.0)
