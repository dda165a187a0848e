"""Recipes of padded flows: any recipe on more coordinates, augmented neural ODEs, augmented normalizing flows.

Common arguments as in `_recipes`. They give a `Padded`: its `log_prob` is a lower bound in expectation.
"""

from collections.abc import Callable

import jax.random as jr

from shoal._types import Key
from shoal.bijections import (
    AbstractBijection,
    AbstractScaleMap,
    Activation,
    Affine,
    Chain,
    Partition,
    dense_coupling,
)
from shoal.distributions import AbstractPadding, Flow, GaussianPadding, Padded
from shoal.flows._common import Settings, check_sizes, flow, stack
from shoal.flows._repeated import ffjord


def padded(
    key: Key,
    recipe: Callable[..., Flow],
    dim: int,
    depth: int,
    *,
    padding: AbstractPadding | None = None,
    **settings: object,
) -> Padded:
    """Any recipe on the data and `padding.size` more coordinates; default: `GaussianPadding(1)`.

    `settings` go to the recipe, such as `padded(key, flows.realnvp, 2, 8, padding=ZeroPadding(2), hidden=(64,))`.
    """
    check_sizes(dim, depth, 0)
    padding = GaussianPadding(1) if padding is None else padding
    k_flow, k_noise = jr.split(key)
    return Padded(recipe(k_flow, dim + padding.size, depth, **settings), padding, key=k_noise)


def anode(
    key: Key, dim: int, depth: int, *, padding: AbstractPadding | None = None, **settings: object
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
    settings: Settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    k_steps, k_noise = jr.split(key)
    encoder = Partition(dim + padding.size, range(dim))

    def coupling(partition: Partition, k: Key) -> AbstractBijection:
        return dense_coupling(partition, Affine(scale), key=k, **settings)

    steps = [
        Chain([coupling(encoder.swapped(), a), coupling(encoder, b)])
        for a, b in jr.split(k_steps, (depth, 2))
    ]
    return Padded(flow(stack(steps, 2)), padding, key=k_noise)
