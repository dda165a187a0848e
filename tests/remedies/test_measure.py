"""Proposals for a trained flow, and what measuring says of a remedy that helps and of one that does nothing."""

from dataclasses import replace
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from msgspec import structs

from shoal.bijections import HoelderBound
from shoal.conditioning import Audit, audit, order_statistics
from shoal.remedies import (
    DequantizationNoise,
    Evidence,
    Figures,
    GaussianPad,
    Measured,
    Measurements,
    Proposal,
    SpectralNormalization,
    make_plan,
    measure,
    propose,
)
from shoal.remedies._effects import effects_of
from shoal.training import Settings, fit
from tests.remedies.toys import EPOCHS, PARTS, TRAINING, recipe

KEY = jr.key(3)
NOISE = DequantizationNoise(0.1)
NOTHING = SpectralNormalization(1e6, HoelderBound())  # no weight comes near


@pytest.fixture(scope="module")
def found() -> Measurements:
    remedies = [NOISE, NOTHING]
    return measure(recipe, PARTS, remedies, key=KEY, seeds=2, epochs=EPOCHS, points=128, **TRAINING)


@pytest.fixture(scope="module")
def ill() -> tuple[Any, Audit]:
    plan = make_plan(recipe, PARTS, Settings())
    settings = Settings(max_epochs=EPOCHS, patience=None, **TRAINING)
    flow = fit(recipe(jr.key(1), 4), plan.train, key=KEY, validation=plan.validation, settings=settings).flow
    return flow, audit(flow, plan.test, max_condition=50.0, scale=np.ones(4))


def test_noise_helps_where_columns_repeat(found: Measurements):
    row = found["dequantization"]
    assert row.helps
    assert row.effects["condition"].verdict == "lower"
    assert row.effects["condition"].mean < -0.5  # decimal digits
    assert (
        row.effects["log_likelihood"].verdict == "lower"
    )  # the narrow direction is what likelihood pays for
    assert row.cost > 1.0
    assert row.status == "finished"


def test_the_condition_number_is_that_of_the_data(found: Measurements):
    """sigma_min / sigma_max of a map onto rows of deviation ~ 1e-3 across is bounded by what the rows allow, roughly."""
    kappa = [r.condition for r in found["none"].runs]
    assert all(100 < k < 1e6 for k in kappa)
    assert all(r.condition_kind == "exact" and r.log_likelihood_kind == "exact" for r in found["none"].runs)


def test_a_remedy_without_effect_is_reported_as_such(found: Measurements):
    row = found["spectral norm"]
    assert not row.helps
    assert row.effect == "no effect"
    assert {e.verdict for e in row.effects.values()} == {"no effect"}
    assert "no effect" in str(found)


def test_the_table(found: Measurements):
    assert [row.name for row in found.rows] == ["none", "dequantization", "spectral norm"]
    assert len(found.rows[1].runs) == 2
    lines = str(found).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("dequantization")
    with pytest.raises(KeyError):
        found["prayer"]


def test_proposals_name_reasons_in_order(ill: tuple[Any, Audit]):
    flow, audited = ill
    assert not audited.healthy
    proposals = propose(audited, flow, PARTS[0])
    expected = [p.expected for p in proposals]
    assert expected == sorted(expected, reverse=True)
    assert min(expected) > 0
    names = {p.remedy.name for p in proposals}
    assert {"bounded scale", "Lipschitz penalty", "dequantization"} <= names
    assert all(len(p.why) > 40 and p.why.endswith(".") for p in proposals)
    again = propose(audited)  # as for a foreign map: from names and figures alone
    assert {p.remedy.name for p in again} <= names | {
        "spectral norm",
        "sigmoid scale",
        "Gaussian padding",
        "float64 layers",
    }
    assert again


def test_what_is_in_place_is_not_proposed(ill: tuple[Any, Audit]):
    held = NOTHING.apply(make_plan(recipe, PARTS, Settings())).make(KEY)
    assert "spectral norm" not in {p.remedy.name for p in propose(ill[1], held)}


def test_expected_gain_of_noise_is_that_of_a_gaussian(ill: tuple[Any, Audit]):
    evidence = Evidence(ill[1], ill[0], PARTS[0])
    least = np.linalg.eigvalsh(np.corrcoef(PARTS[0].T))[0]
    wanted = 0.5 * np.log10((least + 0.01) / least)
    judged = NOISE.judge(evidence)
    assert judged is not None
    assert judged[0] == pytest.approx(min(wanted, evidence.digits), rel=1e-6)


def test_lattices_are_seen(ill: tuple[Any, Audit]):
    whole = np.random.default_rng(0).integers(0, 5, (200, 4)).astype(float)
    why = {p.remedy.name: p.why for p in propose(ill[1], ill[0], whole)}["dequantization"]
    assert "4 of 4 columns are multiples of a step (column 0: 1)" in why


def test_a_healthy_flow_needs_nothing(ill: tuple[Any, Audit]):
    healthy = replace(ill[1], diagnosis=structs.replace(ill[1].diagnosis, healthy=True))
    assert propose(healthy, ill[0]) == ()


def figures(*conditions: float, status: str = "finished", likelihood: float = 0.0) -> tuple[Figures, ...]:
    return tuple(Figures(k, "exact", 1e-5, likelihood, "exact", status) for k in conditions)


NAN = float("nan")
CASES = {
    "lower": (figures(100.0, 110.0, 90.0), figures(10.0, 12.0, 8.0), "lower"),
    "higher": (figures(100.0, 110.0, 90.0), figures(1e3, 2e3, 1e3), "higher"),
    "paired": (figures(10.0, 1e3, 1e5), figures(9.0, 9e2, 9e4), "lower"),
    "noise": (figures(100.0, 110.0, 90.0), figures(90.0, 120.0, 85.0), "no effect"),
    "equal": (figures(100.0, 110.0, 90.0), figures(100.0, 110.0, 90.0), "no effect"),
    "made finite": (figures(NAN, NAN), figures(10.0, 12.0), "made finite"),
    "resolved": (figures(1e17, 1e18), figures(10.0, 12.0), "made finite"),
    "broken": (figures(10.0, 12.0), figures(NAN, NAN), "made non-finite"),
    "some made finite": (figures(NAN, 10.0), figures(10.0, 12.0), "made finite"),
    "some broken": (figures(10.0, 12.0), figures(NAN, 10.0), "made non-finite"),
    "still": (figures(NAN, NAN), figures(NAN, 10.0), "still non-finite"),
    "diverged": (figures(10.0, 12.0), figures(1.0, 1.0, status="diverged"), "not measured"),
}


@pytest.mark.parametrize(("before", "after", "verdict"), CASES.values(), ids=CASES.keys())
def test_verdicts(before: tuple[Figures, ...], after: tuple[Figures, ...], verdict: str):
    found = effects_of(before, after)["condition"]
    assert found.verdict == verdict
    assert np.isnan(found.mean) == (verdict not in ("lower", "higher", "no effect"))


def test_a_remedy_that_lets_training_finish_helps():
    broken = figures(NAN, 10.0, status="diverged")
    effects = effects_of(broken, figures(10.0, 12.0))
    row = Measured("x", None, figures(10.0, 12.0), effects)
    assert row.helps
    assert row.effect == "κ made finite, training finishes"
    assert effects["log_likelihood"].verdict == "not measured"
    back = Measured("x", None, broken, effects_of(figures(10.0, 12.0), broken))
    assert not back.helps
    assert back.effect == "κ not measured, round trip not measured, training fails"


def test_nan_is_never_a_number():
    assert np.isnan(order_statistics(np.array([1.0, NAN, 2.0]), 0.99)[0])
    assert order_statistics(np.arange(1.0, 1001.0), 0.99) == [991.0]
    row = Measured("x", None, figures(NAN, 10.0), {})
    assert all(np.isnan(v) for v in row.mean("condition"))
    row = Measured("x", None, figures(5.0, status="diverged") + figures(5.0), {})
    assert row.status == "seed 0 diverged"


def test_what_can_not_be_applied_says_so():
    flow = recipe(jr.key(1), 4)
    progress: list[Measured] = []
    settings = {"epochs": 2, "seeds": 2, "points": 128, "progress": progress.append, **TRAINING}
    found = measure(flow, PARTS, [Proposal(GaussianPad(1), "w", 1.0)], key=KEY, **settings)
    row = found["Gaussian padding"]
    assert row.runs == ()
    assert row.status.startswith("not run: Padding needs a recipe (key, dim) -> Flow that heeds `dim`")
    assert [r.name for r in progress] == ["none", "Gaussian padding"]
    assert row.status in str(found)


@pytest.mark.usefixtures("unchecked")
def test_errors(ill: tuple[Any, Audit]):
    with pytest.raises(ValueError, match="`seeds` must be a whole number of at least 2; got 1"):
        measure(recipe, PARTS, key=KEY, seeds=1)
    with pytest.raises(ValueError, match="`x` must be two or more rows of 4 columns"):
        propose(ill[1], ill[0], np.zeros((5, 3)))
