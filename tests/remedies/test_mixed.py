"""Layers in float64: what that mends, and what it can not."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from shoal import flows
from shoal.bijections import ActNorm, Chain, DenseLinear
from shoal.conditioning import from_callables
from shoal.distributions import Flow, StandardNormal
from shoal.remedies import MixedMap, mixed_log_prob
from tests.remedies.toys import at_random

Z = np.random.default_rng(0).normal(size=(32, 4))
EPS32 = float(np.finfo(np.float32).eps)


def scaling(log_scale: float) -> ActNorm:
    return eqx.tree_at(lambda a: a.log_scale, ActNorm(4), jnp.full(4, log_scale))


def through(*log_scales: float) -> Flow:
    return Flow(StandardNormal(4), Chain([scaling(s) for s in log_scales]))


def run(
    flow: Flow, named: set[int], points: np.ndarray, direction: Literal["forward", "inverse"] = "forward"
) -> np.ndarray:
    """The mixed evaluation: float32 but for the named layers."""
    return MixedMap(flow.to_map(), named).at(direction, "float32")(points)


def test_overflow_between_two_layers_is_mended_by_both():
    flow = through(60.0, 60.0, -120.0)  # e^120 is beyond float32, the product is 1
    z = Z.astype(np.float32)
    assert not np.isfinite(flow.forward(z)).all()
    x = run(flow, {1, 2}, z)
    assert np.abs(x - z).max() <= 1e3 * EPS32  # log scales of 120 are held to 120 eps
    assert x.dtype == np.float64
    log_prob = mixed_log_prob(flow, {1, 2}, z)
    wanted = -0.5 * (z.astype(np.float64) ** 2).sum(axis=1) - 2 * np.log(2 * np.pi)
    assert np.abs(log_prob - wanted).max() <= 1e3 * EPS32 * (1 + np.abs(wanted).max())


def test_what_a_float32_layer_is_handed_it_must_hold():
    with np.errstate(over="raise"):
        found = run(through(60.0, 60.0, -120.0), {1}, Z)
    assert not np.isfinite(found).all()


def ill() -> Flow:
    """A dense layer of kappa 1e6 between two mild ones."""
    rng = np.random.default_rng(1)
    q = [np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(2)]
    weight = (q[0] * [1e3, 10.0, 0.1, 1e-3]) @ q[1]
    dense = eqx.tree_at(lambda d: d.weight, DenseLinear(4, key=jr.key(0)), jnp.asarray(weight, jnp.float32))
    return Flow(StandardNormal(4), Chain([scaling(0.1), dense, scaling(-0.1)]))


def trip(flow: Flow, named: set[int]) -> float:
    """The largest error of z -> x -> z."""
    z = Z.astype(np.float32)
    return float(np.abs(run(flow, named, run(flow, named, z), "inverse") - z).max())


def test_the_ill_layer_in_float64_mends_its_own_round_off_and_the_mild_one_does_not():
    bijection = ill().bijection
    assert isinstance(bijection, Chain)
    first = Flow(StandardNormal(4), Chain(bijection.bijections[:2]))  # its output is not rounded on the way
    plain, mended, other = (trip(first, named) for named in (set(), {1}, {0}))
    assert plain > 1e3 * EPS32
    assert mended < 32 * EPS32
    assert other > 0.03 * plain


def test_round_off_made_elsewhere_and_amplified_stays():
    assert trip(ill(), {1}) > 1e3 * EPS32  # the float32 layer behind it rounds its output
    assert trip(ill(), {1, 2}) < 32 * EPS32


def test_all_layers_are_float64_and_none_is_float32():
    flow = at_random(flows.realnvp(jr.key(0), 4, 2, hidden=(8,)), 0.5)
    whole = flow.to_map()
    wanted = whole.at()(Z)
    forward = run(flow, {0, 1}, Z)
    assert np.abs(forward - wanted).max() <= 64 * np.finfo(np.float64).eps * np.abs(wanted).max()
    assert run(flow, set(), Z).dtype == np.float32
    z = run(flow, {0, 1}, wanted, "inverse")
    log_prob = -0.5 * (z**2).sum(axis=1) - 2 * np.log(2 * np.pi) + whole.at("inverse").apply(wanted)[1]
    assert np.abs(mixed_log_prob(flow, {0, 1}, wanted) - log_prob).max() <= 1e-12 * np.abs(log_prob).max()
    mixed = MixedMap(whole, {1})
    assert [layer.name for layer in mixed.layers()] == ["Coupling(Affine)"] * 2
    assert np.array_equal(mixed.at().jacobian(Z[:2]), whole.at().jacobian(Z[:2]))
    assert mixed.layers()[1].at("forward", "float32")(Z).dtype == np.float64


def test_a_map_without_log_dets_and_a_number_of_no_layer():
    with pytest.raises(ValueError, match="numbers from 0 to 2; got 3"):
        MixedMap(through(0.0, 0.0, 0.0).to_map(), {1, 3})
    bare = MixedMap(from_callables(lambda z: 2.0 * z, lambda x: 0.5 * x, 4), {0})
    image, log_det = bare.at("forward", "float32").apply(Z)
    assert np.array_equal(image, 2.0 * Z)
    assert log_det is None
