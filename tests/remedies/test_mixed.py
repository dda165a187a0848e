"""Layers in float64: what that mends, and what it can not."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal import flows
from shoal.bijections import ActNorm, Chain, DenseLinear
from shoal.conditioning import from_callables
from shoal.distributions import Flow, StandardNormal
from shoal.remedies import MixedPrecision
from tests.remedies.toys import at_random

Z = np.random.default_rng(0).normal(size=(32, 4))
EPS32 = float(np.finfo(np.float32).eps)


def scaling(log_scale: float) -> ActNorm:
    return eqx.tree_at(lambda a: a.log_scale, ActNorm(4), jnp.full(4, log_scale))


def through(*log_scales: float) -> Flow:
    return Flow(StandardNormal(4), Chain([scaling(s) for s in log_scales]))


def test_overflow_between_two_layers_is_mended_by_both():
    flow = through(60.0, 60.0, -120.0)  # e^120 is beyond float32, the product is 1
    z = Z.astype(np.float32)
    assert not np.isfinite(flow.forward(z)).all()
    mixed = MixedPrecision(flow, {1, 2})
    assert np.abs(mixed.forward(z) - z).max() <= 1e3 * EPS32  # log scales of 120 are held to 120 eps
    assert mixed.forward(z).dtype == np.float64
    log_prob = mixed.log_prob(z)
    wanted = -0.5 * (z.astype(np.float64) ** 2).sum(axis=1) - 2 * np.log(2 * np.pi)
    assert np.abs(log_prob - wanted).max() <= 1e3 * EPS32 * (1 + np.abs(wanted).max())


def test_what_a_float32_layer_is_handed_it_must_hold():
    with np.errstate(over="raise"):
        found = MixedPrecision(through(60.0, 60.0, -120.0), {1}).forward(Z)
    assert not np.isfinite(found).all()


def ill() -> Flow:
    """A dense layer of kappa 1e6 between two mild ones."""
    rng = np.random.default_rng(1)
    q = [np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(2)]
    weight = (q[0] * [1e3, 10.0, 0.1, 1e-3]) @ q[1]
    dense = eqx.tree_at(lambda d: d.weight, DenseLinear(4, key=jr.key(0)), jnp.asarray(weight, jnp.float32))
    return Flow(StandardNormal(4), Chain([scaling(0.1), dense, scaling(-0.1)]))


def own_trip(flow: Flow, layers: set[int]) -> float:
    """z -> x -> z of the layers up to the ill one, so that its output is not rounded on the way."""
    assert isinstance(flow.bijection, Chain)
    first = Flow(StandardNormal(4), Chain(flow.bijection.bijections[:2]))
    mixed = MixedPrecision(first, layers)
    return float(np.abs(mixed.inverse(mixed.forward(Z.astype(np.float32))) - Z.astype(np.float32)).max())


def test_the_ill_layer_in_float64_mends_its_own_round_off_and_the_mild_one_does_not():
    plain, mended, other = (own_trip(ill(), s) for s in (set(), {1}, {0}))
    assert plain > 1e3 * EPS32
    assert mended < 32 * EPS32
    assert other > 0.03 * plain


def test_round_off_made_elsewhere_and_amplified_stays():
    def trip(layers: set[int]) -> float:
        mixed = MixedPrecision(ill(), layers)
        return float(np.abs(mixed.inverse(mixed.forward(Z.astype(np.float32))) - Z.astype(np.float32)).max())

    assert trip({1}) > 1e3 * EPS32  # the float32 layer behind it rounds its output
    assert trip({1, 2}) < 32 * EPS32


def test_all_layers_are_float64_and_none_is_float32():
    flow = at_random(flows.realnvp(jr.key(0), 4, 2, hidden=(8,)), 0.5)
    whole = flow.to_map()
    everything = MixedPrecision(flow, {0, 1})
    wanted = whole.at()(Z)
    assert (
        np.abs(everything.forward(Z) - wanted).max() <= 64 * np.finfo(np.float64).eps * np.abs(wanted).max()
    )
    nothing = MixedPrecision(flow, set()).forward(Z)
    assert nothing.dtype == np.float32
    z = everything.inverse(wanted)
    log_prob = -0.5 * (z**2).sum(axis=1) - 2 * np.log(2 * np.pi) + whole.at("inverse").apply(wanted)[1]
    assert np.abs(everything.log_prob(wanted) - log_prob).max() <= 1e-12 * np.abs(log_prob).max()
    assert everything.sample(jr.key(1), 5).shape == (5, 4)
    mixed = MixedPrecision(flow, {1}).to_map()
    assert [layer.name for layer in mixed.layers()] == ["Coupling(Affine)"] * 2
    assert np.array_equal(mixed.at().jacobian(Z[:2]), whole.at().jacobian(Z[:2]))
    assert mixed.layers()[1].at("forward", "float32")(Z).dtype == np.float64


def test_errors():
    with pytest.raises(ValueError, match="numbers from 0 to 2; got 3"):
        MixedPrecision(through(0.0, 0.0, 0.0), {1, 3})
    bare = MixedPrecision(from_callables(lambda z: 2.0 * z, lambda x: 0.5 * x, 4), {0})
    assert np.array_equal(bare.forward(Z), 2.0 * Z)
    with pytest.raises(ValueError, match="`log_prob` needs a Shoal flow"):
        bare.log_prob(Z)
    with pytest.raises(ValueError, match="`sample` needs a Shoal flow"):
        bare.sample(jr.key(0), 3)
    with pytest.raises(ValueError, match=r"rows \(points, n\); got shape \(4,\)"):
        bare.forward(Z[0])
