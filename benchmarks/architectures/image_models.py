"""The flows that `images.py` compares: builders (key, image shape, levels) -> distribution of whole numbers."""

from collections.abc import Callable
from typing import Any

import jax.random as jr
import numpy as np

from shoal.bijections import (
    ActNorm,
    Chain,
    FixedSteps,
    GramBound,
    HutchinsonTrace,
    Noise,
    OnPart,
    Partition,
    RussianRoulette,
    Support,
)
from shoal.distributions import Dequantized, Flow, GaussianPadding, Padded, VariationalDequantization
from shoal.flows import anf, ffjord, glow, realnvp, residual

ALPHA = 0.05  # of the Support that every model has next to the data


def on_pixels(flow: Flow, levels: int) -> Flow:
    """The flow behind an actnorm (set from data) and a Support of (0, levels)."""
    return Flow(flow.base, Chain([flow.bijection, pixels(flow.shape[0], levels)]))


def pixels(dim: int, levels: int) -> Chain:
    """What lies next to the data in every model but Glow, which has actnorms of its own."""
    return Chain([ActNorm(dim), Support(dim, low=0.0, high=float(levels), alpha=ALPHA)])


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


def ffjord_model(key: Any, shape: tuple[int, int, int], levels: int) -> Any:
    dim = int(np.prod(shape))
    k_flow, k_trace = jr.split(key)
    flow = ffjord(
        k_flow, dim, 1, hidden=(128, 128), trace=HutchinsonTrace(Noise(k_trace), 1), steps=FixedSteps(4)
    )
    return Dequantized(on_pixels(flow, levels), levels, key=key)


def residual_model(key: Any, shape: tuple[int, int, int], levels: int) -> Any:
    dim = int(np.prod(shape))
    k_flow, k_series = jr.split(key)
    roulette = RussianRoulette(Noise(k_series), p=0.15, exact_terms=4)
    flow = residual(k_flow, dim, 6, hidden=(256, 256), log_det=roulette, norm=GramBound(), lipschitz=0.9)
    return Dequantized(on_pixels(flow, levels), levels, key=key)


def anf_model(key: Any, shape: tuple[int, int, int], levels: int) -> Any:
    dim = int(np.prod(shape))
    made = anf(key, dim, 4, augment=64, hidden=(256, 256), activation="relu")
    beside = OnPart(pixels(dim, levels), Partition(dim + 64, range(dim, dim + 64)))
    joint = Flow(made.joint.base, Chain([made.joint.bijection, beside]))
    return Dequantized(Padded(joint, GaussianPadding(64), key=key), levels, key=key)


MODELS: dict[str, Callable[[Any, tuple[int, int, int], int], Any]] = {
    "glow": glow_model,
    "realnvp": realnvp_model,
    "ffjord": ffjord_model,
    "residual": residual_model,
    "anf": anf_model,
    "realnvp-variational": realnvp_variational,
}
