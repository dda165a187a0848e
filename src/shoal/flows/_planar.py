"""Recipes of the planar family: `planar`, `radial`, `sylvester`, `householder`. Common arguments as in the other recipes.

Their layers have one direction in closed form. `fast`: "density" (the default) puts that one from data to latent, which
training and `log_prob` use, by `Inverse` layers; "samples" puts it from latent to data, as variational inference wants.
"""

from collections.abc import Callable
from typing import Literal

import jax.random as jr

from shoal._types import Key
from shoal.bijections import (
    AbstractBijection,
    AbstractScaleMap,
    Activation,
    ActNorm,
    Chain,
    Householder,
    Inverse,
    Planar,
    Radial,
    Sylvester,
)
from shoal.distributions import Flow
from shoal.flows._common import check_sizes, flow, stack

Fast = Literal["density", "samples"]


def planar(
    key: Key,
    dim: int,
    depth: int,
    *,
    fast: Fast = "density",
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    least_slope: float = 1e-2,
    tolerance: float = 1e-10,
    activation: Activation = "tanh",
) -> Flow:
    """Planar flow (Rezende and Mohamed 2015): `depth` planar layers, x = z + u tanh(w.z + b). Starts near the identity.

    Each layer moves one direction, so it takes many where couplings take few; `Planar` says what the arguments do.
    """
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    settings |= {"least_slope": least_slope, "tolerance": tolerance}
    return _alike(key, dim, depth, context_dim, fast, lambda k: Planar(dim, key=k, **settings))


def radial(
    key: Key,
    dim: int,
    depth: int,
    *,
    fast: Fast = "density",
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    activation: Activation = "tanh",
) -> Flow:
    """Radial flow (Rezende and Mohamed 2015): `depth` layers x = z + β (z - z0) / (α + |z - z0|). Starts at the identity.

    Both directions are in closed form; `fast` only says which of the two families of maps is used.
    """
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation, "scale": scale}
    return _alike(key, dim, depth, context_dim, fast, lambda k: Radial(dim, key=k, **settings))


def sylvester(
    key: Key,
    dim: int,
    depth: int,
    *,
    rank: int | None = None,
    reflections: int | None = None,
    fast: Fast = "density",
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    least_slope: float = 1e-2,
    tolerance: float = 1e-10,
    activation: Activation = "tanh",
) -> Flow:
    """Sylvester flow (van den Berg et al. 2018): `depth` layers of `rank` bumps (default: min(dim, 16)).

    Starts near the identity. `reflections` (default: rank) and the rest as `Sylvester` says.
    """
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    settings |= {"least_slope": least_slope, "tolerance": tolerance, "reflections": reflections}
    m = min(dim, 16) if rank is None else rank
    return _alike(key, dim, depth, context_dim, fast, lambda k: Sylvester(dim, m, key=k, **settings))


def householder(
    key: Key,
    dim: int,
    depth: int,
    *,
    reflections: int | None = None,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    activation: Activation = "tanh",
) -> Flow:
    """Householder flow (Tomczak and Welling 2016): `depth` units of an `ActNorm` and then `reflections` (default: dim).

    Reflections alone leave a standard normal as it is, so each unit scales the axes first. The density is a Gaussian
    whatever the depth: of any covariance with one unit and dim reflections, or with more units of fewer. With a context the
    axes turn with it, their lengths and the mean's coordinates along them do not. It can not bend anything: a
    baseline, and a linear layer between others.
    """
    check_sizes(dim, depth, context_dim)
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    k = dim if reflections is None else reflections
    units = [Chain([ActNorm(dim), Householder(dim, k, key=i, **settings)]) for i in jr.split(key, depth)]
    return flow(stack(units, 2))


def _alike(
    key: Key, dim: int, depth: int, context_dim: int, fast: Fast, layer: Callable[[Key], AbstractBijection]
) -> Flow:
    check_sizes(dim, depth, context_dim)
    if fast not in ("density", "samples"):
        raise ValueError(f'`fast` must be "density" or "samples"; got {fast!r}.')
    layers = [layer(k) for k in jr.split(key, depth)]
    return flow(stack([Inverse(b) for b in layers] if fast == "density" else layers, 1))
