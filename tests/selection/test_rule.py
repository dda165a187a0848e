"""The decision rule on made-up rungs, against arithmetic by hand."""

from collections.abc import Sequence

import numpy as np
import pytest

from shoal import selection
from shoal.flows import FAMILIES
from shoal.selection import Candidate, Choice, Delivery, Gates, paired_difference
from shoal.selection._delivery import sentence
from shoal.selection._rung import Rung

POINTS = 400
NOISE = np.random.default_rng(0).normal(size=POINTS)


def choose(rungs: Sequence[Candidate | None], margin: float = 0.1) -> Choice:
    return selection.choose(rungs, Gates(margin, 1e4, 1e-3))


def rung(depth, mean, *, spread=0.0, wobble=0.0, q99=10.0, trip=1e-5, seeds=2, seed=0):
    """Log-likelihoods NOISE + mean, with a paired per-point wobble and a spread between seeds."""
    rng = np.random.default_rng(seed + depth)
    own = rng.normal(size=POINTS)
    own -= own.mean()
    own /= own.std(ddof=1)
    shifts = spread * np.linspace(-1, 1, seeds) if seeds > 1 else np.zeros(1)
    return Candidate(depth, NOISE + mean + wobble * own + shifts[:, None], q99, trip)


def states(choice: Choice) -> list[str | None]:
    return [None if v is None else v.state for v in choice.verdicts]


def test_the_shallowest_whose_loss_is_known_to_be_below_the_margin():
    # wobble 1 over 400 points: standard error 0.05, 95 % upper bounds 0.082 above the loss (a little less, winsorised)
    rungs = [rung(1, -1.0, wobble=1), rung(2, -0.06, wobble=1), rung(4, -0.01, wobble=1), rung(8, 0.0)]
    choice = choose(rungs)
    assert (choice.best, choice.chosen) == (3, 2)
    verdict = choice.verdicts[2]
    assert verdict is not None
    assert verdict.difference == pytest.approx(0.01, abs=0.01)
    assert verdict.standard_error == pytest.approx(0.05, rel=0.05)
    assert states(choice) == ["worse", "undecided", "as good", "as good"]


def test_a_loss_that_is_not_known_well_enough_is_never_as_good():
    # 2.04 behind with an error of 2.09, as a flow that was once delivered
    choice = choose([rung(1, -2.04, wobble=2.09 * np.sqrt(POINTS)), rung(2, 0.0)])
    assert states(choice)[0] == "undecided"
    assert choice.chosen == 1


def test_the_pairing_counts_not_the_spread_of_single_values():
    choice = choose([rung(1, -0.2, wobble=0.001), rung(2, 0.0)])
    assert states(choice) == ["worse", "as good"]
    assert choose([rung(1, -0.05, wobble=0.001), rung(2, 0.0)]).chosen == 0


def test_single_rows_move_nothing():
    plain, spoiled = [rung(1, 0.0), rung(2, -0.5)], [rung(1, 0.0), rung(2, -0.5)]
    spoiled[0].log_likelihoods[:, 7] = -1e9
    a, b = choose(plain), choose(spoiled)
    assert (a.best, a.chosen) == (b.best, b.chosen) == (0, 0)
    assert states(a) == states(b)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_single_row_that_is_not_finite_is_a_far_row(value):
    rungs = [rung(1, 0.0), rung(2, -0.5)]
    for one in rungs:
        one.log_likelihoods[:, 5] = value
    assert states(choose(rungs)) == ["as good", "worse"]
    many = rung(2, -0.01)
    many.log_likelihoods[:, :4] = value
    assert choose([rung(1, 0.0), many]).verdicts[1] is None


def test_seed_spread_enters_in_quadrature():
    quiet = choose([rung(1, -0.05), rung(2, 0.0)])
    noisy = choose([rung(1, -0.05, spread=0.3), rung(2, 0.0)])
    assert quiet.chosen == 0
    assert noisy.chosen == 1
    verdict = noisy.verdicts[0]
    assert verdict is not None
    assert verdict.standard_error == pytest.approx(0.3)  # sd of (-.3, .3) / sqrt 2


def test_nothing_behind_the_best_rung_of_no_layer_is_chosen():
    zero, one, deep = rung(0, -0.02, q99=1e6), rung(1, -0.04), rung(8, 0.0, q99=1e6)
    assert choose([zero, one, deep]).chosen is None
    assert choose([zero, rung(1, -0.01), deep]).chosen == 1


def test_what_was_not_measured_is_not_chosen():
    bare = Candidate(1, rung(1, 0.0).log_likelihoods)
    choice = choose([bare, rung(2, 0.0)])
    assert choice.chosen == 1
    verdict = choice.verdicts[0]
    assert verdict is not None
    assert (verdict.well_conditioned, verdict.invertible, verdict.passes) == (None, None, False)


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
    broken.log_likelihoods[0, :3] = np.nan
    choice = choose([rung(1, 0.0), None, broken])
    assert (choice.best, choice.chosen) == (0, 0)
    assert choice.verdicts[1] is None
    assert choice.verdicts[2] is None
    assert choose([None, broken]).best is None


def test_equal_depth_goes_to_the_likelier():
    assert choose([rung(2, -0.001, wobble=0.1), rung(2, 0.0)]).chosen == 1


def test_weights_are_those_of_repeated_points():
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(2, 50)), rng.normal(size=(2, 50))
    times = rng.integers(1, 4, size=50)
    plain, _ = paired_difference(np.repeat(a, times, axis=1), np.repeat(b, times, axis=1))
    weighted, error = paired_difference(a, b, times.astype(float))
    assert weighted == pytest.approx(plain, abs=0.05)  # one held row may be several of the repeated ones
    assert error > 0
    assert paired_difference(a, b, np.full(50, 7.0)) == pytest.approx(paired_difference(a, b))


def told(candidates: Sequence[Candidate], delivered: int, gate: str, monkeypatch: pytest.MonkeyPatch) -> str:
    rungs = [Rung("marginals", FAMILIES["nsf"] if c.depth else None, c.depth) for c in candidates]
    known = {id(r): c for r, c in zip(rungs, candidates, strict=True)}
    monkeypatch.setattr(Rung, "candidate", lambda self: known[id(self)])
    delivery = Delivery(delivered, 0, gate, "the likeliest that passes", "Try another.")
    return sentence(rungs, choose(candidates), delivery, "LIMITS")


def test_the_sentence_names_the_chosen_rung_and_its_own_figures(monkeypatch):
    text = told(
        [rung(0, -1.0, q99=2.0), rung(2, -0.05, q99=3.0), rung(4, 0.0, q99=5.0)], 1, "both gates", monkeypatch
    )
    assert text.startswith(
        "Chosen: nsf on marginals, 2 layers; as good as the best (nsf on marginals, 4 layers): behind by 0.05"
    )
    assert "99 % κ 3," in text
    assert "κ 5" not in text


def test_the_sentence_says_what_is_delivered_where_nothing_is_chosen(monkeypatch):
    text = told([rung(0, -1.0, q99=2.0), rung(4, 0.0, q99=1e6)], 0, "both gates", monkeypatch)
    assert text.startswith(
        "No rung that is as good as the best (nsf on marginals, 4 layers) has LIMITS. Delivered: marginals, no layer"
    )
    assert "99 % κ 2," in text
    assert text.endswith("Try another.")
