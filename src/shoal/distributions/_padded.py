"""Distributions of data x in R^m from a flow on (x, e) in R^{m+k}: padding, augmented flows, augmented neural ODEs.

Koehler, Mehta and Risteski (2021) pad images before the flow; their public code clamps the "Gaussian" padding and
dequantizes the zero padding. Each of the four laws of e has its own name here. None of them looks at the data.
"""

import math
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._types import Array, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import AbstractBijection, Noise, positive, whole
from shoal.distributions._base import check_names
from shoal.distributions._estimates import AbstractBound, AbstractLaw, Coverage
from shoal.distributions._flow import AbstractFlow, Flow


class AbstractPadding(AbstractLaw):
    """A law of e in R^k, k = `size`, that is put behind the data."""

    size: eqx.AbstractVar[int]

    def __check_init__(self) -> None:
        whole(f"{type(self).__name__}(size=...)", self.size)


class ZeroPadding(AbstractPadding):
    """e = 0, exactly. q has no density: the data with it lie on a plane, on which a density in R^{m+k} is unbounded."""

    size: int = eqx.field(static=True)
    support: ClassVar[Coverage] = "none"

    def draw(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        """0, and 0: the log-density of the point mass to itself."""
        return jnp.zeros(self.size, x.dtype), jnp.zeros((), x.dtype)


class ZeroDequantizedPadding(AbstractPadding):
    """e uniform in [0, step)^k, as if the zeros were whole numbers of that step: log q = -k log step."""

    size: int = eqx.field(static=True)
    step: float = eqx.field(static=True, converter=float)
    support: ClassVar[Coverage] = "box"

    def __check_init__(self) -> None:
        positive("ZeroDequantizedPadding(step=...)", self.step)

    def draw(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        """Uniform numbers, and -k log step."""
        e = jr.uniform(key, (self.size,), x.dtype) * jnp.asarray(self.step, x.dtype)
        return e, jnp.full((), -self.size * math.log(self.step), x.dtype)


class GaussianPadding(AbstractPadding):
    """e ~ N(0, scale^2 I_k), exactly."""

    size: int = eqx.field(static=True)
    scale: float = eqx.field(static=True, converter=float, default=1.0)
    support: ClassVar[Coverage] = "everywhere"

    def __check_init__(self) -> None:
        positive("GaussianPadding(scale=...)", self.scale)

    def draw(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        """Normal numbers and their density."""
        e = jr.normal(key, (self.size,), x.dtype) * jnp.asarray(self.scale, x.dtype)
        constant = jnp.asarray(self.size * (math.log(self.scale) + 0.5 * math.log(2 * math.pi)), e.dtype)
        return e, -0.5 * jnp.sum(jnp.square(e / jnp.asarray(self.scale, e.dtype))) - constant


class GaussianClampedPadding(AbstractPadding):
    """e ~ N(0, I_k) clamped to [low, high], as the public code of Koehler, Mehta and Risteski (2021) has it with [0, 1].

    Half of the entries are then exactly 0 and a sixth exactly 1: q has no density, as with zeros.
    """

    size: int = eqx.field(static=True)
    low: float = eqx.field(static=True, converter=float, default=0.0)
    high: float = eqx.field(static=True, converter=float, default=1.0)
    support: ClassVar[Coverage] = "none"

    def __check_init__(self) -> None:
        if not self.low < self.high:
            raise InputError(f"`GaussianClampedPadding` needs low < high; got {self.low}, {self.high}.")

    def draw(self, key: Key, x: Vector) -> tuple[Float[Array, "k"], Scalar]:
        """Clamped normal numbers, and 0."""
        low, high = (jnp.asarray(a, x.dtype) for a in (self.low, self.high))
        return jnp.clip(jr.normal(key, (self.size,), x.dtype), low, high), jnp.zeros((), x.dtype)


class Padded(AbstractBound, AbstractFlow):
    r"""p(x) = \int p(x, e) de, where p(x, e) is a flow `joint` on R^{m+k} and e the last k coordinates.

    `log_prob(x)` is log p(x, e) - log q(e) with one e a row, drawn from the row's own noise (`Noise`: evaluations repeat,
    training draws anew at every step): **a lower bound of log p(x) in expectation**, which is what training maximises.
    For `ZeroPadding` and `GaussianClampedPadding`, which have no density, it is the joint's log-density at (x, e): **not
    a log-likelihood of the data**, and unbounded in training where the flow can contract the padding.
    Samples are those of the joint without e.

    **Arguments:** `joint`: the flow on R^{m+k}; `padding`: q, of size k < m + k; `key`: of the noise.
    """

    joint: Flow
    padding: AbstractPadding
    noise: Noise
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self, joint: Flow, padding: AbstractPadding, *, columns: tuple[str, ...] | None = None, key: Key
    ):
        self.joint, self.padding, self.noise = joint, padding, Noise(key)
        self.shape, self.context_shape = (joint.shape[0] - padding.size,), joint.context_shape
        self.columns = None if columns is None else tuple(columns)
        self.context_columns = joint.context_columns

    def __check_init__(self) -> None:
        (n,), (m,), size = self.joint.shape, self.shape, self.padding.size
        if m < 1 or m + size != n or self.context_shape != self.joint.context_shape:
            raise InputError(
                f"`Padded`: a padding of size {size} leaves no data of {n} coordinates, but {self.shape}."
            )
        check_names(self)

    @property
    def bijection(self) -> AbstractBijection:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The joint's, on R^{m+k}."""
        return self.joint.bijection

    @property
    def law(self) -> AbstractPadding:
        """The padding."""
        return self.padding

    def extended(self, x: Vector) -> Float[Array, "whole"]:
        """(x, e) with the row's own padding."""
        return jnp.concatenate([x, self.padding.draw(self.noise.key_for(x), x)[0]])

    def with_joint(self, joint: Flow, columns: tuple[str, ...] | None) -> "Padded":
        """`joint` with the padding and the noise of this one."""
        return Padded(joint, self.padding, columns=columns, key=jr.wrap_key_data(self.noise.words))

    def log_weight(self, key: Key, x: Vector, context: Context) -> Scalar:
        """log p(x, e) - log q(e), e drawn by `key`."""
        e, log_q = self.padding.draw(key, x)
        joint = self.joint.log_prob_one(jnp.concatenate([x, e]), context)
        return joint - log_q.astype(joint.dtype)

    def samples(self, key: Key, rows: int, context: ContextBatch) -> Float[Array, "rows n"]:
        """Samples of the joint without e."""
        return self.joint.sample_rows(key, rows, context)[0][:, : self.shape[0]]
