"""bayesflow on JAX: Keras variables keep their values to themselves, and take others within a `StatelessScope`."""

import copy
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import keras

from shoal._types import Array
from shoal.adapters import _bayesflow
from shoal.adapters._jax import AbstractPart, Composed, jax_map
from shoal.conditioning import JaxMap


def to_map(given: Any, shapes: dict[str, tuple[int, ...]], latent: str) -> JaxMap:
    """See `adapters.to_map`."""
    copied = copy.deepcopy(given)
    parts = [_part(layer, copied) for layer in _bayesflow.layers(copied)]
    numbers = sum(math.prod(shapes[name]) for name in _bayesflow.CONTEXT if name in shapes)
    return jax_map(
        Composed(layers=parts, name=type(given).__name__),
        parts,
        shapes["inference_variables"],
        "bayesflow",
        latent=latent,
        context=numbers or None,
    )


def _part(layer: _bayesflow.Layer, copied: Any) -> "_Part":
    variables = [v for owner in layer.owners for v in owner.variables]
    values = [jnp.asarray(v.value) for v in variables]
    return _Part(values=values, held=_Held(layer, copied, variables), name=layer.name)


class _Held:
    """A layer, the copy that it is a part of, and its variables; none of them is an array to JAX."""

    def __init__(self, layer: _bayesflow.Layer, copied: Any, variables: list[Any]):
        self.layer, self.copied, self.variables = layer, copied, variables


class _Part(AbstractPart):
    values: list[Array]
    held: _Held = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def run(self, point: Array, context: Array | None, inverse: bool) -> tuple[Array, Array]:
        held, precision = self.held, point.dtype.name
        _bayesflow.set_precision(held.copied, precision)
        for variable in held.variables:
            if keras.backend.is_float_dtype(variable._dtype):
                variable._dtype = precision
        given = None if context is None else context[None]
        with keras.StatelessScope(state_mapping=list(zip(held.variables, self.values, strict=True))):
            image, log_det = held.layer.run(point[None], given, inverse)
        return image[0], jnp.sum(log_det)
