"""zuko: lazy transforms from data to latent, so that f is the inverse of their composition.

F. Rozet and others, Zuko: normalizing flows in PyTorch, 2022.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from zuko.distributions import DiagNormal
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

Embed = Callable[[Tensor | None, int], Tensor | None]  # a context, and how many points it is for


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, Flow | LazyTransform):
        raise wrong_kind(flow, "a zuko Flow or LazyTransform")
    base = (
        flow.base() if isinstance(flow, Flow) and isinstance(flow.base, UnconditionalDistribution) else None
    )
    refused = {}
    if any(isinstance(part, FFJTransform) for part in flow.modules()):
        refused["bfloat16"] = "the steps of its ODE solver shrink for ever below the tolerance."
    found = None if base is None else base.event_shape
    return torch_map(flow, _cut, sized(shape, found, "zuko"), refused=refused, latent=latent(flow))


def latent(flow: object) -> str:
    """The class of a flow's base, in Shoal's words; that of a lone transform is taken to be standard normal."""
    if not isinstance(flow, Flow):
        return "StandardNormal"
    base = flow.base() if isinstance(flow.base, UnconditionalDistribution) else flow.base
    standard = isinstance(base, DiagNormal) and not base.mean.any() and bool((base.stddev == 1).all())
    return "StandardNormal" if standard else type(base).__name__


def pieces(transform: object, embed: Embed, name: str) -> list[Piece]:
    """A lazy transform and its single layers, latent to data; `embed`: of the context."""
    layers = singles(
        transform,
        lambda t: t.transform if isinstance(t, LazyInverse) else None,
        lambda t: list(t.transforms) if isinstance(t, LazyComposedTransform) else None,
    )
    whole = _piece(transform, False, embed, name)
    return [whole, *(_piece(t, inverted, embed, _name(t)) for t, inverted in reversed(layers))]


def _cut(module: object) -> list[Piece]:
    transform = module.transform if isinstance(module, Flow) else module
    return pieces(transform, lambda context, rows: context, type(module).__name__)


def _piece(lazy: Any, inverted: bool, embed: Embed, name: str) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        transform = lazy(embed(context, len(points)))
        as_it_is = (direction == "inverse") != inverted
        return (transform if as_it_is else transform.inv).call_and_ladj(points)

    return Piece(name, call)


def _name(lazy: object) -> str:
    if isinstance(lazy, UnconditionalTransform):
        return getattr(lazy.f, "__name__", type(lazy.f).__name__)
    return type(lazy).__name__
