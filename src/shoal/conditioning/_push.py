"""Jacobians of bijections by their structure: cheaper than one tangent a coordinate through every layer.

A coupling moves x_m = g(z_kept, z_m), g elementwise in z_m. With J the Jacobian so far, its kept rows stay and the moved
ones become diag(dg/dz_m) J_moved + (dg/dz_kept) J_kept: only as many tangents as coordinates are kept go through the
conditioner. `Scan` carries J from unit to unit. Anything else takes the columns of J as tangents.
"""

from functools import singledispatch

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from shoal._names import Direction
from shoal._types import Array, Context, Float, Vector
from shoal.bijections import AbstractBijection, Chain, Coupling, Inverse, LogTails, Marginals, Scan

Matrix = Float[Array, "n m"]
Pushed = tuple[Vector, Matrix]


@singledispatch
def push(
    bijection: AbstractBijection,
    v: Vector,
    jacobian: Matrix,
    context: Context,
    direction: Direction,
) -> Pushed:
    """(f(v), Df(v) J) for `direction` "forward", the same of f^{-1} for "inverse"."""
    function = _function(bijection, direction)
    image, linear = jax.linearize(lambda u: function(u, context), v)
    return image, jax.vmap(linear, in_axes=1, out_axes=1)(jacobian)


def jacobian_of(bijection: AbstractBijection, v: Vector, context: Context, direction: Direction) -> Array:
    """Df(v) or Df^{-1}(v), (n, n)."""
    return push(bijection, v, jnp.eye(v.shape[0], dtype=v.dtype), context, direction)[1]


@push.register
def _(bijection: Chain, v: Vector, jacobian: Matrix, context: Context, direction: Direction) -> Pushed:
    parts = bijection.bijections if direction == "forward" else bijection.bijections[::-1]
    for part in parts:
        v, jacobian = push(part, v, jacobian, context, direction)
    return v, jacobian


@push.register
def _(bijection: Scan, v: Vector, jacobian: Matrix, context: Context, direction: Direction) -> Pushed:
    arrays, static = eqx.partition(bijection.unit, eqx.is_array)

    def body(carry: Pushed, part: PyTree) -> tuple[Pushed, None]:
        return push(eqx.combine(part, static), *carry, context, direction), None

    reverse = direction == "inverse"
    return jax.lax.scan(body, (v, jacobian), arrays, reverse=reverse, unroll=bijection.unroll)[0]


@push.register
def _(bijection: Inverse, v: Vector, jacobian: Matrix, context: Context, direction: Direction) -> Pushed:
    return push(bijection.bijection, v, jacobian, context, "inverse" if direction == "forward" else "forward")


@push.register
def _(bijection: Coupling, v: Vector, jacobian: Matrix, context: Context, direction: Direction) -> Pushed:
    partition, f = bijection.partition, bijection.transformer
    transform = f.forward if direction == "forward" else f.inverse
    kept, moved = partition.split(v)
    of_kept, of_moved = jax.vmap(partition.split, in_axes=1, out_axes=1)(jacobian)
    raw = bijection.conditioner(kept, context)
    image, slope = jax.jvp(lambda m: transform(raw, m)[0], (moved,), (jnp.ones_like(moved),))
    through = jax.jacfwd(lambda k: transform(bijection.conditioner(k, context), moved)[0])(kept)
    below = slope[:, None] * of_moved + through @ of_kept
    return partition.join(kept, image), jax.vmap(partition.join, in_axes=1, out_axes=1)(of_kept, below)


@push.register(LogTails)
@push.register(Marginals)
def _(
    bijection: AbstractBijection, v: Vector, jacobian: Matrix, context: Context, direction: Direction
) -> Pushed:
    image, slope = jax.jvp(lambda u: _function(bijection, direction)(u, context), (v,), (jnp.ones_like(v),))
    return image, slope[:, None] * jacobian


def _function(bijection: AbstractBijection, direction: Direction):
    return bijection.forward if direction == "forward" else bijection.inverse
