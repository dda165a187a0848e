"""The PyTorch libraries: each function makes one library's flow for a task, with halves as partitions.

`log_prob` uses the direction that is parallel for MAF (normflows' own `log_prob` would take the sequential one).
Log-scale maps are each library's own: zuko soft clip, nflows sigmoid below 1.001, normflows exp, FrEIA arctan clamp.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .tasks import Task

HALF_LOG_2PI = 0.9189385332046727


@dataclass(frozen=True)
class TorchModel:
    """A module with its density and its sampler."""

    module: Any
    log_prob: Callable[[Any], Any]
    sample: Callable[[int], Any]


def make(library: str, task: Task) -> TorchModel:
    """The flow of `task` in `library`. **Raises:** KeyError for a library that has no such flow."""
    return MAKERS[library, task.family](task)


def network(task: Task, inputs: int, outputs: int) -> Any:
    """A conditioner: inputs -> width -> width -> outputs, ReLU."""
    from torch import nn

    h = task.width
    layers = (nn.Linear(inputs, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, outputs))
    return nn.Sequential(*layers)


def _zuko_realnvp(task: Task) -> TorchModel:
    import torch
    import zuko
    from zuko.flows import Flow, GeneralCouplingTransform
    from zuko.lazy import UnconditionalDistribution

    first = torch.arange(task.dim) < task.dim // 2
    base = UnconditionalDistribution(
        zuko.distributions.DiagNormal, torch.zeros(task.dim), torch.ones(task.dim), buffer=True
    )
    hidden = (task.width, task.width)
    flow = Flow(
        [
            GeneralCouplingTransform(task.dim, 0, mask=~first if i % 2 else first, hidden_features=hidden)
            for i in range(task.depth)
        ],
        base,
    )
    return TorchModel(flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))


def _zuko_maf(task: Task) -> TorchModel:
    import zuko

    flow = zuko.flows.MAF(task.dim, 0, transforms=task.depth, hidden_features=(task.width, task.width))
    return TorchModel(flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)))


def _nflows(task: Task, transforms: list[Any]) -> TorchModel:
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform

    flow = Flow(CompositeTransform(transforms), StandardNormal([task.dim]))
    return TorchModel(flow, flow.log_prob, flow.sample)


def _nflows_realnvp(task: Task) -> TorchModel:
    import torch
    from nflows.transforms import AffineCouplingTransform
    from torch import nn

    class Conditioner(nn.Module):  # nflows calls its conditioners with a context
        def __init__(self, inputs: int, outputs: int):
            super().__init__()
            self.network = network(task, inputs, outputs)

        def forward(self, x: Any, context: Any = None) -> Any:
            return self.network(x)

    first = torch.arange(task.dim) < task.dim // 2
    moved = [first if i % 2 else ~first for i in range(task.depth)]
    return _nflows(task, [AffineCouplingTransform(m.int(), Conditioner) for m in moved])


def _nflows_maf(task: Task) -> TorchModel:
    from nflows.transforms import MaskedAffineAutoregressiveTransform, ReversePermutation

    two_layers = {"num_blocks": 1, "use_residual_blocks": False}  # two hidden layers in nflows' count
    pairs = [
        (
            MaskedAffineAutoregressiveTransform(task.dim, task.width, **two_layers),
            ReversePermutation(task.dim),
        )
        for _ in range(task.depth)
    ]
    return _nflows(task, [transform for pair in pairs for transform in pair])


def _normflows_realnvp(task: Task) -> TorchModel:
    import normflows as nf

    half = task.dim // 2
    sizes = [half, task.width, task.width, task.dim]
    flows = [
        nf.flows.AffineCouplingBlock(nf.nets.MLP(sizes), split_mode="channel_inv" if i % 2 else "channel")
        for i in range(task.depth)
    ]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(task.dim, trainable=False), flows)
    return TorchModel(flow, flow.log_prob, lambda n: flow.sample(n)[0])


def _normflows_maf(task: Task) -> TorchModel:
    import normflows as nf

    two_layers = {"num_blocks": 1, "use_residual_blocks": False}
    flows = [
        part
        for _ in range(task.depth)
        for part in (
            nf.flows.MaskedAffineAutoregressive(task.dim, task.width, **two_layers),
            nf.flows.Permute(task.dim, mode="swap"),
        )
    ]
    base = nf.distributions.DiagGaussian(task.dim, trainable=False)
    flow = nf.NormalizingFlow(base, flows)

    def log_prob(x: Any) -> Any:
        z, log_det = flow.forward_and_log_det(x)
        return base.log_prob(z) + log_det

    return TorchModel(flow, log_prob, lambda n: flow.inverse(base.sample(n)))


def _freia_realnvp(task: Task) -> TorchModel:
    import FrEIA.framework as framework
    import FrEIA.modules as modules
    import torch

    flow = framework.SequenceINN(task.dim)
    for _ in range(task.depth // 2):  # a GLOW block is two couplings
        flow.append(modules.GLOWCouplingBlock, subnet_constructor=lambda i, o: network(task, i, o))

    def log_prob(x: Any) -> Any:
        z, log_det = flow(x)
        return log_det - 0.5 * (z * z).sum(1) - task.dim * HALF_LOG_2PI

    return TorchModel(flow, log_prob, lambda n: flow(torch.randn(n, task.dim), rev=True)[0])


MAKERS: dict[tuple[str, str], Callable[[Task], TorchModel]] = {
    ("zuko", "realnvp"): _zuko_realnvp,
    ("zuko", "maf"): _zuko_maf,
    ("nflows", "realnvp"): _nflows_realnvp,
    ("nflows", "maf"): _nflows_maf,
    ("normflows", "realnvp"): _normflows_realnvp,
    ("normflows", "maf"): _normflows_maf,
    ("FrEIA", "realnvp"): _freia_realnvp,
}
