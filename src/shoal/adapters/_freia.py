"""FrEIA: networks from data to latent, so that f is the network with `rev=True`.

Each module states its shapes; several outputs of a graph are one flat latent vector, in their order.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from FrEIA.framework import GraphINN, SequenceINN
from FrEIA.modules import ActNorm
from torch import Tensor, nn

from shoal._errors import InputError
from shoal.adapters._layers import wrong_kind
from shoal.adapters._torch import LogDet, Piece, TorchMap, torch_map
from shoal.bijections import Direction

Shapes = Sequence[tuple[int, ...]]


def to_map(inn: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.to_map`."""
    if not isinstance(inn, GraphINN | SequenceINN):
        raise wrong_kind(inn, "a FrEIA SequenceINN or GraphINN")
    graph = isinstance(inn, GraphINN)
    if graph and len(inn.in_nodes) != 1:
        raise InputError(f"`adapters.to_map` takes a graph of one input; this one has {len(inn.in_nodes)}.")
    conditions = len(inn.condition_nodes) if graph else len({c for c in inn.conditions if c is not None})
    if conditions > 1:
        raise InputError(f"`adapters.to_map` takes at most one condition; this network has {conditions}.")
    if any(isinstance(part, ActNorm) and part.init_on_next_batch for part in inn.modules()):
        raise InputError("An ActNorm of this FrEIA network has seen no data: run it on a batch first.")
    size = math.prod(inn.in_nodes[0].dims if graph else inn.shapes[0])
    return torch_map(inn, _pieces, (size,))


def _pieces(inn: Any) -> list[Piece]:
    if isinstance(inn, SequenceINN):
        modules: list[Any] = list(inn.module_list)
        wanted = [c for c in inn.conditions if c is not None]
        shapes = [m.dims_c[0] for m, c in zip(modules, inn.conditions, strict=True) if c is not None]
        whole = _piece(inn, inn.shapes[:1], inn.shapes[-1:], shapes[:1], (wanted or [0])[0])
        layers = [
            _piece(m, [a], [b], [] if c is None else m.dims_c)
            for m, a, b, c in zip(modules, inn.shapes, inn.shapes[1:], inn.conditions, strict=False)
        ]
        return [whole, *layers[::-1]]
    ends = [n.dims for n in inn.in_nodes], inn.global_out_shapes
    whole = _piece(inn, *ends, [n.dims for n in inn.condition_nodes])
    nodes = [n for n in inn.node_list if n.module is not None]
    if any(len(n.input_dims) != 1 or len(n.output_dims) != 1 for n in nodes):
        return [whole]
    layers = [_piece(n.module, n.input_dims, n.output_dims, n.condition_dims) for n in nodes]
    return [whole, *layers[::-1]]


def _piece(module: nn.Module, data: Shapes, latent: Shapes, condition: Shapes, place: int = 0) -> Piece:
    """A module that takes tuples of tensors, each in its shape, as a map of flat rows; `place` of the condition."""

    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        shapes = latent if direction == "forward" else data
        stops = list(itertools.accumulate(math.prod(s) for s in shapes))
        # not by `split`, which forbids writing into its views
        parts = [points[:, a:b] for a, b in itertools.pairwise([0, *stops])]
        inputs = tuple(p.reshape(-1, *s) for p, s in zip(parts, shapes, strict=True))
        given = {}
        if condition and context is not None:
            given["c"] = [context.reshape(-1, *condition[0])] * (place + 1)
        images, log_det = module(inputs, rev=direction == "forward", **given)
        images = (images,) if isinstance(images, Tensor) else images
        return torch.cat([i.flatten(1) for i in images], 1), log_det

    return Piece(type(module).__name__, call)
