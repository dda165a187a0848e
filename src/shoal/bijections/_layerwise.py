"""Layerwise invertible networks x = s(A z + b): bi-Lipschitz, with known constants, and their elementwise functions s.

The architecture of Theorem 4 in Koehler, Mehta and Risteski (2021). The functions are values with slopes in a stated
interval [slope, 1] and closed-form inverses: smooth where they bend, they fix 0 and are rational in one square root, so
that they invert to rounding.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input, whole
from shoal.bijections._bounded_linear import AbstractBoundedLinear
from shoal.bijections.conditioners import Activation, DenseConditioner


class AbstractLeaky(eqx.Module):
    """An increasing function of one number, applied to each; its slope is at least `slope` and at most 1."""

    slope: eqx.AbstractVar[float]

    @property
    @abc.abstractmethod
    def slope_at_zero(self) -> float:
        """s'(0)."""

    @abc.abstractmethod
    def apply(self, t: Vector) -> tuple[Vector, Vector]:
        """y = s(t) and log s'(t), elementwise."""

    @abc.abstractmethod
    def invert(self, y: Vector) -> Vector:
        """t with s(t) = y, elementwise."""


class SmoothLeakyReLU(AbstractLeaky):
    """y = p t + q (r - 1), r = sqrt(t^2 + 1), p = (1 + a)/2, q = (1 - a)/2: slope p + q t / r, from a to 1, a = `slope`.

    A leaky ReLU whose corner is a hyperbola. With u = y + q, t = (p u - q sqrt(u^2 + a)) / a, from squaring
    u - p t = q r and p^2 - q^2 = a; for u > 0 the same as (u^2 - q^2) / (p u + q sqrt(u^2 + a)), which does not cancel.
    """

    slope: float = eqx.field(static=True, default=0.2)

    def __check_init__(self):
        """Raise an InputError for a slope outside (0, 1]."""
        _check_slope("SmoothLeakyReLU", self.slope)

    @property
    def slope_at_zero(self) -> float:
        """(1 + a) / 2."""
        return (1.0 + self.slope) / 2.0

    def apply(self, t: Vector) -> tuple[Vector, Vector]:
        """The value and the logarithm of its slope."""
        return _bent(t, jnp.full_like(t, self.slope))

    def invert(self, y: Vector) -> Vector:
        """The root, by the form that does not cancel."""
        return _unbent(y, jnp.full_like(y, self.slope))


class TrainedLeakyReLU(AbstractLeaky):
    """`SmoothLeakyReLU` with a trained slope a_i in (slope, 1) for each coordinate: a_i = slope^(1 - sigmoid(raw_i)).

    **Arguments:** `dim`: n; `slope`: the lower bound; `start`: a_i at the start, near 1 where a deep stack is to start near
    the identity. Numbers: n. **Raises:** InputError for a `slope` outside (0, 1) or a `start` outside (slope, 1).
    """

    raw: Float[Array, "n"]
    slope: float = eqx.field(static=True)
    start: float = eqx.field(static=True)

    def __init__(self, dim: int, slope: float = 0.05, *, start: float = 0.5):
        if not 0.0 < slope < start < 1.0:
            raise InputError(f"`TrainedLeakyReLU` needs 0 < slope < start < 1; got {slope} and {start}.")
        share = 1.0 - math.log(start) / math.log(slope)
        self.raw = jnp.full((dim,), math.log(share / (1.0 - share)))
        self.slope, self.start = float(slope), float(start)

    @property
    def slope_at_zero(self) -> float:
        """(1 + start) / 2: at the start."""
        return (1.0 + self.start) / 2.0

    def apply(self, t: Vector) -> tuple[Vector, Vector]:
        """The value and the logarithm of its slope."""
        return _bent(t, self._slopes())

    def invert(self, y: Vector) -> Vector:
        """The root, by the form that does not cancel."""
        return _unbent(y, self._slopes())

    def _slopes(self) -> Vector:
        return jnp.exp(math.log(self.slope) * jax.nn.sigmoid(-self.raw))


class LeakySoftsign(AbstractLeaky):
    """y = a t + (1 - a) t / (1 + |t|): slope a + (1 - a) / (1 + |t|)^2, 1 at 0 and a = `slope` far out on both sides.

    For t >= 0, a t^2 + (1 - y) t - y = 0; its positive root is taken in the form that does not cancel. Odd.
    It draws both tails in, so that a deep stack of it starts far from the identity.
    """

    slope: float = eqx.field(static=True, default=0.2)

    def __check_init__(self):
        """Raise an InputError for a slope outside (0, 1]."""
        _check_slope("LeakySoftsign", self.slope)

    @property
    def slope_at_zero(self) -> float:
        """1."""
        return 1.0

    def apply(self, t: Vector) -> tuple[Vector, Vector]:
        """The value and the logarithm of its slope."""
        shrink = 1.0 / (1.0 + jnp.abs(t))
        rest = 1.0 - self.slope
        return t * (self.slope + rest * shrink), jnp.log(self.slope + rest * shrink * shrink)

    def invert(self, y: Vector) -> Vector:
        """The root of the quadratic equation, with the sign of y."""
        size = jnp.abs(y)
        root = jnp.sqrt((1.0 - size) * (1.0 - size) + 4.0 * self.slope * size)
        near = 2.0 * y / (jnp.abs(1.0 - size) + root)
        far = jnp.sign(y) * (size - 1.0 + root) / (2.0 * self.slope)
        return jnp.where(size < 1.0, near, far)


def _bent(t: Vector, a: Vector) -> tuple[Vector, Vector]:
    """The hyperbola and the logarithm of its slope; on the left in forms that do not cancel."""
    p, q = (1.0 + a) / 2.0, (1.0 - a) / 2.0
    size, root = jnp.abs(t), jnp.sqrt(t * t + 1.0)
    rise = t * t / (root + 1.0)  # root - 1
    value = jnp.where(t < 0, a * t - q * (rise + size) / (root + size), p * t + q * rise)
    away = q / (root * (root + size))  # from the slope far out
    return value, jnp.log(jnp.where(t < 0, a + away, 1.0 - away))


def _unbent(y: Vector, a: Vector) -> Vector:
    """The inverse of the hyperbola."""
    p, q = (1.0 + a) / 2.0, (1.0 - a) / 2.0
    u = y + q
    root = jnp.sqrt(u * u + a)
    right = y * (u + q) / (p * jnp.abs(u) + q * root)  # u^2 - q^2 = y (u + q)
    return jnp.where(u > 0, right, (p * u - q * root) / a)


def _check_slope(name: str, slope: float) -> None:
    if not (isinstance(slope, float) and 0.0 < slope <= 1.0):
        raise InputError(f"`{name}(slope)` must be a float above 0 and at most 1; got {slope!r}.")


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

    **Raises:** InputError for a negative `context_dim`.
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
        whole("Layerwise(context_dim)", context_dim, 0)
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
        return self.shift(like[:0], context)
