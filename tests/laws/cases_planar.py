"""Cases of the registry: the planar family.

Alone, planar and Sylvester layers keep the arrays inside tanh as built, with b away from 0: drawn with the multiplier, they
would saturate it at most points. Around an LU layer everything is drawn.
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
    Sylvester,
)
from tests.laws.case import Case

_ORTHOGONAL = "a product of reflections is orthogonal: kappa 1"


def _bent(layer: AbstractBijection, bend: float) -> AbstractBijection:
    return eqx.tree_at(lambda p: p.b, layer, layer.b + bend)  # pyright: ignore[reportAttributeAccessIssue]


def _sylvester(layer: Sylvester) -> Sylvester:
    tilde = jnp.array([0.5, -0.3, 0.4], layer.b.dtype)
    return eqx.tree_at(lambda s: (s.upper_tilde, s.b), layer, (tilde, layer.b + jnp.array([0.3, -0.2])))


def _radial(key: jax.Array) -> Radial:
    layer = Radial(3, scale=ExponentialScale(), key=key)
    return eqx.tree_at(lambda r: r.log_alpha, layer, layer.log_alpha - 12.0)


def _all_with_context(key: jax.Array) -> Chain:
    a, b, c, d, e = jr.split(key, 5)
    settings = {"context_dim": 2, "hidden": (4,)}
    layers = [
        Inverse(Planar(3, key=a, **settings)),
        Radial(3, key=b, **settings),
        LULinear(3, key=e),
        Householder(3, 2, key=d, **settings),
        Sylvester(3, 2, key=c, **settings),
    ]
    return Chain(layers)


CASES: tuple[Case, ...] = (
    Case("planar", lambda k: _bent(Planar(4, least_slope=1e-3, key=k), 0.4), kept=("w", "b")),
    Case("radial", _radial, kept=("z0", "log_alpha")),
    Case(
        "sylvester",
        lambda k: _sylvester(Sylvester(4, 2, key=k)),
        kept=("upper_tilde", "b"),
    ),
    Case("householder", lambda k: Householder(4, 3, key=k), fixed_kappa=_ORTHOGONAL),
    Case("planar-family-context", _all_with_context),
)
OP_BY_OP: tuple[str, ...] = ("planar", "radial", "sylvester", "householder")
