"""pzflow: bijectors from data to latent, so that f is their inverse; context is the conditional columns, in their units.

Bijectors are functions: each is made anew of the flow's own description of it, with its parameters, which are cast. What it
was described by, such as the bounds of `ShiftBounds`, keeps its precision, and so do log-dets worked out when it was made.

J. F. Crenshaw and others, Probabilistic forward modeling of galaxy catalogs with normalizing flows, AJ 168, 2024.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from pzflow import Flow
from pzflow.utils import build_bijector_from_info

from shoal._errors import InputError
from shoal._types import Array
from shoal.adapters._jax import AbstractPart, Composed, jax_map
from shoal.adapters._layers import wrong_kind
from shoal.conditioning import JaxMap


def to_map(flow: object, shape: tuple[int, ...] | None) -> JaxMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, Flow):
        raise wrong_kind(flow, "a pzflow Flow")
    if flow._bijector_info is None:
        raise InputError("This pzflow Flow has no bijector yet: train it, or `set_bijector`.")
    size = len(flow.data_columns)
    columns = flow.conditional_columns
    scale: Any = None if columns is None else (flow._condition_means, flow._condition_stds)
    layers = [
        _layer(info, parameters, scale, size)
        for info, parameters in reversed(_singles(flow._bijector_info, flow._params[1]))
    ]
    latent = type(flow.latent).__name__
    whole = Composed(layers=layers, name="Flow")
    latent = "StandardNormal" if latent == "Normal" else latent
    return jax_map(
        whole, layers, (size,), "pzflow", latent=latent, context=None if columns is None else len(columns)
    )


def _singles(info: Any, parameters: Any) -> list[tuple[Any, Any]]:
    """The bijectors, data to latent, each with its parameters."""
    if info[0] != "Chain":
        return [(info, parameters)]
    return [one for part, held in zip(info[1], parameters, strict=True) for one in _singles(part, held)]


def _layer(info: Any, parameters: Any, scale: Any, size: int) -> "_Layer":
    init, _ = build_bijector_from_info(info)
    _, forward, inverse = init(jax.random.PRNGKey(0), size)
    return _Layer(
        parameters=parameters, scale=scale, to_latent=partial(forward), to_data=partial(inverse), name=info[0]
    )


class _Layer(AbstractPart):
    parameters: Any
    scale: tuple[Array, Array] | None
    to_latent: Callable = eqx.field(static=True)
    to_data: Callable = eqx.field(static=True)
    name: str = eqx.field(static=True)

    def run(self, point: Array, context: Array | None, inverse: bool) -> tuple[Array, Array]:
        if self.scale is None:
            conditions = jnp.zeros((1, 1), point.dtype)
        else:
            if context is None:
                raise InputError("This pzflow Flow is conditional: give a context.")
            conditions = ((context - self.scale[0]) / self.scale[1])[None]
        run = self.to_latent if inverse else self.to_data
        image, log_det = run(self.parameters, point[None], conditions=conditions)
        return image[0], log_det[0]
