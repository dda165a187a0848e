"""The two layers of Rezende and Mohamed (2015): planar, x = z + u tanh(w.z + b), and radial, x = z + β (z - z0) / (α + r).

Along w a planar layer is a -> a + w.u tanh(a + b), a = w.z, with slopes between min(1, 1 + w.u) and max(1, 1 + w.u): it is
invertible if and only if w.u >= -1. The layer holds any w and u and uses the projection of u with w.u > least_slope - 1.

A radial layer, r = |z - z0|, α > 0, β >= -α, takes the radius to R = r + β r / (α + r), with slope 1 + αβ / (α + r)^2:
increasing if and only if β >= -α. With E = 1 + β/α, the stretch at z0, the condition is E > 0, so the layer holds log α and
a raw value of log E. The radius solves r^2 + (αE - R) r - αR = 0, whose one root r >= 0 is taken without cancellation: the
inverse is in closed form.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, between, check_input, whole
from shoal.bijections._iterative import AbstractIterative, Outcome, check_solver, closed_form
from shoal.bijections._monotone import outcome, projected, slope_of_tanh, solve
from shoal.bijections.conditioners import Activation, DenseConditioner
from shoal.bijections.conditioners._dense import amortizer, moved
from shoal.bijections.transformers._affine import AbstractScaleMap, scale_or


class Planar(AbstractIterative):
    r"""x = z + û tanh(w.z + b), û = u + (m(w.u) - w.u) w / |w|^2 with m(s) = s for s >= 0, else (1-δ)(exp(s/(1-δ)) - 1).

    So w.û > δ - 1, δ = `least_slope`, whatever the parameters. log|det dx/dz| = log(1 + w.û tanh'(w.z + b)), O(n).
    **Inverse:** a + w.û tanh(a + b) = w.x by Newton's method in the bracket w.x ± |w.û|, then z = x - û tanh(a + b): O(n)
    and some four steps in one number. Solved to the rounding of the dtype; an error estimate above `tolerance` that rounding
    does not explain is a failure. **Singular values:** n - 2 are 1; the map's Lipschitz constant is at most 1 + |û||w|, the
    inverse's 1 + |û||w| / min(1, 1 + w.û). **Parameters:** 2n + 1.
    **Arguments:** `context_dim`, `hidden`, `activation`: of the net by which a context moves w, u, b (0: none);
    `least_slope`: δ; `tolerance`: of the inverse, absolute; `max_steps`: of its iteration.
    **Raises:** InputError for sizes below 1, δ outside (0, 1), a tolerance that is not positive.
    Rezende and Mohamed train chains of these as posteriors of a VAE on binarised MNIST, and the bound improves with
    their number. **Can not:** move more than one direction: each layer is a single bump along w, so many are needed.
    """

    w: Float[Array, "n"]
    u: Float[Array, "n"]
    b: Float[Array, ""]
    conditioner: DenseConditioner | None
    least_slope: float = eqx.field(static=True)
    tolerance: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        context_dim: int = 0,
        hidden: tuple[int, ...] = (64, 64),
        activation: Activation = "tanh",
        least_slope: float = 1e-2,
        tolerance: float = 1e-10,
        max_steps: int = 128,
        key: Key,
    ):
        whole("Planar(dim)", dim)
        kw, ku, kc = jr.split(key, 3)
        self.w = jr.normal(kw, (dim,)) / dim**0.5
        self.u = 0.01 * jr.normal(ku, (dim,))
        self.b = jnp.zeros(())
        self.conditioner = amortizer((self.w, self.u, self.b), context_dim, hidden, activation, kc)
        self.least_slope = between("Planar(least_slope=...)", least_slope)
        self.tolerance, self.max_steps = check_solver("Planar", tolerance, max_steps)
        self.shape, self.context_shape = (dim,), (context_dim,) if context_dim else None

    def solve_forward(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """x and log(1 + w.û tanh'), in closed form."""
        check_input(self, z, context)
        w, u, b, product = self._parameters(context)
        a = matmul(w, z) + b
        return z + u * jnp.tanh(a), jnp.log1p(product * slope_of_tanh(a)), closed_form(z)

    def solve_inverse(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """z and - log(1 + w.û tanh'); the outcome's steps are Newton's or bisection's."""
        check_input(self, x, context)
        w, u, b, product = self._parameters(context)
        root = solve(product, jnp.ones_like(product), b, matmul(w, x), max_steps=self.max_steps)
        a = root.y + b
        error = jnp.max(jnp.abs(u)) * jnp.abs(root.residual) / jnp.minimum(1.0, 1.0 + product)
        z, log_det = x - u * jnp.tanh(a), -jnp.log1p(product * slope_of_tanh(a))
        return z, log_det, outcome(root.solved, jax.lax.stop_gradient(error), root.steps, self.tolerance)

    def _parameters(self, context: Context) -> tuple[Vector, Vector, Scalar, Scalar]:
        w, u, b = moved(self.conditioner, context, (self.w, self.u, self.b))
        u, product = projected(
            u, w, self.least_slope
        )  # computed again from û, the product would lose its bound
        return w, u, b, product


class Radial(AbstractBijection):
    r"""x = z + β (z - z0) / (α + |z - z0|), α = exp(log_alpha), β = α (E - 1), log E = scale_map(stretch).

    E > 1 pushes away from z0, E < 1 draws towards it; far from z0 the map is a shift of at most |β|. E > 0 is β > -α,
    Rezende and Mohamed's condition. With r = |z - z0|, the singular values are t = (αE + r) / (α + r), n - 1 times, across
    the radius and s = (α²E + 2αr + r²) / (α + r)² along it: all between 1 and E, so the Lipschitz constants are
    max(1, E), and max(1, 1/E) for the inverse. log|det dx/dz| = (n - 1) log t + log s, O(n). **Inverse:** closed form, O(n).
    **Parameters:** n + 2.
    **Arguments:** `scale`: the scale map of E (default `SoftBoundedScale(3)`); `context_dim`, `hidden`, `activation`: of
    the net by which a context moves z0, log α and the stretch (0: none). **Raises:** InputError for dim < 1.
    Rezende and Mohamed give it beside the planar layer, with pictures of both. **Can not:** act differently in
    different directions from z0; in high dimensions t alone decides the density.
    """

    z0: Float[Array, "n"]
    log_alpha: Float[Array, ""]
    stretch: Float[Array, ""]
    conditioner: DenseConditioner | None
    scale: AbstractScaleMap
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        context_dim: int = 0,
        hidden: tuple[int, ...] = (64, 64),
        activation: Activation = "tanh",
        scale: AbstractScaleMap | None = None,
        key: Key,
    ):
        whole("Radial(dim)", dim)
        kz, kc = jr.split(key)
        self.z0, self.log_alpha, self.stretch = jr.normal(kz, (dim,)), jnp.zeros(()), jnp.zeros(())
        arrays = (self.z0, self.log_alpha, self.stretch)
        self.conditioner = amortizer(arrays, context_dim, hidden, activation, kc)
        self.scale = scale_or(scale, 3.0)
        self.shape, self.context_shape = (dim,), (context_dim,) if context_dim else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and (n - 1) log t + log s."""
        check_input(self, z, context)
        z0, alpha, stretch = self._parameters(context)
        r = _length(z - z0)
        return z0 + (z - z0) * (alpha * stretch + r) / (alpha + r), self._log_det(r, alpha, stretch)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and -(n - 1) log t - log s."""
        check_input(self, x, context)
        z0, alpha, stretch = self._parameters(context)
        length = _length(x - z0)
        p = length - alpha * stretch
        root = jnp.sqrt(p * p + 4.0 * alpha * length)
        far = (p + root) / (2.0 * jnp.where(p > 0, length, 1.0))  # r / R, where p > 0 and so R > 0
        ratio = jnp.where(p > 0, far, 2.0 * alpha / (root - jnp.minimum(p, 0.0)))
        return z0 + ratio * (x - z0), -self._log_det(ratio * length, alpha, stretch)

    def _log_det(self, r: Scalar, alpha: Scalar, stretch: Scalar) -> Scalar:
        across = jnp.log(alpha * stretch + r) - jnp.log(alpha + r)
        along = jnp.log(alpha * alpha * stretch + 2.0 * alpha * r + r * r) - 2.0 * jnp.log(alpha + r)
        return (self.shape[0] - 1) * across + along

    def _parameters(self, context: Context) -> tuple[Vector, Scalar, Scalar]:
        arrays = (self.z0, self.log_alpha, self.stretch)
        z0, log_alpha, stretch = moved(self.conditioner, context, arrays)
        return z0, jnp.exp(log_alpha), jnp.exp(self.scale.log_scale(stretch))


def _length(v: Vector) -> Scalar:
    """|v|, with gradient 0 at v = 0 (a layer uses it only where its own derivative vanishes there)."""
    square = matmul(v, v)
    zero = square == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))
