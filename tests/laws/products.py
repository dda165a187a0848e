"""No product of a bijection leaves its precision to the device: the law that keeps inverses exact on accelerators.

On an accelerator JAX rounds the factors of a float32 product to 10 or fewer bits by default; on a CPU nothing of it is
seen. So the law reads the programs: every product says HIGHEST, in both directions and in their derivatives.
"""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr

from shoal.bijections import AbstractBijection
from tests.laws.oracles import Points, data

PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot")
HIGHEST = jax.lax.Precision.HIGHEST


def law_products(bijection: AbstractBijection, points: Points) -> None:
    """Every product of float32 arrays asks for all their digits."""
    z, x = (jnp.asarray(a[0], jnp.float32) for a in (points.z, data(bijection, points)))
    context = None if points.context is None else jnp.asarray(points.context[0], jnp.float32)
    arrays, static = eqx.partition(bijection, eqx.is_inexact_array)
    arrays = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), arrays)

    def total(arrays: Any, z: jax.Array, x: jax.Array) -> jax.Array:
        b = eqx.combine(arrays, static)
        there, back = b.forward_and_log_det(z, context), b.inverse_and_log_det(x, context)
        return jnp.sum(there[0]) + there[1] + jnp.sum(back[0]) + back[1]

    program = jax.value_and_grad(total, argnums=(0, 1, 2))
    for equation in equations(jax.make_jaxpr(program)(arrays, z, x).jaxpr):
        if equation.primitive.name in PRODUCTS:
            asked = equation.params["precision"]
            both = asked if isinstance(asked, tuple) else (asked, asked)
            floating = jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.floating)
            assert not floating or both == (HIGHEST, HIGHEST), f"a product at precision {asked}: {equation}"


def equations(program: Jaxpr) -> Iterator[Any]:
    """Every equation, those of loops, branches and inner functions too."""
    for equation in program.eqns:
        yield equation
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if isinstance(part, ClosedJaxpr):
                    yield from equations(part.jaxpr)
                elif isinstance(part, Jaxpr):
                    yield from equations(part)
