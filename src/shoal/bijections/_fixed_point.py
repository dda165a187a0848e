"""x + g(x) = z for a contraction g, |g(x) - g(y)| <= c |x - y|: fixed-point iteration with a certified error.

By Banach, x_{k+1} = z - g(x_k) has |x_{k+1} - x*| <= c / (1 - c) |x_{k+1} - x_k|. Derivatives are those of the implicit
function, to any order (`jax.lax.custom_root`): dx = (1 + J)^{-1} (dz - dg), whatever path the iteration took.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from shoal._types import Array, Vector
from shoal.bijections._iterative import Outcome, Result

DENSE = 64  # up to this n, tangents are solved for with the dense matrix


def solve_residual(
    function: Callable[[Vector], Vector], z: Vector, lipschitz: float, tolerance: float, max_steps: int
) -> tuple[Vector, Outcome]:
    """x with x + g(x) = z, and how the iteration ended.

    It ends once c / (1 - c) |x_{k+1} - x_k| <= max(tolerance, c / (1 - c) 8 eps (|z| + |g| + 1)), 2-norms: the second is
    what the dtype resolves, and takes the place of a smaller tolerance. `Outcome.error` is the left side.
    """
    factor = lipschitz / (1.0 - lipschitz)
    eps = float(jnp.finfo(z.dtype).eps)

    def solve(_, start: Vector) -> tuple[Vector, Array]:
        def step(state):
            k, x, *_ = state
            g = function(x)
            new = z - g
            resolved = 8.0 * eps * (_norm(z) + _norm(g) + 1.0)
            change = _norm(new - x)
            done = (factor * change <= jnp.maximum(factor * resolved, tolerance)) | ~jnp.isfinite(change)
            return k + 1, new, factor * change, done

        first = (jnp.zeros((), jnp.int32), start, jnp.full((), jnp.inf, z.dtype), jnp.zeros((), bool))
        k, x, error, done = jax.lax.while_loop(lambda s: (s[0] < max_steps) & ~s[3], step, first)
        return x, jnp.stack(
            [k.astype(z.dtype), error, done.astype(z.dtype)]
        )  # what has tangents must be floating

    x, ended = jax.lax.custom_root(
        lambda v: v + function(v) - z, jax.lax.stop_gradient(z), solve, _tangent, has_aux=True
    )
    ended = jax.lax.stop_gradient(ended)
    steps, error, done = ended[0].astype(jnp.int32), ended[1], ended[2] > 0
    finite = jnp.isfinite(error)
    result = Result.where(finite, Result.where(done, Result.successful, Result.max_steps), Result.not_finite)
    return x, Outcome(result, steps, error)


def _tangent(linear: Callable[[Vector], Vector], y: Vector) -> Vector:
    """v with (1 + J) v = y: dense for small n, else v = y - J v to the resolution of the dtype, in both modes."""
    n = y.shape[0]
    if n <= DENSE:
        return jnp.linalg.solve(jax.jacfwd(linear)(y), y)
    return jax.lax.custom_linear_solve(linear, y, _neumann, _neumann)


def _neumann(matvec: Callable[[Vector], Vector], y: Vector) -> Vector:
    """v <- v + (y - (1 + J) v), |J| < 1, until a step no longer shrinks or is below the resolution of the dtype."""
    eps = float(jnp.finfo(y.dtype).eps)

    def step(state):
        v, before, _ = state
        change = y - matvec(v)
        size = _norm(change)
        return v + change, size, (size <= 2.0 * eps * _norm(v)) | ~(size < before)

    first = (y, jnp.full((), jnp.inf, y.dtype), jnp.zeros((), bool))
    return jax.lax.while_loop(lambda s: ~s[2], step, first)[0]


def _norm(v: Vector) -> Array:
    return jnp.sqrt(jnp.sum(v * v))
