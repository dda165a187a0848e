"""What adapters of JAX libraries share: single maps whose points keep their own shapes, as flat `JaxMap`s."""

import abc
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Array
from shoal.conditioning import JaxMap


class AbstractPart(eqx.Module):
    """A map of one point, or a single layer of it, by the library's own calls; its arrays are cast to each precision."""

    name: eqx.AbstractVar[str]

    @abc.abstractmethod
    def run(self, point: Array, context: Array | None, inverse: bool) -> tuple[Array, Array]:
        """The image of a point, latent to data or back, and its log-dets, of one event or of several within the point."""


class Composed(AbstractPart):
    """Layers in forward order, one after the other."""

    layers: Sequence[AbstractPart]
    name: str = eqx.field(static=True)

    def run(self, point: Array, context: Array | None, inverse: bool) -> tuple[Array, Array]:
        """See `AbstractPart.run`."""
        total = jnp.zeros((), point.dtype)
        for layer in self.layers[::-1] if inverse else self.layers:
            point, log_det = layer.run(point, context, inverse)
            total = total + jnp.sum(log_det)
        return point, total


def jax_map(
    whole: AbstractPart,
    layers: Sequence[AbstractPart],
    shape: tuple[int, ...],
    library: str,
    *,
    latent: str = "StandardNormal",
    context: int | None = None,
) -> JaxMap:
    """The map of a whole and its layers, in forward order.

    **Arguments:** `shape`: of one latent point; `latent`: the class of the base; `context`: how many numbers a context has.
    """

    def mapped(
        part: AbstractPart, inner: tuple[int, ...], parts: list[JaxMap]
    ) -> tuple[JaxMap, tuple[int, ...]]:
        outer = _image_shape(part, inner, library, context)
        made = JaxMap(
            _Call(part, inner, False),
            _Call(part, outer, True),
            math.prod(inner),
            log_dets=True,
            layers=parts,
            name=part.name,
        )
        return made, outer

    singles, inner = [], shape
    for layer in layers:
        single, inner = mapped(layer, inner, [])
        singles.append(single)
    made, _ = mapped(whole, shape, singles)
    made.latent = latent
    return made


def _image_shape(
    part: AbstractPart, shape: tuple[int, ...], library: str, context: int | None
) -> tuple[int, ...]:
    """The shape of an image. **Raises:** InputError where it is not that of one point."""
    given = None if context is None else jnp.zeros(context, jnp.float32)
    point = jax.ShapeDtypeStruct(shape, jnp.float32)
    image = jax.eval_shape(lambda p: part.run(p, given, False)[0], point).shape
    if math.prod(image) != math.prod(shape):
        raise InputError(f"A {library} {part.name} takes shape {shape} to {image}: give one without batches.")
    return image


class _Call(eqx.Module):
    """One direction of a part on one flat point; log-dets of events within the point are summed."""

    part: AbstractPart
    shape: tuple[int, ...] = eqx.field(static=True)
    inverse: bool = eqx.field(static=True)

    def __call__(self, point: Array, context: Array | None) -> tuple[Array, Array]:
        image, log_det = self.part.run(point.reshape(self.shape), context, self.inverse)
        if image.dtype != point.dtype:
            raise NotImplementedError(
                f"{self.part.name} computes in {image.dtype} where {point.dtype} was asked for: "
                "its functions hold arrays of their own."
            )
        return jnp.reshape(image, -1), jnp.sum(log_det)


def without_context(context: Array | None, library: str) -> None:
    """**Raises:** InputError where a context is given to a library that has none."""
    if context is not None:
        raise InputError(f"{library} takes no context: give a map that closes over it.")
