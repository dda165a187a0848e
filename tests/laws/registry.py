"""The registry of cases that the laws run over: every exported bijection, alone and composed.

A case says how to build a bijection; `scaling.prepared` draws its parameters. Where the structure fixes the
condition number kappa, so that it can not be scaled into the range of the laws, `fixed_kappa` has the reason.
"""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr

from shoal.bijections import (
    AbstractBijection,
    ActNorm,
    Additive,
    Affine,
    ArrayPartition,
    Chain,
    Coupling,
    DenseConditioner,
    ExponentialScale,
    HeldConditioner,
    Inverse,
    KnotConditioner,
    LULinear,
    Partition,
    Permutation,
    RationalQuadratic,
    Scan,
    SigmoidScale,
    SignFlip,
    SoftBoundedScale,
    Standardize,
    StandardizedContext,
    alternating,
    dense_coupling,
    halves,
    masked_autoregressive,
    random_halves,
)
from tests.laws import cases_continuous, cases_fronts, cases_glow, cases_planar, cases_residual
from tests.laws.case import Case

_FAMILIES = (cases_planar, cases_residual, cases_continuous, cases_glow, cases_fronts)

# The cases that also run op by op, each operation compiled alone: one for each class, and each way it can run.
OP_BY_OP = (
    "additive-halves",
    "affine-soft-context-alternating",
    "affine-random-array",
    "spline-halves",
    "maf",
    "nsf",
    "lu",
    "permutation",
    "sign-flip",
    "actnorm",
    "standardize",
    "standardized-context",
    "chain-mixed",
    "inverse-of-chain",
    "scan-pairs",
    *(name for family in _FAMILIES for name in family.OP_BY_OP),
)


_N1 = "n = 1: a Jacobian of one entry has kappa 1"
_SWAP = halves(4).swapped()
_WIDE = (
    ExponentialScale()
)  # of splines one after the other: the scale carries kappa, at raw values of ordinary size


def _pair(key: jax.Array) -> Chain:
    a, b = jr.split(key)
    scale = SoftBoundedScale(1.0)
    return Chain(
        [dense_coupling(p, Affine(scale), hidden=(5,), key=k) for p, k in ((halves(4), a), (_SWAP, b))]
    )


def _array_couplings(key: jax.Array) -> list[AbstractBijection]:
    return [
        dense_coupling(ArrayPartition(random_halves(p, 5)), Affine(), hidden=(5,), context_dim=2, key=k)
        for p, k in zip(jr.split(jr.fold_in(key, 1), 3), jr.split(key, 3), strict=True)
    ]


def _mixed(key: jax.Array) -> Chain:
    a, b, c = jr.split(key, 3)
    return Chain(
        [
            ActNorm(4),
            dense_coupling(halves(4), Affine(), hidden=(5,), context_dim=2, key=a),
            Chain([Permutation([2, 0, 3, 1]), LULinear(4, key=b), SignFlip(4, (1, 3))]),
            dense_coupling(_SWAP, Additive(), hidden=(5,), key=c),
            Standardize(jnp.zeros(4), jnp.ones(4)),
        ]
    )


def _of_one_coordinate(key: jax.Array) -> Chain:
    """n = 1, where a coupling keeps nothing, and autoregressive parameters are constants and functions of the context."""
    a, b, c = jr.split(key, 3)
    coupling = dense_coupling(halves(1), Affine(), hidden=(5,), context_dim=2, key=a)
    maf = masked_autoregressive(1, Affine(), hidden=(4,), context_dim=2, key=b)
    return Chain([coupling, maf, LULinear(1, key=c)])


def _lu_around(inner: AbstractBijection, key: jax.Array) -> Chain:
    a, b = jr.split(key)
    n = inner.shape[0]
    return Chain([LULinear(n, key=a), inner, LULinear(n, key=b)])


def _by_knots(key: jax.Array) -> Coupling:
    """A coupling that is written down: 3 outputs at five knots, constant log-scales."""
    a, b = jr.split(key)
    net = KnotConditioner(jr.normal(a, (2,)), jnp.linspace(-2.0, 2.0, 5), jr.normal(b, (5, 3)), jnp.zeros(3))
    return Coupling(Partition(5, (3, 0)), Affine(ExponentialScale()), net)


def _held(key: jax.Array) -> Coupling:
    """A coupling whose conditioner's matrices are held below 2."""
    return Coupling(halves(4), Affine(), HeldConditioner(DenseConditioner(2, 4, hidden=(5,), key=key), 2.0))


CASES = (
    Case("additive-halves", lambda k: dense_coupling(halves(5), Additive(), hidden=(6,), key=k)),
    Case(
        "affine-exponential-halves",
        lambda k: dense_coupling(halves(5), Affine(ExponentialScale()), hidden=(6, 5), key=k),
    ),
    Case(
        "affine-soft-context-alternating",
        lambda k: dense_coupling(
            alternating(5), Affine(SoftBoundedScale(2.0)), hidden=(6,), context_dim=2, key=k
        ),
    ),
    Case(
        "affine-random-array",
        lambda k: dense_coupling(
            ArrayPartition(random_halves(jr.key(3), 5)), Affine(), hidden=(6,), activation="gelu", key=k
        ),
    ),
    Case(
        "affine-sigmoid-any-set",
        lambda k: dense_coupling(
            Partition(5, (3, 0)), Affine(SigmoidScale()), hidden=(6,), activation="relu", key=k
        ),
    ),
    Case("affine-knots", _by_knots, kept=("knots",)),
    Case("affine-nothing-kept", lambda k: dense_coupling(Partition(3, ()), Affine(), hidden=(), key=k)),
    Case("affine-no-hidden-layer", lambda k: dense_coupling(halves(2), Affine(), hidden=(), key=k)),
    Case("n1-context", _of_one_coordinate, fixed_kappa=_N1),
    Case(
        "spline-n1",
        lambda k: dense_coupling(halves(1), RationalQuadratic(bins=3), hidden=(), key=k),
        fixed_kappa=_N1,
    ),
    Case("spline-halves", lambda k: dense_coupling(halves(4), RationalQuadratic(bins=4), hidden=(5,), key=k)),
    Case(
        "spline-array-context",
        lambda k: dense_coupling(
            ArrayPartition(alternating(5)),
            RationalQuadratic(bins=3, bound=3.0),
            hidden=(5,),
            context_dim=2,
            key=k,
        ),
    ),
    Case("maf", lambda k: masked_autoregressive(3, Affine(), hidden=(7, 6), key=k)),
    Case(
        "maf-reverse-context",
        lambda k: masked_autoregressive(3, Affine(), hidden=(9,), reverse=True, context_dim=2, key=k),
    ),
    Case("maf-narrow", lambda k: masked_autoregressive(4, Affine(ExponentialScale()), hidden=(2,), key=k)),
    Case("maf-no-hidden-layer", lambda k: masked_autoregressive(3, Affine(SigmoidScale()), hidden=(), key=k)),
    # Of more than 32 parameters: the sequential pass is one `lax.scan`.
    Case("nsf", lambda k: masked_autoregressive(3, RationalQuadratic(4, scale=_WIDE), hidden=(6,), key=k)),
    Case(
        "nsf-context-reverse",
        lambda k: masked_autoregressive(
            3, RationalQuadratic(3, 4.0, _WIDE), hidden=(5,), context_dim=2, reverse=True, key=k
        ),
    ),
    Case("additive-autoregressive", lambda k: masked_autoregressive(3, Additive(), hidden=(6,), key=k)),
    Case("affine-held", _held),
    Case(
        "iaf-context",
        lambda k: Inverse(masked_autoregressive(3, Affine(), hidden=(6,), context_dim=2, key=k)),
    ),
    Case("lu", lambda k: LULinear(5, key=k)),
    Case(
        "permutation",
        lambda k: Permutation([3, 0, 4, 1, 2]),
        fixed_kappa="a permutation is orthogonal: kappa 1",
    ),
    Case("lu-permutation-lu", lambda k: _lu_around(Permutation([3, 0, 2, 1]), k)),
    Case("actnorm", lambda k: ActNorm(3)),
    Case("sign-flip", lambda k: SignFlip(4, (1, 3)), fixed_kappa="a sign flip is orthogonal: kappa 1"),
    Case("standardize", lambda k: Standardize(jnp.zeros(3), jnp.ones(3)), frozen=("mean", "scale")),
    Case(
        "standardized-context",
        lambda k: StandardizedContext(
            Chain(
                [
                    dense_coupling(halves(4), Affine(), hidden=(5,), context_dim=2, key=k),
                    Permutation([1, 0, 3, 2]),
                ]
            ),
            jnp.array([0.5, -1.0]),
            jnp.array([2.0, 0.7]),
        ),
        frozen=("mean", "scale"),
        kept=("mean", "scale"),
    ),
    Case("chain-mixed", _mixed, frozen=("mean", "scale")),
    Case("inverse-of-chain", lambda k: Inverse(_pair(k))),
    Case("scan-pairs", lambda k: Scan([_pair(i) for i in jr.split(k, 3)])),
    Case("scan-array-partitions-context", lambda k: Scan(_array_couplings(k))),
    *(case for family in _FAMILIES for case in family.CASES),
)
BY_NAME = {case.name: case for case in CASES}


@functools.cache
def built(name: str) -> AbstractBijection:
    """The case as it is made, before its parameters are drawn: what it consists of."""
    return BY_NAME[name].build(jr.key(0))


def parts(bijection: AbstractBijection) -> list[AbstractBijection]:
    """The bijection and every bijection inside it."""
    inside = jax.tree.leaves(
        bijection, is_leaf=lambda m: m is not bijection and isinstance(m, AbstractBijection)
    )
    return [bijection, *(p for m in inside if isinstance(m, AbstractBijection) for p in parts(m))]
