"""Cases of the registry: the residual family."""

import jax
import jax.random as jr

from shoal.bijections import (
    Chain,
    DiagonalPlusLowRank,
    GramBound,
    HoelderBound,
    Layerwise,
    LeakySoftsign,
    LULinear,
    PowerSeries,
    Residual,
    SingularValues,
    SmoothLeakyReLU,
    TrainedLeakyReLU,
)
from tests.laws.case import Case

_BOUNDED = "kappa <= (1 + L) / (1 - L) for a residual layer"
_TINY = 1e-15  # below the resolution of either dtype, so that the iteration goes as far as the dtype lets it


def _composed(key: jax.Array) -> Chain:
    a, b, c = jr.split(key, 3)
    layer = Residual(
        3,
        hidden=(6,),
        lipschitz=0.6,
        context_dim=2,
        tolerance=_TINY,
        activation="tanh",
        norm=GramBound(3),
        key=b,
    )
    return Chain([LULinear(3, key=a), layer, LULinear(3, key=c)])


CASES: tuple[Case, ...] = (
    Case(
        "residual",
        lambda k: Residual(3, hidden=(6, 5), lipschitz=0.9, tolerance=_TINY, key=k),
        bounded_kappa=_BOUNDED,
    ),
    Case(
        "residual-series",
        lambda k: Residual(
            3, hidden=(), lipschitz=0.5, log_det=PowerSeries(52), norm=HoelderBound(), tolerance=_TINY, key=k
        ),
        bounded_kappa=_BOUNDED,
    ),
    Case("lu-residual-context-lu", _composed),
    Case("layerwise", lambda k: Layerwise(SingularValues(4, 1e-3, 1e3, key=k), SmoothLeakyReLU(0.1), key=k)),
    Case(
        "layerwise-trained",
        lambda k: Layerwise(SingularValues(3, 1e-3, 1e3, reflections=1, key=k), TrainedLeakyReLU(3), key=k),
    ),
    Case(
        "layerwise-low-rank-context",
        lambda k: Layerwise(
            DiagonalPlusLowRank(4, 1e-4, 1e4, rank=2, norm=GramBound(), key=k),
            LeakySoftsign(0.3),
            hidden=(5,),
            context_dim=2,
            key=k,
        ),
    ),
)
OP_BY_OP: tuple[str, ...] = ("residual", "layerwise")
