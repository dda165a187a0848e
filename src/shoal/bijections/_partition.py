"""Partitions of the n coordinates into a kept part S and a moved part: what a coupling conditions on and changes.

A partition is a value. `Partition` has its index set as static data and compiles to slices where it can;
`ArrayPartition` has it as integer arrays, so that couplings with different partitions of equal sizes stack in a
`Scan`. Koehler, Mehta and Risteski (2021) call the kept part S, |S| = n/2.
"""

import abc
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer

from shoal._errors import InputError
from shoal._types import Array, Float, Int, Key, Vector
from shoal.bijections._base import whole
from shoal.bijections._images import checked_image_shape


class AbstractPartition(eqx.Module):
    """A split of n coordinates into a kept and a moved part."""

    dim: eqx.AbstractVar[int]
    kept_size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def split(self, x: Vector) -> tuple[Float[Array, "k"], Float[Array, "m"]]:
        """(kept part, moved part) of one vector."""

    @abc.abstractmethod
    def join(self, kept: Float[Array, "k"], moved: Float[Array, "m"]) -> Vector:
        """The vector whose parts these are."""

    @abc.abstractmethod
    def swapped(self) -> "AbstractPartition":
        """The partition with the two parts exchanged."""


class Partition(AbstractPartition):
    """The kept coordinates are the index set `kept` of {0, ..., dim - 1}; every other coordinate is moved."""

    dim: int = eqx.field(static=True)
    kept: tuple[int, ...] = eqx.field(static=True)
    kept_size: int = eqx.field(static=True)

    def __init__(self, dim: int, kept: Sequence[int]):
        self.dim, self.kept = int(dim), tuple(int(i) for i in kept)
        self.kept_size = len(self.kept)

    def __check_init__(self) -> None:
        whole("Partition(dim=...)", self.dim)
        if len(set(self.kept)) != len(self.kept) or any(not 0 <= i < self.dim for i in self.kept):
            raise InputError(f"`kept` must be distinct indices in 0 ... {self.dim - 1}; got {self.kept}.")
        if self.kept_size == self.dim:
            raise InputError(f"`kept` holds all {self.dim} coordinates; a coupling must move at least one.")
        if self.kept_size != len(self.kept):
            raise InputError(f"`kept_size` is {self.kept_size}, and {len(self.kept)} coordinates are kept.")

    @property
    def moved(self) -> tuple[int, ...]:
        """The moved coordinates, ascending."""
        kept = set(self.kept)
        return tuple(i for i in range(self.dim) if i not in kept)

    def split(self, x: Vector) -> tuple[Float[Array, "k"], Float[Array, "m"]]:
        """(kept part, moved part); contiguous and strided index sets become slices."""
        return _take(x, self.kept), _take(x, self.moved)

    def join(self, kept: Float[Array, "k"], moved: Float[Array, "m"]) -> Vector:
        """The vector whose parts these are."""
        both = jnp.concatenate([kept, moved])
        order = self.kept + self.moved
        if order == tuple(range(self.dim)):
            return both
        if self.moved + self.kept == tuple(range(self.dim)):
            return jnp.concatenate([moved, kept])
        return both[np.argsort(order)]

    def swapped(self) -> "Partition":
        """The complement as the kept part. Where nothing is kept (n = 1) there is nothing to swap."""
        return Partition(self.dim, self.moved) if self.kept else self


class ArrayPartition(AbstractPartition):
    """The same with index arrays as data: `kept` (k,), `moved` (n - k,) and `order`, the inverse of (kept, moved)."""

    kept: Int[Array, "k"]
    moved: Int[Array, "m"]
    order: Int[Array, "n"]
    dim: int = eqx.field(static=True)
    kept_size: int = eqx.field(static=True)

    def __init__(self, partition: Partition):
        moved = partition.moved
        self.kept = jnp.asarray(partition.kept, jnp.int32)
        self.moved = jnp.asarray(moved, jnp.int32)
        self.order = jnp.asarray(np.argsort(partition.kept + moved), jnp.int32)
        self.dim, self.kept_size = partition.dim, partition.kept_size

    def __check_init__(self) -> None:
        sizes = self.kept.size, self.order.size
        if sizes != (self.kept_size, self.dim) or not are_inverse((self.kept, self.moved), self.order):
            raise InputError(f"`ArrayPartition`: kept, moved and order are none of {self.dim} coordinates.")

    def split(self, x: Vector) -> tuple[Float[Array, "k"], Float[Array, "m"]]:
        """(kept part, moved part)."""
        return x[self.kept], x[self.moved]

    def join(self, kept: Float[Array, "k"], moved: Float[Array, "m"]) -> Vector:
        """The vector whose parts these are."""
        return jnp.concatenate([kept, moved])[self.order]

    def swapped(self) -> "ArrayPartition":
        """The complement as the kept part."""
        return ArrayPartition(Partition(self.dim, [int(i) for i in self.moved]))


class ChannelPartition(AbstractPartition):
    """The same partition of the channels at every pixel of an image (height, width, channels).

    Both parts are images, (height, width, kept) and (height, width, moved), as vectors.
    **Raises:** InputError for a partition of another number of channels.
    """

    channels: AbstractPartition
    image_shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, image_shape: tuple[int, ...], channels: AbstractPartition):
        self.image_shape, self.channels = checked_image_shape("ChannelPartition", image_shape), channels

    def __check_init__(self) -> None:
        if self.channels.dim != self.image_shape[2]:
            raise InputError(
                f"`ChannelPartition`: a partition of {self.channels.dim} channels for an image of shape {self.image_shape}."
            )

    @property
    def dim(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]  (the image's)
        """Number of entries of the image."""
        return self._pixels * self.channels.dim

    @property
    def kept_size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Number of entries of the kept channels."""
        return self._pixels * self.channels.kept_size

    def split(self, x: Vector) -> tuple[Float[Array, "k"], Float[Array, "m"]]:
        """(kept channels, moved channels)."""
        kept, moved = jax.vmap(self.channels.split)(x.reshape(self._pixels, self.channels.dim))
        return kept.reshape(-1), moved.reshape(-1)

    def join(self, kept: Float[Array, "k"], moved: Float[Array, "m"]) -> Vector:
        """The image whose parts these are."""
        count = self.channels.kept_size
        parts = (
            kept.reshape(self._pixels, count),
            moved.reshape(self._pixels, self.channels.dim - count),
        )
        return jax.vmap(self.channels.join)(*parts).reshape(-1)

    def swapped(self) -> "ChannelPartition":
        """The complement as the kept part."""
        return ChannelPartition(self.image_shape, self.channels.swapped())

    @property
    def _pixels(self) -> int:
        return self.image_shape[0] * self.image_shape[1]


def halves(dim: int) -> Partition:
    """Keeps the first floor(n/2) coordinates (S = [d] of Koehler, Mehta and Risteski 2021)."""
    return Partition(dim, range(dim // 2))


def alternating(dim: int) -> Partition:
    """Keeps the odd-numbered coordinates 1, 3, 5, ... and moves 0, 2, 4, ..."""
    return Partition(dim, range(1, dim, 2))


def random_halves(key: Key, dim: int) -> Partition:
    """Keeps floor(n/2) coordinates drawn at random."""
    return Partition(dim, sorted(int(i) for i in jr.permutation(key, dim)[: dim // 2]))


def are_inverse(order: Sequence[Array | np.ndarray], inverse: Array | np.ndarray) -> bool:
    """Whether a permutation, in parts, and `inverse` undo each other; not looked at while a program is traced."""
    if any(isinstance(part, Tracer) for part in (*order, inverse)):
        return True
    whole = np.concatenate(order)
    return np.array_equal(np.sort(whole), np.arange(whole.size)) and np.array_equal(
        np.argsort(whole), inverse
    )


def _take(x: Vector, indices: tuple[int, ...]) -> Float[Array, "k"]:
    if len(indices) == 0:
        return x[:0]
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    if step > 0 and indices == tuple(range(indices[0], indices[-1] + 1, step)):
        return x[indices[0] : indices[-1] + 1 : step]
    return x[np.asarray(indices)]
