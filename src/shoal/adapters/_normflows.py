"""normflows: flows from latent to data, as in Shoal; their log-dets are summed here, layer by layer.

normflows adds them up in a float32 vector, whatever the flow's dtype.
"""

from typing import Any

from normflows import ConditionalNormalizingFlow, NormalizingFlow
from normflows.flows import ActNorm, BatchNorm, Composite, Flow, GlowBlock, Reverse
from torch import Tensor, nn

from shoal._errors import InputError
from shoal.adapters._layers import singles, sized, wrong_kind
from shoal.adapters._torch import LogDet, Piece, TorchMap, composed, torch_map
from shoal.bijections import Direction


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, NormalizingFlow | Flow):
        raise wrong_kind(flow, "a normflows NormalizingFlow or Flow")
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
    layers = [
        _piece(flow, inverted, conditional)
        for part in parts
        for flow, inverted in singles(part, lambda f: f.flow if isinstance(f, Reverse) else None, _parts)
    ]
    return [composed(type(module).__name__, layers), *layers]


def _parts(flow: Any) -> list[Any] | None:
    if isinstance(flow, Composite):
        return list(flow._flows)
    return list(flow.flows) if isinstance(flow, GlowBlock) else None


def _piece(flow: Any, inverted: bool, conditional: bool) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        as_it_is = (direction == "forward") != inverted
        run = flow if as_it_is else flow.inverse
        return run(points, context=context) if conditional and context is not None else run(points)

    return Piece(type(flow).__name__, call)
