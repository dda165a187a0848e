"""sbi: density estimators and posteriors, whose nflows or zuko flow goes from parameters to latent, z-scoring within it.

A posterior is the map of its estimator at the observation `default_x`, in the user's units; with a context it is that at
each row's own observation. What the flow has outside the prior, where sbi rejects samples, the map's `posterior` says.

A. Tejero-Cantero and others, sbi: a toolkit for simulation-based inference, JOSS 5(52), 2020.
"""

from typing import Any

import numpy as np
import torch
from sbi.inference.posteriors import DirectPosterior, VIPosterior
from sbi.neural_nets.estimators import NFlowsFlow, ZukoFlow, ZukoUnconditionalFlow
from sbi.samplers.vi.vi_utils import TransformedZukoFlow
from sbi.utils.sbiutils import biject_transform_zuko, within_support
from torch import Tensor, nn
from zuko.lazy import Flow

from shoal._errors import InputError
from shoal._scalars import BoolArray, FloatArray
from shoal.adapters import _nflows, _zuko
from shoal.adapters._layers import wrong_kind
from shoal.adapters._torch import Piece, TorchMap, torch_map
from shoal.conditioning import Posterior, share

SAMPLES = 10_000  # that tell the share outside the prior


def to_map(flow: object, shape: tuple[int, ...] | None) -> TorchMap:
    """See `adapters.to_map`."""
    posterior = isinstance(flow, DirectPosterior | VIPosterior)
    estimator, observation = (_estimator(flow), flow.default_x) if posterior else (flow, None)
    if not isinstance(estimator, NFlowsFlow | ZukoFlow | ZukoUnconditionalFlow):
        raise wrong_kind(
            estimator, "sbi flows, and posteriors that sample from one (no mixture, ensemble or sampler)"
        )
    latent = (_nflows if isinstance(estimator, NFlowsFlow) else _zuko).latent(estimator.net)
    found = torch_map(_Observed(estimator, observation), _cut, tuple(estimator.input_shape), latent=latent)
    if posterior:
        found.posterior = _about(flow, found)
    return found


def _estimator(posterior: Any) -> object:
    """The flow that a posterior samples from; that of variational inference with the prior's link after it."""
    if isinstance(posterior, DirectPosterior):
        return posterior.posterior_estimator
    if posterior._amortized_q is not None:
        return posterior._amortized_q
    if not isinstance(posterior.q, TransformedZukoFlow):
        return posterior.q
    net: Any = posterior.q.net
    link = biject_transform_zuko(posterior.q._link_transform.inv)
    return ZukoUnconditionalFlow(Flow([link, net.transform], net.base), posterior.q._flow.input_shape)


def _about(posterior: Any, found: TorchMap) -> Posterior:
    """What lies inside the prior, and of samples at the observation how many do not."""
    prior, device = (
        posterior._prior if isinstance(posterior, VIPosterior) else posterior.prior,
        posterior._device,
    )

    def inside(points: FloatArray) -> BoolArray:
        return within_support(prior, torch.tensor(points, dtype=torch.float32, device=device)).cpu().numpy()

    if posterior.default_x is None or found.latent != "StandardNormal":
        return Posterior(False, inside)
    z = np.random.default_rng(0).normal(size=(SAMPLES, found.size))
    outside = share(int((~inside(found.at("forward", "float32")(z))).sum()), SAMPLES)
    if outside.value == 0:
        return Posterior(True, inside)
    note = (
        f"At x_o the flow has {outside.value:.2%} of its probability outside the prior (99 %: {outside.low:.2%} to "
        f"{outside.high:.2%}): sbi rejects samples there and divides its density by the rest, the audited map does not."
    )
    return Posterior(True, inside, note)


class _Observed(nn.Module):
    """An estimator, and the observation at which it is read where no context is given."""

    def __init__(self, estimator: nn.Module, observation: Tensor | None):
        nn.Module.__init__(self)
        self.estimator = estimator
        self.register_buffer("observation", observation)


def _cut(module: Any) -> list[Piece]:
    estimator = module.estimator

    def embed(context: Tensor | None, rows: int) -> Tensor | None:
        if isinstance(estimator, ZukoUnconditionalFlow):
            return None
        given = module.observation if context is None else context
        if given is None:
            raise InputError(
                "This sbi flow is conditional: give a context, or a posterior that has its `default_x`."
            )
        embedded = estimator.embedding_net(given.reshape(-1, *estimator.condition_shape))
        return embedded.expand(rows, *embedded.shape[1:])

    name = type(estimator.net).__name__
    if isinstance(estimator, NFlowsFlow):
        return _nflows.pieces(estimator.net._transform, embed, name)
    return _zuko.pieces(estimator.net.transform, embed, name)
