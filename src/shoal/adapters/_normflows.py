"""normflows: flows from latent to data, as in Shoal; their log-dets are summed here, layer by layer.

normflows adds them up in a float32 vector, whatever the flow's dtype.
"""

from typing import Any

from normflows import ConditionalNormalizingFlow, NormalizingFlow
from normflows.flows import ActNorm, BatchNorm, Composite, Flow, GlowBlock, Reverse
from torch import Tensor, nn

from shoal._errors import InputError
from shoal.adapters._shapes import sized
from shoal.adapters._snapshot import Piece
from shoal.adapters._torch import TorchMap, torch_map
from shoal.bijections import Direction


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.normflows`."""
    if not isinstance(flow, NormalizingFlow | Flow):
        raise InputError(
            "`adapters.normflows` takes a normflows NormalizingFlow or Flow; "
            f"got {type(flow).__module__}.{type(flow).__name__}."
        )
    for part in flow.modules():
        if isinstance(part, BatchNorm):
            raise InputError("normflows' BatchNorm maps batches, not points: no map to measure.")
        if isinstance(part, ActNorm) and not bool(part.data_dep_init_done > 0):
            raise InputError(
                "An ActNorm of this normflows flow has seen no data: run the flow on a batch first."
            )
    found = getattr(flow.q0, "shape", None) if isinstance(flow, NormalizingFlow) else None
    shape = sized(shape, found, "normflows")
    return torch_map(flow, _pieces, shape, reshapes=len(shape) > 1)


def _pieces(module: nn.Module) -> list[Piece]:
    parts = list(module.flows) if isinstance(module, NormalizingFlow) else [module]
    conditional = not isinstance(module, NormalizingFlow) or isinstance(module, ConditionalNormalizingFlow)
    layers = [_piece(f, inverted, conditional) for part in parts for f, inverted in _flat(part, False)]

    def whole(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, Any]:
        total = points.new_zeros(len(points))
        for layer in layers if direction == "forward" else layers[::-1]:
            points, log_det = layer.call(points, context, direction)
            total = total + log_det
        return points, total

    return [Piece(type(module).__name__, whole), *layers]


def _flat(flow: Any, inverted: bool) -> list[tuple[Any, bool]]:
    """Single flows in the order latent -> data, and whether each is inverted."""
    if isinstance(flow, Reverse):
        return _flat(flow.flow, not inverted)
    if isinstance(flow, Composite | GlowBlock):
        parts = list(flow._flows if isinstance(flow, Composite) else flow.flows)
        return [pair for f in (parts[::-1] if inverted else parts) for pair in _flat(f, inverted)]
    return [(flow, inverted)]


def _piece(flow: Any, inverted: bool, conditional: bool) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, Any]:
        to_data = direction == "forward"
        run = flow if to_data != inverted else flow.inverse
        return run(points, context=context) if conditional and context is not None else run(points)

    return Piece(type(flow).__name__, call)
