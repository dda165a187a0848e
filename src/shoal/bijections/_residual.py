"""i-ResNet (Behrmann et al. 2019) and residual flow (Chen et al. 2019): z = x + g(x, c), Lip g < 1 certified.

The closed form runs from data to latent, as in the papers, so that densities are fast; `Inverse` turns it.
"""

import equinox as eqx
import jax

from shoal._types import Context, Key, Scalar, Vector
from shoal.bijections._base import check_input
from shoal.bijections._fixed_point import solve_residual
from shoal.bijections._iterative import AbstractIterative, Outcome, closed_form
from shoal.bijections._lipschitz import LipschitzActivation, LipschitzMLP, PlainMLP
from shoal.bijections._log_dets import AbstractLogDet, ExactLogDet
from shoal.bijections._spectral import AbstractSpectralBound


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

    **Raises:** ValueError for an L outside (0, 1), bad sizes, or a strategy that does not serve for L.
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
        if not 0.0 < lipschitz < 1.0:
            raise ValueError(f"`Residual(lipschitz)` must lie between 0 and 1; got {lipschitz}.")
        if not tolerance > 0.0:
            raise ValueError(f"`Residual(tolerance)` must be positive; got {tolerance}.")
        if max_steps < 1:
            raise ValueError(f"`Residual(max_steps)` must be at least 1; got {max_steps}.")
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
        self.tolerance, self.max_steps = float(tolerance), int(max_steps)
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
