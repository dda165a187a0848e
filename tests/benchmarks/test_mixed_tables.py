"""The leaderboard of mixed tables: the rule, the rows that every arm gets, and the laws of the arms, which add up to 1."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

Bench = dict[str, ModuleType]


def table(rows: int = 1_200) -> pd.DataFrame:
    """A word that moves a number, zeros that depend on it, whole numbers with gaps."""
    rng = np.random.default_rng(1)
    word = rng.integers(3, size=rows)
    y = rng.normal(size=rows) + word
    z = np.where(rng.random(rows) < 0.2 + 0.2 * word, 0.0, rng.gamma(2, size=rows))
    w = np.where(rng.random(rows) < 0.3, np.nan, np.round(4 * y))
    return pd.DataFrame({"word": [["a", "b", "c"][i] for i in word], "y": y, "z": z, "w": w})


@pytest.fixture(scope="module")
def split(bench: Bench) -> Any:
    return bench["mixed_rows"].split_mixed("name", table()[["word", "z"]], 0)


def test_the_rule_gives_the_committed_tables_from_the_committed_pool(bench: Bench) -> None:
    rule = bench["mixed"]
    drawn = rule.drawn()
    lines = drawn["tables"].values()
    assert rule.chosen(drawn["pool"]) == [t["source"] for t in lines]
    assert rule.chosen(drawn["pool"]) == rule.chosen(list(drawn["pool"]))
    assert len(lines) == 12
    assert drawn["tables"]["diamonds"]["columns"] == 10
    assert any(t["missing"] for t in lines)
    assert any(t["atoms"] for t in lines)
    assert all(500 <= t["rows"] <= 60_000 and 3 <= t["columns"] <= 20 for t in lines)
    assert all(0 < t["numbers"] < t["columns"] for t in lines)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(("y", "number"), ("z", "number"), ("word", "category"), ("flag", "category")),
        *(
            ("few", "category"),
            ("year", None),
            ("name", None),
            ("rows", None),
            ("half", None),
            ("flat", None),
        ),
    ],
)
def test_columns_are_taken_for_what_they_are(bench: Bench, name: str, kind: str | None) -> None:
    rng = np.random.default_rng(2)
    frame = table().assign(
        flag=rng.random(1_200) < 0.5,
        few=rng.integers(4, size=1_200),
        year=rng.normal(size=1_200),
        name=[f"n{i}" for i in range(1_200)],
        rows=np.arange(1_200) + 0.5,
        half=np.where(rng.random(1_200) < 0.6, np.nan, 1.0) * rng.normal(size=1_200),
        flat=["x"] * 1_195 + ["y"] * 5,
    )
    found = bench["mixed"].kept(frame[name])
    assert (found is None) == (kind is None)
    if found is not None:
        assert pd.api.types.is_float_dtype(found) == (kind == "number")


def test_columns_that_others_decide_are_left_out(bench: Bench) -> None:
    frame = table()
    y, word = frame["y"], frame["word"]
    more = frame.assign(
        square=y**3,
        twice=2 * y + 1,
        part=np.where(word == "a", 0.0, y),
        range=np.where(y > 1, "high", "low"),
        class_=word.replace({"a": "x", "b": "x", "c": "z"}),
    )
    assert list(bench["mixed"].columns(more)) == ["word", "y", "z", "w"]


def test_rare_levels_are_one(bench: Bench) -> None:
    words = pd.Series(["a"] * 500 + ["b"] * 400 + ["c"] * 6 + ["d"] * 7, name="x")
    assert bench["mixed"].category(words).value_counts().to_dict() == {"a": 500, "b": 400, "(rare)": 13}
    assert bench["mixed"].category(words[:906]).value_counts().to_dict() == {"a": 506, "b": 400}


def test_atoms_are_of_the_training_rows_and_heaps_are_none(bench: Bench) -> None:
    atoms, rng = bench["mixed_rows"].atoms, np.random.default_rng(3)
    free = rng.normal(size=500)
    assert atoms(np.r_[free, np.zeros(10), np.full(20, 3.0)]) == (0.0, 3.0)
    assert atoms(np.r_[free, np.zeros(9)]) == ()
    assert atoms(np.r_[free, np.repeat([1.0, 2.0, 3.0, 4.0], 20)]) == ()
    assert atoms(rng.integers(10, size=500).astype(float)) == ()


def test_rows_go_back_to_the_table(bench: Bench) -> None:
    """Noise of one step is undone by rounding; atoms, words and gaps are themselves."""
    frame, rows = table(), bench["mixed_rows"]
    made = rows.split_mixed("name", frame, 0)
    order = bench["prepare"].generator("name", 0).permutation(len(frame))
    cells, categories = bench["mixed_measures"].cells(made.columns, made.test)
    expected = (
        frame.iloc[order[960:]].assign(word=lambda t: t["word"].map({"a": 0, "b": 1, "c": 2})).to_numpy(float)
    )
    np.testing.assert_allclose(cells, expected, atol=1e-12)
    assert categories.tolist() == [True, False, False, False]
    assert made.columns.sizes == [3, 2, 2]
    assert made.columns.gates() == [-1, 1, 2]
    assert made.columns.all[3].width == 1
    np.testing.assert_allclose(np.nanstd(made.train.values, axis=0), 1, rtol=1e-12)


def test_a_split_is_read_as_it_was_written(bench: Bench, split: Any, tmp_path: Path) -> None:
    rows = bench["mixed_rows"]
    rows.save(split, tmp_path / "rows.npz")
    again = rows.load(tmp_path / "rows.npz")
    assert again.columns == split.columns
    np.testing.assert_array_equal(again.train.values, split.train.values)
    np.testing.assert_array_equal(again.test.codes, split.test.codes)


@pytest.mark.parametrize("arm", ["independent", "latent", "mixture", "arf"])
def test_masses_and_densities_add_up_to_one(bench: Bench, split: Any, arm: str) -> None:
    """Over words, zeros and a grid of the number; the sampled shares are those of the law."""
    if arm == "arf" and importlib.util.find_spec("arfpy") is None:
        pytest.skip("needs benchmarks/requirements.txt")
    arms, rows = bench["arms"], bench["mixed_rows"]
    made = arms.module(arm, arms.MIXED).train(split.columns, split.train, 1.0, 0)
    axis = np.linspace(-12, 30, 40_001)
    masses = np.zeros((3, 2))
    for word in range(3):
        zero = made.log_prob(rows.MixedRows(np.array([[word, 1]]), np.array([[np.nan]])))
        codes = np.tile([word, 0], (len(axis), 1))
        numbers = made.log_prob(rows.MixedRows(codes, axis[:, None]))
        masses[word] = np.exp(numbers).sum() * (axis[1] - axis[0]), np.exp(zero[0])
    assert abs(masses.sum() - 1) < 1e-3
    drawn = made.sample(20_000)
    shares = [[np.mean((drawn.codes == [word, state]).all(1)) for state in (0, 1)] for word in range(3)]
    np.testing.assert_allclose(shares, masses, atol=0.02)
    assert (np.isnan(drawn.values[:, 0]) == (drawn.codes[:, 1] == 1)).all()


def test_a_missing_number_is_integrated_out(bench: Bench) -> None:
    """The density of one number is the integral over the other."""
    latent, rows = bench["arms.latent_class"], bench["mixed_rows"]
    cov = np.array([[[1.0, 0.6], [0.6, 2.0]], [[0.5, -0.2], [-0.2, 0.3]]])
    law = latent.Classes(
        np.array([0.3, 0.7]), [np.array([[0.2, 0.8], [0.6, 0.4]])], np.array([[0.0, 1.0], [2.0, -1.0]]), cov
    )
    axis = np.linspace(-12, 12, 4_001)
    grid = np.stack([np.full_like(axis, 0.7), axis], 1)
    both = np.exp(latent.score(law, rows.MixedRows(np.zeros((len(axis), 1), int), grid))).sum() * (
        axis[1] - axis[0]
    )
    one = np.exp(latent.score(law, rows.MixedRows(np.zeros((1, 1), int), np.array([[0.7, np.nan]]))))
    np.testing.assert_allclose(one, both, rtol=1e-6)


def test_expectation_maximization_never_loses(bench: Bench) -> None:
    """Also with gaps: but for the floor of the covariances and the prior row, the likelihood rises."""
    latent = bench["arms.latent_class"]
    made = bench["mixed_rows"].split_mixed("name", table(), 0)
    law, scores = latent.started(made.columns, made.train, 4, 0), []
    for _ in range(12):
        law, score = latent.stepped(law, made.columns, made.train, "full")
        scores.append(score)
    assert np.diff(scores).min() > -1e-4
    assert scores[-1] > scores[0] + 0.1


def test_boxes_have_the_probability_that_scipy_gives(bench: Bench) -> None:
    from scipy.stats import multivariate_normal

    frozen: Any = multivariate_normal
    covariance = np.array([[1.0, 0.5, 0.2], [0.5, 2.0, -0.3], [0.2, -0.3, 0.7]])
    low, high = np.array([[-1.0, 0.2, -np.inf]]), np.array([[0.5, 1.5, 0.4]])
    uniforms = np.random.default_rng(4).random((20_000, 3))
    found = bench["arms.coded_mixture"].boxes(
        np.zeros((1, 3)), np.linalg.cholesky(covariance), low, high, uniforms
    )
    expected = frozen(np.zeros(3), covariance).cdf(high[0], lower_limit=low[0])
    np.testing.assert_allclose(np.exp(found), expected, rtol=5e-3)


def test_measures_of_association_are_those_of_scipy(bench: Bench) -> None:
    from scipy.stats import contingency

    measures, rng = bench["mixed_measures"], np.random.default_rng(5)
    a, b = rng.integers(3, size=400).astype(float), rng.integers(4, size=400).astype(float)
    b = np.where(rng.random(400) < 0.5, a, b)
    x = rng.normal(size=400) + a
    counts = contingency.crosstab(a, b).count
    np.testing.assert_allclose(measures.cramer(a, b), contingency.association(counts, method="cramer"))
    np.testing.assert_allclose(measures.spearman(a, x), pd.Series(a).corr(pd.Series(x), method="spearman"))
    fitted = np.array([x[a == level].mean() for level in a])
    np.testing.assert_allclose(measures.ratio(a, x), np.corrcoef(fitted, x)[0, 1])


def test_rows_of_the_same_law_can_not_be_told_apart_and_others_can(bench: Bench) -> None:
    measures, rows = bench["mixed_measures"], bench["mixed_rows"]
    made = rows.split_mixed("name", table(2_400), 0)
    one, other = made.train[:900], made.train[900:1_800]
    assert abs(measures.detection(made.columns, one, other) - 0.5) < 0.05
    assert measures.association_error(made.columns, one, one) == 0
    assert measures.association_error(made.columns, one, other) < 0.06
    mixed = rows.MixedRows(other.codes, other.values[np.random.default_rng(6).permutation(900)])
    assert measures.association_error(made.columns, one, mixed) > 0.1
    moved = rows.MixedRows(other.codes, other.values + np.array([0.5, 0.0, 0.0]))
    assert measures.detection(made.columns, one, moved) > 0.6


def test_the_table_of_shoal_has_the_states_of_the_benchmark(bench: Bench, tmp_path: Path) -> None:
    arm, rows = bench["arms.shoal_table"], bench["mixed_rows"]
    made = rows.split_mixed("name", table(), 0)
    file = arm.written(tmp_path / "rows.csv", made.columns, made.train)
    from shoal.tables import read_table

    kinds = {f"c{i}": "number" if c.is_number else "category" for i, c in enumerate(made.columns.all)}
    schema = read_table(file, kinds=kinds).schema
    arm.checked(schema, made.columns)
    again = arm.read(file, made.columns)
    np.testing.assert_array_equal(again.codes, made.train.codes)
    np.testing.assert_allclose(again.values, made.train.values, atol=1e-12)


def test_the_plan_takes_any_budget(bench: Bench, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    run, mixed_run = bench["run"], bench["mixed_run"]
    words = ["mixed_run", "--folder", str(tmp_path), "--list", "--arms", "latent", "--tables", "diamonds"]
    for budget, line in (([], "latent diamonds/0/60"), (["--budget", "90"], "latent diamonds/0/90")):
        monkeypatch.setattr("sys.argv", [*words, *budget])
        run.main(mixed_run.BOARD)
        assert capsys.readouterr().out.splitlines()[0] == line


def test_normal_scores_are_those_of_the_margin_and_go_back(bench: Bench) -> None:
    """φ(z) dz/dx is the margin's density, by finite differences, out to tails that a float's 1 - u can not hold."""
    part, rng = bench["arms._margins"], np.random.default_rng(7)
    values = np.r_[rng.normal(size=700), 5 + 0.1 * rng.normal(size=300)][:, None]
    models = part.margins(values, 1.0, 0)
    x, h = np.linspace(-12, 12, 241)[:, None], 1e-4
    slope = (part.scores(models, x + h) - part.scores(models, x - h)) / (2 * h)
    density = np.log(slope[:, 0]) - 0.5 * part.scores(models, x)[:, 0] ** 2 - 0.5 * np.log(2 * np.pi)
    np.testing.assert_allclose(part.log_margins(models, x), density, atol=1e-4)
    inside = x[(x > -6) & (x < 6)][:, None]
    np.testing.assert_allclose(part.from_scores(models, part.scores(models, inside)), inside, atol=1e-6)


def test_a_row_is_in_every_leaf_that_its_numbers_allow(bench: Bench) -> None:
    """Left of 0.5 in the first column leaf 0, else by the sign of the second 1 or 2; a pruned node has one child twice."""
    forest, inner = bench["arms.forest"], [-1, -1, -1]
    left, right = np.array([1, 5, 3, *inner]), np.array([2, 5, 4, *inner])
    place = np.array([-1, -1, -1, 1, 2, 0])
    tree = (left, right, np.array([0, 1, 1, -2, -2, -2]), np.array([0.5, 0.0, 0.0, -2, -2, -2]), place)
    x = np.array([[0.0, 1.0], [0.5, np.nan], [1.0, -1.0], [1.0, np.nan], [np.nan, 1.0], [np.nan, np.nan]])
    found = sorted(zip(*(part.tolist() for part in forest.reached(tree, x)), strict=True))
    assert found == [(0, 0), (1, 0), (2, 1), (3, 1), (3, 2), (4, 0), (4, 2), (5, 0), (5, 1), (5, 2)]


def test_masses_of_cut_normals_keep_their_digits_in_both_tails(bench: Bench) -> None:
    from scipy.stats import norm

    a, b = np.array([-np.inf, -1.0, -30.0, 29.0, 0.5]), np.array([np.inf, 2.0, -29.0, 30.0, np.inf])
    expected = np.log(norm.cdf(b) - norm.cdf(a), where=np.arange(5) != 3, out=np.zeros(5))
    expected[3] = expected[2]
    np.testing.assert_allclose(bench["arms.forest"].log_mass(a, b), expected, rtol=1e-10, atol=1e-11)


@pytest.mark.long
def test_the_law_of_shoal_adds_up_to_one(bench: Bench, split: Any) -> None:
    """Words that it has never seen, and the bound of rows without a number, may take a hundredth."""
    arms, rows = bench["arms"], bench["mixed_rows"]
    made = arms.module("shoal", arms.MIXED).train(split.columns, split.train, 60.0, 0)
    axis = np.linspace(-12, 30, 4_001)
    codes = [np.tile([word, 0], (len(axis), 1)) for word in range(3)] + [np.array([[w, 1] for w in range(3)])]
    values = np.r_[axis, axis, axis, [np.nan] * 3][:, None]
    found = np.exp(made.log_prob(rows.MixedRows(np.concatenate(codes), values)))
    whole = found[:-3].sum() * (axis[1] - axis[0]) + found[-3:].sum()
    assert 0.99 < whole < 1.001
    shares = np.bincount(made.sample(10_000).codes[:, 0], minlength=3) / 10_000
    np.testing.assert_allclose(shares, np.bincount(split.train.codes[:, 0]) / len(split.train), atol=0.03)
