"""`Chain`, `Scan` and `Inverse`: order of layers, `Scan` equal to the chain of its units, what does not fit together."""

# What comes back is typed as the base class; a None that should not be there fails the test as it should.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportReturnType=false

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import (
    ActNorm,
    Affine,
    ArrayPartition,
    Chain,
    Coupling,
    Inverse,
    LULinear,
    Permutation,
    Scan,
    StandardizedContext,
    dense_coupling,
    halves,
    layers_of,
    masked_autoregressive,
    random_halves,
)
from tests.bijections.draws import noisy, normal


def coupling(key: jax.Array, n: int = 4, hidden: int = 3, context: int = 0) -> Coupling:
    return noisy(
        dense_coupling(halves(n), Affine(), hidden=(hidden,), context_dim=context, key=key),
        int(jr.bits(key)),
        0.3,
    )


def pair(key: jax.Array) -> Chain:
    a, b = jr.split(key)
    second = dense_coupling(halves(4).swapped(), Affine(), hidden=(3,), key=b)
    return Chain([coupling(a), noisy(second, int(jr.bits(b)), 0.3)])


def with_array_partition(key: jax.Array) -> Coupling:
    a, b = jr.split(key)
    return noisy(
        dense_coupling(ArrayPartition(random_halves(a, 5)), Affine(), hidden=(3,), context_dim=2, key=b),
        int(jr.bits(b)),
        0.3,
    )


UNITS = {"pairs": pair, "array-partitions-context": with_array_partition}


@eqx.filter_jit
def both_ways(b, v, context):
    return *b.forward_and_log_det(v, context), *b.inverse_and_log_det(v, context)


@pytest.mark.parametrize("unroll", [1, 2, 3])
@pytest.mark.parametrize("make", UNITS.values(), ids=UNITS)
def test_scan_is_the_chain_of_its_units(make, unroll):
    units = [make(k) for k in jr.split(jr.key(0), 3)]
    scan = Scan(units, unroll=unroll)
    v = normal(1, *scan.shape)
    context = normal(2, *scan.context_shape) if scan.context_shape else None
    want = both_ways(Chain(units), v, context)
    for b in (scan, scan.rolled()):
        for got, w in zip(both_ways(b, v, context), want, strict=True):
            np.testing.assert_allclose(got, w, rtol=1e-5, atol=1e-5)
    assert all(eqx.tree_equal(a, b) for a, b in zip(scan.units(), units, strict=True))
    assert (scan.length, scan.unroll, scan.rolled().unroll) == (3, unroll, 1)
    assert eqx.tree_equal(scan.rolled().unit, scan.unit)


def test_scan_of_one_unit_and_of_a_large_unroll():
    unit = pair(jr.key(0))
    scan = Scan([unit], unroll=8)
    assert scan.unroll == 1
    v = normal(1, 4)
    for got, want in zip(both_ways(scan, v, None), both_ways(unit, v, None), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_layers_come_in_forward_order():
    units = [pair(k) for k in jr.split(jr.key(0), 2)]
    lu, maf = LULinear(4, key=jr.key(1)), masked_autoregressive(4, Affine(), hidden=(3,), key=jr.key(2))
    b = Chain([ActNorm(4), Scan(units), Chain([lu, Inverse(maf)])])
    want = [ActNorm(4), *units[0].bijections, *units[1].bijections, lu, Inverse(maf)]
    assert len(b.layers()) == 7
    assert all(eqx.tree_equal(got, w) for got, w in zip(b.layers(), want, strict=True))
    assert layers_of(lu) == (lu,)
    backwards = Inverse(b).layers()
    assert all(type(layer) is Inverse for layer in backwards)
    assert all(eqx.tree_equal(got.bijection, w) for got, w in zip(backwards, reversed(want), strict=True))
    with_context = Chain([coupling(jr.key(3), context=2), Permutation([1, 0, 3, 2])])
    standard = StandardizedContext(with_context, jnp.ones(2), jnp.ones(2))
    assert [type(layer).__name__ for layer in standard.layers()] == ["StandardizedContext", "Permutation"]


def test_chain_runs_first_to_last():
    b = Chain([Permutation([1, 2, 0]), ActNorm(3)])
    b = eqx.tree_at(lambda c: c.bijections[1].shift, b, jnp.array([10.0, 20.0, 30.0]))
    np.testing.assert_array_equal(b.forward(jnp.array([1.0, 2.0, 3.0])), [12.0, 23.0, 31.0])
    np.testing.assert_array_equal(b.inverse(jnp.array([12.0, 23.0, 31.0])), [1.0, 2.0, 3.0])


def test_permutation_takes_entry_order_i():
    np.testing.assert_array_equal(Permutation([2, 0, 1]).forward(jnp.array([5.0, 6.0, 7.0])), [7.0, 5.0, 6.0])


def test_inverse_of_inverse():
    b, v = pair(jr.key(0)), normal(1, 4)
    twice = Inverse(Inverse(b))
    for got, want in zip(twice.forward_and_log_det(v), b.forward_and_log_det(v), strict=True):
        np.testing.assert_array_equal(got, want)
    assert [type(layer.bijection) for layer in twice.layers()] == [Inverse, Inverse]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(lambda k: coupling(k, hidden=5), id="hidden"),
        pytest.param(
            lambda k: noisy(dense_coupling(halves(4).swapped(), Affine(), hidden=(3,), key=k)), id="partition"
        ),
        pytest.param(lambda k: coupling(k, context=2), id="context"),
        pytest.param(lambda k: ActNorm(4), id="class"),
        pytest.param(lambda k: coupling(k, n=5), id="shape"),
        pytest.param(lambda k: jax.tree.map(lambda a: a.astype("float16"), coupling(k)), id="dtype"),
    ],
)
def test_scan_needs_identical_units(other, unchecked):
    a, b, c = jr.split(jr.key(0), 3)
    with pytest.raises(ValueError, match=r"needs identical units .* unit 2 differs from unit 0. Use `Chain`"):
        Scan([coupling(a), coupling(b), other(c)])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(lambda: Scan([]), "`Scan` needs at least one unit", id="scan-empty"),
        pytest.param(lambda: Scan([ActNorm(2)], unroll=0), "at least 1; got 0", id="unroll"),
        pytest.param(lambda: Chain([]), "`Chain` needs at least one bijection", id="chain-empty"),
        pytest.param(
            lambda: Chain([ActNorm(2), ActNorm(3)]),
            "part 1 has shape (3,), part 0 has (2,)",
            id="chain-shapes",
        ),
        pytest.param(
            lambda: Chain([coupling(jr.key(0), context=2), coupling(jr.key(0), context=3)]),
            "needs one context shape; its parts have",
            id="chain-contexts",
        ),
        pytest.param(
            lambda: StandardizedContext(ActNorm(2), jnp.zeros(2), jnp.ones(2)),
            "the context's shape None",
            id="no-context",
        ),
        pytest.param(
            lambda: StandardizedContext(coupling(jr.key(0), context=2), jnp.zeros(2), jnp.zeros(2)),
            "positive, finite scales",
            id="context-scale",
        ),
        pytest.param(
            lambda: Permutation([0, 0, 1]),
            "must hold each of 0 ... n-1 once; got [0, 0, 1]",
            id="permutation",
        ),
        pytest.param(
            lambda: Permutation([1, 2]),
            "must hold each of 0 ... n-1 once; got [1, 2]",
            id="permutation-from-1",
        ),
        pytest.param(
            lambda: Permutation([]), "must hold each of 0 ... n-1 once; got []", id="permutation-empty"
        ),
        pytest.param(lambda: ActNorm(0), "at least 1; got 0", id="actnorm"),
        pytest.param(lambda: LULinear(0, key=jr.key(0)), "at least 1; got 0", id="lu"),
    ],
)
def test_what_does_not_fit_is_refused(make, text, unchecked):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()


def test_a_batch_without_vmap_is_refused(unchecked):
    text = "`ActNorm` acts on one vector of shape (2,); got shape (7, 2). Use `jax.vmap` for batches."
    for function in (ActNorm(2).forward, ActNorm(2).inverse):
        with pytest.raises(ValueError, match=re.escape(text)):
            function(jnp.zeros((7, 2)))


def test_lu_starts_at_the_identity_or_near_it():
    v = normal(0, 3)
    np.testing.assert_array_equal(LULinear(3, key=jr.key(0)).forward(v), v)
    near = LULinear(3, spread=1e-3, key=jr.key(0)).forward(v)
    assert 0.0 < np.max(np.abs(near - v)) < 0.1


def test_lu_ignores_the_other_triangles():
    b = noisy(LULinear(3, key=jr.key(0)))
    full = jnp.full((3, 3), 1e3)
    other = eqx.tree_at(
        lambda m: (m.lower, m.upper),
        b,
        (jnp.tril(b.lower, -1) + jnp.triu(full), jnp.triu(b.upper, 1) + jnp.tril(full)),
    )
    v = normal(0, 3)
    for got, want in zip(both_ways(other, v, None), both_ways(b, v, None), strict=True):
        np.testing.assert_array_equal(got, want)
