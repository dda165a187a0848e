"""Recipes with coordinates beside the data: augmented normalizing flows (Huang, Dinh, Courville 2020)."""

import jax.random as jr

from shoal._types import Key
from shoal.bijections import AbstractScaleMap, Activation, AffineCoupling, Partition
from shoal.distributions import GaussianPadding, Padded
from shoal.flows._common import check_sizes, couplings, flow


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
    """Augmented normalizing flow: couplings between the data x and `augment` (default: dim) Gaussian coordinates e.

    From the data: encoder couplings e -> (e - t(x)) / s(x) and decoder couplings x -> (x - t(e)) / s(e) in turn,
    `depth` of them in all, an encoder first where depth is even. Two layers are a variational autoencoder with
    Gaussian posterior and decoder: `log_prob` is then its one-sample evidence lower bound. Returns a `Padded`: bounds
    and estimates, no exact density. Other arguments as in `realnvp`. **Raises:** ValueError for bad sizes.
    """
    check_sizes(dim, depth, context_dim)
    k = dim if augment is None else augment
    if k < 1:
        raise ValueError(f"`augment` must be at least 1; got {augment}.")
    settings = {"hidden": hidden, "context_dim": context_dim, "scale": scale, "activation": activation}
    decoder = Partition(dim + k, range(dim, dim + k))  # keeps e, moves x: the layer next to the latents
    k_layers, k_noise = jr.split(key)
    made = couplings(k_layers, dim + k, depth, decoder, lambda p, i: AffineCoupling(p, key=i, **settings))
    return Padded(flow(made), GaussianPadding(k), key=k_noise)
