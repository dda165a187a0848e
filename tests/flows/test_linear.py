"""`from_factors` and `fold_linear`: the same function, in couplings."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import (
    Affine,
    Chain,
    Coupling,
    Inverse,
    LULinear,
    Permutation,
    Scan,
    SignFlip,
    dense_coupling,
    halves,
    layer_name,
)
from shoal.distributions import Flow, StandardNormal
from shoal.flows import fold_linear, from_factors, load, save
from shoal.theory.linear import Effort, factor

QUICK = Effort(10)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("n", "first"), [(2, "lower"), (5, "lower"), (5, "upper"), (6, "upper")])
def test_factors_become_couplings(n: int, first):
    rng = np.random.default_rng(n)
    t, shift, z = rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=n)
    kept = tuple(int(i) for i in rng.permutation(n)[: n // 2])
    b: Any = from_factors(factor(t, first=first, kept=kept, effort=QUICK), shift)
    x, log_det = b.forward_and_log_det(jnp.asarray(z))
    np.testing.assert_allclose(x, t @ z + shift, atol=1e-11)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(t)[1], atol=1e-11)
    np.testing.assert_allclose(b.inverse(x), z, atol=1e-10)
    assert all(isinstance(layer, Coupling | SignFlip) for layer in b.layers())


def _flow(key) -> Flow:
    """Linear layers of every kind that is folded, alone, inverted and in a scan."""
    keys = list(jr.split(key, 8))
    unit = lambda k: Chain(
        [
            Permutation(np.random.default_rng(int(jr.randint(k, (), 0, 99))).permutation(4)),
            LULinear(4, spread=0.4, key=k),
        ]
    )
    parts = [
        Scan([unit(keys[0]), unit(keys[1])]),
        dense_coupling(halves(4), Affine(), hidden=(5,), key=keys[2]),
        Inverse(LULinear(4, spread=0.5, key=keys[3])),
        Permutation([2, 0, 3, 1]),
    ]
    return Flow(StandardNormal(4), Chain(parts))


@pytest.mark.usefixtures("x64")
def test_folding_keeps_the_function_and_is_saved(tmp_path):
    flow = jax.tree.map(
        lambda a: (
            a + 0.2 * jr.normal(jr.key(4), a.shape, a.dtype) if jnp.issubdtype(a.dtype, jnp.floating) else a
        ),
        _flow(jr.key(0)),
    )
    folded = fold_linear(flow, effort=QUICK)
    x = jr.normal(jr.key(1), (50, 4))
    expected, got = flow.log_prob(x), folded.log_prob(x)
    np.testing.assert_allclose(got, expected, atol=1e-10 * float(jnp.max(jnp.abs(expected))))
    names = {layer_name(layer) for layer in folded.bijection.layers()}
    assert names <= {"Coupling(Affine)", "SignFlip"}
    save(folded, tmp_path / "m")
    assert np.asarray(load(tmp_path / "m").log_prob(x)).tobytes() == np.asarray(got).tobytes()


def test_folding_in_float32():
    flow = Flow(StandardNormal(4), Inverse(LULinear(4, spread=0.4, key=jr.key(3))))
    folded = fold_linear(flow, effort=QUICK)
    x = jr.normal(jr.key(1), (50, 4))
    assert folded.log_prob(x).dtype == jnp.float32
    np.testing.assert_allclose(folded.log_prob(x), flow.log_prob(x), rtol=1e-4)


def test_a_shift_of_another_length_is_refused():
    with pytest.raises(ValueError, match="length 4"):
        from_factors(factor(np.eye(4)), np.zeros(3))
