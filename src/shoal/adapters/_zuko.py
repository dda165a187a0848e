"""zuko: lazy transforms from data to latent, so that f is the inverse of their composition."""

from typing import Any

from torch import Tensor
from zuko.flows.continuous import FFJTransform
from zuko.lazy import (
    Flow,
    LazyComposedTransform,
    LazyInverse,
    LazyTransform,
    UnconditionalDistribution,
    UnconditionalTransform,
)

from shoal._errors import InputError
from shoal.adapters._shapes import sized
from shoal.adapters._snapshot import Piece
from shoal.adapters._torch import TorchMap, torch_map
from shoal.bijections import Direction


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.zuko`."""
    if not isinstance(flow, Flow | LazyTransform):
        raise InputError(
            f"`adapters.zuko` takes a zuko Flow or LazyTransform; got {type(flow).__module__}.{type(flow).__name__}."
        )
    found = None
    if isinstance(flow, Flow) and isinstance(flow.base, UnconditionalDistribution):
        found = flow.base().event_shape
    refused = {}
    if any(isinstance(part, FFJTransform) for part in flow.modules()):
        refused["bfloat16"] = "the steps of its ODE solver shrink for ever below the tolerance."
    return torch_map(flow, _pieces, sized(shape, found, "zuko"), refused=refused)


def _pieces(module: Any) -> list[Piece]:
    transform = module.transform if isinstance(module, Flow) else module
    layers = [_piece(t, inverted) for t, inverted in reversed(_flat(transform, False))]
    return [_piece(transform, False, type(module).__name__), *layers]


def _flat(lazy: Any, inverted: bool) -> list[tuple[Any, bool]]:
    """Single transforms in the order data -> latent, and whether each is inverted."""
    if isinstance(lazy, LazyInverse):
        return _flat(lazy.transform, not inverted)
    if isinstance(lazy, LazyComposedTransform):
        parts = list(lazy.transforms)
        return [pair for t in (parts[::-1] if inverted else parts) for pair in _flat(t, inverted)]
    return [(lazy, inverted)]


def _piece(lazy: Any, inverted: bool, name: str | None = None) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, Any]:
        transform = lazy(context)
        to_latent = direction == "inverse"
        return (transform if to_latent != inverted else transform.inv).call_and_ladj(points)

    return Piece(name or _name(lazy), call)


def _name(lazy: Any) -> str:
    if isinstance(lazy, UnconditionalTransform):
        return getattr(lazy.f, "__name__", type(lazy.f).__name__)
    return type(lazy).__name__
