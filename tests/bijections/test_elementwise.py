"""`ActNorm`, `Standardize` and `initialize`: set from a batch by a pure function, threaded through composites."""

# What comes back is typed as the base class; a None that should not be there fails the test as it should.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false

import copy
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
    Chain,
    Inverse,
    LULinear,
    Permutation,
    Scan,
    Standardize,
    StandardizedContext,
    dense_coupling,
    halves,
    initialize,
)
from tests.bijections.draws import noisy, normal


def batch(seed: int = 0, rows: int = 50, n: int = 3) -> jax.Array:
    """Columns of different means and deviations."""
    return normal(seed, rows, n) * jnp.arange(1.0, n + 1) + 10.0 * jnp.arange(n)


def standard(columns: np.ndarray, tolerance: float = 2e-6) -> None:
    """Every column has mean 0 and (population) standard deviation 1."""
    np.testing.assert_allclose(np.mean(columns, 0), 0.0, atol=tolerance)
    np.testing.assert_allclose(np.std(columns, 0), 1.0, rtol=tolerance)


def identity(n: int) -> Standardize:
    return Standardize(jnp.zeros(n), jnp.ones(n))


@pytest.mark.parametrize("make", [ActNorm, identity], ids=["ActNorm", "Standardize"])
def test_initialize_standardises_the_batch(make):
    before, x = make(3), batch()
    kept = copy.deepcopy(before)
    after = initialize(before, x)
    standard(jax.vmap(after.inverse)(x))
    want = np.sum(np.log(np.std(np.asarray(x, np.float64), 0)))
    np.testing.assert_allclose(after.forward_and_log_det(x[0])[1], want, rtol=1e-5)
    # pure: the argument is as it was, and the result depends on the batch alone
    assert eqx.tree_equal(before, kept)
    assert jax.tree.structure(after) == jax.tree.structure(before)
    assert eqx.tree_equal(initialize(after, x), after)
    assert eqx.tree_equal(initialize(before, x), after)
    assert not eqx.tree_equal(initialize(after, 2.0 * x + 1.0), after)


@pytest.mark.parametrize("make", [ActNorm, identity], ids=["ActNorm", "Standardize"])
def test_nothing_but_initialize_changes_a_layer(make):
    layer = make(3)
    jax.vmap(layer.inverse)(batch())
    assert eqx.tree_equal(layer, make(3))


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e6 + 0.1, 3e-30])
@pytest.mark.parametrize("make", [ActNorm, identity], ids=["ActNorm", "Standardize"])
def test_a_constant_column_keeps_scale_1(make, value, dtype):
    x = jnp.asarray(batch(rows=1001), dtype).at[:, 1].set(value)
    layer = initialize(make(3), x)
    scale = np.exp(layer.log_scale) if make is ActNorm else np.asarray(layer.scale)
    assert scale[1] == 1.0
    z = np.asarray(jax.vmap(layer.inverse)(x))
    assert np.all(np.abs(z[:, 1]) <= 4 * np.finfo(dtype).eps * max(1.0, abs(value)))
    standard(z[:, [0, 2]], 1e-5)


def test_one_row():
    layer = initialize(ActNorm(3), jnp.array([[1.0, -2.0, 3.0]]))
    np.testing.assert_array_equal(layer.shift, [1.0, -2.0, 3.0])
    np.testing.assert_array_equal(layer.log_scale, 0.0)


@pytest.mark.parametrize("scale", [1e-20, 1e-6, 1e6, 1e15])
def test_columns_of_any_scale(scale):
    standard(jax.vmap(initialize(ActNorm(3), scale * batch()).inverse)(scale * batch()), 1e-4)


def test_initialize_keeps_the_dtype(x64):
    layer = jax.tree.map(lambda a: a.astype("float32"), ActNorm(3))
    assert initialize(layer, batch()).shift.dtype == jnp.float32
    assert initialize(ActNorm(3), batch()).shift.dtype == jnp.float64


def test_standardize_is_not_trained():
    layer = Standardize(jnp.array([1.0, -2.0]), jnp.array([3.0, 0.5]))
    gradient = jax.grad(lambda b: jnp.sum(b.inverse(jnp.ones(2))) + b.forward_and_log_det(jnp.ones(2))[1])(
        layer
    )
    assert not any(np.any(a) for a in jax.tree.leaves(gradient))
    x, log_det = layer.forward_and_log_det(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(x, [4.0, -1.0], rtol=1e-6)
    np.testing.assert_allclose(log_det, np.log(1.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("mean", "scale", "text"),
    [
        ([0.0, 1.0], [1.0], "needs two vectors of one length; got (2,) and (1,)"),
        ([0.0, 1.0], [1.0, 0.0], "positive, finite scales"),
        ([0.0, 1.0], [1.0, -1.0], "positive, finite scales"),
        ([0.0, np.nan], [1.0, 1.0], "finite means"),
        ([0.0, 1.0], [1.0, np.inf], "positive, finite scales"),
    ],
    ids=["lengths", "zero", "negative", "nan", "infinite"],
)
def test_standardize_checks_its_numbers(mean, scale, text, unchecked):
    with pytest.raises(ValueError, match=re.escape(text)):
        Standardize(jnp.array(mean), jnp.array(scale))


def test_chain_threads_the_batch_from_the_data_side():
    x = batch(n=4)
    lu = noisy(LULinear(4, key=jr.key(0)), spread=0.3)
    after = initialize(Chain([ActNorm(4), lu, Permutation([2, 0, 3, 1]), ActNorm(4)]), x)
    first, second, _third, last = after.bijections
    arrived = jax.vmap(last.inverse)(x)
    standard(arrived)
    assert eqx.tree_equal(second, lu)
    standard(jax.vmap(after.inverse)(x), 1e-5)
    # the first layer got what the others sent on, worked out by hand
    matrix = (np.tril(lu.lower, -1) + np.eye(4)) @ (np.triu(lu.upper, 1) + np.diag(np.exp(lu.log_diagonal)))
    back = np.linalg.solve(matrix, (np.asarray(arrived)[:, [1, 3, 0, 2]] - np.asarray(lu.bias)).T).T
    np.testing.assert_allclose(first.shift, back.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.exp(first.log_scale), back.std(0), rtol=1e-4)


def unit(key: jax.Array, n: int = 3, context: int = 0) -> Chain:
    coupling = noisy(
        dense_coupling(halves(n), Affine(), hidden=(4,), context_dim=context, key=key), spread=0.3
    )
    return Chain([coupling, ActNorm(n)])


@pytest.mark.parametrize("context_dim", [0, 2])
def test_scan_is_initialised_as_the_chain_of_its_units(context_dim):
    units = [unit(k, context=context_dim) for k in jr.split(jr.key(1), 3)]
    x, context = batch(), normal(4, 50, context_dim) if context_dim else None
    scan = initialize(Scan(units), x, context)
    chain = initialize(Chain(units), x, context)
    assert scan.length == 3
    for a, b in zip(scan.layers(), chain.layers(), strict=True):
        assert type(a) is type(b)
        for got, want in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_the_context_reaches_the_layers_on_the_way():
    x, context = batch(), normal(4, 50, 2)
    b = Chain(
        [ActNorm(3), noisy(dense_coupling(halves(3), Affine(), hidden=(4,), context_dim=2, key=jr.key(0)))]
    )
    plain, shifted = initialize(b, x, context), initialize(b, x, context + 1.0)
    assert not np.allclose(plain.bijections[0].shift, shifted.bijections[0].shift)
    wrapped = initialize(StandardizedContext(b, jnp.ones(2), 2.0 * jnp.ones(2)), x, 2.0 * context + 1.0)
    for got, want in zip(jax.tree.leaves(wrapped.bijection), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_inverse_can_not_be_set_from_data():
    with pytest.raises(
        ValueError, match="`Inverse` holds ActNorm, which is set from data; initialise it before wrapping"
    ):
        initialize(Inverse(Chain([LULinear(3, key=jr.key(0)), ActNorm(3)])), batch())
    free = Inverse(LULinear(3, key=jr.key(0)))
    assert eqx.tree_equal(initialize(free, batch()), free)


@pytest.mark.parametrize("shape", [(3,), (5, 2), (0, 3), (2, 5, 3)], ids=str)
def test_the_batch_is_checked(shape, unchecked):
    text = f"`initialize` needs a non-empty batch of shape (rows, 3); got {shape}."
    with pytest.raises(ValueError, match=re.escape(text)):
        initialize(ActNorm(3), jnp.zeros(shape))
