"""Maps around one other map f: `StandardizedContext` (of f's context), `OnPart` (of some coordinates) and `PixelWise`."""

import abc
import math
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Array, Batch, Context, ContextBatch, Float, Scalar, Vector
from shoal.bijections._base import (
    AbstractBijection,
    AbstractComposite,
    check_input,
    initialize_part,
    layers_of,
)
from shoal.bijections._images import checked_image_shape
from shoal.bijections._partition import AbstractPartition

Direct = Callable[[Vector, Context], tuple[Vector, Scalar]]  # a direction of f, with its log-det
Inside = tuple[
    Float[Array, "inner part"], Float[Array, "inner c"] | None
]  # what f gets: rows of its own, contexts


class AbstractWrapper(AbstractComposite):
    """A map made of one other map, `bijection`, which it calls on a part of what it gets."""

    bijection: eqx.AbstractVar[AbstractBijection]

    @abc.abstractmethod
    def around(self, bijection: AbstractBijection) -> AbstractBijection:
        """The same map around another one."""

    @abc.abstractmethod
    def apply(self, direction: Direct, v: Vector, context: Context) -> tuple[Vector, Scalar]:
        """One direction of f where it acts, and its log-det."""

    @abc.abstractmethod
    def inside(self, x: Batch, context: ContextBatch) -> Inside:
        """What f gets of a batch, as rows."""

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """f, where it acts."""
        check_input(self, z, context)
        return self.apply(self.bijection.forward_and_log_det, z, context)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """f^{-1}, where f acts."""
        check_input(self, x, context)
        return self.apply(self.bijection.inverse_and_log_det, x, context)

    def layers(self) -> tuple[AbstractBijection, ...]:
        """The layers of f, each wrapped, in forward order."""
        return tuple(self.around(layer) for layer in layers_of(self.bijection))

    def initialized(self, x: Batch, context: ContextBatch) -> "AbstractWrapper":
        """f initialised from what it gets of the batch."""
        inner = initialize_part(self.bijection, *self.inside(x, context))
        return eqx.tree_at(lambda w: w.bijection, self, inner)


class StandardizedContext(AbstractWrapper):
    """f(z; (c - mean) / scale) for a bijection f(z; c): conditioners then see contexts of unit scale.

    `mean` and `scale` are fixed, of the context's length.
    """

    fixed: ClassVar[tuple[str, ...]] = ("mean", "scale")
    bijection: AbstractBijection
    mean: Float[Array, "c"]
    scale: Float[Array, "c"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, bijection: AbstractBijection, mean: Float[Array, "c"], scale: Float[Array, "c"]):
        self.bijection, self.mean, self.scale = bijection, jnp.asarray(mean), jnp.asarray(scale)
        self.shape, self.context_shape = bijection.shape, bijection.context_shape

    def __check_init__(self) -> None:
        shape = self.bijection.context_shape
        if shape is None or not (self.mean.shape == self.scale.shape == shape):
            raise InputError(
                f"`StandardizedContext` needs mean and scale of the context's shape {shape}; "
                f"got {self.mean.shape} and {self.scale.shape}."
            )
        if not bool(jnp.all((self.scale > 0) & jnp.isfinite(self.scale) & jnp.isfinite(self.mean))):
            raise InputError("`StandardizedContext` needs finite means and positive, finite scales.")

    def around(self, bijection: AbstractBijection) -> AbstractBijection:
        """The same standardisation for another map; one without a context as it is."""
        return StandardizedContext(bijection, self.mean, self.scale) if bijection.context_shape else bijection

    def apply(self, direction: Direct, v: Vector, context: Context) -> tuple[Vector, Scalar]:
        """f, given the standardised context."""
        return direction(v, self._standard(context))

    def inside(self, x: Batch, context: ContextBatch) -> Inside:
        """The rows, and their standardised contexts."""
        return x, None if context is None else jax.vmap(self._standard)(context)

    def _standard(self, context: Context) -> Context:
        if context is None:  # `check_input` has refused it where a context is needed
            return None
        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        return (context - mean) / scale


class OnPart(AbstractWrapper):
    """x_moved = f(z_moved; c), x_kept = z_kept, for a bijection f of the moved coordinates of a partition.

    The split of multi-scale flows (Dinh et al. 2017, section 3.6): the kept coordinates are latents from here on.
    log-det, inverse and context are those of f; singular values are those of f and 1.
    """

    bijection: AbstractBijection
    partition: AbstractPartition
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, bijection: AbstractBijection, partition: AbstractPartition):
        moved = partition.dim - partition.kept_size
        if bijection.shape != (moved,):
            raise InputError(
                f"`OnPart`: the bijection acts on {bijection.shape}, the partition moves {moved}."
            )
        self.bijection, self.partition = bijection, partition
        self.shape, self.context_shape = (partition.dim,), bijection.context_shape

    def around(self, bijection: AbstractBijection) -> AbstractBijection:
        """Another map of the same coordinates."""
        return OnPart(bijection, self.partition)

    def apply(self, direction: Direct, v: Vector, context: Context) -> tuple[Vector, Scalar]:
        """f of the moved part."""
        kept, moved = self.partition.split(v)
        moved, log_det = direction(moved, context)
        return self.partition.join(kept, moved), log_det

    def inside(self, x: Batch, context: ContextBatch) -> Inside:
        """The moved part of the rows."""
        return eqx.filter_vmap(lambda row: self.partition.split(row)[1])(x), context


class PixelWise(AbstractWrapper):
    """x[i, j] = f(z[i, j]; c) at every pixel (i, j) of an image, f a bijection of the channels.

    `PixelWise(LULinear(c), shape)`, `PixelWise(DenseLinear(c), shape)` and `PixelWise(from_factors(factor(W)),
    shape)` are invertible 1x1 convolutions (Kingma and Dhariwal 2018) in LU form, plain, and as six couplings;
    `PixelWise(ActNorm(c), shape)` is Glow's actnorm. **Arguments:** `bijection`: acts on R^channels; `image_shape`:
    (height, width, channels). The log-det is the sum over pixels: for a linear f, height * width times that of f.
    Inverse: f's inverse at every pixel. The Jacobian is block diagonal, so singular values are those of f's
    Jacobians. The context goes to every pixel.
    """

    bijection: AbstractBijection
    image_shape: tuple[int, ...] = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, bijection: AbstractBijection, image_shape: tuple[int, ...]):
        self.image_shape = checked_image_shape("PixelWise", image_shape)
        if bijection.shape != self.image_shape[2:]:
            raise InputError(
                f"`PixelWise`: the bijection acts on {bijection.shape}, an image of shape {self.image_shape} has "
                f"{self.image_shape[2]} channels."
            )
        self.bijection = bijection
        self.shape, self.context_shape = (math.prod(self.image_shape),), bijection.context_shape

    def around(self, bijection: AbstractBijection) -> AbstractBijection:
        """Another map of the channels."""
        return PixelWise(bijection, self.image_shape)

    def apply(self, direction: Direct, v: Vector, context: Context) -> tuple[Vector, Scalar]:
        """f at every pixel, and the sum of its log-dets."""
        pixels = v.reshape(-1, self.image_shape[2])
        out, log_dets = jax.vmap(direction, in_axes=(0, None))(pixels, context)
        return out.reshape(-1), jnp.sum(log_dets)

    def inside(self, x: Batch, context: ContextBatch) -> Inside:
        """The pixels of all images, each with its image's context."""
        height, width, channels = self.image_shape
        repeated = None if context is None else jnp.repeat(context, height * width, axis=0)
        return x.reshape(-1, channels), repeated
