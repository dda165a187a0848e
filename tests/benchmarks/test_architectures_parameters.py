"""Parameters of each layer, against counts by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from architectures.parameters import parameters_per_layer

from shoal.bijections import (
    Affine,
    Chain,
    Householder,
    LULinear,
    Permutation,
    Planar,
    Radial,
    Scan,
    Standardize,
    StandardizedContext,
    Sylvester,
    dense_coupling,
    halves,
    masked_autoregressive,
)


def test_layers_of_a_chain():
    coupling = dense_coupling(halves(5), Affine(), hidden=(7,), context_dim=2, key=jr.key(0))
    affine, net = 6 * 4 + 6, 7 * 4 + 7 + 6 * 7
    parts = [
        LULinear(5, key=jr.key(0)),
        coupling,
        Permutation(range(5)),
        Standardize(jnp.zeros(5), jnp.ones(5)),
    ]
    assert parameters_per_layer(Chain(parts)) == (5 * 5 + 5, affine + net, 0, 0)
    wrapped = StandardizedContext(coupling, jnp.zeros(2), jnp.ones(2))
    assert parameters_per_layer(wrapped) == (affine + net,)
    assert parameters_per_layer(Scan([coupling, coupling])) == (affine + net,) * 2


def test_the_planar_family() -> None:
    """As the classes' documentation states them."""
    layers = [Planar(5, key=jr.key(0)), Radial(5, key=jr.key(0)), Householder(5, 3, key=jr.key(0))]
    chain = Chain([*layers, Sylvester(5, 3, reflections=4, key=jr.key(0))])
    assert parameters_per_layer(chain) == (2 * 5 + 1, 5 + 2, 3 * 5, 3 * 4 + 3 + 4 * 5)


@pytest.mark.parametrize(("hidden", "context"), [((), 0), ((6,), 0), ((6, 5), 2)])
def test_masked_weights_are_not_counted(hidden: tuple[int, ...], context: int):
    """The numbers whose change changes x at some point: counted by moving them one at a time."""
    layer = masked_autoregressive(
        3, Affine(), hidden=hidden, context_dim=context, activation="silu", key=jr.key(0)
    )
    keys = iter(jr.split(jr.key(1), 20))
    params, rest = eqx.partition(layer, eqx.is_inexact_array)
    params = jax.tree.map(lambda a: jr.normal(next(keys), a.shape), params)
    x = jr.normal(jr.key(2), (8, 3))
    c = jr.normal(jr.key(3), (8, context)) if context else None
    leaves, tree = jax.tree.flatten(params)

    @jax.jit
    def outputs(flat):
        made = eqx.combine(jax.tree.unflatten(tree, flat), rest)
        return jax.vmap(made.inverse, in_axes=(0, None if c is None else 0))(x, c)

    effects = jax.jacrev(outputs)(leaves)
    moved = sum(int(np.sum(np.any(np.asarray(e) != 0, axis=(0, 1)))) for e in effects)
    assert parameters_per_layer(layer) == (moved,)
