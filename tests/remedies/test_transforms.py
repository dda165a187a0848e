"""What each remedy does to a plan: the flow, the rows or the settings, and nothing else."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import shoal
from shoal import flows
from shoal.bijections import (
    AbstractBijection,
    Chain,
    Coupling,
    HeldConditioner,
    SigmoidScale,
    SoftBoundedScale,
    Standardize,
    layers_of,
)
from shoal.distributions import Flow, Padded, StandardNormal
from shoal.remedies import (
    AbstractRemedy,
    BoundedScale,
    DequantizationNoise,
    GaussianPad,
    InFloat64,
    LipschitzPenalty,
    Plan,
    SpectralNormalization,
    Whitening,
    every_remedy,
    make_plan,
)
from shoal.training import JacobianPenalty, Settings
from tests.remedies.toys import DEPTH, PARTS, at_random, recipe

KEY = jr.key(0)
EPS = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return make_plan(recipe, PARTS, Settings(max_epochs=3))


@eqx.filter_jit
def log_dets(layer: AbstractBijection, z: Any) -> Any:
    return jax.vmap(lambda v: layer.forward_and_log_det(v)[1])(z)


@eqx.filter_jit
def acting_on(held: HeldConditioner, x: Any) -> Any:
    return held.held(), jax.vmap(jax.vmap(held))(x)


@pytest.mark.parametrize("scale", [SoftBoundedScale(0.5), SigmoidScale()], ids=["soft", "sigmoid"])
def test_bounded_scale_bounds_every_layer(plan: Plan, scale: Any):
    flow = at_random(BoundedScale(scale).apply(plan).make(KEY), 3.0)
    z = 5.0 * jr.normal(jr.key(1), (64, 4))
    seen = []
    for layer in layers_of(flow.bijection):
        assert isinstance(layer, Coupling)
        log_det = np.asarray(log_dets(layer, z))
        assert (log_det >= 2 * scale.range[0] * (1 + 4 * EPS)).all()  # two coordinates move
        assert (log_det <= 2 * scale.range[1] + 8 * EPS).all()
        seen.append(np.ptp(log_det))
    assert max(seen) > 0.5 * (scale.range[1] - scale.range[0])  # the bound is met, not avoided
    free = at_random(plan.make(KEY), 3.0)
    assert float(np.max(np.abs(log_dets(layers_of(free.bijection)[0], z)))) > 4.0


def test_bounded_scale_needs_scale_maps(plan: Plan):
    nice = make_plan(lambda key, dim: flows.nice(key, dim, 2, hidden=(4,)), PARTS, Settings())
    with pytest.raises(ValueError, match="no scale maps to bound"):
        BoundedScale().apply(nice).make(KEY)


@pytest.mark.parametrize("limit", [0.5, 2.0])
def test_spectral_norms_are_held_at_random_weights(plan: Plan, limit: float):
    flow = at_random(SpectralNormalization(limit).apply(plan).make(KEY), 3.0)
    for layer in layers_of(flow.bijection):
        assert isinstance(layer, Coupling)
        held = layer.conditioner
        assert isinstance(held, HeldConditioner)
        x = np.random.default_rng(0).normal(size=(2, 256, 2)).astype(np.float32)
        acting, y = acting_on(held, jnp.asarray(x))
        for w in (acting.skip, *acting.weights, acting.last):
            assert np.linalg.svd(np.asarray(w, np.float64), compute_uv=False)[0] <= limit
        y = np.asarray(y, np.float64)
        quotients = np.linalg.norm(y[0] - y[1], axis=1) / np.linalg.norm(x[0] - x[1], axis=1)
        assert 0.2 * limit < quotients.max() <= held.lipschitz


def test_small_weights_act_as_they_are(plan: Plan):
    free = at_random(plan.make(KEY), 0.05)
    held = at_random(SpectralNormalization(2.0).apply(plan).make(KEY), 0.05)
    x = PARTS[2].astype(np.float32)
    assert np.asarray(free.log_prob(x)).tobytes() == np.asarray(held.log_prob(x)).tobytes()


def test_a_held_flow_is_saved_and_loaded(plan: Plan, tmp_path: Path):
    flow = at_random(SpectralNormalization(1.5).apply(plan).make(KEY), 3.0)
    shoal.save(flow, tmp_path / "model")
    again = shoal.load(tmp_path / "model")
    x = PARTS[2].astype(np.float32)
    assert np.asarray(flow.log_prob(x)).tobytes() == np.asarray(again.log_prob(x)).tobytes()


@pytest.mark.parametrize("padded", [False, True], ids=["plain", "padded"])
def test_whitening_gives_unit_covariance_and_the_right_density(plan: Plan, padded: bool):
    start = GaussianPad(1).apply(plan) if padded else plan
    white = Whitening().apply(start)
    covariance = np.cov(white.train.T, bias=True)
    kappa = np.linalg.cond(np.cov(plan.train.T, bias=True))
    assert np.abs(covariance - np.eye(4)).max() <= 64 * np.finfo(np.float64).eps * kappa
    assert white.test is plan.test
    flow = at_random(white.make(KEY), 0.1)
    done = white.finished(flow)
    lower = np.linalg.cholesky(np.cov(plan.train.T, bias=True))
    mean = plan.train.mean(axis=0)
    y = np.random.default_rng(0).normal(size=(32, 4))
    x = mean + y @ lower.T
    if isinstance(flow, Padded) and isinstance(done, Padded):
        # the row's noise depends on the row, so the joint densities are compared
        flow, done = flow.joint, done.joint
        y, x = np.concatenate([y, y[:, :1]], axis=1), np.concatenate([x, y[:, :1]], axis=1)
    wanted = np.asarray(flow.log_prob(y), np.float64) - np.log(np.diagonal(lower)).sum()
    found = np.asarray(done.log_prob(x), np.float64)
    assert np.abs(found - wanted).max() <= 64 * EPS * kappa**0.5 * (1 + np.abs(wanted).max())


def test_whitening_of_a_rank_deficient_table_is_floored():
    rows = np.repeat(np.random.default_rng(0).normal(size=(100, 2)), 2, axis=1)
    white = Whitening(1e-6).apply(make_plan(recipe, (rows, rows, rows), Settings()))
    assert np.isfinite(white.train).all()
    assert (white.train.std(axis=0) < 1.0 + 1e-9).all()


def test_noise_is_of_one_step_on_lattices_and_of_a_size_elsewhere():
    rng = np.random.default_rng(0)
    rows = np.stack([rng.integers(0, 9, 400) * 0.25, rng.normal(size=400)], axis=1)
    plan = make_plan(
        lambda key, dim: flows.realnvp(key, dim, 2, hidden=(4,)), (rows, rows[:90], rows), Settings()
    )
    noisy = DequantizationNoise(0.1).apply(plan)
    step = 0.25 / rows[:, 0].std()
    for before, after in ((plan.train, noisy.train), (plan.validation, noisy.validation)):
        change = after - before
        assert np.abs(change[:, 0]).max() <= 0.5 * step * (1 + 1e-9)
        assert np.ptp(change[:, 0]) > 0.9 * step
        assert change[:, 1].std() == pytest.approx(0.1, rel=0.25)
    assert noisy.test is plan.test
    again = DequantizationNoise(0.1).apply(plan)
    assert np.array_equal(again.train, noisy.train)


def test_noise_needs_a_lattice_or_a_size(plan: Plan):
    with pytest.raises(ValueError, match="No column is a lattice; give the noise a `size`"):
        DequantizationNoise().apply(plan)
    with pytest.raises(ValueError, match=r"`DequantizationNoise\(size=...\)` must be at least 0; got -1"):
        DequantizationNoise(-1.0)


def test_padding_adds_coordinates(plan: Plan):
    flow = GaussianPad(2).apply(plan).make(KEY)
    assert isinstance(flow, Padded)
    assert flow.shape == (4,)
    assert flow.bijection.shape == (6,)
    fixed = make_plan(recipe(KEY, 4), PARTS, Settings())
    with pytest.raises(ValueError, match=r"heeds `dim`; for 5 it gave shape \(4,\)"):
        GaussianPad(1).apply(fixed).make(KEY)


def test_penalty_and_float64_are_settings(plan: Plan):
    assert LipschitzPenalty().apply(plan).settings == Settings(
        max_epochs=3, penalty=JacobianPenalty(1e-4, every=10)
    )
    with pytest.raises(ValueError, match="already has a penalty"):
        LipschitzPenalty().apply(LipschitzPenalty().apply(plan))
    twice = InFloat64(frozenset({1})).apply(InFloat64(frozenset({DEPTH - 1})).apply(plan))
    assert twice.float64 == {1, DEPTH - 1}
    assert plan.float64 == frozenset()
    assert plan.settings == Settings(max_epochs=3)


@pytest.mark.parametrize("remedy", every_remedy(0), ids=lambda r: r.name)
def test_a_remedy_is_a_value_and_leaves_the_given_plan_alone(plan: Plan, remedy: AbstractRemedy):
    before = (plan.recipe, plan.train.copy(), plan.settings, plan.finish, plan.float64)
    changed = remedy.apply(plan)
    assert changed is not plan
    assert changed.test is plan.test
    assert np.array_equal(plan.train, before[1])
    assert (plan.recipe, plan.settings, plan.finish, plan.float64) == (before[0], *before[2:])
    assert hash(remedy) == hash(remedy)


def standardized(key: Any, dim: int) -> Flow:
    flow = recipe(key, dim)
    layer = Standardize(jnp.zeros(dim), jnp.ones(dim))
    return Flow(StandardNormal(dim), Chain([flow.bijection, layer]))


CONSTANT = np.concatenate([PARTS[0][:, :3], np.ones((256, 1))], axis=1)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, PARTS, {}), r"a function \(key, dim\) -> flow, or a Shoal flow; got a int"),
        ((recipe, PARTS[:2], {}), r"three arrays of rows: \(train, validation, test\)"),
        ((recipe, (*PARTS[:2], PARTS[2][:, :3]), {}), r"same columns; they have \[4, 4, 3\]"),
        (
            (recipe, (PARTS[0][:1], *PARTS[1:]), {}),
            r"train part .* two or more finite rows; got shape \(1, 4\)",
        ),
        ((recipe, (CONSTANT, *PARTS[1:]), {}), "Column 3 of the training rows is constant"),
        ((standardized, PARTS, {}), "leave `Standardize` out"),
        (
            (lambda key, dim: recipe(key, 3), PARTS, {}),
            r"flows on R\^4 without a context; it gave a Flow of shape \(3,\)",
        ),
    ],
    ids=["number", "two", "columns", "one-row", "constant", "standardize", "shape"],
)
def test_plans_are_checked(arguments: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        make_plan(*arguments)
