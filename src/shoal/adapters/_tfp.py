"""TensorFlow Probability on JAX: bijectors from latent to data, as in Shoal; applied to one point, without their batches.

TFP is strict on precision: a bijector is made anew of its own arguments, its arrays cast. What its functions close over, as
those of RealNVP and MAF, keeps its precision.

J. Dillon and others, TensorFlow Distributions, 2017.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from tensorflow_probability.substrates.jax.bijectors import Bijector, Chain
from tensorflow_probability.substrates.jax.bijectors.chain import _Chain
from tensorflow_probability.substrates.jax.bijectors.invert import _Invert
from tensorflow_probability.substrates.jax.distributions import Sample, TransformedDistribution
from tensorflow_probability.substrates.jax.distributions.transformed_distribution import (
    _TransformedDistribution,
)

from shoal._types import Array
from shoal.adapters._jax import AbstractPart, Composed, jax_map, without_context
from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.conditioning import JaxMap


def to_map(flow: object, shape: tuple[int, ...] | None) -> JaxMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, _TransformedDistribution | Bijector):
        raise wrong_kind(flow, "a TransformedDistribution or Bijector of TensorFlow Probability on JAX")
    bijectors: list[Any] = [flow if isinstance(flow, Bijector) else flow.bijector]
    base: Any = None if isinstance(flow, Bijector) else flow.distribution
    while type(base) in (TransformedDistribution, _TransformedDistribution):  # others are so by inheritance
        bijectors, base = [*bijectors, base.bijector], base.distribution
    whole: Any = Chain(bijectors)
    listed = singles(whole, _inner, _parts)
    layers = [
        _Layer(
            arrays=_arrays(b), made=partial(_made, b), name=type(b).__name__.lstrip("_"), inverted=inverted
        )
        for b, inverted in reversed(listed)
    ]
    found = None if base is None else tuple(base.event_shape)
    together = Composed(layers=layers, name=type(flow).__name__.lstrip("_"))
    return jax_map(together, layers, sized(shape, found, "TFP"), "TFP", latent=_latent(base))


def _inner(bijector: Any) -> Any:
    return bijector.bijector if isinstance(bijector, _Invert) else None


def _parts(bijector: Any) -> Any:
    """Of a chain, which holds them from data to latent."""
    return list(cast(Any, bijector).bijectors) if isinstance(bijector, _Chain) else None


def _latent(base: Any) -> str:
    """The class of a base, in Shoal's words; that of a lone bijector is taken to be standard normal."""
    inner: Any = base.distribution if isinstance(base, Sample) else base
    normal = type(inner).__name__ == "Normal" and not jnp.any(inner.loc) and bool(jnp.all(inner.scale == 1))
    return "StandardNormal" if base is None or normal else type(inner).__name__


def _arrays(given: Any) -> Any:
    """The arrays that bijectors were made of, as a tree of their arguments."""
    if isinstance(given, Bijector):
        return {name: _arrays(value) for name, value in (given.parameters or {}).items()}
    if isinstance(given, list | tuple):
        return [_arrays(value) for value in given]
    return jnp.asarray(given) if eqx.is_inexact_array(given) or isinstance(given, np.ndarray) else None


def _made(given: Any, arrays: Any, dtype: Any) -> Any:
    """The same of other arrays."""
    if isinstance(given, Bijector):
        made = {name: _made(value, arrays[name], dtype) for name, value in (given.parameters or {}).items()}
        if made.get("dtype") is not None:
            made["dtype"] = dtype
        return type(given)(**made)
    if isinstance(given, list | tuple):
        return type(given)(_made(value, array, dtype) for value, array in zip(given, arrays, strict=True))
    return given if arrays is None else arrays


class _Layer(AbstractPart):
    arrays: Any
    made: Callable = eqx.field(static=True)
    name: str = eqx.field(static=True)
    inverted: bool = eqx.field(static=True)

    def run(self, point: Array, context: Array | None, inverse: bool) -> tuple[Array, Array]:
        without_context(context, "A bijector of TFP")
        b, events = self.made(self.arrays, point.dtype), point.ndim
        if inverse != self.inverted:
            return b.inverse(point), b.inverse_log_det_jacobian(point, event_ndims=events)
        return b.forward(point), b.forward_log_det_jacobian(point, event_ndims=events)
