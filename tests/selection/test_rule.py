"""The decision rule on made-up rungs, against arithmetic by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from shoal import selection
from shoal.selection import Candidate, Choice, paired_difference
from shoal.selection._rung import Rung
from shoal.selection._sentence import sentence

POINTS = 400
NOISE = np.random.default_rng(0).normal(size=POINTS)


def choose(rungs: Sequence[Candidate | None]) -> Choice:
    return selection.choose(rungs, max_condition=1e4, max_round_trip=1e-3)


def rung(depth, mean, *, spread=0.0, wobble=0.0, q99=10.0, trip=1e-5, seeds=2, seed=0):
    """Log-likelihoods NOISE + mean, with a paired per-point wobble and a spread between seeds."""
    rng = np.random.default_rng(seed + depth)
    own = rng.normal(size=POINTS)
    own -= own.mean()
    own /= own.std(ddof=1)
    shifts = spread * np.linspace(-1, 1, seeds) if seeds > 1 else np.zeros(1)
    return Candidate(depth, NOISE + mean + wobble * own + shifts[:, None], q99, trip)


def test_shallowest_within_one_standard_error():
    # wobble 1 over 400 points: standard error 0.05
    rungs = [rung(1, -1.0, wobble=1), rung(2, -0.06, wobble=1), rung(4, -0.04, wobble=1), rung(8, 0.0)]
    choice = choose(rungs)
    assert choice.best == 3
    assert choice.chosen == 2
    verdict = choice.verdicts[2]
    assert verdict is not None
    assert verdict.difference == pytest.approx(0.04)
    assert verdict.standard_error == pytest.approx(0.05)
    assert [v is not None and v.as_good for v in choice.verdicts] == [False, False, True, True]


def test_the_pairing_counts_not_the_spread_of_single_values():
    # single values vary by 1, differences hardly at all: a gap of 0.01 is then significant
    choice = choose([rung(1, -0.01, wobble=0.001), rung(2, 0.0)])
    assert choice.chosen == 1


def test_seed_spread_enters_in_quadrature():
    quiet = choose([rung(1, -0.2), rung(2, 0.0)])
    noisy = choose([rung(1, -0.2, spread=0.3), rung(2, 0.0)])
    assert quiet.chosen == 1
    assert noisy.chosen == 0
    verdict = noisy.verdicts[0]
    assert verdict is not None
    assert verdict.standard_error == pytest.approx(0.3)  # sd of (-.3, .3) / sqrt 2


@pytest.mark.parametrize(
    "fault", [{"q99": 2e4}, {"trip": 2e-3}, {"q99": np.inf}, {"trip": np.nan}, {"q99": np.nan}]
)
def test_unsafe_rungs_are_passed_over(fault):
    choice = choose([rung(1, 0.0, **fault), rung(2, 0.0), rung(4, 0.001)])
    assert choice.chosen != 0


def test_none_when_no_rung_is_safe():
    choice = choose([rung(1, 0.0, q99=1e5), rung(2, 0.1, q99=1e6)])
    assert choice.chosen is None
    assert choice.best == 1


def test_rungs_that_are_not_finite_take_no_part():
    broken = rung(16, 5.0)
    broken.log_likelihoods[0, 0] = np.nan
    choice = choose([rung(1, 0.0), None, broken])
    assert (choice.best, choice.chosen) == (0, 0)
    assert choice.verdicts[1] is None
    assert choice.verdicts[2] is None
    assert choose([None, broken]).best is None


def test_equal_depth_goes_to_the_likelier():
    assert choose([rung(2, -0.001, wobble=1), rung(2, 0.0)]).chosen == 1


def test_weights_are_those_of_repeated_points():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 50)), rng.normal(size=(2, 50))
    times = rng.integers(1, 4, size=50)
    plain, _ = paired_difference(np.repeat(a, times, axis=1), np.repeat(b, times, axis=1))
    weighted, error = paired_difference(a, b, times.astype(float))
    assert weighted == pytest.approx(plain)
    assert error > 0
    assert paired_difference(a, b, np.full(50, 7.0)) == pytest.approx(paired_difference(a, b))


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (3, "realnvp with 4 layers; the best validation log-likelihood of all rungs, and no shallower rung"),
        (
            2,
            "realnvp with 2 layers; the best validation log-likelihood of the 2 rungs that were measured, of 3, and",
        ),
        (1, "realnvp with 1 layer; the only one of 3 rungs that was measured; 99 %"),
    ],
)
def test_the_sentence_counts_only_the_rungs_that_were_measured(measured, words, monkeypatch):
    candidates = {d: rung(d, float(d)) if i < measured else None for i, d in enumerate((1, 2, 4))}
    monkeypatch.setattr(Rung, "candidate", lambda self: candidates[self.depth])
    choice = choose(list(candidates.values()))
    text = sentence([Rung("realnvp", d) for d in candidates], choice, max_condition=1e4, max_round_trip=1e-3)
    assert text.startswith(f"Chosen: {words}")
