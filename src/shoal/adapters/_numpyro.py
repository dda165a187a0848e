"""numpyro: transforms latent to data, of a `TransformedDistribution`, as of a guide's `get_posterior(params)`.

Networks that `numpyro.module` made hold their parameters in a `functools.partial`, and are cast with the rest.

D. Phan, N. Pradhan, M. Jankowiak, Composable effects for flexible and accelerated probabilistic programming, 2019.
"""

import copy
import functools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from numpyro.distributions import Independent, TransformedDistribution
from numpyro.distributions.transforms import (
    ComposeTransform,
    IndependentTransform,
    Transform,
    _InverseTransform,
)

from shoal._types import Array
from shoal.adapters._jax import AbstractPart, Composed, jax_map, without_context
from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.conditioning import JaxMap


def to_map(flow: object, shape: tuple[int, ...] | None) -> JaxMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, TransformedDistribution | Transform):
        raise wrong_kind(flow, "a numpyro TransformedDistribution or Transform")
    if isinstance(flow, TransformedDistribution):
        given, base, found = ComposeTransform(flow.transforms), flow.base_dist, flow.base_dist.shape()
    else:
        given, base, found = flow, None, None
    listed = singles(given, lambda t: t._inv if isinstance(t, _InverseTransform) else None, _parts)
    layers = [_layer(transform, inverted) for transform, inverted in listed]
    whole = Composed(layers=layers, name=type(flow).__name__)
    return jax_map(whole, layers, sized(shape, found, "numpyro"), "numpyro", latent=_latent(base))


def _latent(base: object) -> str:
    """The class of a base, in Shoal's words; that of a lone transform is taken to be standard normal."""
    inner: Any = base
    while isinstance(inner, Independent):
        inner = inner.base_dist
    normal = type(inner).__name__ == "Normal" and not jnp.any(inner.loc) and bool(jnp.all(inner.scale == 1))
    return "StandardNormal" if base is None or normal else type(inner).__name__


def _parts(transform: Transform) -> Sequence[Transform] | None:
    if isinstance(transform, IndependentTransform):
        return [transform.base_transform]
    return transform.parts if isinstance(transform, ComposeTransform) else None


def _layer(transform: Transform, inverted: bool) -> "_Layer":
    nets = {key: f for key, f in vars(transform).items() if isinstance(f, functools.partial)}
    held = {key: jax.tree_util.Partial(f.func, *f.args, **f.keywords) for key, f in nets.items()}
    return _Layer(transform=transform, nets=held, name=type(transform).__name__, inverted=inverted)


class _Layer(AbstractPart):
    """A transform, and its networks, which numpyro keeps out of reach, as pytrees."""

    transform: Transform
    nets: dict[str, jax.tree_util.Partial]
    name: str = eqx.field(static=True)
    inverted: bool = eqx.field(static=True)

    def run(self, point: Array, context: Array | None, inverse: bool) -> tuple[Array, Array]:
        without_context(context, "A numpyro transform")
        transform: Any = copy.copy(self.transform)
        vars(transform).update(self.nets)
        if inverse == self.inverted:
            image, kept = transform.call_with_intermediates(point)
            return image, jnp.sum(transform.log_abs_det_jacobian(point, image, kept))
        image = transform._inverse(point)
        return image, -jnp.sum(transform.log_abs_det_jacobian(image, point))
