"""i-ResNet (Behrmann et al. 2019) and residual flow (Chen et al. 2019): z = x + g(x, c), Lip g < 1 certified.

The closed form runs from data to latent, as in the papers, so that densities are fast; `Inverse` turns it. The other
direction is fixed-point iteration with a certified error: by Banach, x_{k+1} = z - g(x_k) has
|x_{k+1} - x*| <= c / (1 - c) |x_{k+1} - x_k| where |g(x) - g(y)| <= c |x - y|. Derivatives are those of the implicit
function, to any order (`jax.lax.custom_root`): dx = (1 + J)^{-1} (dz - dg), whatever path the iteration took.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._types import Array, Context, Key, Scalar, Vector
from shoal.bijections._base import between, check_input
from shoal.bijections._iterative import AbstractIterative, Outcome, check_solver, closed_form, result_of
from shoal.bijections._lipschitz import LipschitzActivation, LipschitzMLP, PlainMLP
from shoal.bijections._spectral import AbstractSpectralBound
from shoal.bijections._traces import AbstractLogDet, ExactLogDet

DENSE = 64  # up to this n, tangents are solved for with the dense matrix


class Residual(AbstractIterative):
    r"""inverse: $z = x + g(x, c)$; forward: the x that solves it. g is a `LipschitzMLP`, |g(x, c) - g(y, c)| <= L |x - y|.

    **Arguments:** `dim`: n; `hidden`: widths of g; `lipschitz`: L, between 0 and 1; `log_det`: `ExactLogDet`, `PowerSeries`
    or `RussianRoulette` (a value); `norm`: an upper bound of spectral norms (a value); `tolerance`: the certified
    absolute error (2-norm) of x; `max_steps`: the most iterations; `context_dim`; `activation`: see `LipschitzMLP`.

    - log-det: log det(1 + J), J = dg/dx, at the cost of the strategy; det > 0 always.
    - inverse (data -> latent): one evaluation of g. forward: fixed-point iteration, an evaluation of g a step, about
      log(tolerance) / log(L) steps; a tolerance below the dtype's resolution is met to that resolution, which is
      8 eps (|z| + |g| + 1) L / (1 - L). Not converged: NaN, and `Result.max_steps` in the `Outcome`. Gradients are implicit.
    - bounds: 1 + L and 1 / (1 - L) are Lipschitz constants of inverse and forward, in exact arithmetic with the weights as
      they act; kappa <= (1 + L) / (1 - L).
    - parameters a layer: those of the MLP, n h + h^2 (k - 1) + h n and biases for k hidden layers of width h.
    - Behrmann et al. (2019) show that one network of this form serves as classifier and, untied from splits of
      dimensions, as a density model; Chen et al. (2019) make the likelihood's gradient unbiased at bounded memory.
    - What it can not do: one layer can not fold or turn space over (no det < 0, no kappa above (1 + L) / (1 - L)), and a
      strong map needs many layers: k of them stretch by (1 - L)^{-k} at most.

    **Raises:** InputError for an L outside (0, 1), bad sizes, or a strategy that does not serve for L.
    """

    g: LipschitzMLP
    log_det: AbstractLogDet
    tolerance: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        hidden: tuple[int, ...] = (64, 64),
        lipschitz: float = 0.9,
        log_det: AbstractLogDet | None = None,
        norm: AbstractSpectralBound | None = None,
        tolerance: float = 1e-5,
        max_steps: int = 1000,
        context_dim: int = 0,
        activation: LipschitzActivation = "lipswish",
        key: Key,
    ):
        between("Residual(lipschitz)", lipschitz)
        self.tolerance, self.max_steps = check_solver("Residual", tolerance, max_steps)
        self.log_det = ExactLogDet() if log_det is None else log_det
        self.log_det.check(lipschitz)
        self.g = LipschitzMLP(
            dim,
            dim,
            hidden=hidden,
            lipschitz=lipschitz,
            context=context_dim,
            norm=norm,
            activation=activation,
            key=key,
        )
        self.shape, self.context_shape = (dim,), (context_dim,) if context_dim else None

    @property
    def lipschitz(self) -> float:
        """L < 1, the certified Lipschitz constant of g in x."""
        return self.g.lipschitz

    def solve_inverse(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """z = x + g(x, c), log det(1 + J), and the outcome of a closed form."""
        check_input(self, x, context)
        function = self._function(context)
        return x + function(x), self.log_det.log_det(function, x), closed_form(x)

    def solve_forward(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar, Outcome]:
        """x, -log det(1 + J) there, and how the iteration ended."""
        check_input(self, z, context)
        function = self._function(context)
        x, outcome = solve_residual(function, z, self.lipschitz, self.tolerance, self.max_steps)
        return x, -self.log_det.log_det(function, x), outcome

    def _function(self, context: Context) -> jax.tree_util.Partial:
        return jax.tree_util.Partial(_call, self.g.net(), context if self.context_shape else None)


def _call(net: PlainMLP, context: Context, x: Vector) -> Vector:
    return net(x, context)


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
        def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
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
    return x, Outcome(result_of(done, jnp.isfinite(error)), steps, error)


def _tangent(linear: Callable[[Vector], Vector], y: Vector) -> Vector:
    """v with (1 + J) v = y: dense for small n, else v = y - J v to the resolution of the dtype, in both modes."""
    n = y.shape[0]
    if n <= DENSE:
        return jnp.linalg.solve(jax.jacfwd(linear)(y), y)
    return jax.lax.custom_linear_solve(linear, y, _neumann, _neumann)


def _neumann(matvec: Callable[[Vector], Vector], y: Vector) -> Vector:
    """v <- v + (y - (1 + J) v), |J| < 1, until a step no longer shrinks or is below the resolution of the dtype."""
    eps = float(jnp.finfo(y.dtype).eps)

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        v, before, _ = state
        change = y - matvec(v)
        size = _norm(change)
        return v + change, size, (size <= 2.0 * eps * _norm(v)) | ~(size < before)

    first = (y, jnp.full((), jnp.inf, y.dtype), jnp.zeros((), bool))
    return jax.lax.while_loop(lambda s: ~s[2], step, first)[0]


def _norm(v: Vector) -> Array:
    return jnp.sqrt(jnp.sum(v * v))
