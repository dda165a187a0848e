"""Cases of the registry: dense and pixelwise linear layers, squeeze, split, supports, convolutional coupling."""

import jax
import jax.random as jr
import numpy as np

from shoal.bijections import (
    AbstractBijection,
    ActNorm,
    Affine,
    Chain,
    DenseLinear,
    LULinear,
    OnPart,
    Partition,
    PixelWise,
    SoftBoundedScale,
    Squeeze,
    Support,
    convolutional_coupling,
    dense_coupling,
    halves,
)
from tests.laws.case import Case

_SQUEEZE = "a permutation is orthogonal: kappa 1"
_LOW, _HIGH = (-1.0, -np.inf, 2.0, -np.inf), (2.0, np.inf, np.inf, 3.0)
_LOGIT = "n = 1: a Jacobian of one entry has kappa 1"


def _between(inner: AbstractBijection, key: jax.Array) -> Chain:
    a, b = jr.split(key)
    n = inner.shape[0]
    return Chain([LULinear(n, key=a), inner, LULinear(n, key=b)])


def _glow(key: jax.Array) -> Chain:
    a, b, c = jr.split(key, 3)
    shape = (2, 1, 4)
    scale = SoftBoundedScale(1.0)
    steps = [
        convolutional_coupling(shape, halves(4), Affine(scale), hidden=(3,), key=a),
        PixelWise(Chain([LULinear(4, key=b), ActNorm(4)]), shape),
    ]
    return Chain([OnPart(LULinear(4, key=c), Partition(8, (2, 3, 6, 7))), *steps, Squeeze((4, 2, 1))])


CASES: tuple[Case, ...] = (
    Case("dense", lambda k: DenseLinear(4, key=k)),
    Case(
        "pixelwise-chain-context",
        lambda k: PixelWise(
            Chain([dense_coupling(halves(2), Affine(), hidden=(4,), context_dim=2, key=k), ActNorm(2)]),
            (1, 2, 2),
        ),
    ),
    Case("squeeze", lambda k: Squeeze((4, 2, 1)), fixed_kappa=_SQUEEZE),
    Case("support", lambda k: Support(1, low=-1.0, high=2.0, alpha=0.05), fixed_kappa=_LOGIT),
    Case("lu-supports-lu", lambda k: _between(Support(4, low=_LOW, high=_HIGH), k)),
    Case("lu-support-lu", lambda k: _between(Support(3, low=0.0, high=4.0, alpha=0.01), k)),
    Case(
        "on-part-context",
        lambda k: OnPart(
            dense_coupling(halves(3), Affine(), hidden=(5,), context_dim=2, key=k), Partition(5, (4, 1))
        ),
    ),
    Case(
        "convolutional",
        lambda k: convolutional_coupling(
            (4, 1, 2), halves(2), Affine(SoftBoundedScale(2.0)), hidden=(4, 3), activation="silu", key=k
        ),
    ),
    Case(
        "convolutional-context",
        lambda k: convolutional_coupling(
            (1, 2, 3),
            Partition(3, (2,)),
            Affine(SoftBoundedScale(2.0)),
            hidden=(4,),
            kernel=1,
            context_dim=2,
            activation="tanh",
            key=k,
        ),
    ),
    Case("glow", _glow),
)
OP_BY_OP: tuple[str, ...] = (
    "dense",
    "pixelwise-chain-context",
    "squeeze",
    "support",
    "on-part-context",
    "convolutional",
)
