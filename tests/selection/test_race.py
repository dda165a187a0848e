"""How the race spends its time and whom it drops, on chains that are made up and a clock that the test moves."""

import numpy as np
import pytest

from shoal.distributions import StandardNormal
from shoal.flows import FAMILIES, Front
from shoal.selection import _race
from shoal.selection._race import FIXED, SHARED, Chain, Clock, Race, _affordable, _drop, _plan, _share
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
    assert [result.rungs[e.rung].name for e in result.events] == [
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


def test_under_a_short_limit_all_chains_get_some_layers_and_the_best_is_trained_on(now):
    assert _plan([1, 2, 3, 4, 6], [chain("a"), chain("b")], Clock(120.0)) == [3, 3]
    assert _plan([1, 2, 4, 8], [chain("a"), chain("b")], Clock(120.0)) == [2, 2]
    assert _plan([1, 2, 4, 8], [chain("a")], Clock(120.0)) == [2]
    assert _plan([4, 8], [chain("a"), chain("b")], Clock(60.0)) == [4, 4]


@pytest.mark.parametrize(("limit", "plan"), [(300.0, [2, 4]), (1200.0, [2, 4, 8]), (7200.0, [2, 4, 8, 16])])
def test_a_longer_limit_has_room_for_deeper_rungs(limit, plan, now):
    assert _plan([1, 2, 4, 8, 16], [chain("a"), chain("b")], Clock(limit)) == plan


def test_without_a_limit_everything_is_planned():
    assert _plan([1, 2, 4], [chain("a")] * 8, Clock(None)) == [1, 2, 4]
    assert _share(Clock(None), [chain("a")] * 3, 0, [1]) is None


def test_mixtures_have_programs_of_their_own_and_get_layers_only_where_there_is_time(now):
    fronts = [chain(name).front for name in ("gaussian", "marginals+gaussian", "mixture")]
    assert _affordable(fronts[:2], [FAMILIES["nsf"]], Clock(60.0))
    assert not _affordable(fronts, [FAMILIES["nsf"]], Clock(120.0))
    assert _affordable(fronts, [FAMILIES["nsf"]], Clock(600.0))


@pytest.mark.parametrize("limit", [60.0, 120.0, 300.0, 3600.0])
@pytest.mark.parametrize("slower", [0.5, 1.0])
def test_shares_are_within_the_limit_and_the_last_round_gets_the_most(limit, slower, now):
    """Each rung takes its share; the first of a depth compiles, at `slower` times what is foreseen."""
    clock = Clock(limit)
    chains = [chain("gaussian"), chain("marginals+gaussian")]
    plan, spent = _plan([1, 2, 4, 8], chains, clock), []
    for number, depth in enumerate(plan):
        for place, one in enumerate(chains):
            share = _share(clock, chains, place, plan[number:])
            assert share is not None
            assert share > 0
            now[0] += share + SHARED + slower * FIXED * (_race._program(one, depth) not in clock.programs)
            clock.programs.add(_race._program(one, depth))
            spent.append(share)
        chains = chains[:1]
    assert 0.5 * limit <= clock.elapsed() <= limit
    assert spent[1] == pytest.approx(spent[0], rel=0.05 if slower == 1.0 else 1.5)
    assert spent[-1] >= 0.55 * sum(spent)


def test_a_rung_that_two_rounds_come_to_is_one_rung():
    result, one = Race([], [], Clock(60.0)), chain("gaussian")
    first = _race._rung_of(one, 2, result)
    assert _race._rung_of(one, 2, result) is first
    assert _race._rung_of(one, 4, result) is not first
    assert _race._rung_of(chain("mixture"), 2, result) is not first
    assert len(result.rungs) == 3


def test_a_chain_that_had_no_time_to_begin_leaves_the_time_to_those_that_had():
    a, b = chain("a", 0.0), chain("b")
    for halving in (False, True):
        a.dropped = b.dropped = ""
        _drop([a, b], halving, 0.05, None, Race(list(a.rungs), [], Clock(60.0)))
        assert [a.dropped, b.dropped] == ["", "not one epoch in its time"]
    none = [chain(name) for name in "ab"]
    _drop(none, True, 0.05, None, Race([], [], Clock(60.0)))
    assert [c.dropped for c in none] == ["", "not one epoch in its time"]
