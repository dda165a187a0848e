"""Cases of the registry: the planar family.

Alone, planar and Sylvester layers keep the arrays inside tanh as built, with b away from 0: drawn with the multiplier, they
would saturate it at most points. Between LU layers everything is drawn.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal.bijections import (
    AbstractBijection,
    Chain,
    ExponentialScale,
    Householder,
    Inverse,
    LULinear,
    Planar,
    Radial,
    Scan,
    Sylvester,
)
from tests.laws.case import Case

_ORTHOGONAL = "a product of reflections is orthogonal: kappa 1"


def _lu(inner: AbstractBijection, key: jax.Array) -> Chain:
    a, b = jr.split(key)
    n = inner.shape[0]
    return Chain([LULinear(n, key=a), inner, LULinear(n, key=b)])


def _bent(layer: AbstractBijection, bend: float | jax.Array) -> AbstractBijection:
    return eqx.tree_at(lambda p: p.b, layer, layer.b + bend)  # pyright: ignore[reportAttributeAccessIssue]


def _both_ways(key: jax.Array) -> Scan:
    units = [Chain([Inverse(Planar(3, key=k)), LULinear(3, key=k)]) for k in jr.split(key, 2)]
    return Scan(units)


def _all_with_context(key: jax.Array) -> Chain:
    a, b, c, d, e = jr.split(key, 5)
    settings = {"context_dim": 2, "hidden": (4,)}
    layers = [
        Planar(3, key=a, **settings),
        Radial(3, key=b, **settings),
        Sylvester(3, 2, key=c, **settings),
        Householder(3, 2, key=d, **settings),
    ]
    return _lu(Chain(layers), e)


CASES: tuple[Case, ...] = (
    Case("planar", lambda k: _bent(Planar(4, least_slope=1e-3, key=k), 0.4), kept=("w", "b")),
    Case("radial", lambda k: Radial(3, scale=ExponentialScale(), key=k), kept=("z0",)),
    Case(
        "sylvester",
        lambda k: _bent(Sylvester(4, 2, key=k), jnp.array([0.3, -0.5])),
        kept=("upper_tilde", "b"),
    ),
    Case("householder", lambda k: Householder(4, 3, key=k), fixed_kappa=_ORTHOGONAL),
    Case("planar-family-context", _all_with_context),
    Case("scan-inverse-planar", _both_ways),
)
OP_BY_OP: tuple[str, ...] = ("planar", "radial", "sylvester", "householder")
