"""flowjax: bijections from latent to data, as in Shoal, unbatched."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import paramax
from flowjax.bijections import AbstractBijection, Chain, Invert, Scan
from flowjax.distributions import AbstractTransformed, Transformed

from shoal._errors import InputError
from shoal._types import Array
from shoal.conditioning import JaxMap


def to_map(flow: object) -> JaxMap:
    """See `adapters.flowjax`."""
    if not isinstance(flow, AbstractTransformed | AbstractBijection):
        raise InputError(
            "`adapters.flowjax` takes a flowjax transformed distribution or bijection; "
            f"got {type(flow).__module__}.{type(flow).__name__}."
        )
    if isinstance(flow, AbstractBijection):
        return _map(flow, type(flow).__name__, _flat(flow))
    bijections, base = [flow.bijection], flow.base_dist
    while isinstance(base, Transformed):  # other distributions are transformed too, but a base by name
        bijections, base = [base.bijection, *bijections], base.base_dist
    whole = bijections[0] if len(bijections) == 1 else Chain(bijections)
    return _map(whole, type(flow).__name__, _flat(whole))


def _map(bijection: AbstractBijection, name: str, layers: list[AbstractBijection]) -> JaxMap:
    return JaxMap(
        _Call(bijection.transform_and_log_det),
        _Call(bijection.inverse_and_log_det),
        math.prod(bijection.shape),
        log_dets=True,
        layers=[_map(b, _name(b), []) for b in layers],
        shape=bijection.shape,
        name=name,
    )


def _flat(bijection: AbstractBijection | paramax.AbstractUnwrappable, inverted: bool = False) -> list:
    """Single bijections in the order latent -> data."""
    if isinstance(bijection, paramax.AbstractUnwrappable):
        return _flat(paramax.unwrap(bijection), inverted)
    if isinstance(bijection, Invert):
        return _flat(bijection.bijection, not inverted)
    if isinstance(bijection, Chain | Scan):
        parts = list(bijection.bijections) if isinstance(bijection, Chain) else _unstacked(bijection)
        return [b for part in (parts[::-1] if inverted else parts) for b in _flat(part, inverted)]
    return [Invert(bijection) if inverted else bijection]


def _unstacked(scan: Scan) -> list[AbstractBijection]:
    """The bijections that a scan goes through: every array of its one bijection has them along its first axis."""
    arrays, static = eqx.partition(scan.bijection, eqx.is_array)
    count = len(jax.tree.leaves(arrays)[0])
    return [eqx.combine(jax.tree.map(lambda a, i=i: a[i], arrays), static) for i in range(count)]


def _name(bijection: AbstractBijection) -> str:
    return type(bijection.bijection if isinstance(bijection, Invert) else bijection).__name__


class _Call(eqx.Module):
    """One direction of a bijection, in the precisions that flowjax keeps."""

    function: Callable

    def __call__(self, point: Array, context: Array | None) -> tuple[Array, Array]:
        if point.dtype == jnp.bfloat16:
            raise NotImplementedError(
                "flowjax can not run in bfloat16: its conditioners mix float32 into it."
            )
        return self.function(point, context)
