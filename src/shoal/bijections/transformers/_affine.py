"""The additive (NICE, Dinh et al. 2015) and the affine transformer (RealNVP, Dinh et al. 2017; Koehler, Mehta and Risteski
2021, Definition 1), and scale maps: how a conditioner's free output becomes a positive scale.

A scale map is a value with a stated range of log-scales. It inverts, so that a given linear coupling can be written into a
layer exactly; a log-scale outside the range is an InputError that names the layer.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._types import Array, Float, Vector
from shoal.bijections._base import positive
from shoal.bijections.transformers._base import AbstractTransformer, Raw


class AbstractScaleMap(eqx.Module):
    """raw -> log s, elementwise, increasing; `range` is the open interval of log-scales that it reaches."""

    range: eqx.AbstractVar[tuple[float, float]]

    @abc.abstractmethod
    def log_scale(self, raw: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """log s of the free value."""

    @abc.abstractmethod
    def raw_unchecked(self, log_scale: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """The free value whose log-scale this is, for log-scales inside the range."""

    def raw(self, log_scale: Float[Array, "*m"], *, layer: str = "this layer") -> Float[Array, "*m"]:
        """The free value of a concrete log-scale. **Raises:** InputError, naming `layer`, outside `range`."""
        values = np.asarray(log_scale, dtype=np.float64)
        low, high = self.range
        outside = ~((values > low) & (values < high))
        if outside.any():
            first = int(np.argmax(outside))
            raise InputError(
                f"{layer}: coordinate {first} needs log-scale {values.reshape(-1)[first]:.6g}, outside the range "
                f"({low:.6g}, {high:.6g}) of {type(self).__name__}; use ExponentialScale() or a wider bound."
            )
        return self.raw_unchecked(log_scale)


class ExponentialScale(AbstractScaleMap):
    """s = exp(raw): every positive scale (RealNVP, Dinh et al. 2017)."""

    range: tuple[float, float] = eqx.field(static=True, default=(-math.inf, math.inf))

    def log_scale(self, raw: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """log s = raw."""
        return raw

    def raw_unchecked(self, log_scale: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """raw = log s."""
        return log_scale


class SoftBoundedScale(AbstractScaleMap):
    """log s = bound * tanh(raw / bound): |log s| < bound, slope 1 at 0."""

    bound: float = eqx.field(static=True)
    range: tuple[float, float] = eqx.field(static=True)

    def __init__(self, bound: float = 3.0):
        self.bound, self.range = float(bound), (-float(bound), float(bound))

    def __check_init__(self) -> None:
        positive("SoftBoundedScale(bound=...)", self.bound)
        if self.range != (-self.bound, self.bound):
            raise InputError(f"`SoftBoundedScale`: bound {self.bound} and range {self.range}.")

    def log_scale(self, raw: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """log s = bound * tanh(raw / bound)."""
        return self.bound * jnp.tanh(raw / self.bound)

    def raw_unchecked(self, log_scale: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """raw = bound * artanh(log s / bound)."""
        return self.bound * jnp.arctanh(log_scale / self.bound)


class SigmoidScale(AbstractScaleMap):
    """s = 0.5 * sigmoid(raw + 2) + 0.5, in (0.5, 1): never expands (Behrmann et al. 2021). Not 1 at raw = 0."""

    range: tuple[float, float] = eqx.field(static=True, default=(math.log(0.5), 0.0))

    def log_scale(self, raw: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """log s = log(0.5 + 0.5 sigmoid(raw + 2))."""
        return jnp.log(0.5 + 0.5 * jax.nn.sigmoid(raw + 2.0))

    def raw_unchecked(self, log_scale: Float[Array, "*m"]) -> Float[Array, "*m"]:
        """raw = logit(2 s - 1) - 2."""
        p = 2.0 * jnp.expm1(log_scale) + 1.0
        return jnp.log(p) - jnp.log(-2.0 * jnp.expm1(log_scale)) - 2.0


def scale_or(given: AbstractScaleMap | None, bound: float) -> AbstractScaleMap:
    """The scale map that was given, or `SoftBoundedScale(bound)`. **Raises:** InputError for anything else."""
    if given is None:
        return SoftBoundedScale(bound)
    if not isinstance(given, AbstractScaleMap):
        raise InputError(
            f"`scale` must be a scale map, such as ExponentialScale() or SoftBoundedScale(3.0); got {given!r}."
        )
    return given


class Additive(AbstractTransformer):
    """x = z + t, one parameter: t. The log slope is 0, exactly."""

    @property
    def parameters(self) -> int:
        """1."""
        return 1

    def forward(self, raw: Raw, z: Vector) -> tuple[Vector, Vector]:
        """z + t and 0."""
        return z + raw, jnp.zeros(z.shape, z.dtype)

    def inverse(self, raw: Raw, x: Vector) -> tuple[Vector, Vector]:
        """x - t and 0."""
        return x - raw, jnp.zeros(x.shape, x.dtype)

    def linear(self, log_scale: Vector, shift: Vector, *, layer: str = "this layer") -> Raw:
        """t. **Raises:** InputError, naming `layer`, for a log-scale that is not 0."""
        scaled = np.flatnonzero(np.asarray(log_scale))
        if scaled.size:
            first = int(scaled[0])
            raise InputError(
                f"{layer}: coordinate {first} needs log-scale {float(log_scale[first]):.6g}; Additive has 0 alone."
            )
        return shift


class Affine(AbstractTransformer):
    """x = s z + t with log s = scale(raw), two parameters: the raw scale, then t. The log slope is log s.

    **Arguments:** `scale`: the scale map (a value), by default `SoftBoundedScale(3)`. **Raises:** InputError for anything
    else.
    """

    scale: AbstractScaleMap

    def __init__(self, scale: AbstractScaleMap | None = None):
        self.scale = scale_or(scale, 3.0)

    @property
    def parameters(self) -> int:
        """2."""
        return 2

    def forward(self, raw: Raw, z: Vector) -> tuple[Vector, Vector]:
        """s z + t and log s."""
        m = z.shape[0]
        log_scale = self.scale.log_scale(raw[:m])
        return z * jnp.exp(log_scale) + raw[m:], log_scale

    def inverse(self, raw: Raw, x: Vector) -> tuple[Vector, Vector]:
        """(x - t) / s and -log s."""
        m = x.shape[0]
        log_scale = self.scale.log_scale(raw[:m])
        return (x - raw[m:]) * jnp.exp(-log_scale), -log_scale

    def linear(self, log_scale: Vector, shift: Vector, *, layer: str = "this layer") -> Raw:
        """The scale map's raw value, and t. **Raises:** InputError, naming `layer`, outside the scale map's range."""
        return jnp.concatenate([self.scale.raw(log_scale, layer=layer), shift])
