"""Recipes of flows that repeat one layer: the planar family, residual flows, layerwise networks, continuous flows.

Common arguments as in `_recipes`; `settings`: the other arguments of the layer, such as `hidden`, with its defaults.

The layers of the planar family have one direction in closed form. `fast`: "density" (the default) puts that one from data
to latent, which training and `log_prob` use, by `Inverse` layers; "samples" puts it from latent to data, as variational
inference wants.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax.random as jr

from shoal._errors import InputError
from shoal._types import Key
from shoal.bijections import (
    FFJORD,
    AbstractBijection,
    AbstractLeaky,
    AbstractLogDet,
    Activation,
    ActNorm,
    Chain,
    DiagonalPlusLowRank,
    Householder,
    Inverse,
    Layerwise,
    Planar,
    Radial,
    Residual,
    SingularValues,
    Sylvester,
    TrainedLeakyReLU,
    reseeded,
)
from shoal.distributions import Flow
from shoal.flows._common import repeated

Fast = Literal["density", "samples"]


def planar(
    key: Key,
    dim: int,
    depth: int,
    *,
    fast: Fast = "density",
    context_dim: int = 0,
    **settings: object,
) -> Flow:
    """Planar flow (Rezende and Mohamed 2015): `depth` planar layers, x = z + u tanh(w.z + b). Starts near the identity.

    Each layer moves one direction, so it takes many where couplings take few. `settings`: `hidden`, `activation`,
    `least_slope`, `tolerance`, `max_steps`, as `Planar` says.
    """
    layer = partial(Planar, dim, context_dim=context_dim, **settings)
    return _alike(key, dim, depth, context_dim, fast, layer)


def radial(
    key: Key,
    dim: int,
    depth: int,
    *,
    fast: Fast = "density",
    context_dim: int = 0,
    **settings: object,
) -> Flow:
    """Radial flow (Rezende and Mohamed 2015): `depth` layers x = z + β (z - z0) / (α + |z - z0|). Starts at the identity.

    Both directions are in closed form; `fast` only says which of the two families of maps is used. `settings`: `hidden`,
    `activation`, `scale`, as `Radial` says.
    """
    layer = partial(Radial, dim, context_dim=context_dim, **settings)
    return _alike(key, dim, depth, context_dim, fast, layer)


def sylvester(
    key: Key,
    dim: int,
    depth: int,
    *,
    rank: int | None = None,
    fast: Fast = "density",
    context_dim: int = 0,
    **settings: object,
) -> Flow:
    """Sylvester flow (van den Berg et al. 2018): `depth` layers of `rank` bumps (default: min(dim, 16)).

    Starts near the identity. `settings`: `reflections` (default: rank), `hidden`, `activation`, `least_slope`, `tolerance`,
    `max_steps`, as `Sylvester` says.
    """
    m = min(dim, 16) if rank is None else rank
    layer = partial(Sylvester, dim, m, context_dim=context_dim, **settings)
    return _alike(key, dim, depth, context_dim, fast, layer)


def householder(
    key: Key,
    dim: int,
    depth: int,
    *,
    reflections: int | None = None,
    context_dim: int = 0,
    **settings: Any,
) -> Flow:
    """Householder flow (Tomczak and Welling 2016): `depth` units of an `ActNorm` and then `reflections` (default: dim).

    Reflections alone leave a standard normal as it is, so each unit scales the axes first. The density is a Gaussian
    whatever the depth: of any covariance with one unit and dim reflections, or with more units of fewer. With a context the
    axes turn with it, their lengths and the mean's coordinates along them do not. It can not bend anything: a
    baseline, and a linear layer between others. `settings`: `hidden`, `activation`, of the net by which a context turns.
    """
    count = dim if reflections is None else reflections

    def unit(k: Key) -> AbstractBijection:
        return Chain([ActNorm(dim), Householder(dim, count, context_dim=context_dim, key=k, **settings)])

    return repeated(key, dim, depth, context_dim, unit, layers=2)


def residual(
    key: Key,
    dim: int,
    depth: int,
    *,
    log_det: AbstractLogDet | None = None,
    context_dim: int = 0,
    **settings: Any,
) -> Flow:
    """Residual flow, also known as i-ResNet (Behrmann et al. 2019, Chen et al. 2019): `depth` layers `Residual`.

    `log_det`: `ExactLogDet()` (None; n up to about 64), `PowerSeries` or `RussianRoulette`, whose noise each layer draws
    anew; `settings`: `hidden`, `lipschitz`, `norm`, `tolerance`, `max_steps`, `activation`, as `Residual` says. The flow is
    the identity at the start. Density: one pass. Sampling: a fixed-point iteration a layer.
    """

    def layer(k: Key) -> AbstractBijection:
        k_layer, k_noise = jr.split(k)
        noisy = reseeded(log_det, k_noise)
        return Residual(dim, log_det=noisy, context_dim=context_dim, key=k_layer, **settings)

    return repeated(key, dim, depth, context_dim, layer)


def layerwise(
    key: Key,
    dim: int,
    depth: int,
    *,
    low: float = 0.1,
    high: float = 10.0,
    rank: int | None = None,
    reflections: int | None = None,
    leaky: AbstractLeaky | None = None,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    activation: Activation = "tanh",
) -> Flow:
    """Layerwise invertible network: `depth` layers s(A z + b), A with singular values in [low, high].

    The architecture of Theorem 4 in Koehler, Mehta and Risteski (2021).

    `rank`: None for `SingularValues` (`reflections` as there), a number for `DiagonalPlusLowRank`; `leaky`: s, for None
    `TrainedLeakyReLU(dim)`, n numbers a layer beside the n(n + 1) of A and b (`SmoothLeakyReLU` has none); `hidden`,
    `activation`: of b(context). At the start b = 0 and A is 1/sqrt(a) times a random rotation, a the slope of s on its flat
    side: far out a layer then stretches one side as much as it shrinks the other, and a deep stack neither grows nor
    shrinks much. It is not near the identity. With `rank` A can not rotate: it is 1/s'(0), and a deep stack grows.
    **Raises:** `InputError` for `rank` beside `reflections`.
    """
    if rank is not None and reflections is not None:
        raise InputError("`layerwise` takes `rank` or `reflections`, not both.")
    leaky = TrainedLeakyReLU(dim) if leaky is None else leaky
    middle = leaky.slope_at_zero  # (1 + a) / 2
    start = (2.0 * middle - 1.0) ** -0.5 if rank is None else 1.0 / middle
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}

    def layer(k: Key) -> AbstractBijection:
        k_linear, k_shift = jr.split(k)
        linear = (
            SingularValues(dim, low, high, reflections=reflections, start=start, turned=True, key=k_linear)
            if rank is None
            else DiagonalPlusLowRank(dim, low, high, rank=rank, start=start, key=k_linear)
        )
        return Layerwise(linear, leaky, key=k_shift, **settings)

    return repeated(key, dim, depth, context_dim, layer)


def ffjord(
    key: Key,
    dim: int,
    depth: int,
    *,
    context_dim: int = 0,
    **settings: object,
) -> Flow:
    """FFJORD (Grathwohl et al. 2019): `depth` continuous flows one after the other, each with its own velocity.

    `settings`: `hidden`, `trace`, `steps`, `adjoint`, `solver`, `activation`, as `bijections.FFJORD` says; by default the
    exact trace, which costs n products a step. Density and sampling both take a solution; "relu" is refused.
    """
    layer = partial(FFJORD, dim, context_dim=context_dim, **settings)
    return repeated(key, dim, depth, context_dim, lambda k: layer(key=k), layers=depth + 8)


def _alike(
    key: Key, dim: int, depth: int, context_dim: int, fast: Fast, layer: Callable[..., AbstractBijection]
) -> Flow:
    """Layers `layer(key=...)`, each turned where the density is to be fast."""
    if fast not in ("density", "samples"):
        raise InputError(f'`fast` must be "density" or "samples"; got {fast!r}.')
    unit = lambda k: Inverse(layer(key=k)) if fast == "density" else layer(key=k)
    return repeated(key, dim, depth, context_dim, unit)
