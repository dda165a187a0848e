"""How recipes put single layers together: pairs in a `Scan`, a last single layer where the depth is odd."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import jax.random as jr

from shoal._errors import InputError
from shoal._types import Key
from shoal.bijections import (
    AbstractBijection,
    AbstractPartition,
    ArrayPartition,
    Chain,
    Partition,
    Scan,
    alternating,
    halves,
    random_halves,
)
from shoal.distributions import Flow, StandardNormal

PartitionLike: TypeAlias = Partition | Sequence[Partition] | Literal["halves", "alternating", "random"]
Settings: TypeAlias = dict[str, Any]  # of the function that makes a layer, such as `dense_coupling`
NAMED = {"halves": halves, "alternating": alternating}
UNROLL_TO = 8  # layers: up to this depth a Scan is compiled whole


def check_sizes(dim: int, depth: int, context_dim: int) -> None:
    """Raise `InputError` unless the sizes make a flow."""
    if dim < 1:
        raise InputError(f"`dim` must be at least 1; got {dim}.")
    if depth < 1:
        raise InputError(f"`depth` (the number of layers) must be at least 1; got {depth}.")
    if context_dim < 0:
        raise InputError(f"`context_dim` must be 0 or more; got {context_dim}.")


def stack(units: Sequence[AbstractBijection], layers_per_unit: int = 1) -> AbstractBijection:
    """The units as one bijection: alone, or a `Scan`, unrolled up to `UNROLL_TO` layers."""
    if len(units) == 1:
        return units[0]
    short = len(units) * layers_per_unit <= UNROLL_TO
    return Scan(units, unroll=len(units) if short else 1)


def paired(layers: Sequence[AbstractBijection]) -> AbstractBijection:
    """Layers of two shapes in turn: pairs stacked, an odd one at the end."""
    if len(layers) == 1:
        return layers[0]
    stacked = stack([Chain([a, b]) for a, b in zip(layers[0::2], layers[1::2], strict=False)], 2)
    return stacked if len(layers) % 2 == 0 else Chain([stacked, layers[-1]])


def restacked(like: AbstractBijection, layers: Sequence[AbstractBijection]) -> AbstractBijection:
    """The layers put together as `like` is: the same single layers, chained, stacked or paired in the same way."""
    rest = list(layers)

    def filled(part: AbstractBijection) -> AbstractBijection:
        if isinstance(part, Scan):
            return Scan([filled(unit) for unit in part.units()], unroll=part.unroll)
        if isinstance(part, Chain):
            return Chain([filled(inner) for inner in part.bijections])
        return rest.pop(0)

    return filled(like)


def couplings(
    key: Key,
    dim: int,
    depth: int,
    partition: PartitionLike,
    layer: Callable[[AbstractPartition, Key], AbstractBijection],
) -> AbstractBijection:
    """`depth` couplings. One partition: it and its complement in turn. Several: one a layer, used in turn."""
    key, k_partition = jr.split(key)
    keys = list(jr.split(key, depth))
    if partition == "random":
        partition = [random_halves(k, dim) for k in jr.split(k_partition, (depth + 1) // 2)]
        partition = (
            [q for p in partition for q in (p, p.swapped())][:depth]
            if dim % 2 == 0
            else [random_halves(k, dim) for k in jr.split(k_partition, depth)]
        )
    if isinstance(partition, str):
        if partition not in NAMED:
            raise InputError(
                f'`partition` must be a Partition, several, "halves", "alternating" or "random"; got {partition!r}.'
            )
        partition = NAMED[partition](dim)
    given = [partition] if isinstance(partition, Partition) else list(partition)
    if not given:
        raise InputError("`partition` is empty; give at least one Partition.")
    for p in given:
        if not isinstance(p, Partition) or p.dim != dim:
            raise InputError(f"`partition` must be Partitions of {dim} coordinates; got {p!r}.")
    if len(given) == 1:
        both = (given[0], given[0].swapped())
        return paired([layer(both[i % 2], k) for i, k in enumerate(keys)])
    cycle = [given[i % len(given)] for i in range(depth)]
    if len({p.kept_size for p in cycle}) > 1:
        return Chain([layer(p, k) for p, k in zip(cycle, keys, strict=True)])
    return stack([layer(ArrayPartition(p), k) for p, k in zip(cycle, keys, strict=True)])


def flow(bijection: AbstractBijection) -> Flow:
    """The flow with a standard normal base."""
    return Flow(StandardNormal(bijection.shape[0]), bijection)


def repeated(
    key: Key,
    dim: int,
    depth: int,
    context_dim: int,
    unit: Callable[[Key], AbstractBijection],
    *,
    layers: int = 1,
) -> Flow:
    """The flow of `depth` units, of `layers` layers each, one after the other."""
    check_sizes(dim, depth, context_dim)
    return flow(stack([unit(k) for k in jr.split(key, depth)], layers))
