"""How time is shared, with a clock that the test moves."""

import pytest

from shoal.selection import _budget
from shoal.selection._budget import LAST, Budget

RUNGS = [(f, d) for d in (1, 2, 4, 8, 16) for f in ("realnvp", "spline")]
COST = {"realnvp": 0.02, "spline": 0.06}  # seconds an epoch and layer


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(_budget.time, "monotonic", lambda: now[0])
    return now


def climb(budget, clock, compiling, measuring):
    """Plays a ladder whose rungs use their shares whole; gives the epochs of each rung (None: not begun)."""
    epochs = {}
    for i, (family, depth) in enumerate(RUNGS):
        share = budget.share(RUNGS[i:])
        if not share:
            epochs[family, depth] = None
            continue
        clock[0] += max(share, compiling) + measuring
        epochs[family, depth] = max(share - compiling, 0) / (COST[family] * depth)
        budget.measured(
            family, depth, compiling=compiling, measuring=measuring, per_epoch=COST[family] * depth
        )
    return epochs


def test_no_limit_no_share():
    assert Budget(None).share(RUNGS) is None


@pytest.mark.parametrize("limit", [60.0, 300.0, 3600.0])
@pytest.mark.parametrize("fixed", [0.5, 3.0, 8.0])
def test_the_limit_is_kept_and_used(clock, limit, fixed):
    budget = Budget(limit)
    epochs = climb(budget, clock, fixed, fixed)
    assert budget.elapsed() <= limit
    assert budget.elapsed() >= 0.6 * limit
    begun = [e for e in epochs.values() if e is not None]
    assert begun
    assert min(begun[2:], default=1.0) > 0.5  # once compiling times are known, what is begun is trained
    if limit == 3600:
        assert len(begun) == len(RUNGS)


def test_a_tight_limit_gives_up_the_deep_rungs(clock):
    epochs = climb(Budget(60.0), clock, 5.0, 4.0)
    begun = [rung for rung, e in epochs.items() if e is not None]
    assert 1 <= len(begun) < len(RUNGS)
    assert max(d for _, d in begun) < 16


def test_shares_give_equal_epochs(clock):
    budget = Budget(1000.0)
    for family, cost in COST.items():
        budget.measured(family, 2, compiling=2.0, measuring=1.0, per_epoch=2 * cost)
    first = budget.share([("realnvp", 2), ("spline", 8)])
    assert first == pytest.approx(2.0 + (1000 - LAST - 6) * 0.04 / (0.04 + 0.48))


def test_what_is_left_over_goes_to_later_rungs(clock):
    used, idle = Budget(200.0), Budget(200.0)
    clock[0] += 50.0
    late = used.share(RUNGS[1:])
    clock[0] -= 49.9  # the first rung stopped early
    early = idle.share(RUNGS[1:])
    assert late is not None
    assert early is not None
    assert early > late


def test_nothing_begins_without_time(clock):
    budget = Budget(30.0)
    clock[0] += 29.0
    assert budget.share(RUNGS) == 0.0


def test_a_limit_that_may_do_for_one_rung_begins_one(clock):
    guess = _budget.FIRST_COMPILE["realnvp"] + _budget.FIRST_MEASURE["realnvp"]
    for spare, wanted in ((-0.1, 0.0), (1.0, _budget.FIRST_COMPILE["realnvp"] + 1.0)):
        limit = (guess + spare) / 0.9  # a tenth is kept for what follows the last rung
        assert Budget(limit).share(RUNGS) == pytest.approx(wanted)
    budget = Budget(30.0)
    budget.measured("realnvp", 1, compiling=9.0, measuring=4.0, per_epoch=0.1)  # doubled for pairs of layers
    assert budget.share([("realnvp", 2)]) == 0.0  # 27 s are no longer guessed to do
