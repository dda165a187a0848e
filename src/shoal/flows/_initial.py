"""Couplings that start from a given linear map: `realnvp(..., initial=...)`.

The rightmost factor acts first, so the factors are the last couplings in reverse order; the couplings before them, on
the latent side, where coordinates are standardised, start at the identity. All of them have their nets, zero at first.
"""

from typing import Any

import jax.random as jr
import numpy as np

from shoal._types import Key
from shoal.bijections import (
    AbstractBijection,
    AbstractTransformer,
    Chain,
    Partition,
    SignFlip,
    alternating,
    halves,
)
from shoal.flows._common import PartitionLike, paired
from shoal.flows._linear import biases, coupling
from shoal.theory.linear import Factorization, GaussianFactors, Layer


def started(
    key: Key,
    dim: int,
    depth: int,
    partition: PartitionLike,
    initial: GaussianFactors | Factorization,
    transformer: AbstractTransformer,
    settings: dict[str, Any],
) -> AbstractBijection:
    """`depth` couplings of one transformer whose product is the linear map, with the settings of `dense_coupling`.

    **Raises:** ValueError: another dimension or partition than the map's, fewer couplings than it has layers, or a
    log-scale that the transformer does not reach.
    """
    factors = initial.factors if isinstance(initial, GaussianFactors) else initial
    mean = initial.mean if isinstance(initial, GaussianFactors) else np.zeros(len(factors.target))
    count = len(factors.layers)
    if len(mean) != dim:
        raise ValueError(f"`initial` is a map of {len(mean)} coordinates; the flow has `dim` {dim}.")
    if dim < 2:
        raise ValueError(
            "`initial` needs `dim` of at least 2; fit a single coordinate's scale and shift instead."
        )
    if depth < count:
        raise ValueError(f"`depth` must be at least the {count} layers of `initial`; got {depth}.")
    _check_partition(partition, factors, dim)
    shifts = biases(factors, (mean * factors.signs)[factors.order])
    parts: list[AbstractBijection] = []
    for i, k in enumerate(jr.split(key, depth)[::-1]):  # from the data side, as the product is written
        if i < count:
            layer, bias = factors.layers[i], shifts[i]
        else:
            like = factors.layers[i % 2]
            layer = Layer(like.kind, np.zeros_like(like.block), np.zeros_like(like.log_scale))
            bias = np.zeros(len(like.block))
        name = f"layer {i} of `initial`"
        parts.append(coupling(layer, bias, factors.order, transformer, name, key=k, **settings))
    stacked = paired(parts[::-1])
    if np.any(factors.signs < 0):
        return Chain([stacked, SignFlip(dim, np.flatnonzero(factors.signs < 0).tolist())])
    return stacked


def _check_partition(partition: PartitionLike, factors: Factorization, dim: int) -> None:
    named = {"halves": halves, "alternating": alternating}
    given = named[partition](dim) if isinstance(partition, str) and partition in named else partition
    both = [set(factors.kept), set(range(dim)) - set(factors.kept)]
    if not isinstance(given, Partition) or given.dim != dim or set(given.kept) not in both:
        raise ValueError(
            f"`initial` is for couplings that keep {factors.kept} and the others in turn; `partition` is {partition!r}. "
            f"Pass `partition=Partition({dim}, {factors.kept})`, or make `initial` with another `kept`."
        )
