"""Optimizers, losses and averages as values: against loops written by hand, and resumed bit for bit."""

# A value that is not there fails its test by itself.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false, reportOptionalOperand=false

import threading
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from shoal import flows
from shoal.bijections import Chain, Standardize, StandardizedContext
from shoal.distributions import Flow, Mixture
from shoal.training import FitResult, Rows, Settings, fit, negative_log_likelihood
from shoal.training._schedule import learning_rate
from shoal.training._step import order_of
from tests.training.cases import (
    ROWS,
    SHORT,
    TRAIN,
    VALID,
    compilations,
    fragile,
    realnvp,
    same_bits,
    scales,
    settled,
    short,
    weights_of,
)

KEY = jax.random.key(21)
ONE_STEP = Settings(batch_size=ROWS, max_epochs=1, learning_rate=0.1, warmup_fraction=0.0, clip_norm=None)


def in_float64(flow: Any) -> Any:
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, flow)


OPTIMIZERS: dict[str, tuple[Any, Any]] = {
    "momentum": (optax.sgd(1.0, momentum=0.9, nesterov=True), lambda rate: optax.sgd(rate, 0.9, True)),
    "adamw": (
        optax.adamw(1.0, weight_decay=0.3),
        lambda rate: optax.adamw(rate, weight_decay=0.3),
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("ours", "stock"), OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_three_steps_are_those_of_optax(ours: Any, stock: Any):
    """The stock optimizer with the schedule as its learning rate, and `optax.apply_updates`."""
    rows, batch, peak = TRAIN[:192].astype(np.float64), 64, 0.05
    start = in_float64(realnvp())
    settings = Settings(
        batch_size=batch, max_epochs=1, learning_rate=peak, warmup_fraction=0.3, clip_norm=0.5
    )
    found = fit(start, rows, key=KEY, settings=settings, optimizer=ours)

    def rate(count: Any) -> Any:
        progress = (jnp.float32(count) + 0.5) * jnp.float32(1 / 3)
        return learning_rate(progress, jnp.float32(peak), jnp.float32(0.3)).astype(jnp.float64)

    params, static = eqx.partition(start, eqx.is_inexact_array)
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), stock(rate))
    state, order = optimizer.init(params), np.asarray(order_of(KEY, np.int32(0), np.int32(0), len(rows)))
    gradient_of = jax.jit(jax.grad(lambda p, x: -jnp.mean(eqx.combine(p, static).log_prob(x))))
    for step in range(3):
        gradient = gradient_of(params, rows[order[step * batch : (step + 1) * batch]])
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    moved = 0.0
    for a, b, c in zip(weights_of(found.flow), jax.tree.leaves(params), weights_of(start), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
        moved = max(moved, float(np.max(np.abs(a - c))))
    assert moved > 1e-3


def test_a_new_optimizer_is_a_new_program_and_the_same_one_is_not():
    optimizer, flow = optax.sgd(1.0), scales()
    fit(flow, TRAIN, key=KEY, settings=ONE_STEP, optimizer=optimizer)
    before = compilations()
    fit(flow, TRAIN, key=jax.random.key(1), settings=ONE_STEP, optimizer=optimizer)
    assert compilations() == before


def base(params: Any) -> Any:
    """True at the weights of the base, as in the docstring of `fit`."""
    rest = jax.tree.map(lambda _: False, params)
    return eqx.tree_at(lambda f: f.base, rest, jax.tree.map(lambda _: True, params.base))


def test_a_part_of_the_flow_at_a_tenth_of_the_rate():
    optimizer = optax.chain(optax.sgd(1.0), optax.masked(optax.scale(0.1), base))
    means = jnp.asarray([[-1.0, 0.5], [1.0, 0.3]])
    flow = Flow(Mixture(jnp.zeros(2), means, jnp.zeros((2, 2))), scales().bijection)
    whole = fit(flow, TRAIN, key=KEY, settings=ONE_STEP, optimizer=optax.sgd(1.0)).flow
    slow = fit(flow, TRAIN, key=KEY, settings=ONE_STEP, optimizer=optimizer).flow
    steps = [
        np.concatenate([np.ravel(b - a) for a, b in zip(weights_of(p), weights_of(q), strict=True)])
        for p, q in ((flow.base, whole.base), (flow.base, slow.base))
    ]
    assert np.abs(steps[0]).max() > 1e-2
    np.testing.assert_allclose(steps[1], 0.1 * steps[0], atol=1e-6)
    rest = [np.concatenate([np.ravel(w) for w in weights_of(f.bijection)]) for f in (flow, whole, slow)]
    assert np.abs(rest[1] - rest[0]).max() > 1e-2
    np.testing.assert_array_equal(rest[1], rest[2])


def test_weight_decay_does_not_move_the_units_of_the_data():
    inner = flows.realnvp(jax.random.key(0), 2, 2, hidden=(8,), context_dim=1)
    body = StandardizedContext(inner.bijection, jnp.full(1, 3.0), jnp.full(1, 2.0))
    units = Standardize(jnp.asarray([5.0, -4.0]), jnp.asarray([2.0, 3.0]))
    flow = Flow(inner.base, Chain([body, units]))
    decay = optax.adamw(1.0, weight_decay=0.5)
    context = TRAIN[:, :1]
    trained = fit(flow, TRAIN, context=context, key=KEY, settings=short(), optimizer=decay).flow
    pairs: list[Any] = [f.bijection for f in (flow, trained)]
    before, after = (chain.bijections for chain in pairs)
    for a, b in zip(weights_of(before[1]), weights_of(after[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (float(after[0].mean[0]), float(after[0].scale[0])) == (3.0, 2.0)
    assert not all((a == b).all() for a, b in zip(weights_of(before[0]), weights_of(after[0]), strict=True))


def test_only_units_are_nothing_to_train():
    units = Standardize(jnp.asarray([5.0, -4.0]), jnp.asarray([2.0, 3.0]))
    with pytest.raises(ValueError, match="there is nothing to train"):
        fit(Flow(scales().base, units), TRAIN, key=KEY)


def tempered(flow: Any, rows: Rows) -> Any:
    """A quarter of the loss, with the weights and the context of the rows."""
    return 0.25 * negative_log_likelihood(flow, rows)


def by_hand(flow: Any, rows: Rows) -> Any:
    """The default loss written out again."""
    assert rows.weights is not None
    return -jnp.mean(rows.weights * flow.log_prob(rows.x, rows.context))


def test_a_tempered_likelihood_makes_a_shorter_step():
    sgd = optax.sgd(1.0)
    whole = fit(scales(), TRAIN, validation=VALID, key=KEY, settings=ONE_STEP, optimizer=sgd)
    part = fit(scales(), TRAIN, validation=VALID, key=KEY, settings=ONE_STEP, optimizer=sgd, loss=tempered)
    for start, a, b in zip(*(weights_of(f) for f in (scales(), whole.flow, part.flow)), strict=True):
        np.testing.assert_allclose(b - start, 0.25 * (a - start), atol=1e-7)
        assert np.abs(a - start).max() > 1e-2
    assert part.history[0].train == pytest.approx(0.25 * whole.history[0].train, rel=1e-6)
    assert part.first_validation == whole.first_validation  # validation is by log p all the same


def test_a_loss_sees_weights_and_context():
    flow = flows.maf(jax.random.key(0), 2, 1, hidden=(4,), context_dim=1)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, ROWS)
    given: dict[str, Any] = {"context": TRAIN[:, :1] ** 2, "weights": weights, "key": KEY, "settings": SHORT}
    assert same_bits(fit(flow, TRAIN, **given), fit(flow, TRAIN, loss=by_hand, **given))


def big_matrices(flow: Any) -> Any:
    """True at the matrices of the nets, found by their places in the tree."""

    def one(path: tuple[Any, ...], leaf: Any) -> bool:
        place = jax.tree_util.keystr(path)
        return ".conditioner" in place and ".bias" not in place

    return jax.tree_util.tree_map_with_path(one, flow)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("recipe", [flows.maf, flows.realnvp], ids=["rolled", "couplings"])
def test_decay_of_weights_is_that_of_adamw_on_the_matrices(recipe: Any):
    rows = TRAIN[:64].astype(np.float64)
    start = in_float64(recipe(jax.random.key(5), rows.shape[1], 2, hidden=(8,)))
    settings = Settings(
        batch_size=64, max_epochs=6, learning_rate=0.01, warmup_fraction=0.0, weight_decay=7.0, clip_norm=None
    )
    found = fit(start, rows, key=KEY, settings=settings)

    def rate(count: Any) -> Any:
        progress = (jnp.float32(count) + 0.5) * jnp.float32(1 / 6)
        return learning_rate(progress, jnp.float32(0.01), jnp.float32(0.0)).astype(jnp.float64)

    params, static = eqx.partition(start, eqx.is_inexact_array)
    gradient_of = jax.jit(jax.grad(lambda p, x: -jnp.mean(eqx.combine(p, static).log_prob(x))))
    optimizer = optax.adamw(rate, weight_decay=7.0, mask=big_matrices)
    state = optimizer.init(params)
    for epoch in range(6):
        order = np.asarray(order_of(KEY, np.int32(epoch), np.int32(0), 64))
        gradient = gradient_of(params, jnp.asarray(rows[order]))
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    for ours, theirs in zip(weights_of(found.flow), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_culprit_where_the_layers_are_finite():
    result = fit(
        scales(), TRAIN, key=KEY, settings=short(max_rollbacks=2), loss=lambda flow, rows: jnp.log(-1.0)
    )
    assert result.status == "diverged"
    assert {r.layer for r in result.rollbacks} == {"the base distribution"}


def averages(decay: float | None, seen: list[Any], **changes: Any) -> FitResult:
    """A training of one step an epoch; the weights after each epoch are put into `seen`."""
    settings = Settings(batch_size=ROWS, max_epochs=8, learning_rate=0.1, averaging=decay)
    return fit(
        scales(),
        TRAIN,
        key=KEY,
        settings=settings,
        callback=lambda epoch: seen.append(weights_of(epoch.flow)),
        **changes,
    )


def test_averages_are_those_of_the_formula():
    raw, found = [weights_of(scales())], []
    averages(None, raw)
    averages(0.75, found)
    expected = raw[0]
    for weights, average in zip(raw[1:], found, strict=True):
        expected = [0.75 * a + 0.25 * w for a, w in zip(expected, weights, strict=True)]
        for a, b in zip(expected, average, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert np.abs(raw[-1][0] - found[-1][0]).max() > 1e-2


def test_averages_are_validated_and_returned():
    seen: list[Any] = []
    result = averages(0.75, seen, validation=VALID)
    assert result.best_epoch
    assert all(
        (a == b).all() for a, b in zip(weights_of(result.flow), seen[result.best_epoch - 1], strict=True)
    )
    row = result.history[result.best_epoch - 1]
    assert row.validation_mean == pytest.approx(float(np.mean(result.flow.log_prob(VALID))), rel=1e-5)


ADAMW = optax.adamw(1.0, weight_decay=1e-2)
WIDE = (np.exp(0.45) * np.random.default_rng(0).normal(size=(640, 2))).astype(np.float32)


def run(folder: Path | None = None, *, epochs: int | None = None, **changes: Any) -> FitResult:
    stop = threading.Event()

    def listen(event: dict) -> None:
        if event["epoch"] == epochs:
            stop.set()

    given: dict[str, Any] = {
        "settings": short(
            max_epochs=8, learning_rate=0.2, warmup_fraction=0.0, averaging=0.9, checkpoint_seconds=1e-6
        ),
        "optimizer": ADAMW,
        "loss": tempered,
        "validation": VALID,
        "key": KEY,
    }
    return fit(fragile(0.3), WIDE, folder=folder, stop=stop, progress=listen, **settled(**(given | changes)))


@pytest.fixture(scope="module")
def whole() -> FitResult:
    return run()


@pytest.mark.parametrize("epochs", [1, 7])
def test_resumed_bit_for_bit(whole: FitResult, tmp_path: Path, epochs: int):
    assert whole.rollbacks
    assert run(tmp_path, epochs=epochs).status == "interrupted"
    rest = run(tmp_path, resume=True)
    assert same_bits(whole, rest)
    assert rest.first_validation == whole.first_validation is not None


OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "optimizer": ({"optimizer": optax.sgd(1.0)}, "another run: `optimizer` differ"),
    "loss": ({"loss": negative_log_likelihood}, "another run: `loss` differ"),
    "weight decay": ({"weight_decay": 0.1}, r"`weight_decay` \(0\.0 there, 0\.1 here\)"),
    "averaging": ({"averaging": 0.8}, r"`averaging` \(0\.9 there, 0\.8 here\)"),
}


@pytest.mark.parametrize(("changes", "message"), OTHER.values(), ids=OTHER.keys())
def test_another_run_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], message: str):
    run(tmp_path, epochs=1)
    with pytest.raises(ValueError, match=message):
        run(tmp_path, resume=True, **changes)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": {"max_epochs": 3}}, "`settings` must be a `Settings`; got {'max_epochs': 3}"),
        ({"optimizer": 1e-3}, "`optimizer` must be an Optax optimizer such as `optax.adam"),
        ({"loss": "nll"}, "`loss` must be a hashable function"),
    ],
    ids=["settings", "optimizer", "loss"],
)
def test_bad_values(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        fit(scales(), TRAIN, key=KEY, **arguments)
