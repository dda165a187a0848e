"""Layerwise invertible networks x = s(A z + b): bi-Lipschitz, with known constants.

The architecture of Theorem 4 in Koehler, Mehta and Risteski (2021).
"""

import equinox as eqx
import jax.numpy as jnp

from shoal._types import Context, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._bounded_linear import AbstractBoundedLinear
from shoal.bijections._leaky import AbstractLeaky, SmoothLeakyReLU
from shoal.bijections.conditioners import Activation, DenseConditioner


class Layerwise(AbstractBijection):
    r"""forward: $x = s(A z + b(c))$, s elementwise and increasing; inverse: $z = A^{-1}(s^{-1}(x) - b(c))$, closed too.

    **Arguments:** `linear`: A, `SingularValues` or `DiagonalPlusLowRank` (a value); `leaky`: s, `SmoothLeakyReLU`,
    `TrainedLeakyReLU` or `LeakySoftsign` (a value); `context_dim`: length of the context c, 0 for none; `hidden`,
    `activation`: of the conditioner that turns c into b.

    - log-det: log|det A| + sum log s'(A z + b), O(n) beside the products.
    - inverse: exact, at the cost of forward: n^2 a vector (n r for low rank).
    - bounds: every singular value of dx/dz lies in [low a, high], a = `leaky.slope`; kappa <= high / (low a).
    - parameters a layer: n(n + 1) for the full SVD, n^2 for A and n for b; fewer with fewer reflections, n (2 r + 2) for low
      rank; besides those of a trained s (n) and of the conditioner where there is a context.
    - Koehler, Mehta and Risteski (2021), Theorem 4: there are maps of O(k) parameters that networks of such layers, with p
      parameters each and Lipschitz constants sub-exponential in d, can only approach with about k/p layers.
    - What it can not do: bend more than one crease a coordinate a layer; with low rank, rotate freely.

    **Raises:** ValueError for a negative `context_dim`.
    """

    linear: AbstractBoundedLinear
    shift: DenseConditioner
    leaky: AbstractLeaky
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        linear: AbstractBoundedLinear,
        leaky: AbstractLeaky | None = None,
        *,
        hidden: tuple[int, ...] = (),
        context_dim: int = 0,
        activation: Activation = "tanh",
        key: Key,
    ):
        if context_dim < 0:
            raise ValueError(f"`Layerwise(context_dim)` must be 0 or more; got {context_dim}.")
        self.linear = linear
        self.leaky = SmoothLeakyReLU() if leaky is None else leaky
        widths = hidden if context_dim else ()
        self.shift = DenseConditioner(
            0, linear.dim, hidden=widths, context=context_dim, activation=activation, key=key
        )
        self.shape = (linear.dim,)
        self.context_shape = (context_dim,) if context_dim else None

    @property
    def bounds(self) -> tuple[float, float]:
        """The interval in which every singular value of dx/dz lies, everywhere: (low a, high)."""
        return self.linear.low * self.leaky.slope, self.linear.high

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and log|det A| + sum log s'."""
        check_input(self, z, context)
        x, log_slope = self.leaky.apply(self.linear.apply(z) + self._shift(z, context))
        return x, self.linear.log_det() + jnp.sum(log_slope)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and -log|det A| - sum log s'."""
        check_input(self, x, context)
        t = self.leaky.invert(x)
        z = self.linear.solve(t - self._shift(x, context))
        return z, -self.linear.log_det() - jnp.sum(self.leaky.apply(t)[1])

    def _shift(self, like: Vector, context: Context) -> Vector:
        return self.shift(like[:0], context if self.context_shape else None)
