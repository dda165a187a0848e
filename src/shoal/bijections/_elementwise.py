"""Diagonal layers: `ActNorm` (trained) and `Standardize` (fixed), set from data, and `SignFlip`."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._types import Array, Batch, Context, ContextBatch, Float, Scalar, Vector
from shoal.bijections._base import AbstractBijection, AbstractDataDependent, check_input


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
        if dim < 1:
            raise ValueError(f"`ActNorm(dim)` must be at least 1; got {dim}.")
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

    mean: Float[Array, "n"]
    scale: Float[Array, "n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, mean: Float[Array, "n"], scale: Float[Array, "n"]):
        self.mean, self.scale = jnp.asarray(mean), jnp.asarray(scale)
        if self.mean.ndim != 1 or self.mean.shape != self.scale.shape:
            raise ValueError(
                f"`Standardize` needs two vectors of one length; got {self.mean.shape} and {self.scale.shape}."
            )
        if not bool(jnp.all((self.scale > 0) & jnp.isfinite(self.scale) & jnp.isfinite(self.mean))):
            raise ValueError("`Standardize` needs finite means and positive, finite scales.")
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
        if dim < 1:
            raise ValueError(f"`SignFlip(dim, ...)` must be at least 1; got {dim}.")
        if len(set(self.flipped)) != len(self.flipped) or any(not 0 <= i < dim for i in self.flipped):
            raise ValueError(f"`flipped` must be distinct indices in 0 ... {dim - 1}; got {self.flipped}.")

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
