"""Flows: the image of a base distribution under a bijection."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.bijections import AbstractBijection
from shoal.conditioning import JaxMap, from_bijection
from shoal.distributions._base import AbstractDistribution, check_names, each_row, given
from shoal.distributions._estimates import Estimate


class AbstractFlow(AbstractDistribution):
    """A distribution with a bijection: a `Flow`, or a `Padded` one, whose bijection works on more coordinates than the data.

    `joint`: the flow on the space of the bijection, the data's coordinates first; a `Flow` is its own.
    """

    joint: eqx.AbstractVar["Flow"]
    bijection: eqx.AbstractVar[AbstractBijection]

    @abc.abstractmethod
    def extended(self, x: Vector) -> Float[Array, "whole"]:
        """The point of the bijection's space that belongs to x: the data first, then what the flow adds."""

    @abc.abstractmethod
    def with_joint(self, joint: "Flow", columns: tuple[str, ...] | None) -> "AbstractFlow":
        """A flow like this one in everything but its joint and the names of its columns."""

    @abc.abstractmethod
    def log_prob_estimate(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int
    ) -> Estimate:
        """log p(x | c) from `samples` draws of what the flow adds to the data; exact where it adds nothing."""

    @property
    def extra(self) -> int:
        """How many coordinates the bijection has beyond the data's."""
        return self.joint.shape[0] - self.shape[0]

    def extended_rows(self, x: FloatArray) -> FloatArray:
        """`extended` for rows (rows, n) in NumPy; the data's columns stay as they are, to the last bit."""
        if self.extra == 0:
            return x
        added = jax.vmap(self.extended)(jnp.asarray(x, self.dtype))[:, x.shape[1] :]
        return np.hstack([x, np.asarray(added, x.dtype)])

    def to_map(self) -> JaxMap:
        """The bijection with its layers, as `shoal.conditioning` measures it; its points are `extended_rows(x)`."""
        made = from_bijection(self.bijection)
        made.latent = type(self.joint.base).__name__
        return made


class Flow(AbstractFlow):
    """x = f(z), z ~ base: log p(x | c) = log base(f^{-1}(x, c) | c) + log|det df^{-1}/dx|.

    The base, the bijection or both may have the context c.

    **Arguments:** `base`: the latent distribution; `bijection`: f, latent -> data; `columns`, `context_columns`:
    names of the data's and the context's columns, by which tables are read.
    Direction: `forward` = `to_data` is z -> x, `inverse` = `to_latent` is x -> z.
    """

    base: AbstractDistribution
    bijection: AbstractBijection
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)
    columns: tuple[str, ...] | None = eqx.field(static=True)
    context_columns: tuple[str, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        base: AbstractDistribution,
        bijection: AbstractBijection,
        *,
        columns: tuple[str, ...] | None = None,
        context_columns: tuple[str, ...] | None = None,
    ):
        self.base, self.bijection = base, bijection
        self.shape, self.context_shape = base.shape, base.context_shape or bijection.context_shape
        self.columns = None if columns is None else tuple(columns)
        self.context_columns = None if context_columns is None else tuple(context_columns)

    def __check_init__(self) -> None:
        base, bijection = self.base, self.bijection
        if not self.shape == base.shape == bijection.shape:
            raise InputError(f"`Flow`: base has shape {base.shape}, bijection {bijection.shape}.")
        if {base.context_shape, bijection.context_shape} - {None} != {self.context_shape} - {None}:
            raise InputError(
                f"`Flow`: the base has a context of shape {base.context_shape}, the bijection {bijection.context_shape}."
            )
        check_names(self)

    @property
    def joint(self) -> "Flow":  # pyright: ignore[reportIncompatibleVariableOverride]  (a field of padded ones)
        """The flow itself."""
        return self

    def extended(self, x: Vector) -> Float[Array, "whole"]:
        """x: nothing is added."""
        return x

    def with_joint(self, joint: "Flow", columns: tuple[str, ...] | None) -> "Flow":
        """`joint`, with these names of its columns."""
        return Flow(joint.base, joint.bijection, columns=columns, context_columns=joint.context_columns)

    def log_prob_one(self, x: Vector, context: Context = None) -> Scalar:
        """log p(x | c) of one vector."""
        z, log_det = self.bijection.inverse_and_log_det(x, context)
        return self.base.log_prob_one(z, self._of_base(context)) + log_det

    def log_prob_estimate(
        self, key: Key, x: ArrayLike, context: ArrayLike | None = None, *, samples: int
    ) -> Estimate:
        """`log_prob`, which needs no draws."""
        value = self.log_prob(x, context)
        return Estimate(value, jnp.zeros_like(value), "exact")

    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch = None
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """Samples and their log_prob, in one pass through the bijection."""
        z, log_base = self.base.sample_rows(key, rows, self._of_base(context))
        x, log_det = jax.vmap(self.bijection.forward_and_log_det)(z.astype(self.dtype), context)
        return x, log_base.astype(x.dtype) - log_det

    def _of_base(self, context: Array | None) -> Array | None:
        return None if self.base.context_shape is None else context

    def forward(self, z: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "... n"]:
        """x = f(z), latent -> data, for any leading batch shape."""
        return each_row(self.bijection.forward, *given(self, z, context, what="z"))

    def inverse(self, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "... n"]:
        """z = f^{-1}(x), data -> latent, for any leading batch shape."""
        return each_row(self.bijection.inverse, *given(self, x, context))

    def to_data(self, z: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "... n"]:
        """The same as `forward`: latent -> data."""
        return self.forward(z, context)

    def to_latent(self, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "... n"]:
        """The same as `inverse`: data -> latent."""
        return self.inverse(x, context)
