"""Couplings that move one coordinate each, |S| = n - 1: the form in which couplings are universal (Teshima et al. 2020)."""

import jax.random as jr

from shoal._types import Key
from shoal.bijections import AbstractScaleMap, Activation, Affine, ArrayPartition, Partition, dense_coupling
from shoal.distributions import Flow
from shoal.flows._common import check_sizes, flow, stack


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
