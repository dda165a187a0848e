"""The interface of every distribution, and what it accepts: NumPy and JAX arrays, polars and pandas tables.

Public methods take any leading batch shape, batch 0 and 1 included, and are compiled inside; the abstract ones below are
what a distribution writes down.
"""

import abc
import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._types import Array, ArrayLike, Context, ContextBatch, Float, Key, Scalar, Vector


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
        **Returns:** shape (...). **Raises:** `InputError` for a wrong last axis, missing columns or a missing context.
        """
        return each_row(self.log_prob_one, *given(self, x, context))

    def sample(
        self, key: Key, shape: int | tuple[int, ...] = (), context: ArrayLike | None = None
    ) -> Float[Array, "... n"]:
        """Samples of shape `shape + (n,)`; with a context of shape (..., c): `shape + (...) + (n,)`.

        **Raises:** `InputError` for a negative or fractional `shape`, or a missing context.
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


def check_names(distribution: AbstractDistribution) -> None:
    """Raise an InputError unless the columns and those of the context, where they have names, are one text each."""
    (n,), (c,) = distribution.shape, distribution.context_shape or (0,)
    columns, context = distribution.columns, distribution.context_columns
    for names, size, what in ((columns, n, "column names"), (context, c, "context columns")):
        texts = isinstance(names, tuple) and all(isinstance(name, str) for name in names)
        if names is not None and not (texts and len(names) == size):
            raise InputError(
                f"`{type(distribution).__name__}`: {len(names)} {what} for {size}; each needs one text."
            )


def given(
    distribution: AbstractDistribution, x: ArrayLike, context: ArrayLike | None, *, what: str = "x"
) -> tuple[Array, Array | None]:
    """Points (..., n) and their context (..., c) in the distribution's dtype; None where it has no context.

    **Raises:** `InputError` where they do not fit; it calls the points `what`.
    """
    names = distribution.columns if what == "x" else None
    x = _as_array(x, names, distribution.shape[0], distribution.dtype, what)
    if distribution.context_shape is None:
        return x, None
    c, batch = _as_context(distribution, context), x.shape[:-1]
    try:
        return x, jnp.broadcast_to(c, batch + distribution.context_shape)
    except ValueError:
        raise InputError(f"`context` of shape {c.shape} does not fit a batch of shape {batch}.") from None


@eqx.filter_jit
def each_row(function: Callable[[Vector, Context], Any], x: Array, context: Array | None) -> Array:
    """`function(row, context)` of every row of x (..., n), with the leading shape of x."""
    batch = x.shape[:-1]
    rows, c = _flat(x, batch), None if context is None else _flat(context, batch)
    found = jax.vmap(function)(rows, c)
    return found.reshape(batch + found.shape[1:])


@eqx.filter_jit
def _sample(
    distribution: AbstractDistribution, key: Key, batch: tuple[int, ...], context: Array | None
) -> tuple[Array, Array]:
    c = None if context is None else _flat(context, batch)
    x, log_prob = distribution.sample_rows(key, int(np.prod(batch)), c)
    return x.reshape(batch + distribution.shape), log_prob.reshape(batch)


def _flat(x: Array, batch: tuple[int, ...]) -> Array:
    return x.reshape((int(np.prod(batch)), x.shape[-1]))


def _sample_shape(shape: SupportsIndex | Sequence[SupportsIndex]) -> tuple[int, ...]:
    """`shape` as a tuple; one number is a tuple of one."""
    try:
        sizes = tuple(operator.index(n) for n in (shape if isinstance(shape, Sequence) else (shape,)))
    except TypeError:
        sizes = (-1,)
    if any(n < 0 for n in sizes):
        raise InputError(f"`shape` must be a whole number of at least 0 or a tuple of them; got {shape!r}.")
    return sizes


def _as_context(distribution: AbstractDistribution, context: ArrayLike | None) -> Array:
    (size,) = distribution.context_shape or (0,)
    if context is None:
        raise InputError(
            f"This {type(distribution).__name__} needs a context of shape (..., {size}); none was given."
        )
    return _as_array(context, distribution.context_columns, size, distribution.dtype, "context")


def _as_array(x: ArrayLike, names: tuple[str, ...] | None, dim: int, dtype: np.dtype, what: str) -> Array:
    """`x` as an array of shape (..., dim). A table gives the columns `names`, in that order, whatever its own order."""
    x = named_columns(x, names, what)
    if not hasattr(x, "dtype"):
        x = np.asarray(x)
    if x.dtype == object or not (jnp.issubdtype(x.dtype, np.number) or x.dtype == bool) or np.iscomplexobj(x):
        raise InputError(f"`{what}` must hold real numbers; got dtype {x.dtype}.")
    if x.ndim == 0 or x.shape[-1] != dim:
        raise InputError(f"`{what}` must have shape (..., {dim}); got {x.shape}.")
    return jnp.asarray(x, dtype)


def named_columns(x: ArrayLike, names: tuple[str, ...] | None, what: str) -> ArrayLike:
    """A data frame's columns `names` (None: all), in that order, as an array; anything else as it is.

    **Raises:** `InputError` for a column that is not there; it calls the data frame `what`.
    """
    if not (hasattr(x, "columns") and hasattr(x, "to_numpy")):
        return x
    labels = {str(label): label for label in x.columns}
    missing = [name for name in names or () if name not in labels]
    if missing:
        raise InputError(f"`{what}` has no column {missing[0]!r}; it has {', '.join(labels)}.")
    return (x if names is None else x[[labels[name] for name in names]]).to_numpy()
