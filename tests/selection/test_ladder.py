"""The ladder on small tables: what it promises about units, parts, seeds, failures."""

# A figure that is not there fails its test by itself.
# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportCallIssue=false

import dataclasses
from typing import Any, cast

import jax.random as jr
import numpy as np
import pytest
from msgspec.structs import astuple
from scipy import stats

from shoal.flows import Family, realnvp
from shoal.records import FitRecord, as_record, to_plain
from shoal.selection import _ladder, ladder
from shoal.selection._measure import next_layer
from shoal.selection._prepare import prepare
from shoal.selection._rung import Rung
from shoal.tables import as_table
from shoal.training import Settings

pytestmark = pytest.mark.usefixtures("unprofiled")
QUICK = Settings(max_epochs=16, batch_size=128, learning_rate=3e-3)
SMALL: dict[str, Any] = {
    "families": ("realnvp",),
    "fronts": ("gaussian", "marginals"),
    "depths": (1, 2),
    "hidden": (16,),
    "seeds": 2,
    "settings": QUICK,
}
ONE: dict[str, Any] = {**SMALL, "fronts": ("gaussian",), "depths": (1,)}  # programs that SMALL has compiled
NO_TIME: dict[str, Any] = {**ONE, "time_limit": 0.5}  # for any step: the closed forms are what is left


def banana(rows=1200, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 3))
    return np.stack([z[:, 0], z[:, 0] ** 2 + 0.3 * z[:, 1], np.exp(0.3 * z[:, 2]) + 0.2 * z[:, 0]], 1)


@pytest.fixture(scope="module")
def result(unprofiled):
    return ladder(banana(), **SMALL)


def test_a_column_in_other_units_changes_nothing_but_the_constant(result):
    factors = np.array([1.0, 1e6, 1.0])
    other = ladder(banana() * factors, **SMALL)
    assert (other.choice.best, other.choice.chosen) == (result.choice.best, result.choice.chosen)
    for a, b in zip(result.record.rungs, other.record.rungs, strict=True):
        if a.condition is not None:  # the points are rounded differently
            assert astuple(a.condition) == pytest.approx(astuple(b.condition), rel=1e-9)
        shift = a.validation_log_likelihood - b.validation_log_likelihood
        assert shift == pytest.approx(np.log(1e6), abs=1e-6)
    assert other.flow is not None
    x = banana(50, seed=9)
    shift = np.asarray(result.flow.log_prob(x)) - np.asarray(other.flow.log_prob(x * factors))
    assert np.abs(shift - np.log(1e6)).max() < 2e-4  # float32 sums of a few tens
    kept = result.record.decision.kept
    ours, theirs = (r.record.rungs[kept].condition_user_units for r in (result, other))
    assert ours != theirs


def test_the_record_is_whole_and_the_test_figure_is_that_of_the_delivered_flow(result):
    assert as_record(to_plain(result.record), FitRecord) == result.record
    part = result.prepared.parts["test"]
    scores = np.asarray(result.flow.log_prob(result.prepared.values[part.rows]), np.float64)
    assert result.record.test.log_likelihood == pytest.approx(scores.mean(), abs=1e-4)
    assert result.record.test.rows == len(part.rows)
    assert sum(result.record.data.parts.values()) == 1200
    chosen = [r for i, r in enumerate(result.record.rungs) if i == result.record.decision.chosen]
    assert len(chosen) == 1
    assert chosen[0].condition.q99 <= 1e4


def test_rung_zero_comes_first_and_layers_gain_on_it(result):
    names = [r.name for r in result.record.rungs]
    assert names[:2] == ["gaussian, no layer", "marginals, no layer"]
    x = result.prepared.parts["validation"].x
    mean, covariance = (f(result.prepared.parts["train"].x.T) for f in (lambda a: a.mean(axis=1), np.cov))
    exact = (
        stats.multivariate_normal.logpdf(x, mean, cast(Any, covariance)).mean() - result.prepared.log_volume
    )
    assert result.record.rungs[0].validation_log_likelihood == pytest.approx(
        exact, abs=0.1
    )  # tails bend rows beyond 4
    best = result.record.rungs[result.record.decision.best]
    assert best.validation_log_likelihood > exact + 0.3


def test_a_front_alone_is_delivered_where_layers_gain_nothing():
    mixing = np.array([[1.0, 0.8, 0.0], [0.0, 0.2, 0.5], [0.0, 0.0, 3.0]])
    x = np.random.default_rng(5).normal(size=(1200, 3)) @ mixing
    out = ladder(x, **ONE)
    assert out.record.rungs[out.record.decision.kept].depth == 0
    assert out.record.next_layer is None
    assert out.flow is not None
    test = x[out.prepared.parts["test"].rows]
    exact = stats.multivariate_normal.logpdf(test, np.zeros(3), mixing.T @ mixing).mean()
    assert out.record.test.log_likelihood == pytest.approx(exact, abs=0.1)
    assert next(e.rung for e in out.record.race if e.event == "rung") == 0


def test_grown_rungs_begin_where_the_shallower_one_ended():
    out = ladder(banana(), **{**SMALL, "seeds": 1, "fronts": ("marginals",)})
    shallow, deep = (r for r in out.rungs if r.family is not None)
    assert deep.results[0].first_validation == pytest.approx(shallow.results[0].best_validation, abs=1e-4)
    again = ladder(banana(), **{**SMALL, "seeds": 1, "fronts": ("marginals",), "start": "scratch"})
    anew = [r for r in again.rungs if r.family is not None][1]
    begun, grown = anew.results[0].first_validation, deep.results[0].first_validation
    assert begun is not None
    assert grown is not None
    assert begun < grown - 0.1


def test_growth_ends_where_layers_gain_less_than_the_margin():
    out = ladder(
        banana(), **{**SMALL, "seeds": 1, "fronts": ("marginals",), "depths": (1, 2, 4), "margin": 5.0}
    )
    assert [r.depth for r in out.rungs if r.results] == [1, 2]
    assert any("the last layers gained" in e.why for e in out.record.race)
    assert out.record.next_layer is None


def test_the_next_layer_is_foretold_where_growth_ended_from_outside(result):
    decision, found = result.record.decision, result.record.next_layer
    assert decision.kept == decision.best
    assert result.record.delivered.depth == 2  # the deepest that was asked for
    assert str(found) in decision.sentence
    assert "No deeper rung of its chain was trained. One more affine coupling" in decision.sentence
    rung, parts = result.rungs[decision.kept], result.prepared.parts
    flow = rung.flows[result.delivery.seed]
    z = np.asarray(flow.inverse(parts["validation"].x))
    assert 0.0 <= found.gain.low <= found.gain.value <= found.gain.high
    assert found.rows == len(parts["validation"].rows)
    assert found.fitted == len(parts["train"].rows)
    # a coupling by least squares, its scale one number a column: no bound, but less than the estimate of the best
    kept, moved = found.kept, [i for i in range(3) if i not in found.kept]
    seen = np.asarray(flow.inverse(parts["train"].x))
    features = lambda rows: np.hstack([np.ones((len(rows), 1)), rows[:, kept], rows[:, kept] ** 2])
    slope, *_ = np.linalg.lstsq(features(seen), seen[:, moved], rcond=None)
    variance = np.var(seen[:, moved] - features(seen) @ slope, axis=0)
    law = stats.norm.logpdf(z[:, moved], features(z) @ slope, np.sqrt(variance))
    plain = (law - stats.norm.logpdf(z[:, moved])).sum(axis=1).mean()
    assert plain <= found.gain.high


def test_nothing_is_foretold_of_weighted_rows_or_without_time(result):
    flow, parts = result.rungs[result.record.decision.kept].flows[result.delivery.seed], result.prepared.parts
    train, held = parts["train"], parts["validation"]
    assert next_layer(flow, train, held, seed=0, seconds=np.inf) == result.record.next_layer
    assert next_layer(flow, train, held, seed=0, seconds=2.0) is None
    weighted = dataclasses.replace(held, weights=np.ones(len(held.rows)))
    assert next_layer(flow, train, weighted, seed=0, seconds=np.inf) is None
    hasty = next_layer(flow, train, held, seed=0, seconds=3.0)
    assert (hasty.rows, hasty.fitted) == (120, min(1000, len(train.rows)))


def test_a_family_is_a_value_with_its_own_settings():
    wide = Family(realnvp, name="wide", activation="relu")
    out = ladder(banana(), **{**NO_TIME, "families": (wide,)})
    assert out.rungs[-1].name == "wide on gaussian, 1 layer"
    assert out.record.config["families"] == ["wide"]
    assert "activation='relu'" in repr(wide.build(jr.key(0), 3, 1, hidden=(4,)))


def test_one_row_far_out_does_not_wreck_the_others():
    x = np.random.default_rng(0).normal(size=(1200, 3))
    x[600, 0] = 1e10
    out = ladder(x, **{**SMALL, "seeds": 1, "fronts": ("gaussian", "marginals+gaussian"), "depths": (1,)})
    assert out.flow is not None
    others = np.delete(x, 600, axis=0)
    exact = stats.norm.logpdf(others).sum(axis=1).mean()
    assert np.asarray(out.flow.log_prob(others)).mean() == pytest.approx(exact, abs=0.05)
    samples = np.asarray(out.flow.sample(jr.key(0), (20_000,)))
    for q in (0.05, 0.5):
        assert np.abs(np.quantile(samples, q, axis=0) - np.quantile(others, q, axis=0)).max() < 0.1


def test_two_columns_with_very_heavy_tails():
    rng = np.random.default_rng(0)
    law: Any = stats.lognorm(3.0)
    x, fresh = law.rvs((4000, 2), random_state=rng), law.rvs((20_000, 2), random_state=rng)
    out = ladder(x, **{**NO_TIME, "fronts": ("gaussian", "marginals+gaussian")})
    assert out.flow is not None
    loss = law.logpdf(fresh).sum(axis=1).mean() - np.asarray(out.flow.log_prob(fresh)).mean()
    assert -0.01 < loss < 0.1


def test_a_table_without_test_rows():
    out = ladder(banana(), **{**NO_TIME, "parts": (0.9, 0.1, 0.0)})
    assert out.flow is not None
    assert out.record.test is None
    assert out.record.data.parts["test"] == 0
    assert sum(out.record.data.parts.values()) == 1200


def test_the_test_part_has_no_say(monkeypatch, result):
    def spoiled(*args, **kwargs):
        prepared = prepare(*args, **kwargs)
        part = prepared.parts["test"]
        noise = dataclasses.replace(part, x=part.x + 100.0)
        return dataclasses.replace(prepared, parts={**prepared.parts, "test": noise})

    monkeypatch.setattr(_ladder, "prepare", spoiled)
    again = ladder(banana(), **SMALL)
    assert again.choice == result.choice
    assert again.record.test.log_likelihood < result.record.test.log_likelihood - 100


def test_lattice_columns_get_noise_in_all_parts_alike_or_none():
    x = banana()
    x[:, 0] = np.round(x[:, 0], 1)
    table = as_table(x, distinct=True)
    noisy = prepare(table, seed=0, dequantize_columns=True, dtype="float32")
    assert [s.column for s in noisy.lattices] == ["x0"]
    assert noisy.lattices[0].step == pytest.approx(0.1)
    for part in noisy.parts.values():
        moved = noisy.values[part.rows, 0] - x[part.rows, 0]
        assert np.abs(moved).max() <= 0.05 + 1e-12
        assert moved.std() == pytest.approx(0.1 / np.sqrt(12), rel=0.15)
        assert (noisy.values[part.rows, 1:] == x[part.rows, 1:]).all()
    plain = prepare(table, seed=0, dequantize_columns=False, dtype="float32")
    assert (plain.values == x).all()
    assert not plain.dequantized


def test_a_row_of_weight_0_is_as_if_it_were_not_there():
    x, weights = banana(), np.tile([1.0, 2.0, 3.0], 400)
    masked = np.insert(x, np.arange(0, 1200, 6), [-999_999.125, 1e30, 1e38], axis=0)  # 1e38: beyond float32
    table = as_table(masked, weights=np.insert(weights, np.arange(0, 1200, 6), 0.0))
    options: dict[str, Any] = {"seed": 0, "dequantize_columns": False, "dtype": "float32"}
    ours, plain = prepare(table, **options), prepare(as_table(x, weights=weights), **options)
    for name, part in plain.parts.items():
        assert (ours.parts[name].x == part.x).all()
        assert (ours.parts[name].weights == part.weights).all()
        assert (masked[ours.parts[name].rows] == x[part.rows]).all()


def test_means_and_deviations_count_a_row_as_often_as_its_weight_says():
    x, weights = banana(), np.tile([1.0, 2.0, 3.0], 400)
    table = as_table(x[:, :2], context=x[:, 2:], weights=weights)
    ours = prepare(table, seed=0, dequantize_columns=False, dtype="float32")
    assert ours.context_mean is not None
    assert ours.context_scale is not None
    rows = ours.parts["train"].rows
    repeated = np.repeat(x[rows], weights[rows].astype(int), axis=0)
    for found, wanted in (
        (np.append(ours.mean, ours.context_mean), repeated.mean(axis=0)),
        (np.append(ours.scale, ours.context_scale), repeated.std(axis=0)),
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_a_column_that_is_constant_where_the_weights_are_is_refused():
    x, weights = banana(), np.tile([0.0, 1.0], 600)
    x[weights > 0, 1] = 0.1
    with pytest.raises(ValueError, match="column 'x1' is constant in the training part"):
        prepare(as_table(x, weights=weights), seed=0, dequantize_columns=False, dtype="float32")


def test_the_seed_that_is_kept_is_best_by_the_weights():
    points = np.array([[0.0, -3.0], [-1.0, -1.0]])  # log-likelihoods of two points under two seeds
    rung = Rung("gaussian", log_likelihoods=list(points))
    assert rung.best_seed(None) == 1
    assert rung.best_seed(np.array([3.0, 1.0])) == 0


def test_a_time_limit_that_is_too_short_leaves_the_closed_forms():
    out = ladder(banana(), depths=(1, 2, 4), seeds=1, time_limit=0.5)
    trained = [r.status for r in out.record.rungs if r.depth]
    assert set(trained) <= {"not started", "unfinished"}
    assert out.flow is not None
    assert out.record.rungs[out.record.decision.kept].depth == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"families": ("glow",)}, "unknown; choose from"),
        ({"depths": (0,)}, "at least 1"),
        ({"fronts": ()}, "at least one"),
        ({"fronts": ("gaussian+marginals",)}, "front 'gaussian\\+marginals' is unknown; choose from"),
        ({"start": "warm"}, '`start` must be "grow" or "scratch"'),
        ({"margin": 0.0}, "`margin` must be"),
        ({"parts": (0.5, 0.0, 0.5)}, "three numbers that sum to 1"),
        ({"depths": np.array([1.5])}, "whole numbers of at least 1"),
        ({"seeds": 0}, "`seeds`"),
        ({"seed": -1}, "`seed` must be at least 0; got -1"),
        ({"time_limit": -1.0}, "`time_limit` must be a finite number of seconds above 0, or None; got -1"),
        ({"time_limit": float("nan")}, "`time_limit` must be .* got nan"),
        ({"dtype": "float16"}, "`dtype`"),
        ({"dtype": "float64"}, "jax_enable_x64"),
        ({"dequantize": "yes"}, "`dequantize`"),
        ({"max_condition": 0.5}, "`max_condition`"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_settings_are_one_sentence(settings, words):
    with pytest.raises(ValueError, match=words) as error:
        ladder(banana(), **settings)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("unchecked")
def test_one_family_and_depths_of_numpy_are_taken():
    depths: Any = np.array([2, 1])
    out = ladder(banana(), families="nice", fronts="gaussian", depths=depths, time_limit=0.5)
    assert out.record.config["families"] == ["nice"]
    assert out.record.config["fronts"] == ["gaussian"]
    assert out.record.config["depths"] == [1, 2]
    assert [type(depth) for depth in out.record.config["depths"]] == [int, int]


def test_a_table_is_not_given_weights_that_would_be_ignored():
    with pytest.raises(ValueError, match="a `Table`, which has its own context and weights"):
        ladder(as_table(banana()), weights=np.ones(1200), **SMALL)
    with pytest.raises(ValueError, match="has no column 'x7'"):
        ladder(as_table(banana()), columns=["x7"], **SMALL)


def test_values_that_float32_can_not_tell_apart_are_refused():
    x = banana()
    x[:, 0] += 1e9
    with pytest.raises(ValueError, match="float32 can not tell apart"):
        ladder(x, **SMALL)


@pytest.mark.parametrize(
    ("factor", "dtype", "words"),
    [
        (
            1e38,
            "float32",
            "column 'x1' reaches .*e\\+39, beyond what float32 can hold; .*, or use dtype float64",
        ),
        (
            1e-40,
            "float32",
            "column 'x1' varies by no more than .*e-39, beyond what float32 can hold; .*float64",
        ),
        (
            1e200,
            "float64",
            "column 'x1' reaches .*e\\+201, beyond what float64 can hold; give it in another unit\\.$",
        ),
        (1e-200, "float64", "column 'x1' varies by no more than .*e-199, beyond what float64 can hold"),
    ],
)
def test_values_beyond_the_dtype_are_refused_before_anything_is_trained(
    factor: float, dtype: str, words: str
):
    table = as_table(banana() * [1.0, factor, 1.0])
    with pytest.raises(ValueError, match=words):
        prepare(table, seed=0, dequantize_columns=False, dtype=dtype)


def test_a_context_that_float32_can_not_tell_apart_is_refused():
    x = banana()
    table = as_table(x[:, :1], context=x[:, 1:] + 1e9)
    with pytest.raises(ValueError, match=r"column 'x0' varies by .* which float32 can not tell apart"):
        prepare(table, seed=0, dequantize_columns=False, dtype="float32")
    assert prepare(table, seed=0, dequantize_columns=False, dtype="float64").context_scale is not None


def test_nothing_is_foretold_where_a_deeper_rung_of_the_chain_was_trained(result):
    clock, rungs = _ladder.Clock(None), list(result.rungs)
    foretold = _ladder._foretold(rungs, result.delivery, result.prepared, clock, 0)
    assert foretold == result.record.next_layer
    deeper = dataclasses.replace(rungs[result.delivery.rung], depth=3)
    assert _ladder._foretold([*rungs, deeper], result.delivery, result.prepared, clock, 0) is None
    alone = dataclasses.replace(result.delivery, rung=0)
    assert _ladder._foretold(rungs, alone, result.prepared, clock, 0) is None
