"""Elementwise fronts: `LogTails`, and `Marginals`, a monotone map of each column to a standard normal one.

Tails that grow like a logarithm keep rows far out from driving conditioners, and overflow out of sampling. With λ > 0 and
a = λ e, e the distance beyond a border, data -> latent takes e to log1p(a) / λ; latent -> data takes t to expm1(λ t) / λ up
to λ t = `REACH`, and goes on along the tangent there, so that no latent overflows. Both directions are once continuously
differentiable. A tail of this form turns a Pareto law of index 1 / λ into an exponential one.

`Marginals` is a rational-quadratic spline at given knots, as in Gregory and Delbourgo 1982 (Durkan et al. 2019, equations 4
to 8), whose slope may jump at a knot, since the densities of columns with repeated values do; beyond the outer knots as
`LogTails`, with the slope of the outer knot (tail layers in place of heavy-tailed bases: Hickling and Prangle 2025).
"""

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._scalars import Function
from shoal._types import Array, Context, Float, Scalar, Vector
from shoal.bijections._base import AbstractBijection, between, check_input, positive, whole
from shoal.bijections.transformers._rational_quadratic import place_in_bin, value_in_bin

REACH = 20.0  # λ t up to which the exponential is followed: e^20 = 5e8 borders away
MOST = 3.0  # by how much training moves a logarithm of a bin's height or a knot's slope
LEAST = 1e-3  # of λ: below it the logarithm is the identity to rounding


def tail_index(raw: Float[Array, "*m"]) -> Float[Array, "*m"]:
    """λ = LEAST + softplus(raw), positive."""
    return LEAST + jax.nn.softplus(raw)


def raw_index(index: float) -> float:
    """The free value whose λ is `index`."""
    return math.log(math.expm1(index - LEAST))


def shortened(e: Float[Array, "*m"], index: Float[Array, "*m"]) -> tuple[Array, Array]:
    """(t, log dt/de) of distances e >= 0: t = log1p(λ e) / λ, along the tangent beyond λ t = REACH."""
    end = math.expm1(REACH)
    a = index * e
    beyond = a > end
    safe = jnp.where(beyond, 0.0, a)
    straight = REACH + (jnp.where(beyond, a, end) - end) * math.exp(-REACH)
    t = jnp.where(beyond, straight, jnp.log1p(safe)) / index
    return t, jnp.where(beyond, -REACH, -jnp.log1p(safe))


def lengthened(t: Float[Array, "*m"], index: Float[Array, "*m"]) -> tuple[Array, Array]:
    """(e, log de/dt) of t >= 0: the inverse of `shortened`."""
    a = index * t
    beyond = a > REACH
    safe = jnp.where(beyond, 0.0, a)
    straight = math.expm1(REACH) + (jnp.where(beyond, a, REACH) - REACH) * math.exp(REACH)
    return jnp.where(beyond, straight, jnp.expm1(safe)) / index, jnp.where(beyond, REACH, safe)


class LogTails(AbstractBijection):
    """z_i = x_i for |x_i| <= `start`, beyond it sign(x_i) (start + log1p(λ (|x_i| - start)) / λ); one trained λ a side.

    **Arguments:** `dim`: n; `start`: where the tails begin, in deviations of the column; `index`: λ at the start.
    log|det dz/dx| = - sum log1p(λ (|x_i| - start)) over the coordinates beyond. Slopes dx/dz lie in [1, e^20].
    Both directions are closed forms. **Raises:** InputError for sizes that are not positive and finite.
    """

    raw: Float[Array, "2 n"]
    start: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int, *, start: float = 4.0, index: float = 1.0):
        whole("LogTails(dim)", dim)
        between("LogTails(index=...)", index, LEAST, math.inf)
        self.raw = jnp.full((2, dim), raw_index(index), jnp.result_type(float))
        self.start, self.shape, self.context_shape = positive("LogTails(start=...)", start), (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and sum log dx/dz."""
        check_input(self, z, context)
        return self._bent(z, lengthened)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and sum log dz/dx."""
        check_input(self, x, context)
        return self._bent(x, shortened)

    def _bent(self, v: Vector, bend: Function) -> tuple[Vector, Scalar]:
        index = tail_index(self.raw)
        size = jnp.abs(v)
        far, log_slope = bend(jnp.maximum(size - self.start, 0.0), jnp.where(v < 0, index[0], index[1]))
        return jnp.sign(v) * (jnp.minimum(size, self.start) + far), jnp.sum(log_slope)


class Marginals(AbstractBijection):
    """z_i = m_i(x_i), m_i increasing: K rational-quadratic bins between K + 1 knots, log tails beyond them.

    `knots` (n, K + 1): places in x, ascending, fixed; `log_jumps` (n, K + 1): what log dz/dx gains at a knot from its
    lower to its upper side, fixed, 0 at the outer knots (None: 0 at all); `first` (n,): the latent of the first knot;
    `log_heights` (n, K): of the bins in z; `log_slopes` (n, K + 1): log dz/dx at the lower side of the knots; both as
    set, fixed, and training moves each by MOST tanh(free / MOST), less than `MOST` = 3, so that no gap between the rows
    becomes a place of no density; `raw_tails` (n, 2): of the tail indices λ, lower and upper. A tail goes on from its
    knot with distance e and slope d as z = z_K + log1p(λ d e) / λ. `marginals` sets all of it from rows. log|det dz/dx|
    = sum log m_i'. Both directions are closed forms (the inverse of a bin solves one quadratic). **Raises:** InputError
    for shapes that do not fit, knots that do not ascend, and jumps at the outer knots.
    """

    fixed: ClassVar[tuple[str, ...]] = ("knots", "log_jumps", "log_heights", "log_slopes")
    knots: Float[Array, "n k"]
    log_jumps: Float[Array, "n k"]
    first: Float[Array, "n"]
    log_heights: Float[Array, "n _k"]
    log_slopes: Float[Array, "n k"]
    free_heights: Float[Array, "n _k"]
    free_slopes: Float[Array, "n k"]
    raw_tails: Float[Array, "n 2"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        knots: Array,
        first: Array,
        log_heights: Array,
        log_slopes: Array,
        raw_tails: Array,
        log_jumps: Array | None = None,
    ):
        n, k = jnp.shape(knots)
        self.knots = jnp.asarray(knots)
        self.log_jumps = jnp.zeros_like(self.knots) if log_jumps is None else jnp.asarray(log_jumps)
        shapes = [jnp.shape(a) for a in (first, log_heights, log_slopes, raw_tails, self.log_jumps)]
        if n < 1 or k < 2 or shapes != [(n,), (n, k - 1), (n, k), (n, 2), (n, k)]:
            raise InputError(
                f"`Marginals` needs (n, K + 1) knots and (n,), (n, K), (n, K + 1), (n, 2), (n, K + 1); "
                f"got {(n, k)}, {shapes}."
            )
        if not bool(jnp.all(jnp.diff(knots, axis=1) > 0)):
            raise InputError("`Marginals(knots=...)` must ascend strictly in every column.")
        if bool(jnp.any(self.log_jumps[:, jnp.array([0, -1])] != 0)):
            raise InputError("`Marginals(log_jumps=...)` must be 0 at the outer knots.")
        self.first, self.raw_tails = jnp.asarray(first), jnp.asarray(raw_tails)
        self.log_heights, self.log_slopes = jnp.asarray(log_heights), jnp.asarray(log_slopes)
        self.free_heights, self.free_slopes = (
            jnp.zeros_like(self.log_heights),
            jnp.zeros_like(self.log_slopes),
        )
        self.shape, self.context_shape = (n,), None

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and sum log dz/dx."""
        check_input(self, x, context)
        z, log_slopes = self.inverse_and_log_slopes(x)
        return z, jnp.sum(log_slopes)

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and sum log dx/dz."""
        check_input(self, z, context)
        x, log_slopes = self.forward_and_log_slopes(z)
        return x, jnp.sum(log_slopes)

    def inverse_and_log_slopes(self, x: Vector) -> tuple[Vector, Vector]:
        """z and log dz/dx of each column."""
        u, v, d = curves = self._curves()
        index, log_d = tail_index(self.raw_tails), jnp.log(d)
        inside = jnp.clip(x, u[:, 0], u[:, -1])
        u0, w, v0, h, d0, d1 = self._bins(curves, 0, inside)
        t = (inside - u0) / w
        z, log_slope = value_in_bin(t, v0, h, h / w, d0, d1)
        low, low_slope = shortened(jnp.maximum(u[:, 0] - x, 0.0) * d[:, 0], index[:, 0])
        high, high_slope = shortened(jnp.maximum(x - u[:, -1], 0.0) * d[:, -1], index[:, 1])
        below, above = x < u[:, 0], x > u[:, -1]
        z = jnp.where(below, v[:, 0] - low, jnp.where(above, v[:, -1] + high, z))
        log_slope = jnp.where(below, log_d[:, 0] + low_slope, log_slope)
        return z, jnp.where(above, log_d[:, -1] + high_slope, log_slope)

    def forward_and_log_slopes(self, z: Vector) -> tuple[Vector, Vector]:
        """x and log dx/dz of each column."""
        u, v, d = curves = self._curves()
        index, log_d = tail_index(self.raw_tails), jnp.log(d)
        inside = jnp.clip(z, v[:, 0], v[:, -1])
        u0, w, v0, h, d0, d1 = self._bins(curves, 1, inside)
        t = place_in_bin((inside - v0) / h, h / w, d0, d1)
        _, log_slope = value_in_bin(t, v0, h, h / w, d0, d1)
        low, low_slope = lengthened(jnp.maximum(v[:, 0] - z, 0.0), index[:, 0])
        high, high_slope = lengthened(jnp.maximum(z - v[:, -1], 0.0), index[:, 1])
        below, above = z < v[:, 0], z > v[:, -1]
        x = jnp.where(below, u[:, 0] - low / d[:, 0], u0 + t * w)
        x = jnp.where(above, u[:, -1] + high / d[:, -1], x)
        log_slope = jnp.where(below, low_slope - log_d[:, 0], -log_slope)
        return x, jnp.where(above, high_slope - log_d[:, -1], log_slope)

    def heights_and_slopes(self) -> tuple[Float[Array, "n _k"], Float[Array, "n k"]]:
        """Of the bins in z, and dz/dx at the lower sides of the knots, as trained."""
        pairs = (self.log_heights, self.free_heights), (self.log_slopes, self.free_slopes)
        heights, slopes = (jnp.exp(jax.lax.stop_gradient(a) + MOST * jnp.tanh(b / MOST)) for a, b in pairs)
        return heights, slopes

    def _curves(self) -> tuple[Array, Array, Array]:
        """Knots in x, knots in z, slopes dz/dx at their lower sides."""
        heights, slopes = self.heights_and_slopes()
        first = self.first[:, None]
        z = jnp.concatenate([first, first + jnp.cumsum(heights, axis=1)], axis=1)
        return jax.lax.stop_gradient(self.knots), z, slopes

    def _bins(self, curves: tuple[Array, Array, Array], axis: int, at: Vector) -> tuple[Array, ...]:
        """(u0, w, v0, h, d0, d1) of the bin that holds `at` along `axis` (0: x, 1: z), of each coordinate.

        By bisection and gathers: the work hardly grows with the number of bins.
        """
        u, v, d = curves
        upper = d * jnp.exp(jax.lax.stop_gradient(self.log_jumps))
        past = jax.vmap(lambda edges, a: jnp.searchsorted(edges, a, side="right"))(curves[axis], at)
        i = jnp.clip(past - 1, 0, u.shape[1] - 2)[:, None]
        u0, u1, v0, v1, d0, d1 = (
            jnp.take_along_axis(part, j, axis=1)[:, 0]
            for part, j in ((u, i), (u, i + 1), (v, i), (v, i + 1), (upper, i), (d, i + 1))
        )
        return u0, u1 - u0, v0, v1 - v0, d0, d1
