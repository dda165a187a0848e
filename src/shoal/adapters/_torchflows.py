"""torchflows: bijections from data to latent, so that f is the inverse of the flow's; context of the flow's `context_shape`.

One that was `invert`ed has its two methods swapped, and is one layer, called as it is.

D. Nabergoj, E. Strumbelj, Empirical evaluation of normalizing flows in Markov chain Monte Carlo, 2024 (torchflows).
"""

from typing import Any

import torch
from torch import Tensor
from torchflows.base_distributions.gaussian import DiagonalGaussian
from torchflows.bijections.base import Bijection, BijectiveComposition
from torchflows.bijections.continuous.base import ContinuousBijection
from torchflows.bijections.finite.multiscale.base import Squeeze
from torchflows.flows import Flow

from shoal.adapters._layers import singles, wrong_kind
from shoal.adapters._torch import LogDet, Piece, TorchMap, torch_map
from shoal.bijections import Direction


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.to_map`."""
    if not isinstance(flow, Flow | Bijection):
        raise wrong_kind(flow, "a torchflows Flow or Bijection")
    refused = {}
    if any(isinstance(part, ContinuousBijection) for part in flow.modules()):
        refused["bfloat16"] = "the steps of its ODE solver have no digits left."
    squeezed = [b.transformed_event_shape for b, _ in _layers(flow) if isinstance(b, Squeeze)]
    ends = tuple([flow.event_shape, *squeezed][-1])
    return torch_map(flow, _cut, ends, reshapes=bool(squeezed), refused=refused, latent=_latent(flow))


def _layers(module: Any) -> list[tuple[Any, bool]]:
    """The single bijections, data to latent."""
    whole = module.bijection if isinstance(module, Flow) else module
    return singles(whole, lambda bijection: None, _parts)


def _latent(flow: Any) -> str:
    """The class of a flow's base, in Shoal's words; that of a lone bijection is taken to be standard normal."""
    base: Any = flow.base if isinstance(flow, Flow) else None
    moments = [base.loc, base.log_scale] if isinstance(base, DiagonalGaussian) else None
    standard = moments is not None and not any(bool(torch.any(torch.as_tensor(m))) for m in moments)
    return "StandardNormal" if base is None or standard else type(base).__name__


def _cut(module: Any) -> list[Piece]:
    whole = module.bijection if isinstance(module, Flow) else module
    layers = [_piece(bijection, type(bijection).__name__) for bijection, _ in reversed(_layers(module))]
    return [_piece(whole, type(module).__name__), *layers]


def _parts(bijection: Any) -> list[Any] | None:
    taken = isinstance(bijection, BijectiveComposition) and "forward" not in vars(bijection)
    return list(bijection.layers) if taken else None


def _piece(bijection: Any, name: str) -> Piece:
    def call(points: Tensor, context: Tensor | None, direction: Direction) -> tuple[Tensor, LogDet]:
        run = bijection.inverse if direction == "forward" else bijection.forward
        if context is not None and bijection.context_shape is not None:
            context = context.reshape(-1, *bijection.context_shape)
        image, log_det = run(points, context=context)[:2]  # some add the regularisation of their training
        return image, log_det

    return Piece(name, call)
