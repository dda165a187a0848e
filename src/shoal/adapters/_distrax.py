"""distrax: bijectors from latent to data, as in Shoal; applied to one point here, without their batches."""

import math

import distrax
import equinox as eqx
import jax
import jax.numpy as jnp

from shoal._errors import InputError
from shoal._types import Array
from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.conditioning import JaxMap


def to_map(flow: object, shape: tuple[int, ...] | None) -> JaxMap:
    """See `adapters.distrax`."""
    if not isinstance(flow, distrax.Transformed | distrax.Bijector):
        raise wrong_kind(flow, "distrax", "a distrax Transformed or Bijector")
    if isinstance(flow, distrax.Bijector):
        whole, found = flow, None
    else:
        bijectors, base = [flow.bijector], flow.distribution
        # Normal distributions are `Transformed` by inheritance, but a base by name: only that very class is taken apart.
        while type(base) is distrax.Transformed:
            bijectors, base = [*bijectors, base.bijector], base.distribution
        whole, found = distrax.Chain(bijectors), base.event_shape
    latent = sized(shape, found, "distrax")
    layers = []
    inner = latent
    listed = singles(  # a `Chain` holds them from data to latent
        whole,
        lambda b: b.bijector if isinstance(b, distrax.Inverse) else None,
        lambda b: b.bijectors if isinstance(b, distrax.Chain) else None,
    )
    for single, inverted in reversed(listed):
        bijector = distrax.Inverse(single) if inverted else single
        layers.append(_map(bijector, type(single).__name__, inner, []))
        inner = _image_shape(bijector, inner)
    return _map(whole, type(flow).__name__, latent, layers)


def _map(bijector: distrax.Bijector, name: str, shape: tuple[int, ...], layers: list[JaxMap]) -> JaxMap:
    return JaxMap(
        _Call(bijector, shape, False),
        _Call(bijector, _image_shape(bijector, shape), True),
        math.prod(shape),
        log_dets=True,
        layers=layers,
        name=name,
    )


def _bare(bijector: distrax.Bijector) -> distrax.Bijector:
    return bijector.bijector if isinstance(bijector, distrax.Inverse) else bijector


def _image_shape(bijector: distrax.Bijector, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image. **Raises:** InputError where it is not that of one point."""
    image = jax.eval_shape(bijector.forward, jax.ShapeDtypeStruct(shape, jnp.float32)).shape
    if math.prod(image) != math.prod(shape):
        name = type(_bare(bijector)).__name__
        raise InputError(f"A distrax {name} takes shape {shape} to {image}: give one without batches.")
    return image


class _Call(eqx.Module):
    """One direction of a bijector on one flat point; log-dets of events within the point are summed."""

    bijector: distrax.Bijector
    shape: tuple[int, ...] = eqx.field(static=True)
    inverse: bool = eqx.field(static=True)

    def __call__(self, point: Array, context: Array | None) -> tuple[Array, Array]:
        if context is not None:
            raise InputError("distrax bijectors take no context: give one that closes over it.")
        run = self.bijector.inverse_and_log_det if self.inverse else self.bijector.forward_and_log_det
        image, log_det = run(point.reshape(self.shape))
        if image.dtype != point.dtype:
            raise NotImplementedError(
                f"{type(_bare(self.bijector)).__name__} computes in {image.dtype} where {point.dtype} was asked for: "
                "its functions hold arrays of their own."
            )
        return jnp.reshape(image, -1), jnp.sum(log_det)
