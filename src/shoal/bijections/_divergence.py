"""The divergence of a velocity, tr dv/dz, which is the rate of the log-det of a continuous flow: exact or estimated."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._types import Array, Float, Scalar, Vector
from shoal.bijections._noise import Noise


class AbstractTrace(eqx.Module):
    """How tr dv/dz is computed, from products of dv/dz with probes: tr is the sum of e^T (dv/dz) e over them."""

    @abc.abstractmethod
    def probes(self, row: Vector) -> Float[Array, "k n"]:
        """The probes of one row; they stay the same along its whole path. No gradient flows into them."""


class ExactTrace(AbstractTrace):
    """tr dv/dz from all n columns: the probes are the unit vectors. n products of dv/dz at each evaluation."""

    def probes(self, row: Vector) -> Float[Array, "n n"]:
        """The unit vectors."""
        return jnp.eye(row.shape[0], dtype=row.dtype)


class HutchinsonTrace(AbstractTrace):
    """Hutchinson's estimate: the mean of e^T (dv/dz) e over `count` probes e of independent signs.

    Unbiased, with variance sum_{i<j} (J_ij + J_ji)^2 / count: a dv/dz = J that is diagonal has none. The log-det and
    log p are unbiased then, p itself is not. The probes come from the row that is given to the direction, so the log-dets
    of the two directions are estimates apart and do not cancel. (Hutchinson 1990; Grathwohl et al. 2019.)
    """

    noise: Noise
    count: int = eqx.field(static=True)

    def __init__(self, noise: Noise, count: int = 1):
        self.noise, self.count = noise, int(count)

    def __check_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"`HutchinsonTrace(count=...)` must be at least 1; got {self.count}.")

    def probes(self, row: Vector) -> Float[Array, "k n"]:
        """`count` rows of signs over the square root of `count`."""
        signs = jr.rademacher(self.noise.key_for(row), (self.count, row.shape[0]), row.dtype)
        return signs * jnp.asarray(self.count**-0.5, row.dtype)


def value_and_divergence(
    velocity: Callable[[Vector], Vector], z: Vector, probes: Float[Array, "k n"]
) -> tuple[Vector, Scalar]:
    """v(z) and the sum of e^T (dv/dz) e over the probes."""
    push = lambda e: jax.jvp(velocity, (z,), (e,))
    value, along = jax.vmap(push, out_axes=(None, 0))(probes)
    return value, jnp.sum(probes * along)
