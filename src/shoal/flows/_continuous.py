"""Recipes of continuous and of augmented flows: FFJORD, padding, augmented neural ODEs, augmented normalizing flows.

Common arguments as in `_recipes`. The padded ones give a `Padded`: their `log_prob` is a lower bound in expectation.
"""

from collections.abc import Callable
from typing import Any

import jax.random as jr

from shoal._types import Key
from shoal.bijections import (
    FFJORD,
    AbstractAdjoint,
    AbstractScaleMap,
    AbstractSteps,
    AbstractTrace,
    Activation,
    Affine,
    Chain,
    Partition,
    Solver,
    dense_coupling,
)
from shoal.distributions import AbstractPadding, Flow, GaussianPadding, Padded
from shoal.flows._common import check_sizes, flow, stack


def ffjord(
    key: Key,
    dim: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    trace: AbstractTrace | None = None,
    steps: AbstractSteps | None = None,
    adjoint: AbstractAdjoint | None = None,
    solver: Solver = "tsit5",
    activation: Activation = "tanh",
) -> Flow:
    """FFJORD (Grathwohl et al. 2019): `depth` continuous flows one after the other, each with its own velocity.

    `trace`, `steps`, `adjoint`, `solver`: see `bijections.FFJORD`; by default the exact trace, which costs n products a
    step. Density and sampling both take a solution; "relu" is refused.
    """
    check_sizes(dim, depth, context_dim)
    settings: dict[str, Any] = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    settings |= {"trace": trace, "steps": steps, "adjoint": adjoint, "solver": solver}
    return flow(stack([FFJORD(dim, key=k, **settings) for k in jr.split(key, depth)], depth + 8))


def padded(
    key: Key,
    recipe: Callable[..., Flow],
    dim: int,
    depth: int,
    *,
    padding: AbstractPadding | None = None,
    **settings: Any,
) -> Padded:
    """Any recipe on the data and `padding.size` more coordinates; default: `GaussianPadding(1)`.

    `settings` go to the recipe, such as `padded(key, flows.realnvp, 2, 8, padding=ZeroPadding(2), hidden=(64,))`.
    """
    check_sizes(dim, depth, 0)
    padding = GaussianPadding(1) if padding is None else padding
    k_flow, k_noise = jr.split(key)
    return Padded(recipe(k_flow, dim + padding.size, depth, **settings), padding, key=k_noise)


def anode(
    key: Key, dim: int, depth: int, *, padding: AbstractPadding | None = None, **settings: Any
) -> Padded:
    """Augmented neural ODE (Dupont et al. 2019) as a density: `ffjord` on the data and `padding.size` more coordinates.

    Paths may then cross in the data's coordinates. The paper pads with zeros, which leaves no density; the default here is
    `GaussianPadding(1)`. `settings` as in `ffjord`.
    """
    return padded(key, ffjord, dim, depth, padding=padding, **settings)


def anf(
    key: Key,
    dim: int,
    depth: int,
    *,
    augment: int | None = None,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    activation: Activation = "tanh",
) -> Padded:
    """Augmented normalizing flow (Huang, Dinh and Courville 2020): `depth` steps on (x, e), e ~ N(0, I_k), k = `augment`.

    From the data, each step is an encoder, e -> (e - t(x)) / s(x), and a decoder, x -> (x - t'(e)) / s'(e): two affine
    couplings. One step is a variational autoencoder with normal encoder and decoder, and `log_prob` its evidence lower
    bound with one draw. Default of `augment`: `dim`.
    """
    check_sizes(dim, depth, context_dim)
    padding = GaussianPadding(dim if augment is None else augment)
    total = dim + padding.size
    settings: dict[str, Any] = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    k_steps, k_noise = jr.split(key)
    encoder = Partition(total, range(dim))
    units = [
        Chain(
            [
                dense_coupling(p, Affine(scale), key=k, **settings)
                for p, k in zip((encoder.swapped(), encoder), pair, strict=True)
            ]
        )
        for pair in jr.split(k_steps, (depth, 2))
    ]
    return Padded(flow(stack(units, 2)), padding, key=k_noise)
