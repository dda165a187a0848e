"""Elementwise layers: `ActNorm` (trained), `Standardize` (fixed), `SignFlip`, and `Support` for ranges of data."""

from collections.abc import Sequence
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._types import Array, Batch, Context, ContextBatch, Float, Scalar, Vector
from shoal.bijections._base import AbstractBijection, AbstractDataDependent, check_input, whole


class ActNorm(AbstractDataDependent):
    """x = exp(log_scale) * z + shift, trained; `initialize` sets it so that the batch has mean 0, deviation 1 in z.

    (Kingma and Dhariwal 2018.) A constant coordinate in the batch keeps scale 1. The identity until initialised;
    there is no flag, so a reloaded layer can not initialise itself again.
    """

    log_scale: Float[Array, "n"]
    shift: Float[Array, "n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int):
        whole("ActNorm(dim)", dim)
        self.log_scale, self.shift = jnp.zeros(dim), jnp.zeros(dim)
        self.shape, self.context_shape = (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and sum log_scale."""
        check_input(self, z, context)
        return z * jnp.exp(self.log_scale) + self.shift, jnp.sum(self.log_scale)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and - sum log_scale."""
        check_input(self, x, context)
        return (x - self.shift) * jnp.exp(-self.log_scale), -jnp.sum(self.log_scale)

    def initialized(self, x: Batch, context: ContextBatch) -> "ActNorm":
        """The layer that standardises this batch."""
        mean, deviation = moments(x)
        where = lambda a: (a.log_scale, a.shift)
        dtype = self.shift.dtype
        return eqx.tree_at(where, self, (jnp.log(deviation).astype(dtype), mean.astype(dtype)))


class Standardize(AbstractDataDependent):
    """x = scale * z + mean, fixed: the first map from data, which puts every column in units of its deviation.

    Gradients do not flow into `mean` and `scale`. log|det dx/dz| = sum log scale.
    """

    fixed: ClassVar[tuple[str, ...]] = ("mean", "scale")
    mean: Float[Array, "n"]
    scale: Float[Array, "n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, mean: Float[Array, "n"], scale: Float[Array, "n"]):
        self.mean, self.scale = jnp.asarray(mean), jnp.asarray(scale)
        self.shape, self.context_shape = self.mean.shape, None

    def __check_init__(self) -> None:
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape:
            raise InputError(
                f"`Standardize` needs two vectors of one length; got {self.mean.shape} and {self.scale.shape}."
            )
        if not bool(jnp.all((self.scale > 0) & jnp.isfinite(self.scale) & jnp.isfinite(self.mean))):
            raise InputError("`Standardize` needs finite means and positive, finite scales.")

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and sum log scale."""
        check_input(self, z, context)
        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        return z * scale + mean, jnp.sum(jnp.log(scale))

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and - sum log scale."""
        check_input(self, x, context)
        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        return (x - mean) / scale, -jnp.sum(jnp.log(scale))

    def initialized(self, x: Batch, context: ContextBatch) -> "Standardize":
        """The layer that standardises this batch."""
        mean, deviation = moments(x)
        where = lambda a: (a.mean, a.scale)
        return eqx.tree_at(where, self, (mean.astype(self.mean.dtype), deviation.astype(self.scale.dtype)))


class SignFlip(AbstractBijection):
    """x_i = -z_i for i in `flipped`, x_i = z_i elsewhere; log-det 0. Its own inverse.

    Couplings have positive determinants; this layer gives the other sign (Koehler, Mehta and Risteski 2021,
    Theorem 2, det T < 0).
    """

    flipped: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int, flipped: Sequence[int]):
        self.flipped = tuple(int(i) for i in flipped)
        self.shape, self.context_shape = (dim,), None

    def __check_init__(self) -> None:
        dim = self.shape[0]
        whole("SignFlip(dim, ...)", dim)
        if len(set(self.flipped)) != len(self.flipped) or any(not 0 <= i < dim for i in self.flipped):
            raise InputError(f"`flipped` must be distinct indices in 0 ... {dim - 1}; got {self.flipped}.")

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and 0."""
        check_input(self, z, context)
        return self._flip(z), jnp.zeros((), z.dtype)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and 0."""
        check_input(self, x, context)
        return self._flip(x), jnp.zeros((), x.dtype)

    def _flip(self, x: Vector) -> Vector:
        signs = np.ones(self.shape)
        signs[list(self.flipped)] = -1.0
        return x * jnp.asarray(signs, x.dtype)


def moments(x: Batch) -> tuple[Vector, Vector]:
    """Mean and standard deviation of each column; a constant column gets deviation 1 (there is nothing to scale).

    Constant means equal entries: a rounded mean would leave such a column a tiny deviation. Squares are taken of
    deviations in units of the largest one, so that they neither underflow nor overflow.
    """
    constant = jnp.min(x, axis=0) == jnp.max(x, axis=0)
    mean = jnp.where(constant, x[0], jnp.mean(x, axis=0))
    away = x - mean[None, :]
    largest = jnp.max(jnp.abs(away), axis=0)
    unit = jnp.where(largest > 0, largest, 1.0)
    deviation = unit * jnp.sqrt(jnp.mean((away / unit[None, :]) ** 2, axis=0))
    return mean, jnp.where(constant, 1.0, deviation)


class Support(AbstractBijection):
    """Data in a product of intervals to latents in R^n, elementwise and without parameters: no density lies outside.

    With bounds a < b of a coordinate: x = a + (b - a) (sigmoid(z) - α) / (1 - 2α); with a alone: x = a + exp(z); with b
    alone: x = b - exp(-z); without: x = z. log|det dx/dz| is the sum of log((b - a) / (1 - 2α)) + log sigmoid(z) +
    log sigmoid(-z), of z, of -z, and of 0.

    **Arguments:** `low`, `high`: one number for all coordinates or one for each, infinite where there is no bound; `alpha`:
    α > 0 gives data at both ends of a range finite latents and widens the range that is reached by α / (1 - 2α) of its
    length at either end (Papamakarios et al. 2017 used 1e-6 for MNIST, 0.05 for CIFAR-10). Both directions are closed
    forms. Slopes tend to 0 at the bounds: the layer is not bi-Lipschitz. Data outside the reached intervals give NaN.
    """

    low: tuple[float, ...] = eqx.field(static=True)
    high: tuple[float, ...] = eqx.field(static=True)
    alpha: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        *,
        low: float | Sequence[float] = 0.0,
        high: float | Sequence[float] = 1.0,
        alpha: float = 0.0,
    ):
        whole("Support(dim)", dim)
        each = [[part] if isinstance(part, (int, float)) else list(part) for part in (low, high)]
        if any(len(part) not in (1, dim) for part in each):
            raise InputError(f"`Support` needs one bound for all {dim} coordinates, or one for each.")
        self.low, self.high = (tuple(map(float, part)) for part in each)
        if not np.all(np.subtract(self.high, self.low) > 0):
            raise InputError(f"`Support` needs low < high; got {low}, {high}.")
        if not 0.0 <= alpha < 0.5:
            raise InputError(f"`Support(alpha=...)` must be at least 0 and below 0.5; got {alpha}.")
        self.alpha = float(alpha)
        self.shape, self.context_shape = (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x in the intervals and the log-det."""
        check_input(self, z, context)
        return self._forward(z), self.log_slopes(z).sum()

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z in R^n and the log-det; NaN outside the intervals."""
        check_input(self, x, context)
        below, above = self._closed
        low, high, length = self._ends(x)
        wider = jnp.where(below & above, self.alpha * length, 0.0)
        p = jnp.where(below, wider + (x - low), 1.0)  # distances to both ends: 1 - p would lose digits near 1
        q = jnp.where(above, wider + (high - x), 1.0)
        z = jnp.where(below | above, jnp.log(p) - jnp.log(q), x)
        return z, -self.log_slopes(z).sum()

    def log_slopes(self, z: Vector) -> Vector:
        """log dx/dz of each coordinate."""
        below, above = self._closed
        _, _, length = self._ends(z)
        logistic = jnp.log(length) + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)
        one = jnp.where(below, z, jnp.where(above, -z, 0.0))
        return jnp.where(below & above, logistic, one)

    def _forward(self, z: Vector) -> Vector:
        below, above = self._closed
        low, high, length = self._ends(z)
        # exponents stand inside `where`: no gradient of what is not chosen is infinite
        up = low + jnp.exp(jnp.where(below & ~above, z, 0.0))
        down = high - jnp.exp(jnp.where(above & ~below, -z, 0.0))
        between = low + length * (jax.nn.sigmoid(z) - self.alpha)
        return jnp.where(below & above, between, jnp.where(below, up, jnp.where(above, down, z)))

    @property
    def _closed(self) -> tuple[np.ndarray, np.ndarray]:
        """Whether each coordinate has a lower, an upper bound."""
        low, high = (np.isfinite(np.broadcast_to(part, self.shape)) for part in (self.low, self.high))
        return low, high

    def _ends(self, like: Vector) -> tuple[Vector, Vector, Vector]:
        """Bounds (0 for infinite ones), and the length of the range that is reached (1 for an infinite one)."""
        ends = [np.broadcast_to(part, self.shape) for part in (self.low, self.high)]
        below, above = self._closed
        low, high = (np.where(np.isfinite(part), part, 0.0) for part in ends)
        length = np.where(below & above, high - low, 1.0) / (1.0 - 2.0 * self.alpha)
        return jnp.asarray(low, like.dtype), jnp.asarray(high, like.dtype), jnp.asarray(length, like.dtype)
