"""Recipes of couplings and autoregressive flows, with sensible settings.

Every one starts at the identity (up to the scale map's value at 0).

Common arguments: `key`: a JAX random key; `dim`: n; `depth`: the number of layers; `hidden`: widths of the
conditioners; `context_dim`: length of the context (0: none); `scale`: a scale map; `partition`: a `Partition` (it and
its complement are used in turn), a sequence of them (one a layer, in turn), or "halves", "alternating", "random";
`activation`: "tanh" (bounded: a row far off moves the conditioner only linearly), "relu" (fastest), "silu" or "gelu".
Returns a `Flow` with a standard normal base. Bad sizes: `InputError`.
"""

import jax.random as jr

from shoal._types import Key
from shoal.bijections import (
    AbstractBijection,
    AbstractScaleMap,
    AbstractTransformer,
    Activation,
    Additive,
    Affine,
    ArrayPartition,
    Inverse,
    Partition,
    RationalQuadratic,
    SoftBoundedScale,
    dense_coupling,
    masked_autoregressive,
)
from shoal.distributions import Flow
from shoal.flows._common import PartitionLike, Settings, check_sizes, couplings, flow, stack
from shoal.flows._linear import started
from shoal.theory.linear import Factorization, GaussianFactors


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
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    return flow(_dense(key, dim, depth, partition, Additive(), settings))


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
    as the kept one); a log-scale outside the scale map's range is an `InputError` that names the layer.
    """
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    if initial is None:
        return flow(_dense(key, dim, depth, partition, Affine(scale), settings))
    check_sizes(dim, depth, context_dim)
    return flow(started(key, dim, depth, partition, initial, Affine(scale), settings))


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
    """Neural spline flow (Durkan et al. 2019): `depth` rational-quadratic couplings on [-bound, bound].

    Default scale map `SoftBoundedScale(1)`.
    """
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    return flow(_dense(key, dim, depth, partition, RationalQuadratic(bins, bound, scale), settings))


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
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    return flow(_masked(key, dim, depth, Affine(scale), settings))


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
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    return flow(Inverse(_masked(key, dim, depth, Affine(scale), settings)))


def nsf(
    key: Key,
    dim: int,
    depth: int,
    *,
    bins: int | None = None,
    bound: float = 5.0,
    hidden: tuple[int, ...] = (128, 128),
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    activation: Activation = "gelu",
) -> Flow:
    """Autoregressive neural spline flow (Durkan et al. 2019): `depth` rational-quadratic transforms, reversed in turn.

    Default scale map `SoftBoundedScale(3)`. Density in parallel, sampling in n steps a transform. `bins` None: 8, and more
    for fewer than 8 columns, up to 24, so that a layer costs about the same.
    """
    several = min(max(round(64 / max(dim, 1)), 8), 24)
    transformer = RationalQuadratic(
        several if bins is None else bins, bound, SoftBoundedScale(3.0) if scale is None else scale
    )
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    return flow(_masked(key, dim, depth, transformer, settings))


def single_coordinate(
    key: Key,
    dim: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (64, 64),
    context_dim: int = 0,
    scale: AbstractScaleMap | None = None,
    activation: Activation = "tanh",
) -> Flow:
    """Single-coordinate affine couplings: layer i moves the coordinate with number i mod n and keeps the other n - 1.

    Moving the coordinates in turn is the same as moving the last one and permuting coordinates between the layers, the form
    of Teshima et al. 2020: flows of such couplings with invertible linear maps between them approximate every
    diffeomorphism of a large class on compact sets, in L^p for affine couplings. n layers move every coordinate once; a
    layer has n - 1 inputs and 2 outputs, so p is that of one conditioner of that size.
    Arguments as in `realnvp`; default scale map `SoftBoundedScale(3)`. **Raises:** ValueError for bad sizes.
    """
    check_sizes(dim, depth, context_dim)
    moved = [i % dim for i in range(depth)]
    partitions = [ArrayPartition(Partition(dim, [j for j in range(dim) if j != i])) for i in moved]
    settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
    keys = jr.split(key, depth)
    layers = [
        dense_coupling(p, Affine(scale), key=k, **settings) for p, k in zip(partitions, keys, strict=True)
    ]
    return flow(stack(layers, 1))


def _dense(
    key: Key,
    dim: int,
    depth: int,
    partition: PartitionLike,
    transformer: AbstractTransformer,
    settings: Settings,
) -> AbstractBijection:
    check_sizes(dim, depth, settings["context_dim"])
    return couplings(
        key, dim, depth, partition, lambda p, k: dense_coupling(p, transformer, key=k, **settings)
    )


def _masked(
    key: Key, dim: int, depth: int, transformer: AbstractTransformer, settings: Settings
) -> AbstractBijection:
    check_sizes(dim, depth, settings["context_dim"])
    layers = [
        masked_autoregressive(dim, transformer, reverse=i % 2 == 1, key=k, **settings)
        for i, k in enumerate(jr.split(key, depth))
    ]
    return stack(layers)
