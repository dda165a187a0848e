"""nflows: transforms from data to latent, so that f is the inverse of the flow's; context goes through its embedding net.

C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, nflows: normalizing flows in PyTorch, 2020.
"""

from collections.abc import Callable
from typing import Any

from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import (
    CompositeTransform,
    InverseTransform,
    MultiscaleCompositeTransform,
    SqueezeTransform,
    Transform,
)
from nflows.transforms.base import InputOutsideDomain
from torch import Tensor

from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.adapters._torch import LogDet, Piece, Refused, TorchMap, torch_map
from shoal.bijections import Direction

Embed = Callable[[Tensor | None, int], Tensor | None]  # a context, and how many points it is for


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, Flow | Transform):
        raise wrong_kind(flow, "an nflows Flow or Transform")
    found = getattr(flow._distribution, "_shape", None) if isinstance(flow, Flow) else None
    reshaping = MultiscaleCompositeTransform | SqueezeTransform
    reshapes = any(isinstance(part, reshaping) for part in flow.modules())
    return torch_map(flow, _cut, sized(shape, found, "nflows"), reshapes=reshapes, latent=latent(flow))


def latent(flow: object) -> str:
    """The class of a flow's base, in Shoal's words; that of a lone transform is taken to be standard normal."""
    base = flow._distribution if isinstance(flow, Flow) else StandardNormal
    return "StandardNormal" if isinstance(base, StandardNormal) else type(base).__name__


def pieces(transform: Any, embed: Embed, name: str) -> list[Piece]:
    """A transform and its single layers, latent to data; `embed`: of the context."""
    layers = singles(
        transform,
        lambda t: t._transform if isinstance(t, InverseTransform) else None,
        lambda t: list(t._transforms) if isinstance(t, CompositeTransform) else None,
    )
    whole = _piece(transform, False, embed, name)
    return [whole, *(_piece(t, inverted, embed, type(t).__name__) for t, inverted in reversed(layers))]


def _cut(module: object) -> list[Piece]:
    if isinstance(module, Flow):
        return pieces(
            module._transform, lambda context, rows: module._embedding_net(context), type(module).__name__
        )
    return pieces(module, lambda context, rows: context, type(module).__name__)


def _piece(transform: Any, inverted: bool, embed: Embed, name: str) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        as_it_is = (direction == "inverse") != inverted
        run, given = transform if as_it_is else transform.inverse, embed(context, len(points))
        try:
            return run(points, context=given)
        except InputOutsideDomain as error:
            raise Refused from error

    return Piece(name, call)
