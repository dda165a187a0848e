"""What is put beside the data in a padded flow: k extra coordinates e and, where there is one, their density q(e).

([KMR] section 5. Their public code clamps Gaussian padding to [0, 1] and dequantizes zeros: both have classes of
their own.)
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, Float, Key, Scalar


class AbstractPadding(eqx.Module):
    """k extra coordinates. `density` says whether they have a density q, without which nothing bounds the data's
    likelihood."""

    size: eqx.AbstractVar[int]
    density: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def draw(self, key: Key, dtype: jnp.dtype) -> tuple[Float[Array, "k"], Scalar]:
        """e and log q(e); 0 in place of log q where there is no density."""


class ZeroPadding(AbstractPadding):
    """e = 0, exactly. The joint law is singular: it has no density, and the joint log-density at (x, 0) is unbounded
    above."""

    size: int = eqx.field(static=True)
    density: bool = eqx.field(static=True, default=False)

    def draw(self, key: Key, dtype: jnp.dtype) -> tuple[Float[Array, "k"], Scalar]:
        """Zeros, and 0."""
        return jnp.zeros(self.size, dtype), jnp.zeros((), dtype)


class ZeroDequantizedPadding(AbstractPadding):
    """e uniform in [0, step)^k: zeros, dequantized. log q = -k log step."""

    size: int = eqx.field(static=True)
    step: float = eqx.field(static=True, default=1.0 / 256.0)
    density: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        if not (math.isfinite(self.step) and self.step > 0):
            raise ValueError(
                f"`ZeroDequantizedPadding(step=...)` must be positive and finite; got {self.step}."
            )

    def draw(self, key: Key, dtype: jnp.dtype) -> tuple[Float[Array, "k"], Scalar]:
        """Uniform numbers, and -k log step."""
        return self.step * jr.uniform(key, (self.size,), dtype), jnp.full(
            (), -self.size * math.log(self.step), dtype
        )


class GaussianPadding(AbstractPadding):
    """e ~ N(0, 1)^k, exactly."""

    size: int = eqx.field(static=True)
    density: bool = eqx.field(static=True, default=True)

    def draw(self, key: Key, dtype: jnp.dtype) -> tuple[Float[Array, "k"], Scalar]:
        """Normal numbers, and their log-density."""
        e = jr.normal(key, (self.size,), dtype)
        return e, jnp.sum(jax.scipy.stats.norm.logpdf(e))


class GaussianClampedPadding(AbstractPadding):
    """e ~ N(0, 1)^k clamped to [0, 1]: half of it is exactly 0 and a sixth exactly 1, so it has no density."""

    size: int = eqx.field(static=True)
    density: bool = eqx.field(static=True, default=False)

    def draw(self, key: Key, dtype: jnp.dtype) -> tuple[Float[Array, "k"], Scalar]:
        """Clamped normal numbers, and 0."""
        return jnp.clip(jr.normal(key, (self.size,), dtype), 0.0, 1.0), jnp.zeros((), dtype)
