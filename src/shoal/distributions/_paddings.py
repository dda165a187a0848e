"""Paddings: laws q of the extra coordinates e in R^k that are put behind the data, drawn without looking at them.

Koehler, Mehta and Risteski (2021) pad images before the flow; their public code clamps the "Gaussian" padding and
dequantizes the zero padding. Each of the four has its own name here.
"""

import abc
import math
from typing import Literal, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, Float, Key, Scalar, Vector

Support: TypeAlias = Literal["everywhere", "box", "none"]


class AbstractPadding(eqx.Module):
    """The law q of e in R^k. `support`: where its density is above 0: "everywhere", on a "box", or "none": it has none."""

    size: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def support(self) -> Support:
        """Where q has density."""

    @abc.abstractmethod
    def draw(self, key: Key, like: Vector) -> Float[Array, "k"]:
        """e, in the dtype of `like`."""

    @abc.abstractmethod
    def log_density(self, e: Float[Array, "k"]) -> Scalar:
        """log q(e); 0 where q has no density."""


class ZeroPadding(AbstractPadding):
    """e = 0, exactly. q has no density: the data with it lie on a plane, on which a density in R^{m+k} is unbounded."""

    size: int = eqx.field(static=True)

    def __init__(self, size: int):
        self.size = size

    def __check_init__(self) -> None:
        _check_size(self)

    @property
    def support(self) -> Support:
        """It has no density."""
        return "none"

    def draw(self, key: Key, like: Vector) -> Float[Array, "k"]:
        """0."""
        return jnp.zeros(self.size, like.dtype)

    def log_density(self, e: Float[Array, "k"]) -> Scalar:
        """0: of the point mass to itself."""
        return jnp.zeros((), e.dtype)


class ZeroDequantizedPadding(AbstractPadding):
    """e uniform in [0, step)^k, as if the zeros were whole numbers of that step: log q = -k log step."""

    size: int = eqx.field(static=True)
    step: float = eqx.field(static=True)

    def __init__(self, size: int, step: float):
        self.size, self.step = size, float(step)

    def __check_init__(self) -> None:
        _check_size(self)
        _check_positive(self, "step", self.step)

    @property
    def support(self) -> Support:
        """The box [0, step]^k."""
        return "box"

    def draw(self, key: Key, like: Vector) -> Float[Array, "k"]:
        """Uniform numbers."""
        return jr.uniform(key, (self.size,), like.dtype) * jnp.asarray(self.step, like.dtype)

    def log_density(self, e: Float[Array, "k"]) -> Scalar:
        """-k log step (of draws, which lie in the box)."""
        return jnp.full((), -self.size * math.log(self.step), e.dtype)


class GaussianPadding(AbstractPadding):
    """e ~ N(0, scale^2 I_k), exactly."""

    size: int = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def __init__(self, size: int, scale: float = 1.0):
        self.size, self.scale = size, float(scale)

    def __check_init__(self) -> None:
        _check_size(self)
        _check_positive(self, "scale", self.scale)

    @property
    def support(self) -> Support:
        """Everywhere."""
        return "everywhere"

    def draw(self, key: Key, like: Vector) -> Float[Array, "k"]:
        """Normal numbers."""
        return jr.normal(key, (self.size,), like.dtype) * jnp.asarray(self.scale, like.dtype)

    def log_density(self, e: Float[Array, "k"]) -> Scalar:
        """The normal density."""
        constant = jnp.asarray(self.size * (math.log(self.scale) + 0.5 * math.log(2 * math.pi)), e.dtype)
        return -0.5 * jnp.sum(jnp.square(e / jnp.asarray(self.scale, e.dtype))) - constant


class GaussianClampedPadding(AbstractPadding):
    """e ~ N(0, I_k) clamped to [low, high], as the public code of Koehler, Mehta and Risteski (2021) has it with
    [0, 1].

    Half of the entries are then exactly 0 and a sixth exactly 1: q has no density, as with zeros.
    """

    size: int = eqx.field(static=True)
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def __init__(self, size: int, low: float = 0.0, high: float = 1.0):
        self.size, self.low, self.high = size, float(low), float(high)

    def __check_init__(self) -> None:
        _check_size(self)
        if not self.low < self.high:
            raise ValueError(f"`GaussianClampedPadding` needs low < high; got {self.low}, {self.high}.")

    @property
    def support(self) -> Support:
        """It has no density."""
        return "none"

    def draw(self, key: Key, like: Vector) -> Float[Array, "k"]:
        """Clamped normal numbers."""
        low, high = (jnp.asarray(a, like.dtype) for a in (self.low, self.high))
        return jnp.clip(jr.normal(key, (self.size,), like.dtype), low, high)

    def log_density(self, e: Float[Array, "k"]) -> Scalar:
        """0."""
        return jnp.zeros((), e.dtype)


def _check_size(padding: AbstractPadding) -> None:
    if not isinstance(padding.size, int) or padding.size < 1:
        raise ValueError(
            f"`{type(padding).__name__}(size=...)` must be a whole number of at least 1; got {padding.size!r}."
        )


def _check_positive(padding: AbstractPadding, name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"`{type(padding).__name__}({name}=...)` must be positive and finite; got {value}.")
