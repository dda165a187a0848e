"""`FlowDensity`: scikit-learn's own checks, what is fitted and when, parameters, data frames, copies and files."""

import copy
import io
import pickle
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

import shoal
from shoal import FlowDensity
from shoal._errors import InputError, NumericalFailure
from shoal.estimators import _density
from shoal.flows import Family, nice
from shoal.records import FitRecord
from shoal.tables import Schema, as_table

pytestmark = pytest.mark.usefixtures("unprofiled")
QUICK: dict[str, Any] = {
    "families": "realnvp",
    "fronts": "gaussian",
    "hidden": (8,),
    "max_epochs": 4,
    "learning_rate": 0.01,
}
LIMITED: dict[str, Any] = {"fronts": ("gaussian", "marginals"), "time_limit": 0.5}  # of closed forms alone
NOT_RUN = {"check_array_api_input"}  # but where SciPy's switch for arrays of other libraries is on


def banana(rows: int = 400, seed: int = 0) -> np.ndarray:
    z = np.random.default_rng(seed).normal(size=(rows, 2))
    return np.stack([z[:, 0], 10.0 * (z[:, 0] ** 2 + 0.3 * z[:, 1])], axis=1)


def log_banana(x: np.ndarray) -> np.ndarray:
    bent = (x[:, 1] / 10.0 - x[:, 0] ** 2) / 0.3
    return stats.norm.logpdf(x[:, 0]) + stats.norm.logpdf(bent) - np.log(3.0)


@pytest.fixture(scope="module")
def chosen(unprofiled: None) -> FlowDensity:
    return FlowDensity(**LIMITED).fit(banana())


def failed(estimator: FlowDensity) -> list[str]:
    found = check_estimator(estimator, on_fail=None, on_skip=None)
    return [
        f"{c['check_name']}: {c['exception']}" for c in found if c["status"] != "passed" and not skipped(c)
    ]


def skipped(check: dict[str, Any]) -> bool:
    return check["status"] == "skipped" and check["check_name"] in NOT_RUN


@pytest.mark.usefixtures("unchecked")  # a constructor takes whatever it is given
def test_the_checks_of_scikit_learn_pass() -> None:
    assert failed(FlowDensity()) == []


@pytest.mark.long
@pytest.mark.usefixtures("unchecked")
@pytest.mark.filterwarnings("ignore:FlowDensity.depth=1.. fewer than 100 rows")
def test_they_pass_with_layers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks fit at most 150 rows, which get none otherwise."""
    monkeypatch.setattr(_density, "LEAST_ROWS", 100)
    assert failed(FlowDensity(**{**QUICK, "depth": 1, "max_epochs": 1})) == []


def test_it_is_a_density_estimator_whose_seed_decides() -> None:
    tags = get_tags(FlowDensity())
    assert tags.estimator_type == "density_estimator"
    assert not tags.non_deterministic
    assert not tags.target_tags.required


def test_the_ladder_chooses(chosen: FlowDensity) -> None:
    assert isinstance(chosen.record_, FitRecord)
    kept = chosen.record_.decision.kept
    assert kept is not None
    assert chosen.depth_ == chosen.record_.rungs[kept].depth == 0
    assert {rung.front for rung in chosen.record_.rungs} == {"gaussian", "marginals"}
    assert chosen.record_.data.parts == {"train": 360, "validation": 40, "test": 0}
    assert chosen.n_features_in_ == 2
    assert not hasattr(chosen, "feature_names_in_")
    result = shoal.ladder(banana(), **LIMITED, seed=chosen.record_.config["seed"], parts=(0.9, 0.1, 0.0))
    assert result.flow is not None
    assert chosen.score_samples(banana(50, 1)) == pytest.approx(
        np.asarray(result.flow.log_prob(banana(50, 1))), abs=1e-3
    )


def test_a_depth_is_what_is_fitted() -> None:
    fresh = banana(2000, seed=1)
    truth = log_banana(fresh).mean()
    loss = {}
    for depth in (0, 2):
        density = FlowDensity(depth=depth, fronts="gaussian", families="realnvp", max_epochs=60).fit(banana())
        assert (density.depth_, density.record_) == (depth, None)
        loss[depth] = truth - density.score(fresh)
    assert 0.02 < loss[2] < loss[0] - 0.3
    assert loss[0] == pytest.approx(
        0.5 * np.log(1 + 2 / 0.09), abs=0.25
    )  # a normal lacks x1^2, of variance 2


@pytest.mark.long
def test_of_several_families_and_fronts_the_likeliest_is_kept() -> None:
    kinds = [Family(nice, name="slow"), "realnvp"]
    both, slow, fast = (
        FlowDensity(**{**QUICK, "depth": 1, "families": given}).fit(banana()).score(banana())
        for given in (kinds, *kinds)
    )
    assert slow != fast
    assert both == max(slow, fast)
    fronts = ("gaussian", "mixture")
    either, gaussian, mixture = (
        FlowDensity(depth=0, fronts=given).fit(banana()).score(banana(999, 1)) for given in (fronts, *fronts)
    )
    assert either == mixture > gaussian


def test_no_time_for_an_epoch_is_told() -> None:
    with pytest.warns(UserWarning, match=r"FlowDensity\(depth=3\): no training reached .* without layers"):
        density = FlowDensity(**{**QUICK, "depth": 3, "time_limit": 1e-3}).fit(banana())
    assert density.depth_ == 0
    assert np.isfinite(density.score(banana()))


def test_few_rows_get_no_layer_and_it_is_told_where_some_were_asked_for() -> None:
    assert FlowDensity().fit(banana(199)).depth_ == 0
    with pytest.warns(
        UserWarning, match=r"FlowDensity\(depth=2\): fewer than 200 rows .* too few for layers"
    ):
        density = FlowDensity(depth=2).fit(banana(250), sample_weight=np.arange(250) < 150)
    assert density.depth_ == 0


def test_values_do_not_depend_on_the_rows_beside_them() -> None:
    density = FlowDensity(**QUICK, depth=1).fit(banana())
    x = banana(9000, seed=2)
    whole = density.score_samples(x)
    assert whole.dtype == np.float64
    for rows in (x[:1], x[:3], x[5:900]):
        place = int(np.flatnonzero((x == rows[0]).all(axis=1))[0])
        assert np.abs(density.score_samples(rows) - whole[place : place + len(rows)]).max() < 1e-12
    assert density.score(x) == pytest.approx(whole.mean())
    assert np.asarray(density.flow_.log_prob(x)) == pytest.approx(whole, abs=1e-3)


def test_samples_are_those_of_the_density() -> None:
    mean, covariance = np.array([3.0, -50.0]), np.array([[4.0, 9.0], [9.0, 100.0]])
    x = np.random.default_rng(0).multivariate_normal(mean, covariance, 4000)
    density = FlowDensity(depth=0, fronts="gaussian").fit(x)
    drawn = density.sample(20_000, random_state=0)
    assert drawn.shape == (20_000, 2)
    error = np.sqrt(np.diag(covariance) / 4000)
    assert (np.abs(drawn.mean(axis=0) - mean) < 5 * error).all()
    assert np.cov(drawn.T) == pytest.approx(covariance, rel=0.12)
    assert (density.sample(7, random_state=0) == density.sample(7, random_state=0)).all()
    assert (density.sample(7) != density.sample(7)).any()
    assert density.sample().shape == (1, 2)
    with pytest.raises(InputError, match="`n_samples` must be a whole number of at least 1; got 0"):
        density.sample(0)


def test_random_state_decides_the_fit() -> None:
    fits = [
        FlowDensity(**QUICK, depth=1, random_state=state).fit(banana()).score(banana())
        for state in (0, 0, 1, np.random.RandomState(0), np.random.RandomState(0))
    ]
    assert fits[0] == fits[1] == fits[3] == fits[4]
    assert fits[0] != fits[2]


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_data_frames_give_their_names(kind: Any) -> None:
    x = banana()
    density = FlowDensity(**LIMITED).fit(kind({"mass": x[:, 0], "radius": x[:, 1]}))
    assert density.feature_names_in_.tolist() == ["mass", "radius"]
    assert density.flow_.columns == ("mass", "radius")
    assert density.record_ is not None
    assert density.record_.data.columns == ["mass", "radius"]
    frame = kind({"mass": x[:5, 0], "radius": x[:5, 1]})
    assert (density.score_samples(frame) == FlowDensity(**LIMITED).fit(x).score_samples(x[:5])).all()
    with pytest.raises(ValueError, match="feature names should match"):
        density.score_samples(kind({"radius": x[:5, 1], "mass": x[:5, 0]}))


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, pl.DataFrame], ids=["numpy", "pandas", "polars"])
def test_whole_numbers_that_float64_can_not_hold_are_counted_from_the_least_one(kind: Any) -> None:
    few = np.random.default_rng(0).integers(0, 500, (300, 2))
    least = few.min(axis=0)
    plain, large = FlowDensity(depth=0, fronts="gaussian"), FlowDensity(depth=0, fronts="gaussian")
    plain.fit((few - least).astype(float))
    large.fit(kind(2**60 + few))
    assert large.offsets_ == {i: 2**60 + int(n) for i, n in enumerate(least)}
    np.testing.assert_array_equal(
        large.score_samples(kind(2**60 + few[:9])), plain.score_samples((few[:9] - least).astype(float))
    )
    drawn = large.sample(200, random_state=0)
    assert drawn.dtype == np.int64
    np.testing.assert_array_equal(drawn - 2**60 - least, np.rint(plain.sample(200, random_state=0)))
    with pytest.raises(ValueError, match=r"column 0 .* float64 can not hold, whatever is subtracted"):
        large.fit(kind(few * 2**53))


def field(rows: int, seed: int, kind: Any) -> Any:
    """Words, a share of zeros, a flag that they decide, counts, dates, and a number with gaps."""
    rng = np.random.default_rng(seed)
    soil, rain = (
        rng.choice(["clay", "loam"], rows),
        np.where(rng.random(rows) < 0.6, 0.0, rng.gamma(2, 3, rows)),
    )
    day = np.datetime64("2020-01-01") + rng.integers(0, 700, rows).astype("timedelta64[D]")
    height = [None if i % 9 == 0 else v for i, v in enumerate(rng.normal(size=rows) + 3 * (soil == "clay"))]
    cells = {"soil": soil.tolist(), "rain": rain, "wet": rain > 0, "n": rng.poisson(3, rows), "day": day}
    return kind({**cells, "height": height})


@pytest.fixture(scope="module", params=[pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def whole(request: pytest.FixtureRequest) -> tuple[Any, FlowDensity]:
    return request.param, FlowDensity(kinds={}, depth=0).fit(field(300, 0, request.param))


def kinds_of(schema: Schema | None) -> list[str]:
    assert schema is not None
    return [c.kind for c in schema.columns]


def test_whole_tables_come_out_as_they_went_in(whole: tuple[Any, FlowDensity]) -> None:
    kind, density = whole
    made = density.sample(300, random_state=0)
    assert isinstance(made, kind)
    assert list(made.columns) == list(density.feature_names_in_)
    back = pl.DataFrame({name: pl.Series(list(made[name])) for name in made.columns})
    assert set(back["soil"]) == {"clay", "loam"}
    assert back["wet"].dtype == pl.Boolean
    assert float(np.mean((back["wet"] == (back["rain"] > 0)).to_numpy())) > 0.95
    assert 0.4 < float(np.mean(back["rain"].to_numpy() == 0)) < 0.8
    assert back["n"].dtype == pl.Int64
    assert back["day"].n_unique() > 100
    gaps = back["height"].fill_nan(None).is_null()
    assert 0.03 < float(np.mean(gaps.to_numpy())) < 0.25
    assert kinds_of(as_table(made, kinds={}).schema) == kinds_of(density.schema_)


def test_whole_rows_are_scored(whole: tuple[Any, FlowDensity]) -> None:
    kind, density = whole
    rows = field(50, 1, kind)
    logs = density.score_samples(rows)
    assert logs.shape == (50,)
    assert np.isfinite(logs).all()
    np.testing.assert_array_equal(copy.deepcopy(density).score_samples(rows), logs)
    np.testing.assert_allclose(density.score_samples(rows[9:10]), logs[9:10], rtol=1e-6)  # lacks its height
    np.testing.assert_allclose(density.score_samples(rows[::-1]), logs[::-1], rtol=1e-6)
    clay, loam = (field(50, 1, kind) for _ in range(2))
    for frame, word in ((clay, "clay"), (loam, "loam")):
        if kind is pd.DataFrame:
            frame["soil"] = word
    if kind is pd.DataFrame:  # heights of 3 and more are those of clay
        ratio = density.score_samples(clay) - density.score_samples(loam)
        high = (clay["height"] > 3.0).to_numpy()
        assert (ratio[high] > 0).all()
    with pytest.raises(ValueError, match="has no column 'rain'"):
        density.score_samples(rows[["soil", "n"]])


def test_kinds_of_an_array() -> None:
    rng = np.random.default_rng(3)
    rain = np.where(rng.random(400) < 0.6, 0.0, rng.gamma(2, 3, 400))
    y = np.where(rng.random(400) < 0.1, np.nan, rng.normal(size=400) + 0.2 * rain)
    x = np.column_stack([rain, y])
    density = FlowDensity(kinds={}, depth=0).fit(x)
    made = density.sample(4000, random_state=0)
    assert made.dtype == np.float64
    assert made.shape == (4000, 2)
    assert np.mean(made[:, 0] == 0) == pytest.approx(np.mean(rain == 0), abs=0.05)
    assert np.mean(np.isnan(made[:, 1])) == pytest.approx(np.mean(np.isnan(y)), abs=0.05)
    np.testing.assert_array_equal(copy.deepcopy(density).score_samples(x[:5]), density.score_samples(x[:5]))
    assert kinds_of(as_table(pl.DataFrame(made), kinds={}).schema) == kinds_of(density.schema_)
    assert kinds_of(FlowDensity(kinds={"x0": "number"}, depth=0).fit(x).schema_) == ["number", "number"]


def test_what_has_no_density_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one column of numbers is needed"):
        FlowDensity(kinds={"x0": "category"}).fit(np.tile([[0.0], [1.0]], (150, 1)))
    with pytest.raises(ValueError, match=r"FlowDensity\(kinds=\{\}\) takes words"):
        FlowDensity().fit(field(300, 0, pd.DataFrame))
    with pytest.raises(ValueError, match="at least 100 are needed"):
        FlowDensity(kinds={}).fit(field(60, 0, pd.DataFrame))


@pytest.mark.parametrize("few", [True, False])
def test_columns_without_a_density_are_refused(few: bool) -> None:
    x = banana(150 if few else 400)
    for follows in (x[:, 0] - 2 * x[:, 1], 3 * x[:, 0] + 1, np.exp(x[:, 0])):
        with pytest.raises(ValueError, match="no joint density; use the array without that column"):
            FlowDensity().fit(np.column_stack([x, follows]))
    gaps = np.where(np.arange(len(x)) % 5 == 0, 0.0, x[:, 0])
    with pytest.raises(ValueError, match=r"'x0' holds 0 in 20.0% of the rows, .*; use `kinds=\{\}`"):
        FlowDensity().fit(np.column_stack([gaps, x[:, 1]]))
    constant = pd.DataFrame({"a": x[:, 0], "b": 3.0})
    with pytest.raises(ValueError, match="column 'b': found 3 in every row, a constant"):
        FlowDensity().fit(constant)
    with pytest.raises(ValueError, match="columns 'x0' and 'x2' are identical in every row"):
        FlowDensity().fit(np.hstack([x, x[:, :1]]))


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"depth": -1}, "`depth` must be a whole number of at least 0; got -1"),
        ({"depth": 1.5}, "`depth` must be a whole number of at least 0; got 1.5"),
        ({"depth": True}, "`depth` must be a whole number of at least 0; got True"),
        ({"families": ("nsf", "nfs")}, "family 'nfs' is unknown"),
        ({"fronts": "gauss"}, "front 'gauss' is unknown"),
        ({"time_limit": 0}, "`time_limit` must be"),
        ({"max_epochs": 0}, "`max_epochs` must be"),
        ({"validation_fraction": 1.0}, "`validation_fraction` must lie between 0 and 1; got 1.0"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_parameters_are_checked_when_fitted(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        FlowDensity(**parameters).fit(banana(30))


def test_weights_are_checked() -> None:
    with pytest.raises(ValueError, match="every weight is zero"):
        FlowDensity().fit(banana(30), sample_weight=np.zeros(30))
    with pytest.raises(ValueError, match=r"row 3 .*: found the weight -1"):
        FlowDensity().fit(banana(30), sample_weight=np.where(np.arange(30) == 3, -1.0, 1.0))


@pytest.mark.parametrize("depth", [None, 0])
def test_a_weight_counts_equal_rows(depth: int | None) -> None:
    """Twice the weight where x0 > 0 moves the mean of a normal to E[x0 w] / E[w] = 1.5 E|x0| / 1.5 / 3."""
    x = np.random.default_rng(0).normal(size=(3000, 1))
    weights = np.where(x[:, 0] > 0, 2.0, 1.0)
    density = FlowDensity(depth=depth, fronts="gaussian", time_limit=0.5).fit(x, sample_weight=weights)
    grid = np.linspace(-4, 4, 801)[:, None]
    p = np.exp(density.score_samples(grid))
    mean = float(np.sum(grid[:, 0] * p) / np.sum(p))
    assert mean == pytest.approx(np.sqrt(2 / np.pi) / 3, abs=0.06)


@pytest.mark.usefixtures("unchecked")
def test_before_it_is_fitted() -> None:
    for call in (lambda d: d.score_samples(banana(3)), lambda d: d.sample(), lambda d: d.score(banana(3))):
        with pytest.raises(NotFittedError):
            call(FlowDensity())
    assert pickle.loads(pickle.dumps(FlowDensity(depth=3))).depth == 3  # noqa: S301
    with pytest.raises(InputError, match="`save` takes a Flow"):
        shoal.save(FlowDensity(), "nowhere")


def copies(density: FlowDensity) -> list[FlowDensity]:
    file = io.BytesIO()
    joblib.dump(density, file)
    return [copy.deepcopy(density), joblib.load(file), pickle.loads(pickle.dumps(density))]  # noqa: S301


def test_copies_are_the_same_to_the_last_bit(chosen: FlowDensity) -> None:
    x = banana(100, seed=3)
    for density in (chosen, FlowDensity(**QUICK, depth=1).fit(banana()), FlowDensity().fit(banana(20))):
        for other in copies(density):
            assert (other.score_samples(x) == density.score_samples(x)).all()
            assert (other.depth_, other.record_) == (density.depth_, density.record_)
            assert other.get_params() == density.get_params()
    again: Any = clone(chosen)
    assert again.get_params() == chosen.get_params()
    assert not hasattr(again, "flow_")


def test_a_pickle_holds_the_files_of_the_model(chosen: FlowDensity, tmp_path: Any) -> None:
    shoal.save(chosen, tmp_path)
    files = chosen.__getstate__()["files"]
    assert set(files) == {"model.json", "weights.safetensors", "record.json"}
    for name in ("model.json", "weights.safetensors"):
        assert files[name] == (tmp_path / name).read_bytes()
    x = banana(20, seed=4)
    assert (np.asarray(shoal.load(tmp_path).log_prob(x)) == np.asarray(chosen.flow_.log_prob(x))).all()


def test_a_depth_is_searched_for_in_a_pipeline() -> None:
    x = banana()
    pipeline = make_pipeline(StandardScaler(), FlowDensity(**{**QUICK, "max_epochs": 30}))
    search = GridSearchCV(pipeline, {"flowdensity__depth": [0, 1]}, cv=2).fit(x)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_ == {"flowdensity__depth": 1}
    found = search.best_estimator_
    scaled = found[0].transform(x)
    assert (found.score_samples(x) == found[-1].score_samples(scaled)).all()
    per_row = found.score_samples(x) - np.log(found[0].scale_).sum()  # in the units of x
    assert log_banana(x).mean() - 1.0 < per_row.mean() < log_banana(x).mean() + 0.2


def test_interrupting_leaves_what_is_done(chosen: FlowDensity, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = SimpleNamespace(flow=chosen.flow_, record=chosen.record_, interrupted=True)
    monkeypatch.setattr(_density, "ladder", lambda *_, **__: cut)
    density = FlowDensity()
    with pytest.raises(KeyboardInterrupt):
        density.fit(banana())
    assert density.score(banana()) == chosen.score(banana())


def test_interrupting_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    decision = SimpleNamespace(kept=None, sentence="")
    none = SimpleNamespace(flow=None, record=SimpleNamespace(decision=decision), interrupted=True)
    monkeypatch.setattr(_density, "ladder", lambda *_, **__: none)
    density = FlowDensity()
    with pytest.raises(KeyboardInterrupt):
        density.fit(banana())
    with pytest.raises(NotFittedError):
        density.score(banana())


def test_nothing_finite_is_a_failure(chosen: FlowDensity, monkeypatch: pytest.MonkeyPatch) -> None:
    decision = SimpleNamespace(kept=None, sentence="No rung was finite.")
    none = SimpleNamespace(flow=None, record=SimpleNamespace(decision=decision), interrupted=False)
    monkeypatch.setattr(_density, "ladder", lambda *_, **__: none)
    with pytest.raises(NumericalFailure, match=r"No rung was finite\."):
        FlowDensity().fit(banana())
