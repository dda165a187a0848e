"""Recipe of the residual flow."""

import jax.random as jr

from shoal._types import Key
from shoal.bijections import AbstractLogDet, AbstractSpectralBound, LipschitzActivation, Residual, reseeded
from shoal.distributions import Flow
from shoal.flows._common import check_sizes, flow, stack


def residual(
    key: Key,
    dim: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (64, 64),
    lipschitz: float = 0.9,
    log_det: AbstractLogDet | None = None,
    norm: AbstractSpectralBound | None = None,
    tolerance: float = 1e-5,
    max_steps: int = 1000,
    context_dim: int = 0,
    activation: LipschitzActivation = "lipswish",
) -> Flow:
    """Residual flow, also known as i-ResNet (Behrmann et al. 2019, Chen et al. 2019): `depth` layers `Residual`.

    `log_det`: `ExactLogDet()` (None; n up to about 64), `PowerSeries` or `RussianRoulette`, whose noise each layer draws
    anew; `lipschitz`, `norm`, `tolerance`, `max_steps`, `activation`: see `Residual`. The flow is the identity at the start.
    Density: one pass. Sampling: a fixed-point iteration a layer.
    """
    check_sizes(dim, depth, context_dim)
    units = []
    for k in jr.split(key, depth):
        k_layer, k_noise = jr.split(k)
        units.append(
            Residual(
                dim,
                hidden=hidden,
                lipschitz=lipschitz,
                log_det=reseeded(log_det, k_noise),
                norm=norm,
                tolerance=tolerance,
                max_steps=max_steps,
                context_dim=context_dim,
                activation=activation,
                key=k_layer,
            )
        )
    return flow(stack(units, 1))
