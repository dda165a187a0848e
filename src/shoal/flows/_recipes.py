"""Recipes: named flows with sensible settings. Every one starts at the identity (up to the scale map's value at 0).

Common arguments: `key`: a JAX random key; `dim`: n; `depth`: the number of layers; `hidden`: widths of the
conditioners; `context_dim`: length of the context (0: none); `scale`: a scale map; `partition`: a `Partition` (it and
its complement are used in turn), a sequence of them (one a layer, in turn), or "halves", "alternating", "random";
`activation`: "tanh" (bounded: a row far off moves the conditioner only linearly), "relu" (fastest), "silu" or "gelu".
Returns a `Flow` with a standard normal base. Bad sizes: ValueError.
"""

import jax.random as jr

from shoal._types import Key
from shoal.bijections import (
    AbstractScaleMap,
    Activation,
    AdditiveCoupling,
    AffineCoupling,
    Inverse,
    MaskedAutoregressive,
    SplineCoupling,
)
from shoal.distributions import Flow
from shoal.flows._common import PartitionLike, check_sizes, couplings, flow, in_pairs
from shoal.flows._initial import started
from shoal.linear import Factorization, GaussianFactors


def nice(
    key: Key,
    dim: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    partition: PartitionLike = "halves",
    activation: Activation = "tanh",
) -> Flow:
    """NICE (Dinh et al. 2015): `depth` additive couplings, strictly volume preserving (log-det 0)."""
    check_sizes(dim, depth, context_dim)
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    return flow(couplings(key, dim, depth, partition, lambda p, k: AdditiveCoupling(p, key=k, **settings)))


def realnvp(
    key: Key,
    dim: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    partition: PartitionLike = "halves",
    activation: Activation = "tanh",
    initial: GaussianFactors | Factorization | None = None,
) -> Flow:
    """RealNVP (Dinh et al. 2017): `depth` affine couplings; default scale map `SoftBoundedScale(3)`.

    `initial`: the linear map to start from, such as `shoal.linear.gaussian(mean, covariance, layers)`: its layers become
    the last couplings (those next to the data), the rest are the identity, so that the untrained flow is that Gaussian,
    exactly. `depth` is then at least its number of layers and `partition` the one that it was made for (either part of it
    as the kept one); a log-scale outside the scale map's range is a ValueError that names the layer.
    """
    check_sizes(dim, depth, context_dim)
    settings = {"hidden": hidden, "context_dim": context_dim, "scale": scale, "activation": activation}
    if initial is not None:
        return flow(started(key, dim, depth, partition, initial, settings))
    return flow(couplings(key, dim, depth, partition, lambda p, k: AffineCoupling(p, key=k, **settings)))


def spline(
    key: Key,
    dim: int,
    depth: int,
    *,
    bins: int = 8,
    bound: float = 5.0,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    partition: PartitionLike = "halves",
    activation: Activation = "tanh",
) -> Flow:
    """Neural spline flow (Durkan et al. 2019): `depth` rational-quadratic couplings on [-bound, bound]."""
    check_sizes(dim, depth, context_dim)
    settings = {"hidden": hidden, "context_dim": context_dim, "scale": scale, "activation": activation}
    settings |= {"bins": bins, "bound": bound}
    return flow(couplings(key, dim, depth, partition, lambda p, k: SplineCoupling(p, key=k, **settings)))


def maf(
    key: Key,
    dim: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    activation: Activation = "tanh",
) -> Flow:
    """Masked autoregressive flow (Papamakarios et al. 2017): `depth` transforms, their order reversed in turn.

    Density in parallel, sampling in n steps a transform.
    """
    check_sizes(dim, depth, context_dim)
    settings = {"hidden": hidden, "context_dim": context_dim, "scale": scale, "activation": activation}
    keys = list(jr.split(key, depth))
    return flow(in_pairs(keys, lambda i, k: MaskedAutoregressive(dim, reverse=i == 1, key=k, **settings)))


def iaf(
    key: Key,
    dim: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    activation: Activation = "tanh",
) -> Flow:
    """Inverse autoregressive flow (Kingma et al. 2016): the inverse of `maf`.

    Sampling in parallel, density in n steps a transform.
    """
    settings = {"hidden": hidden, "context_dim": context_dim, "scale": scale, "activation": activation}
    return flow(Inverse(maf(key, dim, depth, **settings).bijection))
