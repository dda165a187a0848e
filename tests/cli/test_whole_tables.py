"""A table of words, zeros, gaps, dates and keys, from `shoal fit` to samples and scores, against its own law."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from typer.testing import CliRunner, Result

from shoal.cli import app
from shoal.tables import _source

ROWS = 4000
OPTIONS = "--fronts marginals+gaussian+mixture --families realnvp --depths 2 --max-epochs 60 --quiet"
SOIL = {"clay": 0.5, "loam": 0.3, "sand": 0.2}


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="shoal")


def drawn(rows: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows and their log p: soil; rain, 0 or gamma; y, normal with a mean that the soil decides, at times missing."""
    rng = np.random.default_rng(seed)
    words, p = list(SOIL), np.array(list(SOIL.values()))
    soil, wet, gone = rng.choice(3, rows, p=p), rng.random(rows) < 0.4, rng.random(rows) < 0.15
    rain, y = np.where(wet, rng.gamma(2, 3, rows), 0.0), rng.normal(size=rows) + 2.0 * soil
    log_p = np.log(p)[soil] + np.where(
        wet, np.log(0.4) + stats.gamma.logpdf(np.where(wet, rain, 1.0), 2, scale=3), np.log(0.6)
    )
    log_p += np.where(gone, np.log(0.15), np.log(0.85) + stats.norm.logpdf(y - 2.0 * soil))
    columns = {
        "key": [f"station {i * 7919 % 100_003:06d}" for i in range(rows)],
        "soil": [words[i] for i in soil],
        "rain": rain,
        "y": [None if g else v for g, v in zip(gone, y, strict=True)],
    }
    return pl.DataFrame(columns), log_p


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("whole")
    drawn(ROWS, 1)[0].write_csv(folder / "t.csv")
    result = run("fit", folder / "t.csv", "--out", folder / "run", *OPTIONS.split())
    assert result.exit_code == 0, result.output
    return folder, result.output


@pytest.fixture
def whole(fitted: tuple[Path, str]) -> Path:
    """A copy of the run in the current folder."""
    shutil.copytree(fitted[0] / "run", "run")
    return Path("run")


@pytest.fixture(scope="module")
def scored(fitted: tuple[Path, str]) -> pl.DataFrame:
    """New rows, as `shoal score` writes them."""
    folder = fitted[0]
    drawn(2000, 5)[0].write_csv(folder / "new.csv")
    assert run("score", folder / "run", folder / "new.csv", "-o", folder / "scored.csv").exit_code == 0
    return pl.read_csv(folder / "scored.csv")


def test_what_the_columns_are_is_said_and_kept(fitted: tuple[Path, str]):
    folder, output = fitted
    for words in (
        "key: an identifier, left out",
        "soil: a category of 3 values (clay, loam, sand)",
        "of the rows hold 0, which has a probability of its own",
        "of the cells are missing",
    ):
        assert words in " ".join(output.split())
    record = json.loads((folder / "run" / "record.json").read_text())
    assert list(record["data"]["kinds"]) == ["key", "soil", "rain", "y"]
    assert record["layers"]["rows"]
    page = (folder / "run" / "report.html").read_text()
    assert "What the columns are" in page
    assert "a category of 3 values" in page


def test_scores_are_near_the_law(scored: pl.DataFrame):
    rows, exact = drawn(2000, 5)
    assert scored.columns == [*rows.columns, "log_prob", "rank"]
    lost = exact - scored["log_prob"].to_numpy()
    assert -4 * lost.std() / 2000**0.5 < lost.mean() < 0.06  # of 3,200 training rows


def test_the_test_figure_of_the_record_is_of_whole_rows(fitted: tuple[Path, str]):
    record = json.loads((fitted[0] / "run" / "record.json").read_text())
    exact = drawn(20_000, 9)[1]
    test = record["test"]
    assert abs(test["log_likelihood"] - exact.mean()) < 0.1 + 4 * test["standard_error"]


def test_samples_are_rows_as_they_came(whole: Path):
    assert run("sample", whole, "-n", 3000, "-o", "s.parquet").exit_code == 0
    rows = pl.read_parquet("s.parquet")
    assert rows.columns == ["soil", "rain", "y"]
    share = dict(rows["soil"].value_counts().iter_rows())
    assert {word: n / 3000 for word, n in share.items()} == pytest.approx(SOIL, abs=0.05)
    assert (rows["rain"] == 0).mean() == pytest.approx(0.6, abs=0.05)
    assert rows["y"].null_count() / 3000 == pytest.approx(0.15, abs=0.04)
    for i, word in enumerate(SOIL):
        assert rows.filter(pl.col("soil") == word)["y"].mean() == pytest.approx(2.0 * i, abs=0.3)


def test_samples_are_read_as_the_same_kinds(whole: Path):
    assert run("sample", whole, "-n", 1000, "-o", "s.csv").exit_code == 0
    output = " ".join(
        run("fit", "s.csv", "--out", "again", "--fronts", "gaussian", "--max-epochs", "x").output.split()
    )
    assert "--max-epochs" in output  # refused before anything is read
    from shoal.tables import read_table

    schema = read_table("s.csv", kinds={}).schema
    assert schema is not None
    assert [(c.name, c.kind, len(c.atoms), c.missing > 0) for c in schema.columns] == [
        ("soil", "category", 0, False),
        ("rain", "positive", 1, False),
        ("y", "number", 0, True),
    ]


def test_a_word_never_seen_has_the_probability_of_one_row_more(whole: Path):
    pl.DataFrame({"soil": ["clay", "peat"], "rain": [0.0, 0.0], "y": [0.1, 0.1]}).write_csv("new.csv")
    result = run("score", whole, "new.csv", "-o", "scored.csv")
    assert result.exit_code == 0
    assert "column 'soil': 1 row holds a word never seen, 'peat' (row 3)" in " ".join(result.output.split())
    known, new = pl.read_csv("scored.csv")["log_prob"]
    assert new < known - 5
    assert np.isfinite(new)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"soil": ["clay"], "rain": [None], "y": [0.1]}, "column 'rain', row 2: found a missing cell"),
        ({"soil": ["clay"], "rain": ["wet"], "y": [0.1]}, "found the text 'wet' among numbers"),
        ({"soil": ["clay"], "y": [0.1]}, "no column 'rain'"),
    ],
)
def test_rows_that_the_model_can_not_take_are_named(columns: dict[str, list], words: str, whole: Path):
    pl.DataFrame(columns).write_csv("new.csv")
    result = run("score", whole, "new.csv", "-o", "scored.csv")
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert not Path("scored.csv").exists()


@pytest.mark.long
def test_an_audit_is_of_the_flow_of_the_numbers(whole: Path):
    drawn(300, 3)[0].write_csv("new.csv")
    result = run("audit", whole, "new.csv", "--points", 50)
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    without = run("audit", whole)
    assert without.exit_code == 2
    assert "give DATA" in " ".join(without.output.split())


def test_a_kind_may_be_given(whole: Path):
    drawn(ROWS, 1)[0].write_csv("t.csv")
    result = run("fit", "t.csv", "--out", "new", "--kind", "soil=number")
    assert result.exit_code == 2
    assert "found the text" in " ".join(result.output.split())
    result = run("fit", "t.csv", "--out", "new", "--kind", "soil")
    assert result.exit_code == 2
    assert "--kind column=category" in " ".join(result.output.split())


def test_ranks_are_shares_of_the_training_rows(scored: pl.DataFrame):
    assert (
        stats.kstest(scored["rank"].to_numpy(), "uniform").statistic < 0.08
    )  # training rows are a sample, too
    order = scored.sort("log_prob")["rank"].to_numpy()
    assert (np.diff(order) >= 0).all()


def test_a_column_called_rank_is_left_alone(whole: Path):
    drawn(50, 5)[0].with_columns(rank=pl.lit("professor")).write_csv("new.csv")
    assert run("score", whole, "new.csv", "-o", "scored.csv").exit_code == 0
    assert pl.read_csv("scored.csv").columns[-3:] == ["rank", "log_prob", "log_prob_rank"]


def test_the_cells_that_make_a_row_unlikely_are_named(whole: Path):
    rows = drawn(12, 5)[0].with_columns(pl.lit("sand").alias("soil"), pl.lit(4.0).alias("y"))
    y, rain = rows["y"].to_list(), rows["rain"].to_list()
    y[3], rain[7] = -5.0, 200.0
    rows.with_columns(y=pl.Series(y), rain=pl.Series(rain)).write_csv("new.csv")
    assert run("score", whole, "new.csv", "-o", "scored.csv", "--explain").exit_code == 0
    why = pl.read_csv("scored.csv")["unlikely"].fill_null("").to_list()
    assert why[3].startswith(("y (", "soil ("))
    assert why[7].startswith("rain (")
    assert sum(bool(words) for words in why) < 4


@pytest.mark.long
def test_error_bars_are_of_rows_whose_log_p_is_no_mean_of_draws(whole: Path):
    """0 has a probability of its own, so that a row with it lacks a number."""
    rows = drawn(30, 5)[0].with_columns(pl.lit("sand").alias("soil"), pl.lit(4.0).alias("y"))
    rows.write_csv("new.csv")
    assert run("score", whole, "new.csv", "-o", "scored.csv", "--errors").exit_code == 0
    scored = pl.read_csv("scored.csv")
    measured, bound = (scored[f"log_prob_{what}"].cast(pl.Float64).to_numpy() for what in ("error", "bound"))
    known = ~np.isnan(measured)
    assert (known == (rows["rain"].to_numpy() > 0)).all()
    assert (measured[known] <= bound[known]).all()


def test_missing_cells_are_drawn_given_the_rest_of_their_row(whole: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_source, "BLOCK_ROWS", 150)  # three blocks
    rows = drawn(400, 6)[0].with_columns(pl.lit(None, pl.Float64).alias("y"), note=pl.lit("kept"))
    rows = rows.with_columns(
        pl.when(pl.int_range(400) == 5).then(pl.lit("peat")).otherwise("soil").alias("soil")
    )
    rows.write_csv("gaps.csv")
    assert run("sample", whole, "--complete", "--given", "gaps.csv", "-o", "full.csv").exit_code == 0
    full = pl.read_csv("full.csv")
    assert full["y"].null_count() == 0
    for name in ("key", "soil", "rain", "note"):
        assert full[name].to_list() == rows[name].to_list()
    for i, word in enumerate(SOIL):
        drawn_ = full.filter(pl.col("soil") == word)["y"]
        assert drawn_.mean() == pytest.approx(2.0 * i, abs=0.3)
        assert drawn_.std() == pytest.approx(1.0, abs=0.2)
    assert run("sample", whole, "-n", 100, "--complete", "-o", "s.csv").exit_code == 0
    assert pl.read_csv("s.csv")["y"].null_count() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-n", 5, "--given", "gaps.csv"), "--given goes with --complete"),
        (("-n", 5, "--complete", "--given", "gaps.csv"), "Give the number of rows by -n N"),
    ],
)
def test_completing_needs_rows_or_their_number(whole: Path, options: tuple[object, ...], words: str):
    result = run("sample", whole, *options, "-o", "s.csv")
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
