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

from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.adapters._torch import LogDet, Piece, TorchMap, torch_map
from shoal.bijections import Direction


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.zuko`."""
    if not isinstance(flow, Flow | LazyTransform):
        raise wrong_kind(flow, "zuko", "a zuko Flow or LazyTransform")
    found = None
    if isinstance(flow, Flow) and isinstance(flow.base, UnconditionalDistribution):
        found = flow.base().event_shape
    refused = {}
    if any(isinstance(part, FFJTransform) for part in flow.modules()):
        refused["bfloat16"] = "the steps of its ODE solver shrink for ever below the tolerance."
    return torch_map(flow, _pieces, sized(shape, found, "zuko"), refused=refused)


def _pieces(module: object) -> list[Piece]:
    transform = module.transform if isinstance(module, Flow) else module
    layers = singles(
        transform,
        lambda t: t.transform if isinstance(t, LazyInverse) else None,
        lambda t: list(t.transforms) if isinstance(t, LazyComposedTransform) else None,
    )
    whole = _piece(transform, False, type(module).__name__)
    return [whole, *(_piece(t, inverted, _name(t)) for t, inverted in reversed(layers))]


def _piece(lazy: Any, inverted: bool, name: str) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        transform = lazy(context)
        as_it_is = (direction == "inverse") != inverted
        return (transform if as_it_is else transform.inv).call_and_ladj(points)

    return Piece(name, call)


def _name(lazy: object) -> str:
    if isinstance(lazy, UnconditionalTransform):
        return getattr(lazy.f, "__name__", type(lazy.f).__name__)
    return type(lazy).__name__
