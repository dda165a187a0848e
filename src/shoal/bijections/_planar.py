r"""Planar layer (Rezende and Mohamed 2015): x = z + u tanh(w.z + b).

Along w the map is a -> a + w.u tanh(a + b), a = w.z, with slopes between min(1, 1 + w.u) and max(1, 1 + w.u): it is
invertible if and only if w.u >= -1. The layer holds any w and u and uses the projection of u with w.u > least_slope - 1.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._amortized import amortizer, moved
from shoal.bijections._base import check_input
from shoal.bijections._iterative import AbstractIterative, Outcome, check_solver, closed_form
from shoal.bijections._monotone import check_least_slope, outcome, projected, slope_of_tanh, solve
from shoal.bijections.conditioners import Activation, DenseConditioner


class Planar(AbstractIterative):
    r"""x = z + û tanh(w.z + b), û = u + (m(w.u) - w.u) w / |w|^2 with m(s) = s for s >= 0, else (1-δ)(exp(s/(1-δ)) - 1).

    So w.û > δ - 1, δ = `least_slope`, whatever the parameters. log|det dx/dz| = log(1 + w.û tanh'(w.z + b)), O(n).
    **Inverse:** a + w.û tanh(a + b) = w.x by Newton's method in the bracket w.x ± |w.û|, then z = x - û tanh(a + b): O(n)
    and some four steps in one number. Solved to the rounding of the dtype; an error estimate above `tolerance` that rounding
    does not explain is a failure. **Singular values:** n - 2 are 1; the map's Lipschitz constant is at most 1 + |û||w|, the
    inverse's 1 + |û||w| / min(1, 1 + w.û). **Parameters:** 2n + 1.
    **Arguments:** `context_dim`, `hidden`, `activation`: of the net by which a context moves w, u, b (0: none);
    `least_slope`: δ; `tolerance`: of the inverse, absolute; `max_steps`: of its iteration.
    **Raises:** ValueError for sizes below 1, δ outside (0, 1), a tolerance that is not positive.
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
        if dim < 1:
            raise ValueError(f"`Planar(dim)` must be at least 1; got {dim}.")
        kw, ku, kc = jr.split(key, 3)
        self.w = jr.normal(kw, (dim,)) / dim**0.5
        self.u = 0.01 * jr.normal(ku, (dim,))
        self.b = jnp.zeros(())
        self.conditioner = amortizer((self.w, self.u, self.b), context_dim, hidden, activation, kc)
        self.least_slope = check_least_slope("Planar", least_slope)
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
        w, u, b = moved(self.conditioner, context if self.context_shape else None, (self.w, self.u, self.b))
        u, product = projected(
            u, w, self.least_slope
        )  # computed again from û, the product would lose its bound
        return w, u, b, product
