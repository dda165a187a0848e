"""The interface of every invertible map in Shoal.

`forward` is latent z -> data x (the generator), `inverse` is data x -> latent z. Maps are unbatched: a map acts
on one vector, `jax.vmap` batches it. log-det is log|det dx/dz| for `forward` and log|det dz/dx| for `inverse`,
natural logarithm, so the two cancel. Classes are abstract or final.
"""

import abc
import math
import numbers
from typing import ClassVar

import equinox as eqx
import jax

from shoal._errors import InputError
from shoal._names import Direction as Direction
from shoal._types import Batch, Context, ContextBatch, Scalar, Vector


class AbstractBijection(eqx.Module):
    """An invertible map R^n -> R^n, perhaps given a context in R^c.

    `shape` is `(n,)`; `context_shape` is `(c,)`, or None for a map that takes no context (one that is given to
    it is ignored, so that maps with and without context chain). `fixed`: the fields whose arrays no optimizer may move.
    """

    fixed: ClassVar[tuple[str, ...]] = ()
    shape: eqx.AbstractVar[tuple[int, ...]]
    context_shape: eqx.AbstractVar[tuple[int, ...] | None]

    @abc.abstractmethod
    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x = f(z) and log|det dx/dz|."""

    @abc.abstractmethod
    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z = f^{-1}(x) and log|det dz/dx|."""

    def forward(self, z: Vector, context: Context = None) -> Vector:
        """x = f(z), from latent to data."""
        return self.forward_and_log_det(z, context)[0]

    def inverse(self, x: Vector, context: Context = None) -> Vector:
        """z = f^{-1}(x), from data to latent."""
        return self.inverse_and_log_det(x, context)[0]


class AbstractComposite(AbstractBijection):
    """A map made of other maps."""

    @abc.abstractmethod
    def layers(self) -> tuple[AbstractBijection, ...]:
        """The single layers in forward order (the first one acts first on z)."""

    @abc.abstractmethod
    def initialized(self, x: Batch, context: ContextBatch) -> "AbstractComposite":
        """The same map with its data-dependent parts set from a batch of data, threaded from data to latent."""


class AbstractDataDependent(AbstractBijection):
    """A layer whose parameters are set from a first batch, such as `ActNorm`. There is no "initialised" flag."""

    @abc.abstractmethod
    def initialized(self, x: Batch, context: ContextBatch) -> "AbstractDataDependent":
        """The same layer with its parameters set from the batch `x`, shape (rows, n)."""


def initialize(bijection: AbstractBijection, x: Batch, context: ContextBatch = None) -> AbstractBijection:
    """The same bijection with every data-dependent layer set from the batch `x` of data; a pure function.

    **Arguments:** `x`: array of shape (rows, n), in data space; `context`: (rows, c) or None.
    **Returns:** a new bijection of the same structure. **Raises:** InputError if `x` is not (rows, n).
    """
    if x.ndim != 2 or x.shape[1:] != bijection.shape or x.shape[0] == 0:
        raise InputError(
            f"`initialize` needs a non-empty batch of shape (rows, {bijection.shape[0]}); got {x.shape}."
        )
    return initialize_part(bijection, x, context)


def initialize_part(bijection: AbstractBijection, x: Batch, context: ContextBatch) -> AbstractBijection:
    """`initialize` without the check: what composites call on their parts."""
    if isinstance(bijection, AbstractComposite | AbstractDataDependent):
        return bijection.initialized(x, context)
    return bijection


def layers_of(bijection: AbstractBijection) -> tuple[AbstractBijection, ...]:
    """The single layers of any bijection in forward order; a single layer gives itself."""
    return bijection.layers() if isinstance(bijection, AbstractComposite) else (bijection,)


def layer_name(bijection: eqx.Module) -> str:
    """What a layer is called wherever it is named: its class and, in brackets, its transformer or the map inside it.

    For example "Coupling(Affine)", "Inverse(Autoregressive(Affine))" and "ActNorm".
    """
    inner = getattr(bijection, "transformer", None) or getattr(bijection, "bijection", None)
    name = type(bijection).__name__
    return name if inner is None else f"{name}({layer_name(inner)})"


def check_input(bijection: AbstractBijection, x: jax.Array, context: jax.Array | None) -> None:
    """Raise an InputError unless `x` and `context` have the shapes that the bijection states: every layer's first line."""
    shape = bijection.context_shape
    if x.shape != bijection.shape:
        raise InputError(
            f"`{layer_name(bijection)}` acts on one vector of shape {bijection.shape}; got shape {x.shape}. "
            "Use `jax.vmap` for batches."
        )
    if shape is not None and context is None:
        raise InputError(
            f"`{layer_name(bijection)}` was built for a context of shape {shape}; none was given."
        )
    if shape is not None and context is not None and context.shape != shape:
        raise InputError(
            f"`{layer_name(bijection)}` needs a context of shape {shape}; got shape {context.shape}."
        )


def whole(what: str, value: int, least: int = 1) -> int:
    """The number. **Raises:** InputError, naming `what`, unless it is a whole one of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InputError(f"`{what}` must be a whole number of at least {least}; got {value!r}.")
    return int(value)


def positive(what: str, value: float) -> float:
    """The number. **Raises:** InputError, naming `what`, unless it is positive and finite."""
    if not 0.0 < value < math.inf:
        raise InputError(f"`{what}` must be positive and finite; got {value}.")
    return float(value)


def between(what: str, value: float, low: float = 0.0, high: float = 1.0) -> float:
    """The number. **Raises:** InputError, naming `what`, unless low < value < high."""
    if not low < value < high:
        raise InputError(f"`{what}` must lie between {low:g} and {high:g}; got {value:g}.")
    return float(value)
