"""Recipe of layerwise invertible networks."""

import jax.random as jr

from shoal._types import Key
from shoal.bijections import (
    AbstractLeaky,
    Activation,
    DiagonalPlusLowRank,
    Layerwise,
    SingularValues,
    TrainedLeakyReLU,
)
from shoal.distributions import Flow
from shoal.flows._common import check_sizes, flow, stack


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
    **Raises:** ValueError for `rank` beside `reflections`.
    """
    check_sizes(dim, depth, context_dim)
    if rank is not None and reflections is not None:
        raise ValueError("`layerwise` takes `rank` or `reflections`, not both.")
    leaky = TrainedLeakyReLU(dim) if leaky is None else leaky
    middle = leaky.slope_at_zero  # (1 + a) / 2
    start = (2.0 * middle - 1.0) ** -0.5 if rank is None else 1.0 / middle
    units = []
    for k in jr.split(key, depth):
        k_linear, k_shift = jr.split(k)
        linear = (
            SingularValues(dim, low, high, reflections=reflections, start=start, turned=True, key=k_linear)
            if rank is None
            else DiagonalPlusLowRank(dim, low, high, rank=rank, start=start, key=k_linear)
        )
        settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
        units.append(Layerwise(linear, leaky, key=k_shift, **settings))
    return flow(stack(units, 1))
