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
from torch import Tensor, nn

from shoal._errors import InputError
from shoal.adapters._shapes import sized
from shoal.adapters._snapshot import Piece
from shoal.adapters._torch import TorchMap, torch_map
from shoal.bijections import Direction

_RESHAPE = (MultiscaleCompositeTransform, SqueezeTransform)


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.nflows`."""
    if not isinstance(flow, Flow | Transform):
        raise InputError(
            f"`adapters.nflows` takes an nflows Flow or Transform; got {type(flow).__module__}.{type(flow).__name__}."
        )
    found = getattr(flow._distribution, "_shape", None) if isinstance(flow, Flow) else None
    reshapes = any(isinstance(part, _RESHAPE) for part in flow.modules())
    return torch_map(flow, _pieces, sized(shape, found, "nflows"), reshapes=reshapes)


def _pieces(module: nn.Module) -> list[Piece]:
    transform = module._transform if isinstance(module, Flow) else module
    embed = module._embedding_net if isinstance(module, Flow) else nn.Identity()
    layers = [_piece(t, inverted, embed) for t, inverted in reversed(_flat(transform, False))]
    return [_piece(transform, False, embed, type(module).__name__), *layers]


def _flat(transform: Any, inverted: bool) -> list[tuple[Any, bool]]:
    """Single transforms in the order data -> latent, and whether each is inverted."""
    if isinstance(transform, InverseTransform):
        return _flat(transform._transform, not inverted)
    if isinstance(transform, CompositeTransform):
        parts = list(transform._transforms)
        return [pair for t in (parts[::-1] if inverted else parts) for pair in _flat(t, inverted)]
    return [(transform, inverted)]


def _piece(transform: Any, inverted: bool, embed: nn.Module, name: str | None = None) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, Any]:
        to_latent = direction == "inverse"
        run = transform if to_latent != inverted else transform.inverse
        return run(points, context=embed(context))

    return Piece(name or type(transform).__name__, call)
