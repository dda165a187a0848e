"""bayesflow on torch: its Keras layers are torch modules, so that a copy of them is a `TorchMap`."""

from typing import Any

import torch
from torch import Tensor

from shoal.adapters import _bayesflow
from shoal.adapters._torch import LogDet, Piece, TorchMap, composed, torch_map
from shoal.bijections import Direction


def to_map(given: Any, shapes: dict[str, tuple[int, ...]], latent: str) -> TorchMap:
    """See `adapters.to_map`."""
    return torch_map(given, _cut, shapes["inference_variables"], latent=latent)


def _cut(given: Any) -> list[Piece]:
    precision = next(p.dtype for p in given.parameters() if p.is_floating_point())
    _bayesflow.set_precision(given, str(precision).removeprefix("torch."))
    layers = [_piece(layer) for layer in _bayesflow.layers(given)]
    return [composed(type(given).__name__, layers), *layers]


def _piece(layer: _bayesflow.Layer) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        image, log_det = layer.run(points, context, direction == "inverse")
        return image, torch.as_tensor(log_det).to(points)

    return Piece(layer.name, call)
