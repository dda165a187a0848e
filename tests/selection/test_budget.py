"""How time is shared, with a clock that the test moves."""

import pytest

from shoal.selection import _budget
from shoal.selection._budget import LAST, Budget

RUNGS = [(f, d) for d in (1, 2, 4, 8, 16) for f in ("realnvp", "spline")]


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(_budget.time, "monotonic", lambda: now[0])
    return now


def test_no_limit_no_share():
    assert Budget(None).share(RUNGS) is None


@pytest.mark.parametrize("limit", [60.0, 300.0, 3600.0])
@pytest.mark.parametrize("fixed", [1.0, 4.0])
def test_the_limit_is_kept_and_used(clock, limit, fixed):
    budget = Budget(limit)
    for i, (family, depth) in enumerate(RUNGS):
        share = budget.share(RUNGS[i:])
        if not share:
            continue
        clock[0] += share + fixed
        budget.measured(family, depth, fixed=fixed, per_epoch=0.01 * depth * (3 if family == "spline" else 1))
    assert budget.elapsed() <= limit
    assert budget.elapsed() >= 0.75 * limit - LAST


def test_shares_give_equal_epochs(clock):
    budget = Budget(1000.0)
    for family, cost in (("realnvp", 0.02), ("spline", 0.06)):
        budget.measured(family, 1, fixed=3.0, per_epoch=cost)
    first = budget.share([("realnvp", 2), ("spline", 8)])
    assert first is not None
    expected = (1000 - LAST - 6) * 0.04 / (0.04 + 0.48)
    assert first == pytest.approx(expected)


def test_what_is_left_over_goes_to_later_rungs(clock):
    budget = Budget(100.0)
    before = budget.share(RUNGS[1:])
    clock[0] += 0.1  # the first rung stopped early
    assert before is not None
    after = budget.share(RUNGS[2:])
    assert after is not None
    assert after > 0


def test_nothing_begins_without_time(clock):
    budget = Budget(30.0)
    clock[0] += 29.0
    assert budget.share(RUNGS) == 0.0
