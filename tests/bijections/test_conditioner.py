"""Conditioners: affine plus net, the net zero at the start, and couplings that start at the identity."""

# Bad values on purpose, and optimisers whose stubs are narrower than they are.
# pyright: reportArgumentType=false, reportCallIssue=false

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal.bijections import (
    Additive,
    Affine,
    DenseConditioner,
    ExponentialScale,
    RationalQuadratic,
    SigmoidScale,
    dense_coupling,
    halves,
    masked_autoregressive,
)
from tests.bijections.draws import normal

ACTIVATIONS = {
    "relu": lambda v: np.maximum(v, 0.0),
    "silu": lambda v: v / (1.0 + np.exp(-v)),
    "tanh": np.tanh,
    "gelu": lambda v: (
        0.5 * v * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (v + 0.044715 * v**3)))
    ),  # JAX's default form
}


def drawn(conditioner: DenseConditioner, seed: int, net: bool) -> DenseConditioner:
    where = lambda c: (c.skip, c.bias, c.last)
    skip, bias, last = where(conditioner)
    new = normal(seed, *skip.shape), normal(seed + 1, *bias.shape), normal(seed + 2, *last.shape)
    return eqx.tree_at(where, conditioner, (*new[:2], new[2] if net else jnp.zeros_like(last)))


@pytest.mark.parametrize("hidden", [(), (4,), (4, 6)], ids=str)
@pytest.mark.parametrize("context", [0, 2])
def test_a_zero_net_is_an_affine_map(hidden, context, x64):
    c = drawn(
        DenseConditioner(3, 5, hidden=hidden, context=context, activation="silu", key=jr.key(0)), 1, net=False
    )
    x, extra = normal(7, 3), normal(8, context)
    want = np.asarray(c.skip) @ np.concatenate([x, extra]) + np.asarray(c.bias)
    np.testing.assert_allclose(c(x, extra if context else None), want, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values(activation, x64):
    c = drawn(
        DenseConditioner(3, 5, hidden=(4, 6), context=2, activation=activation, key=jr.key(0)), 1, net=True
    )
    x, extra = normal(7, 3), normal(8, 2)
    h = start = np.concatenate([x, extra])
    for w, b in zip(c.weights, c.biases, strict=True):
        h = ACTIVATIONS[activation](np.asarray(w) @ h + np.asarray(b))
    want = np.asarray(c.skip) @ start + np.asarray(c.bias) + np.asarray(c.last) @ h
    np.testing.assert_allclose(c(x, extra), want, rtol=1e-13, atol=1e-13)


def test_nan_stays_nan():
    for activation in ACTIVATIONS:
        c = drawn(
            DenseConditioner(2, 3, hidden=(4,), context=0, activation=activation, key=jr.key(0)), 1, net=True
        )
        c = eqx.tree_at(lambda m: m.skip, c, jnp.zeros_like(c.skip))
        assert np.all(np.isnan(c(jnp.array([0.0, jnp.nan]))))


def test_nothing_in_gives_the_bias():
    c = drawn(DenseConditioner(0, 3, hidden=(4,), context=0, activation="relu", key=jr.key(0)), 1, net=False)
    np.testing.assert_array_equal(c(jnp.zeros(0)), c.bias)


@pytest.mark.parametrize("hidden", [[64, 64], (0,), (-3,), (4, 2.5), 64], ids=str)
def test_hidden_is_checked(hidden, unchecked):
    text = f"`hidden` must be a tuple of positive integers, such as (64, 64); got {hidden!r}."
    for make in (
        lambda: dense_coupling(halves(4), Affine(), hidden=hidden, key=jr.key(0)),
        lambda: masked_autoregressive(4, Affine(), hidden=hidden, key=jr.key(0)),
    ):
        with pytest.raises(ValueError, match=re.escape(text)):
            make()


def test_activation_is_checked(unchecked):
    with pytest.raises(ValueError, match=re.escape("must be one of relu, silu, tanh, gelu; got 'sine'.")):
        dense_coupling(halves(4), Affine(), activation="sine", key=jr.key(0))


@pytest.mark.parametrize("transformer", [Additive(), Affine()], ids=lambda t: type(t).__name__)
def test_couplings_start_at_the_identity(transformer):
    coupling, z = (
        dense_coupling(halves(5), transformer, hidden=(4,), context_dim=2, key=jr.key(0)),
        normal(0, 5),
    )
    x, log_det = coupling.forward_and_log_det(z, normal(1, 2))
    np.testing.assert_array_equal(x, z)
    assert log_det == 0.0


def test_autoregressive_starts_at_the_identity():
    b, z = masked_autoregressive(4, Affine(ExponentialScale()), hidden=(5,), key=jr.key(0)), normal(0, 4)
    for function in (b.forward_and_log_det, b.inverse_and_log_det):
        x, log_det = function(z)
        np.testing.assert_array_equal(x, z)
        assert log_det == 0.0


def test_sigmoid_scale_does_not_start_at_the_identity():
    b = dense_coupling(halves(2), Affine(SigmoidScale()), hidden=(), key=jr.key(0))
    want = np.log(0.5 + 0.5 / (1.0 + np.exp(-2.0)))
    np.testing.assert_allclose(b.forward_and_log_det(jnp.ones(2))[1], want, rtol=1e-6)


@pytest.mark.parametrize(
    "transformer", [Additive(), Affine(), RationalQuadratic()], ids=lambda t: type(t).__name__
)
def test_parameters_differ_with_the_key(transformer):
    a, b = (dense_coupling(halves(4), transformer, hidden=(4,), key=k) for k in jr.split(jr.key(0)))
    first, second = (jax.tree.leaves(c.conditioner) for c in (a, b))
    assert any(not np.array_equal(u, v) for u, v in zip(first, second, strict=True))
    assert jax.tree.structure(a) == jax.tree.structure(b)
