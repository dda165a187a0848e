"""nflows: transforms from data to latent, so that f is the inverse of the flow's transform."""

from typing import Any

from nflows.flows import Flow
from nflows.transforms import (
    CompositeTransform,
    InverseTransform,
    MultiscaleCompositeTransform,
    SqueezeTransform,
    Transform,
)
from nflows.transforms.base import InputOutsideDomain
from torch import Tensor, nn

from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.adapters._torch import LogDet, Piece, Refused, TorchMap, torch_map
from shoal.bijections import Direction


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.nflows`."""
    if not isinstance(flow, Flow | Transform):
        raise wrong_kind(flow, "nflows", "an nflows Flow or Transform")
    found = getattr(flow._distribution, "_shape", None) if isinstance(flow, Flow) else None
    reshaping = MultiscaleCompositeTransform | SqueezeTransform
    reshapes = any(isinstance(part, reshaping) for part in flow.modules())
    return torch_map(flow, _pieces, sized(shape, found, "nflows"), reshapes=reshapes)


def _pieces(module: object) -> list[Piece]:
    transform = module._transform if isinstance(module, Flow) else module
    embed = module._embedding_net if isinstance(module, Flow) else nn.Identity()
    layers = singles(
        transform,
        lambda t: t._transform if isinstance(t, InverseTransform) else None,
        lambda t: list(t._transforms) if isinstance(t, CompositeTransform) else None,
    )
    whole = _piece(transform, False, embed, type(module).__name__)
    return [whole, *(_piece(t, inverted, embed, type(t).__name__) for t, inverted in reversed(layers))]


def _piece(transform: Any, inverted: bool, embed: nn.Module, name: str) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        as_it_is = (direction == "inverse") != inverted
        run, given = transform if as_it_is else transform.inverse, embed(context)
        try:
            return run(points, context=given)
        except InputOutsideDomain as error:
            raise Refused from error

    return Piece(name, call)
