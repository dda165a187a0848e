"""Elementwise layers: `ActNorm` (trained), `Standardize` (fixed), `SignFlip`, and `Logit` for bounded ranges."""

import math
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
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape:
            raise InputError(
                f"`Standardize` needs two vectors of one length; got {self.mean.shape} and {self.scale.shape}."
            )
        if not bool(jnp.all((self.scale > 0) & jnp.isfinite(self.scale) & jnp.isfinite(self.mean))):
            raise InputError("`Standardize` needs finite means and positive, finite scales.")
        self.shape, self.context_shape = self.mean.shape, None

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


class Logit(AbstractBijection):
    """Data in (low, high) to latents in R: z = logit(α + (1 - 2α) (x - low) / (high - low)), elementwise.

    forward: x = low + (high - low) (sigmoid(z) - α) / (1 - 2α). log|det dx/dz| = sum of log((high - low) / (1 - 2α)) +
    log sigmoid(z) + log sigmoid(-z). With α > 0 data at the ends of the range have finite latents, and the range that
    is reached is wider by α / (1 - 2α) of its length at either end (Papamakarios et al. 2017 used α = 1e-6 for MNIST,
    0.05 for CIFAR-10). No parameters, no context; both directions are closed forms. The slope dx/dz is at most (high
    - low) / 4 / (1 - 2α) and tends to 0: the layer is not bi-Lipschitz. Data outside the reached range give NaN.
    """

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    alpha: float = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int, *, low: float = 0.0, high: float = 1.0, alpha: float = 1e-6):
        whole("Logit(dim)", dim)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"`Logit` needs finite low < high; got {low}, {high}.")
        if not 0.0 <= alpha < 0.5:
            raise InputError(f"`Logit(alpha=...)` must be at least 0 and below 0.5; got {alpha}.")
        self.low, self.high, self.alpha = float(low), float(high), float(alpha)
        self.shape, self.context_shape = (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x in the range and the log-det."""
        check_input(self, z, context)
        x = self.low + self._length * (jax.nn.sigmoid(z) - self.alpha)
        return x, self._log_det(z)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z in R and the log-det; NaN outside the range."""
        check_input(self, x, context)
        p = self.alpha + (x - self.low) / self._length
        q = self.alpha + (self.high - x) / self._length  # 1 - p, without the loss of digits near 1
        z = jnp.log(p) - jnp.log(q)
        return z, -self._log_det(z)

    @property
    def _length(self) -> float:
        return (self.high - self.low) / (1.0 - 2.0 * self.alpha)

    def _log_det(self, z: Vector) -> Scalar:
        return jnp.sum(math.log(self._length) + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z))
