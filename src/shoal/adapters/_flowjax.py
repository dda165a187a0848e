"""flowjax: bijections from latent to data, as in Shoal, unbatched."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import paramax
from flowjax.bijections import AbstractBijection, Chain, Invert, Scan
from flowjax.distributions import AbstractTransformed, Transformed

from shoal._scalars import Function
from shoal._types import Array
from shoal.adapters._layers import singles, wrong_kind
from shoal.conditioning import JaxMap


def to_map(flow: object, shape: tuple[int, ...] | None) -> JaxMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, AbstractTransformed | AbstractBijection):
        raise wrong_kind(flow, "a flowjax transformed distribution or bijection")
    if isinstance(flow, AbstractBijection):
        whole = flow
    else:
        bijections, base = [flow.bijection], flow.base_dist
        while isinstance(base, Transformed):  # other distributions are transformed too, but a base by name
            bijections, base = [base.bijection, *bijections], base.base_dist
        whole = bijections[0] if len(bijections) == 1 else Chain(bijections)
    layers = [
        _map(Invert(single) if inverted else single, type(single).__name__, [])
        for single, inverted in singles(whole, _inverted, _parts)
    ]
    return _map(whole, type(flow).__name__, layers)


def _map(bijection: AbstractBijection, name: str, layers: list[JaxMap]) -> JaxMap:
    return JaxMap(
        _Call(bijection.transform_and_log_det),
        _Call(bijection.inverse_and_log_det),
        math.prod(bijection.shape),
        log_dets=True,
        layers=layers,
        shape=bijection.shape,
        name=name,
    )


def _inverted(bijection: object) -> AbstractBijection | None:
    """What an `Invert` holds."""
    return _bare(bijection.bijection) if isinstance(bijection, Invert) else None


def _parts(bijection: object) -> list[AbstractBijection] | None:
    """The bijections of a chain, and those that a scan goes through: along the first axis of every array of its one."""
    if isinstance(bijection, Chain):
        return [_bare(part) for part in bijection.bijections]
    if not isinstance(bijection, Scan):
        return None
    arrays, static = eqx.partition(bijection.bijection, eqx.is_array)
    count = len(jax.tree.leaves(arrays)[0])
    return [_bare(eqx.combine(jax.tree.map(lambda a, i=i: a[i], arrays), static)) for i in range(count)]


def _bare(bijection: object) -> Any:
    """A bijection out of what wraps it as a whole; what wraps its parameters stays."""
    return paramax.unwrap(bijection) if isinstance(bijection, paramax.AbstractUnwrappable) else bijection


class _Call(eqx.Module):
    """One direction of a bijection, in the precisions that flowjax keeps."""

    function: Function

    def __call__(self, point: Array, context: Array | None) -> tuple[Array, Array]:
        if point.dtype == jnp.bfloat16:
            raise NotImplementedError(
                "flowjax can not run in bfloat16: its conditioners mix float32 into it."
            )
        return self.function(point, context)
