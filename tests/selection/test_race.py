"""How the race spends its time and whom it drops, on chains that are made up and a clock that the test moves."""

from typing import Any

import numpy as np
import pytest

from shoal.distributions import StandardNormal
from shoal.flows import FAMILIES, Front
from shoal.selection import _race
from shoal.selection._race import Chain, Clock, Race, _drop, _plan, _share, _two_rounds
from shoal.selection._rung import Rung

NOISE = np.random.default_rng(0).normal(size=400)


@pytest.fixture
def now(monkeypatch):
    moved = [100.0]
    monkeypatch.setattr(_race.time, "monotonic", lambda: moved[0])
    return moved


def chain(name: str, *means: float) -> Chain:
    made = Chain(Front(name, (), StandardNormal(1), None, 0.0), FAMILIES["nsf"])
    for i, mean in enumerate(means):
        rung = Rung(name, made.family, 2**i, log_likelihoods=[NOISE + mean])
        made.rungs.append(rung)
    return made


def dropped(*chains: Chain, halving: bool = False, margin: float = 0.05) -> list[str]:
    result = Race([r for c in chains for r in c.rungs], [], Clock(None))
    _drop(list(chains), halving, margin, None, result)
    assert [result.rungs[e["rung"]].name for e in result.events] == [
        c.rungs[-1].name for c in sorted(chains, key=_last) if c.dropped
    ]
    return [c.dropped for c in chains]


def _last(made: Chain) -> float:
    return -float(np.mean(made.rungs[-1].log_likelihoods[0]))


def test_a_chain_that_is_surely_behind_is_dropped_and_the_best_goes_on():
    assert [bool(d) for d in dropped(chain("a", 0.0), chain("b", -0.5), chain("c", -0.1))] == [
        False,
        True,
        True,
    ]


def test_a_difference_that_may_be_chance_drops_nobody():
    other = chain("b", -0.01)
    wobble = np.random.default_rng(1).normal(size=400)
    other.rungs[-1].log_likelihoods[0] = other.rungs[-1].log_likelihoods[0] + wobble - wobble.mean()
    assert dropped(chain("a", 0.0), other) == ["", ""]


def test_a_chain_whose_last_layers_gain_less_than_the_margin_ends():
    (why,) = dropped(chain("a", 0.0, 0.01))
    assert why.startswith("the last layers gained 0.01")
    assert dropped(chain("a", 0.0, 0.5)) == [""]


def test_under_a_limit_the_better_half_goes_on():
    tied = [chain(name, 0.0) for name in "abc"]
    for i, c in enumerate(tied):
        c.rungs[-1].log_likelihoods[0] = NOISE - 1e-6 * i + 1e-3 * np.random.default_rng(i).normal(size=400)
    assert sum(not d for d in dropped(*tied, halving=True)) == 1


@pytest.mark.parametrize("limit", [30.0, 60.0, 120.0, 300.0, 600.0, 3600.0])
@pytest.mark.parametrize("chains", [1, 2, 3, 10])
def test_the_plan_fits_into_the_time(limit, chains, now):
    clock = Clock(limit)
    plan = _plan([1, 2, 4, 8, 16], chains, clock)
    assert plan == sorted(set(plan))
    assert plan
    widths = [max(chains // 2**i, 1) for i in range(len(plan))]
    if len(plan) > 1:
        assert sum(widths) * _race.WORTH * clock.fixed <= clock.left()
    if limit <= 60:
        assert plan[-1] <= 4
    if limit == 3600 and chains == 1:
        assert plan == [1, 2, 4, 8, 16]


def test_without_a_limit_everything_is_planned():
    assert _plan([1, 2, 4], 8, Clock(None)) == [1, 2, 4]
    assert _share(Clock(None), 3, False, [], [1]) is None


@pytest.mark.parametrize("limit", [60.0, 120.0, 300.0, 3600.0])
def test_shares_are_within_the_limit_and_the_last_round_gets_the_most(limit, now):
    clock = Clock(limit)
    count = 3
    while count > 1 and not _two_rounds(count, clock):
        count -= 1
    plan, spent = _plan([1, 2, 4, 8], count, clock), []
    alive: list[Any] = [chain(str(i), 0.0) for i in range(count)]
    for number in range(len(plan)):
        last = number == len(plan) - 1
        for place in range(len(alive)):
            share = _share(clock, len(alive) - place, last, alive, plan[number:])
            assert share is not None
            assert share > 0
            now[0] += share
            spent.append(share)
        alive = alive[: max(len(alive) // 2, 1)]
    assert clock.elapsed() <= limit
    assert clock.elapsed() >= 0.5 * limit
    assert spent[-1] >= max(spent[:-1], default=0.0)
