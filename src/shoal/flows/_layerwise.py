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
    """Layerwise invertible network ([KMR] Theorem 4): `depth` layers s(A z + b), A with singular values in [low, high].

    `rank`: None for `SingularValues` (`reflections` as there), a number for `DiagonalPlusLowRank`; `leaky`: s, for None
    `TrainedLeakyReLU(dim)`, n numbers a layer beside the n(n + 1) of A and b (`SmoothLeakyReLU` has none); `hidden`,
    `activation`: of b(context). At the start each layer is A = 1/s'(0), b = 0: the identity to first order at 0.
    **Raises:** ValueError for `rank` beside `reflections`.
    """
    check_sizes(dim, depth, context_dim)
    if rank is not None and reflections is not None:
        raise ValueError("`layerwise` takes `rank` or `reflections`, not both.")
    leaky = TrainedLeakyReLU(dim) if leaky is None else leaky
    start = 1.0 / leaky.slope_at_zero
    units = []
    for k in jr.split(key, depth):
        k_linear, k_shift = jr.split(k)
        linear = (
            SingularValues(dim, low, high, reflections=reflections, start=start, key=k_linear)
            if rank is None
            else DiagonalPlusLowRank(dim, low, high, rank=rank, start=start, key=k_linear)
        )
        settings = {"hidden": hidden, "context_dim": context_dim, "activation": activation}
        units.append(Layerwise(linear, leaky, key=k_shift, **settings))
    return flow(stack(units, 1))
