"""The interface of every distribution. Public methods take any leading batch shape, batch 0 and 1 included, and are
compiled inside; the abstract ones below are what a distribution writes down.
"""

import abc
import operator
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector
from shoal.distributions._inputs import as_array


class AbstractDistribution(eqx.Module):
    """A distribution on R^n, perhaps given a context in R^c. log_prob is the natural logarithm of the density.

    `columns`, `context_columns` are the names of the coordinates, or None; tables are read by these names.
    """

    shape: eqx.AbstractVar[tuple[int, ...]]
    context_shape: eqx.AbstractVar[tuple[int, ...] | None]
    columns: eqx.AbstractVar[tuple[str, ...] | None]
    context_columns: eqx.AbstractVar[tuple[str, ...] | None]

    @abc.abstractmethod
    def log_prob_one(self, x: Vector, context: Context) -> Scalar:
        """log p(x | c) of one vector."""

    @abc.abstractmethod
    def sample_rows(
        self, key: Key, rows: int, context: ContextBatch
    ) -> tuple[Float[Array, "rows n"], Float[Array, "rows"]]:
        """`rows` samples and their log_prob; `context` is (rows, c) or None."""

    @property
    def dtype(self) -> np.dtype:
        """The floating dtype of the parameters (JAX's default where there are none)."""
        leaves = jax.tree.leaves(eqx.filter(self, eqx.is_inexact_array))
        return np.dtype(jnp.result_type(*leaves) if leaves else jnp.result_type(float))

    def log_prob(self, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "..."]:
        """log p(x | c) in nats.

        **Arguments:** `x`: (..., n), an array or a table; `context`: (..., c) or (c,), where the flow has one.
        **Returns:** shape (...). **Raises:** ValueError for a wrong last axis, missing columns or a missing context.
        """
        x = as_array(x, self.columns, self.shape[0], self.dtype, "x")
        c = given_context(self, context, x.shape[:-1])
        return _log_prob(self, x, c)

    def sample(
        self, key: Key, shape: int | tuple[int, ...] = (), context: ArrayLike | None = None
    ) -> Float[Array, "... n"]:
        """Samples of shape `shape + (n,)`; with a context of shape (..., c): `shape + (...) + (n,)`.

        **Raises:** ValueError for a negative or fractional `shape`, or a missing context.
        """
        return self.sample_and_log_prob(key, shape, context)[0]

    def sample_and_log_prob(
        self, key: Key, shape: int | tuple[int, ...] = (), context: ArrayLike | None = None
    ) -> tuple[Float[Array, "... n"], Float[Array, "..."]]:
        """Samples and their log_prob, in one pass."""
        batch = shape = _sample_shape(shape)
        c = None
        if self.context_shape is not None:
            c = _as_context(self, context)
            batch = shape + c.shape[:-1]
            c = jnp.broadcast_to(c, batch + self.context_shape)
        return _sample(self, key, batch, c)


@eqx.filter_jit
def _log_prob(distribution: AbstractDistribution, x: Array, context: Array | None) -> Array:
    batch = x.shape[:-1]
    x = x.reshape((int(np.prod(batch)), *distribution.shape))
    c = None if context is None else context.reshape((x.shape[0], context.shape[-1]))
    axes = (0, None if c is None else 0)
    return jax.vmap(distribution.log_prob_one, in_axes=axes)(x, c).reshape(batch)


@eqx.filter_jit
def _sample(
    distribution: AbstractDistribution, key: Key, batch: tuple[int, ...], context: Array | None
) -> tuple[Array, Array]:
    rows = int(np.prod(batch))
    c = None if context is None else context.reshape((rows, context.shape[-1]))
    x, log_prob = distribution.sample_rows(key, rows, c)
    return x.reshape(batch + distribution.shape), log_prob.reshape(batch)


def _sample_shape(shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple; one number is a tuple of one."""
    try:
        sizes = tuple(operator.index(n) for n in (shape if isinstance(shape, Sequence) else (shape,)))
    except TypeError:
        sizes = (-1,)
    if any(n < 0 for n in sizes):
        raise ValueError(f"`shape` must be a whole number of at least 0 or a tuple of them; got {shape!r}.")
    return sizes


def _as_context(distribution: AbstractDistribution, context: ArrayLike | None) -> Array:
    (size,) = distribution.context_shape or (0,)
    if context is None:
        raise ValueError(
            f"This {type(distribution).__name__} needs a context of shape (..., {size}); none was given."
        )
    return as_array(context, distribution.context_columns, size, distribution.dtype, "context")


def given_context(
    distribution: AbstractDistribution, context: ArrayLike | None, batch: tuple[int, ...]
) -> Array | None:
    """The context for a batch of that shape, or None where there is none. **Raises:** ValueError if it does not fit."""
    if distribution.context_shape is None:
        return None
    c = _as_context(distribution, context)
    try:
        return jnp.broadcast_to(c, batch + distribution.context_shape)
    except ValueError:
        raise ValueError(f"`context` of shape {c.shape} does not fit a batch of shape {batch}.") from None
