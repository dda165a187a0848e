"""A torch peer as a row of layers, without Shoal: its own calls, in float32 but for the layers that are named.

Layers are counted from 0 in the order latent -> data, as an audit counts them.
"""

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Call = Callable[[Any, Tensor], tuple[Tensor, Any]]


@dataclass(frozen=True)
class Peer:
    """A flow of a library, its layers, how to call one of them, and the shape of a point."""

    module: nn.Module
    layers: Callable[[nn.Module], list[Any]]
    to_data: Call
    to_latent: Call
    shape: tuple[int, ...]

    def with_module(self, module: nn.Module) -> "Peer":
        """The same kind of flow with other weights."""
        return Peer(module, self.layers, self.to_data, self.to_latent, self.shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-likelihood of rows by the layers' own log-dets under a standard normal, in the module's dtype."""
        z, total = x.reshape(-1, *self.shape), 0.0
        for layer in reversed(self.layers(self.module)):
            z, log_det = self.to_latent(layer, z)
            total = total + log_det
        z = z.flatten(1)
        return total - 0.5 * (z * z).sum(1) - 0.5 * z.shape[1] * torch.log(torch.tensor(2 * torch.pi))


def nflows(flow: nn.Module, shape: tuple[int, ...]) -> Peer:
    """nflows goes from data to latent."""
    return Peer(
        flow,
        lambda m: list(m._transform._transforms)[::-1],
        lambda layer, z: layer.inverse(z),
        lambda layer, x: layer(x),
        shape,
    )


def normflows(flow: nn.Module, shape: tuple[int, ...]) -> Peer:
    """normflows goes from latent to data."""
    return Peer(
        flow,
        lambda m: list(m.flows),
        lambda layer, z: layer(z),
        lambda layer, x: layer.inverse(x),
        shape,
    )


def freia(inn: nn.Module, shape: tuple[int, ...]) -> Peer:
    """FrEIA goes from data to latent; points go in and out as tuples of one."""

    def call(layer: Any, points: Tensor, rev: bool) -> tuple[Tensor, Any]:
        out, log_det = layer((points,), rev=rev)
        return out[0], log_det

    return Peer(
        inn,
        lambda m: list(m.module_list)[::-1],
        lambda layer, z: call(layer, z, True),
        lambda layer, x: call(layer, x, False),
        shape,
    )


def chain(peer: Peer, points: Tensor, direction: str, double: Collection[int] = ()) -> Tensor:
    """Images of rows layer by layer: float32, but for the layers in `double`, which compute in float64.

    Between two layers a value is what the layer gave it; a float32 layer rounds what it takes.
    """
    with torch.no_grad():
        layers = list(enumerate(peer.layers(peer.module)))
        run = peer.to_data if direction == "forward" else peer.to_latent
        h = points.reshape(-1, *peer.shape)
        for i, layer in layers if direction == "forward" else layers[::-1]:
            wide = i in double
            dtype = torch.float64 if wide else torch.float32
            h = run(copy.deepcopy(layer).double() if wide else layer, h.to(dtype))[0]
        return h.flatten(1)


def round_trip(peer: Peer, points: Tensor, way: str, double: Collection[int] = ()) -> Tensor:
    """Largest coordinate's error of each row: x -> z -> x for "data", z -> x -> z for "latent"."""
    start = points.float()
    first, second = ("inverse", "forward") if way == "data" else ("forward", "inverse")
    back = chain(peer, chain(peer, start, first, double), second, double)
    return (back.double() - start.double()).abs().amax(1)


def failure(peer: Peer, points: Tensor, way: str, double: Collection[int] = ()) -> dict[str, float]:
    """The largest round trip among finite rows, and how many rows are not finite."""
    errors = round_trip(peer, points, way, double)
    finite = errors[torch.isfinite(errors)]
    return {
        "round_trip": float(finite.max()) if len(finite) else float("nan"),
        "median": float(errors.median()) if len(finite) == len(errors) else float("nan"),
        "nonfinite": int((~torch.isfinite(errors)).sum()),
        "rows": len(errors),
    }
