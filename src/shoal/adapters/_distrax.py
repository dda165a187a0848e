"""distrax: bijectors from latent to data, as in Shoal; applied to one point here, without their batches.

Arrays that a bijector's functions close over, and log-dets that it worked out when it was made, keep their precision.

I. Babuschkin and others, The DeepMind JAX Ecosystem, 2020.
"""

from typing import Any

import distrax
import equinox as eqx

from shoal._types import Array
from shoal.adapters._jax import AbstractPart, jax_map, without_context
from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.conditioning import JaxMap


def to_map(flow: object, shape: tuple[int, ...] | None) -> JaxMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, distrax.Transformed | distrax.Bijector):
        raise wrong_kind(flow, "a distrax Transformed or Bijector")
    if isinstance(flow, distrax.Bijector):
        whole, found = flow, None
    else:
        bijectors, base = [flow.bijector], flow.distribution
        # Normal distributions are `Transformed` by inheritance, but a base by name: only that very class is taken apart.
        while type(base) is distrax.Transformed:
            bijectors, base = [*bijectors, base.bijector], base.distribution
        whole, found = distrax.Chain(bijectors), base.event_shape
    listed = singles(  # a `Chain` holds them from data to latent
        whole,
        lambda b: b.bijector if isinstance(b, distrax.Inverse) else None,
        lambda b: b.bijectors if isinstance(b, distrax.Chain) else None,
    )
    layers = [_Part(bijector=b, name=type(b).__name__, inverted=inverted) for b, inverted in reversed(listed)]
    made = _Part(bijector=whole, name=type(flow).__name__, inverted=False)
    return jax_map(made, layers, sized(shape, found, "distrax"), "distrax")


class _Part(AbstractPart):
    bijector: distrax.Bijector
    name: str = eqx.field(static=True)
    inverted: bool = eqx.field(static=True)

    def run(self, point: Array, context: Array | None, inverse: bool) -> tuple[Array, Array]:
        without_context(context, "A distrax bijector")
        b: Any = self.bijector
        return (b.inverse_and_log_det if inverse != self.inverted else b.forward_and_log_det)(point)
