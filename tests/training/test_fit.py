"""`fit`: what it computes, against a loop written out by hand and against closed forms; how it ends."""

# A value that is not there fails its test by itself.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false, reportOptionalOperand=false

import math
import signal
import threading
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import polars as pl
import pytest

from shoal import _compiling, flows
from shoal.distributions import Flow
from shoal.training import Epoch, FitResult, Settings, fit, winsorised_mean
from shoal.training._data import Rows, shuffle
from shoal.training._step import Form, Problem, _finish, first_state, order_of
from tests.training.cases import (
    ROWS,
    SHORT,
    TRAIN,
    VALID,
    banana,
    chunks_of,
    compilations,
    realnvp,
    same_bits,
    scales,
    short,
    weights_of,
)

KEY = jax.random.key(7)


@pytest.fixture(scope="module")
def plain() -> FitResult:
    return fit(realnvp(), TRAIN, validation=VALID, key=KEY, settings=SHORT)


@pytest.mark.long
@pytest.mark.skipif(not _compiling.MAPPINGS.exists(), reason="mappings are counted on Linux")
def test_programs_are_forgotten_where_a_process_has_very_many(plain: FitResult, monkeypatch):
    program: Any = jax.jit(lambda x: x + 1)
    program(1.0)
    again = fit(realnvp(), TRAIN, validation=VALID, key=KEY, settings=SHORT)
    assert program._cache_size() == 1
    monkeypatch.setattr(_compiling, "MANY", 0)
    anew = fit(realnvp(), TRAIN, validation=VALID, key=KEY, settings=SHORT)
    assert program._cache_size() == 0
    assert program(1.0) == 2
    assert same_bits(plain, again)
    assert same_bits(plain, anew)


def test_agrees_with_a_loop_written_by_hand(plain: FitResult):
    batch, epochs, peak, warmup = 64, 6, 1e-2, 0.05
    steps = ROWS // batch

    def rate(count):
        u = (count + 0.5) / (epochs * steps)
        return jnp.where(
            u < warmup, peak * u / warmup, peak * (1 + jnp.cos(jnp.pi * (u - warmup) / (1 - warmup))) / 2
        )

    params, static = eqx.partition(realnvp(), eqx.is_inexact_array)
    optimizer = optax.chain(optax.clip_by_global_norm(5.0), optax.adam(rate))
    moments = optimizer.init(params)

    @jax.jit
    def step(params, moments, x):
        loss, gradient = jax.value_and_grad(lambda p: -eqx.combine(p, static).log_prob(x).mean())(params)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(params, updates), moments, loss

    for epoch in range(epochs):
        order = np.asarray(order_of(KEY, np.int32(epoch), np.int32(0), ROWS))
        losses = []
        for i in range(steps):
            params, moments, loss = step(params, moments, TRAIN[order[i * batch : (i + 1) * batch]])
            losses.append(float(loss))
        row = plain.history[epoch]
        assert row.train == pytest.approx(-np.mean(losses), rel=1e-5)
        flow = eqx.combine(params, static)
        assert row.validation == pytest.approx(float(np.mean(flow.log_prob(VALID))), rel=1e-5)
        assert row.learning_rate == pytest.approx(float(rate(epoch * steps + steps - 1)), rel=1e-4)
    for ours, by_hand in zip(weights_of(plain.flow), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(ours, by_hand, rtol=2e-4, atol=2e-5)


def test_result(plain: FitResult):
    assert plain.status == "finished"
    assert [row.epoch for row in plain.history] == [1, 2, 3, 4, 5, 6]
    assert plain.epochs == 6
    assert plain.steps == 60
    assert plain.best_validation == max(row.validation for row in plain.history)
    assert plain.best_validation > plain.history[0].validation
    assert plain.seconds >= plain.compile_seconds > 0
    record = plain.to_record()
    assert record.curve.validation == [row.validation for row in plain.history]
    assert not hasattr(record, "flow")


@pytest.mark.parametrize("lengths", [[1], [3, 1, 7]], ids=["one", "mixed"])
def test_chunks_never_change_a_bit(plain: FitResult, lengths: list[int]):
    with chunks_of(lengths):
        assert same_bits(plain, fit(realnvp(), TRAIN, validation=VALID, key=KEY, settings=SHORT))


def test_one_compilation_for_everything_but_shapes(plain: FitResult):
    before = compilations()
    other = short(learning_rate=3e-3, max_epochs=2, clip_norm=None, warmup_fraction=0.0)
    with chunks_of([2]):
        changed = fit(realnvp(1), TRAIN, validation=VALID, key=jax.random.key(3), settings=other)
    assert compilations() == before
    assert not same_bits(plain, changed)
    assert changed.compile_seconds < plain.compile_seconds


def test_the_flow_given_is_left_alone():
    flow = realnvp()
    before = [leaf.copy() for leaf in weights_of(flow)]
    result = fit(flow, TRAIN, validation=VALID, key=KEY, settings=SHORT)
    assert all((a == b).all() for a, b in zip(before, weights_of(flow), strict=True))
    assert all((a != b).any() for a, b in zip(before, weights_of(result.flow), strict=True))


def test_legacy_key_means_the_same(plain: FitResult):
    legacy = jax.random.key_data(KEY)
    assert same_bits(plain, fit(realnvp(), TRAIN, validation=VALID, key=legacy, settings=SHORT))


@pytest.mark.parametrize("rows", [1, 2, 3, 64, 1000])
def test_shuffle_is_a_permutation(rows: int):
    order = np.asarray(shuffle(jax.random.key(0), rows))
    assert sorted(order.tolist()) == list(range(rows))


def test_shuffle_is_uniform():
    # Every row at every place equally often: chi-square with 36 degrees of freedom, its 99.99 % quantile is 78.
    keys = jax.random.split(jax.random.key(1), 7000)
    orders = np.asarray(jax.vmap(lambda k: shuffle(k, 7))(keys))
    counts = np.stack([np.bincount(orders[:, place], minlength=7) for place in range(7)])
    assert counts.sum() == 49_000
    assert float(((counts - 1000.0) ** 2 / 1000.0).sum()) < 78
    # 7000 draws from 5040 orders show 5040 (1 - exp(-7000 / 5040)) = 3784 of them, give or take 30.
    assert abs(len(np.unique(orders, axis=0)) - 3784) < 150


def test_another_shuffle_every_epoch():
    orders = [np.asarray(order_of(KEY, np.int32(e), np.int32(r), ROWS)) for e, r in ((0, 0), (1, 0), (0, 1))]
    assert (orders[0] != orders[1]).any()
    assert (orders[0] != orders[2]).any()


def test_fewer_rows_than_a_batch_is_one_batch():
    result = fit(realnvp(), TRAIN[:10], key=KEY, settings=short(batch_size=512, max_epochs=3))
    assert result.steps == 3
    assert result.best_epoch == 3
    assert result.best_validation is None
    assert [row.validation for row in result.history] == [None] * 3


def test_weights_count_like_repeated_rows():
    half = np.repeat([3.0, 1.0], 20)
    rows = TRAIN[:40]
    repeated = np.concatenate([rows, rows[:20], rows[:20]])
    settings = short(batch_size=512, max_epochs=20)
    weighted = fit(scales(), rows, weights=half, key=KEY, settings=settings)
    same = fit(scales(), repeated, key=KEY, settings=settings)
    unweighted = fit(scales(), rows, key=KEY, settings=settings)
    curves = [np.array([row.train for row in r.history]) for r in (weighted, same, unweighted)]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
    assert np.abs(curves[0] - curves[2]).max() > 1e-3


def test_a_row_of_weight_0_is_left_out_whatever_it_holds():
    # 1e30 has the density 0 in float32, and 0 * log 0 is no number.
    rows, weights = np.insert(TRAIN, [5, 70], 1e30, axis=0), np.insert(np.ones(ROWS), [5, 70], 0.0)
    seen, valid = np.insert(VALID, 9, 1e30, axis=0), np.insert(np.ones(len(VALID)), 9, 0.0)
    masked = fit(
        scales(), rows, weights=weights, validation=seen, validation_weights=valid, key=KEY, settings=SHORT
    )
    without = fit(
        scales(),
        TRAIN,
        weights=np.ones(ROWS),
        validation=VALID,
        validation_weights=np.ones(len(VALID)),
        key=KEY,
        settings=SHORT,
    )
    assert same_bits(masked, without)


def test_only_ratios_of_weights_matter():
    weights = np.random.default_rng(0).uniform(0.5, 2.0, ROWS)
    seen = {"validation": VALID, "validation_weights": np.ones(len(VALID))}
    runs = [fit(scales(), TRAIN, weights=weights * c, key=KEY, settings=SHORT, **seen) for c in (1.0, 1024.0)]
    assert same_bits(*runs)


def test_weighted_validation_is_the_weighted_mean():
    weights = np.abs(VALID[:, 1])  # heavy where the density is low
    seen = {"validation": VALID, "validation_weights": weights}
    result = fit(scales(), TRAIN, weights=np.ones(ROWS), key=KEY, settings=SHORT, **seen)
    log_prob = np.asarray(result.flow.log_prob(VALID), np.float64)
    assert result.best_validation == pytest.approx(np.average(log_prob, weights=weights), rel=1e-5)
    assert result.best_validation != pytest.approx(log_prob.mean(), rel=0.05)


def test_validation_in_several_batches_counts_every_row_once():
    # 2050 rows are three batches of 684, the last one filled up by two copies of the last row, which is far out.
    rows = banana(2050, seed=3)
    rows[-1] = 40.0
    weights = np.random.default_rng(1).uniform(0.5, 1.5, 2050)
    for w in (None, weights):
        result = fit(
            scales(), TRAIN, validation=rows, validation_weights=w, key=KEY, settings=short(max_epochs=2)
        )
        log_prob = np.asarray(result.flow.log_prob(rows), np.float64)
        assert result.best_epoch is not None
        row = result.history[result.best_epoch - 1]
        assert row.validation_mean == pytest.approx(np.average(log_prob, weights=w), rel=1e-5)
        by_hand = winsorised_mean(log_prob, w)
        assert row.validation == pytest.approx(by_hand.value, rel=1e-5)
        assert row.validation > row.validation_mean + 0.1
        assert (row.far_rows, row.non_finite_rows) == (by_hand.far_rows, 0)


def test_context_is_learned():
    # x | c ~ N(2 c, 1/4): the entropy is log(2 pi e / 4) / 2.
    rng = np.random.default_rng(0)
    c = rng.normal(size=(4000, 1))
    x = 2 * c + 0.5 * rng.normal(size=(4000, 1))
    flow = flows.maf(jax.random.key(0), 1, 1, hidden=(8,), context_dim=1)
    result = fit(
        flow,
        x[:3000],
        context=c[:3000],
        validation=x[3000:],
        validation_context=c[3000:],
        key=KEY,
        settings=short(batch_size=128, max_epochs=25),
    )
    exact = np.mean(-0.5 * ((x - 2 * c)[3000:] / 0.5) ** 2 - math.log(0.5) - 0.5 * math.log(2 * math.pi))
    assert result.best_validation == pytest.approx(exact, abs=0.02)


def test_early_stopping_keeps_the_best():
    rows = TRAIN[:24]
    flow = flows.realnvp(jax.random.key(0), 2, 2, hidden=(32,))
    result = fit(
        flow,
        rows,
        validation=VALID,
        key=KEY,
        settings=Settings(batch_size=24, max_epochs=500, learning_rate=2e-2, patience=12),
    )
    assert result.status == "stopped early"
    assert result.best_epoch is not None
    assert len(result.history) == result.best_epoch + 12
    values = [row.validation for row in result.history]
    assert int(np.argmax(values)) + 1 == result.best_epoch
    assert float(np.mean(result.flow.log_prob(VALID))) == pytest.approx(max(values), rel=1e-5)
    assert "No improvement in 12 epochs" in result.message


@pytest.mark.usefixtures("x64")
def test_float32_is_kept_while_float64_is_on():
    """`test_many` has a flow in float64."""
    flow = jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, scales())
    result = fit(flow, TRAIN.astype(np.float64), key=KEY, settings=SHORT)
    assert {str(leaf.dtype) for leaf in weights_of(result.flow)} == {"float32"}
    digits = result.history[-1].train
    assert float(np.float32(digits)) == digits


def test_callback_sees_the_flow_of_its_epoch():
    seen: list[tuple[int, float, float]] = []

    def look(epoch: Epoch) -> None:
        seen.append((epoch.epoch, float(np.mean(epoch.flow.log_prob(VALID))), epoch.row.validation))

    fit(realnvp(), TRAIN, validation=VALID, key=KEY, callback=look, settings=SHORT)
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3, 4, 5, 6]
    for _, measured, stated in seen:
        assert measured == pytest.approx(stated, rel=1e-5)


def test_progress_events():
    events: list[dict] = []
    fit(realnvp(), TRAIN, validation=VALID, key=KEY, progress=events.append, settings=SHORT)
    assert [event["epoch"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event["fraction"] for event in events] == pytest.approx([i / 6 for i in range(1, 7)])
    assert events[-1]["status"] == "finished"
    assert events[0]["seconds_left"] > events[-1]["seconds_left"] == 0.0


def test_progress_bar(capsys: pytest.CaptureFixture[str]):
    fit(realnvp(), TRAIN, validation=VALID, key=KEY, progress=True, settings=SHORT)
    assert "6/6" in capsys.readouterr().out


def test_ctrl_c_keeps_what_is_done():
    before = signal.getsignal(signal.SIGINT)
    seen: list[int] = []

    def press(event: dict) -> None:
        seen.append(event["epoch"])
        if event["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)

    result = fit(realnvp(), TRAIN, validation=VALID, key=KEY, progress=press, settings=SHORT)
    assert result.status == "interrupted"
    assert seen == [1, 2]
    assert result.best_epoch == 2
    assert float(np.mean(result.flow.log_prob(VALID))) == pytest.approx(result.best_validation, rel=1e-5)
    assert signal.getsignal(signal.SIGINT) is before


def test_second_ctrl_c_raises():
    before = signal.getsignal(signal.SIGINT)

    def press_twice(event: dict) -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit(realnvp(), TRAIN, validation=VALID, key=KEY, progress=press_twice, settings=SHORT)
    assert signal.getsignal(signal.SIGINT) is before


def test_stop_from_another_thread():
    stop, results = threading.Event(), []

    def listen(event: dict) -> None:
        if event["epoch"] == 3:
            stop.set()

    def work() -> None:
        results.append(
            fit(realnvp(), TRAIN, validation=VALID, key=KEY, progress=listen, stop=stop, settings=SHORT)
        )

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(timeout=60)
    assert [r.status for r in results] == ["interrupted"]
    assert len(results[0].history) == 3


def test_stopped_before_the_first_epoch_ends_keeps_finite_weights():
    stop = threading.Event()
    stop.set()
    result = fit(realnvp(), TRAIN, validation=VALID, key=KEY, stop=stop, settings=SHORT)
    assert result.status == "interrupted"
    assert (result.best_epoch, result.best_validation, result.steps) == (None, None, 0)
    assert (result.first, result.first_validation) == (None, None)
    assert all(np.isfinite(leaf).all() for leaf in weights_of(result.flow))


def test_non_finite_validation_stays_as_it_is():
    bad = VALID.copy()
    bad[:2] = 1e30  # of 200 rows one would be held, and counted
    result = fit(realnvp(), TRAIN, validation=bad, key=KEY, settings=SHORT)
    assert [row.validation for row in result.history] == [-math.inf] * 6
    assert [row.non_finite_rows for row in result.history] == [2] * 6
    assert result.first_validation == -math.inf
    assert (result.status, result.best_epoch, result.best_validation) == ("finished", None, None)
    assert "no epoch had a finite validation value" in result.message


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_only_finite_validation_is_best(value: float):
    form = Form(leaves=(), tree=None, batch=1, train_steps=1, validation_batch=1, validation_steps=1)
    numbers = Problem(
        buffers=None,
        rows=Rows(jnp.ones((1, 2)), None, None),
        validation=Rows(jnp.ones((1, 2)), None, None),
        key=KEY,
        peak=jnp.ones(()),
        warmup=jnp.zeros(()),
        clip_norm=jnp.ones(()),
    )
    state = first_state(form, numbers, {"a": jnp.ones(3)})
    state = replace(state, step=jnp.array(2, jnp.int32), best={"a": jnp.zeros(3)})
    worse = _finish(form, numbers, replace(state, scores=jnp.array([value])))
    better = _finish(form, numbers, replace(state, scores=jnp.array([-1e9])))
    assert worse.found is not None
    assert (float(worse.best["a"][0]), float(worse.best_value)) == (0.0, -math.inf)
    assert (float(better.best["a"][0]), float(better.best_value)) == (1.0, -1e9)
    assert str(float(worse.found.value)) == str(value)


def test_data_frames_by_column_name():
    flow = scales()
    named = Flow(flow.base, flow.bijection, columns=("a", "b"))
    frame = pl.DataFrame({"b": banana(64)[:, 1], "c": np.zeros(64), "a": banana(64)[:, 0]})
    runs = [fit(named, table, key=KEY, settings=Settings(max_epochs=2)) for table in (frame, banana(64))]
    assert same_bits(*runs)
