"""The flows that benchmarks/images.py compares: builders (key, image shape, levels) -> distribution of whole numbers."""

from collections.abc import Callable
from typing import Any

import jax.random as jr
import numpy as np

from shoal.bijections import Chain, Logit
from shoal.distributions import Dequantized, Flow, VariationalDequantization
from shoal.flows import glow, realnvp

ALPHA = 0.05  # of the Logit that every model has next to the data


def on_pixels(flow: Flow, levels: int) -> Flow:
    """The flow behind a Logit of (0, levels)."""
    logit = Logit(flow.shape[0], low=0.0, high=float(levels), alpha=ALPHA)
    return Flow(flow.base, Chain([flow.bijection, logit]))


def glow_model(key: Any, shape: tuple[int, int, int], levels: int) -> Any:
    small = shape[0] < 16
    settings = {"hidden": (32, 32)} if small else {"hidden": (48, 48)}
    flow = glow(
        key, shape, 8 if small else 6, scales=2, levels=levels, alpha=ALPHA, activation="relu", **settings
    )
    return Dequantized(flow, levels, key=key)


def realnvp_model(key: Any, shape: tuple[int, int, int], levels: int) -> Any:
    dim = int(np.prod(shape))
    flow = realnvp(key, dim, 8, hidden=(256, 256), partition="random", activation="relu")
    return Dequantized(on_pixels(flow, levels), levels, key=key)


def realnvp_variational(key: Any, shape: tuple[int, int, int], levels: int) -> Any:
    dim = int(np.prod(shape))
    k_flow, k_noise = jr.split(key)
    flow = realnvp(k_flow, dim, 8, hidden=(256, 256), partition="random", activation="relu")
    noise = realnvp(k_noise, dim, 2, hidden=(128,), context_dim=dim, activation="relu")
    return Dequantized(
        on_pixels(flow, levels), levels, dequantization=VariationalDequantization(noise, levels), key=key
    )


MODELS: dict[str, Callable[[Any, tuple[int, int, int], int], Any]] = {
    "glow": glow_model,
    "realnvp": realnvp_model,
    "realnvp, variational dequantization": realnvp_variational,
}
