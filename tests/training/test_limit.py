"""Plans, the learning rate, and time limits."""

# A value that is not there fails its test by itself.
# pyright: reportArgumentType=false, reportCallIssue=false, reportOperatorIssue=false, reportOptionalOperand=false

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from shoal.training import Epoch, FitResult, _fit, _run, _schedule, fit
from shoal.training._checkpoint import Checkpoints
from shoal.training._schedule import AIM, Chunks, Plan, epochs_that_fit, learning_rate, revise
from shoal.training._step import advance
from tests.training.cases import SHORT, TRAIN, VALID, same_bits, scales, settled, short

KEY = jax.random.key(2)
MANY = short(max_epochs=10**6, patience=None)


class Clock:
    """A clock that only training moves: a step takes `cost(now)` seconds."""

    def __init__(self, cost: Callable[[float], float]):
        self.now, self.cost = 1000.0, cost

    def perf_counter(self) -> float:
        return self.now

    def advance(self, form, problem, order, state, control):
        before = int(control.begin) if control.restart else int(state.step)
        state = advance(form, problem, order, state, control)
        self.now += (int(state.step) - before if control.stop else 0) * self.cost(self.now - 1000.0)
        return state


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(lambda _: 1e-3)
    for module in (_fit, _run, _schedule):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(_run, "advance", clock.advance)
    return clock


def limited(seconds: float, **changes: Any) -> FitResult:
    return fit(scales(), TRAIN, validation=VALID, key=KEY, **settled(MANY, time_limit=seconds, **changes))


def rate_by(plan: Plan, epoch: int) -> float:
    """The learning rate of the last of the ten steps of this epoch (from 1)."""
    done, per_epoch = plan.at(epoch - 1)
    u = done + 0.95 * per_epoch
    return float(learning_rate(jnp.float32(u), jnp.float32(1e-2), jnp.float32(0.05)))


COSTS: dict[str, Callable[[float], float]] = {
    "steady": lambda _: 1e-3,
    "four times slower after a second": lambda now: 1e-3 if now < 1 else 4e-3,
    "four times faster after a second": lambda now: 4e-3 if now < 1 else 1e-3,
    "slower and slower": lambda now: 1e-3 * (1 + now / 2),
    "slow, fast, slow": lambda now: 3e-3 if now < 2 or now > 7 else 1e-3,
}


@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS.keys())
def test_the_rate_falls_to_zero_just_in_time(clock: Clock, cost: Callable[[float], float]):
    clock.cost = cost
    result = limited(10.0)
    assert result.status == "finished"
    assert 8.0 < clock.now - 1000.0 <= 10.0
    assert len(result.history) == result.epochs < 10**6
    rates = [row.learning_rate for row in result.history]
    assert max(rates) > 0.99e-2
    assert rates[-1] < 1e-2 * max(rates)
    falling = rates[rates.index(max(rates)) :]
    assert falling == sorted(falling, reverse=True)


def test_enough_time_is_no_limit():
    free = fit(scales(), TRAIN, validation=VALID, key=KEY, settings=SHORT)
    assert same_bits(free, limited(600.0, max_epochs=SHORT.max_epochs))


def test_the_real_clock():
    limited(0.5)  # compiles
    began = time.perf_counter()
    result = limited(1.0)
    assert time.perf_counter() - began < 3.0  # the bound is for a busy machine
    assert result.best_epoch is not None
    assert 1 < result.best_epoch <= len(result.history) <= result.epochs < 10**6


def test_time_that_runs_out_is_said_and_the_best_is_kept(clock: Clock):
    def wait(epoch: Epoch) -> None:
        clock.now += 4.0

    result = limited(10.0, callback=wait, max_epochs=50)
    assert result.status == "unfinished"
    assert result.best_epoch in (1, 2, 3)
    assert len(result.history) == 3 < result.epochs
    assert "The time limit of 10 s came after 3 of" in result.message
    assert float(np.mean(result.flow.log_prob(VALID))) == pytest.approx(result.best_validation, rel=1e-5)


def test_a_first_epoch_that_does_not_fit(clock: Clock):
    clock.cost = lambda _: 3.0
    result = fit(scales(), TRAIN, key=KEY, **settled(MANY, time_limit=10.0))
    assert result.status == "unfinished"
    assert (result.history, result.best_epoch, result.best_validation) == ([], None, None)
    trained = float(np.mean(result.flow.log_prob(TRAIN)))
    assert trained > float(np.mean(scales().log_prob(TRAIN)))


def test_the_stored_plan_is_followed_without_measuring(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def wait(epoch: Epoch) -> None:
        clock.now += 4.0

    limited(10.0, folder=tmp_path, callback=wait)
    stored = Checkpoints(tmp_path).load()
    assert stored is not None
    plan, done = Plan(**stored[1]["plan"]), len(stored[1]["history"])
    monkeypatch.setattr(_run.Run, "measure", lambda *_: pytest.fail("measured again"))
    clock.cost = lambda _: 5e-2
    rest = limited(1e4, folder=tmp_path, resume=True, max_epochs=10**6, stop=AfterCalls(4))
    rows = rest.history[done:]
    assert rows
    for row in rows:
        assert row.learning_rate == pytest.approx(rate_by(plan, row.epoch), rel=1e-3)


class AfterCalls:
    """A stop signal that is set once it was asked so many times."""

    def __init__(self, calls: int):
        self.left = calls

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_changed_plan_is_stored_before_it_is_used(clock: Clock, tmp_path: Path):
    clock.cost = COSTS["four times slower after a second"]
    plans: list[Plan] = []

    def look(epoch: Epoch) -> None:
        stored = Checkpoints(tmp_path).load()
        assert stored is not None
        plans.append(Plan(**stored[1]["plan"]))

    # Within the callback of an epoch the newest checkpoint holds the plan that this epoch followed.
    result = limited(4.0, folder=tmp_path, callback=look, checkpoint_seconds=1e6)
    assert result.status == "finished"
    assert len({p.epochs for p in plans}) > 1
    for row, plan in zip(result.history, plans, strict=True):
        assert row.learning_rate == pytest.approx(rate_by(plan, row.epoch), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.5])
def test_learning_rate(warmup: float):
    u = np.linspace(0, 1, 1001, dtype=np.float32)
    rate = np.asarray(learning_rate(jnp.asarray(u), jnp.float32(2.0), jnp.float32(warmup)))
    exact = [
        2 * v / warmup if v < warmup else 1 + math.cos(math.pi * (v - warmup) / (1 - warmup))
        for v in u.tolist()
    ]
    np.testing.assert_allclose(rate, exact, atol=1e-5)
    assert rate[-1] == pytest.approx(0.0, abs=1e-6)


def test_plan_revision_is_continuous_and_ends_at_one():
    plan = Plan(100)
    assert plan.at(0) == (0.0, 0.01)
    later = plan.revised(40, 60)
    assert later.at(40)[0] == pytest.approx(plan.at(40)[0])
    assert later.at(60)[0] == pytest.approx(1.0)
    again = later.revised(50, 200)
    assert again.at(50)[0] == pytest.approx(later.at(50)[0])
    assert again.at(200)[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("per_epoch", "epochs"),
    [(84 / 91, 100), (84 / 85, 100), (2.0, 52), (0.5, 178), (0.1, 200), (50.0, 11)],
    ids=["as planned", "about so", "slower", "faster", "faster, up to the most", "one more at least"],
)
def test_revise(per_epoch: float, epochs: int):
    # Ten of a hundred epochs are done, in 11 s of 100.
    plan = Plan(epochs=100)
    new = revise(plan, done=10, elapsed=11.0, limit=100.0, per_epoch=per_epoch, most=200)
    assert new == (plan if epochs == 100 else plan.revised(10, epochs))


def test_epochs_that_fit():
    assert epochs_that_fit(100.0, elapsed=5.0, per_epoch=1.0, done=0, most=1000) == 90
    assert epochs_that_fit(100.0, elapsed=99.0, per_epoch=1.0, done=3, most=1000) == 4
    assert epochs_that_fit(100.0, elapsed=5.0, per_epoch=1.0, done=0, most=7) == 7


def test_chunks_aim_at_a_second_and_grow_gently(monkeypatch: pytest.MonkeyPatch):
    chunks, clock = Chunks(), [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    lengths = []
    for _ in range(6):
        steps = chunks.next(math.inf)
        clock[0] += 0.001 * steps
        chunks.measured(steps, clock[0] - 0.001 * steps)
        lengths.append(steps)
    assert lengths == [1, 16, 256, 1000, 1000, 1000]
    assert max(lengths) * 0.001 <= AIM
    assert chunks.next(0.1) == 100
    clock[0] += 3.0
    chunks.measured(1, clock[0] - 3.0)  # a step that takes three seconds can not be cut
    assert chunks.next(math.inf) == 1


def test_a_slow_first_step_does_not_shrink_the_plan(monkeypatch: pytest.MonkeyPatch):
    """The first step that is done pays for what is set up once: here a quarter of the limit."""
    done = []

    def slow_at_first(form: Any, problem: Any, order: Any, state: Any, control: Any) -> Any:
        if int(control.stop) > 0 and not done:
            done.append(True)
            time.sleep(0.5)
        return advance(form, problem, order, state, control)

    monkeypatch.setattr(_run, "advance", slow_at_first)
    result = limited(2.0, max_epochs=20)
    assert done
    assert len(result.history) == 20
