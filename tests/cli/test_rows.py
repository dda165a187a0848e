"""`shoal sample` and `shoal score` on a model that was saved, and on folders that hold none."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.random as jr
import numpy as np
import polars as pl
import pytest
from typer.testing import Result

import shoal
from shoal._pieces import in_pieces, piece
from shoal.bijections import Chain, Standardize
from shoal.cli import _model, _scores
from shoal.conditioning import cast
from shoal.distributions import Flow, StandardNormal, _cells

Run = Callable[..., Result]
COLUMNS = ("a", "b", "c")


def make(context: tuple[str, ...] | None = None, columns: tuple[str, ...] | None = COLUMNS) -> Flow:
    """A flow in units of its own, with weights that are not those of a start."""
    inner = shoal.flows.realnvp(jr.key(0), 3, 2, hidden=(8,), context_dim=len(context or ()))
    leaves, structure = jax.tree.flatten(inner.bijection)
    keys = jr.split(jr.key(1), len(leaves))
    moved = [
        leaf + 0.1 * jr.normal(key, leaf.shape) if leaf.dtype == np.float32 else leaf
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    body = jax.tree.unflatten(structure, moved)
    last = Standardize(jax.numpy.array([1.0, -2.0, 300.0]), jax.numpy.array([0.5, 2.0, 50.0]))
    return Flow(StandardNormal(3), Chain([body, last]), columns=columns, context_columns=context)


@pytest.fixture
def model(tmp_path: Path) -> Flow:
    flow = make()
    shoal.save(flow, tmp_path / "run")
    return flow


@pytest.fixture
def conditional(tmp_path: Path) -> Flow:
    flow = make(("t",))
    shoal.save(flow, tmp_path / "run")
    return flow


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_model, "ROWS", 64)
    monkeypatch.setattr(_cells, "ROWS", 64)


def test_score(shoal_command: Run, model: Flow, tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(150, 3)) * [0.5, 2, 50] + [1, -2, 300]
    frame = pl.DataFrame(values, schema=COLUMNS).select(
        "c", id=pl.int_range(150), cut=pl.lit("Ideal"), a="a", b="b"
    )
    frame.write_csv(tmp_path / "t.csv")
    result = shoal_command("score", "run", "t.csv", "-o", "scores.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout == "150 rows are in scores.csv\n"
    scores = pl.read_csv(tmp_path / "scores.csv")
    assert scores.columns == ["c", "id", "cut", "a", "b", "log_prob"]
    assert scores.drop("log_prob").equals(frame)
    np.testing.assert_allclose(scores["log_prob"], np.asarray(model.log_prob(values)), rtol=1e-5)
    assert shoal_command("score", "run", "t.csv", "-o", "scores.parquet").exit_code == 0
    parquet = pl.read_parquet(tmp_path / "scores.parquet")
    assert parquet["log_prob"].dtype == pl.Float32
    np.testing.assert_array_equal(parquet["log_prob"].cast(pl.Float64), scores["log_prob"].cast(pl.Float32))


def test_score_with_error_bars(shoal_command: Run, model: Flow, tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(50, 3)) * [0.5, 2, 50] + [1, -2, 300]
    pl.DataFrame(values, schema=COLUMNS).write_csv(tmp_path / "t.csv")
    assert shoal_command("score", "run", "t.csv", "-o", "s.parquet", "--errors").exit_code == 0
    scores = pl.read_parquet(tmp_path / "s.parquet")
    assert scores.columns == ["a", "b", "c", "log_prob", "log_prob_error", "log_prob_bound"]
    with jax.enable_x64(True):
        exact = np.asarray(cast(model, "float64").log_prob(values))
    single = scores["log_prob"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(scores["log_prob_error"], np.abs(single - exact), atol=2e-6)
    assert (scores["log_prob_error"] <= scores["log_prob_bound"]).all()
    assert (scores["log_prob_bound"] < 1e-4).all()
    pl.DataFrame(values, schema=["a", "b", "c"]).with_columns(log_prob_bound=0).write_csv(tmp_path / "u.csv")
    result = shoal_command("score", "run", "u.csv", "-o", "s.csv", "--errors")
    assert result.exit_code == 2
    assert "has a column 'log_prob_bound' already" in " ".join(result.stderr.split())


def test_score_of_a_table_without_names(shoal_command: Run, tmp_path: Path):
    shoal.save(make(columns=None), tmp_path / "run")
    values = np.random.default_rng(0).normal(size=(10, 3))
    np.save(tmp_path / "t.npy", values)
    assert shoal_command("score", "run", "t.npy", "-o", "s.csv").exit_code == 0
    assert pl.read_csv(tmp_path / "s.csv").columns == ["x0", "x1", "x2", "log_prob"]
    np.save(tmp_path / "u.npy", values[:, :2])
    result = shoal_command("score", "run", "u.npy", "-o", "s.csv")
    assert result.exit_code == 2
    assert "The model in run has no column names; give a table of 3 columns." in result.stderr


def test_score_with_context(shoal_command: Run, conditional: Flow, tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(70, 4))
    pl.DataFrame(values, schema=[*COLUMNS, "t"]).write_csv(tmp_path / "t.csv")
    assert shoal_command("score", "run", "t.csv", "-o", "s.parquet").exit_code == 0
    expected = np.asarray(conditional.log_prob(values[:, :3], values[:, 3:]))
    np.testing.assert_allclose(pl.read_parquet(tmp_path / "s.parquet")["log_prob"], expected, rtol=1e-5)


def test_sample(shoal_command: Run, model: Flow, tmp_path: Path):
    result = shoal_command("sample", "run", "-n", 150, "-o", "s.csv", "--seed", 3)
    assert result.exit_code == 0, result.output
    frame = pl.read_csv(tmp_path / "s.csv")
    assert frame.columns == list(COLUMNS)
    assert frame.height == 150
    assert np.isfinite(frame.to_numpy()).all()
    assert frame.unique().height == 150
    shoal_command("sample", "run", "-n", 150, "-o", "again.csv", "--seed", 3)
    shoal_command("sample", "run", "-n", 20, "-o", "fewer.csv", "--seed", 3)
    shoal_command("sample", "run", "-n", 150, "-o", "other.csv")
    text = (tmp_path / "s.csv").read_text()
    assert (tmp_path / "again.csv").read_text() == text
    assert text.startswith((tmp_path / "fewer.csv").read_text())
    assert (tmp_path / "other.csv").read_text() != text


def test_samples_match_their_density(shoal_command: Run, model: Flow, tmp_path: Path):
    shoal_command("sample", "run", "-n", 2000, "-o", "s.parquet")
    x = pl.read_parquet(tmp_path / "s.parquet").to_numpy()
    z = np.asarray(model.to_latent(x))
    for column in z.T:  # standard normal: five standard errors of mean and variance
        assert abs(column.mean()) < 5 / np.sqrt(2000)
        assert abs(column.var() - 1) < 5 * np.sqrt(2 / 2000)


def test_sample_with_context(shoal_command: Run, conditional: Flow, tmp_path: Path):
    pl.DataFrame({"other": ["x"] * 100, "t": np.linspace(-1, 1, 100)}).write_csv(tmp_path / "context.csv")
    result = shoal_command("sample", "run", "--context-file", "context.csv", "-o", "s.csv")
    assert result.exit_code == 0, result.output
    assert pl.read_csv(tmp_path / "s.csv").shape == (100, 3)
    result = shoal_command("sample", "run", "-n", 5, "-o", "s.csv")
    assert result.exit_code == 2
    assert "is conditioned on t: give a table of these columns by --context-file." in result.stderr
    result = shoal_command("sample", "run", "-o", "s.csv")
    assert result.exit_code == 2
    assert "Give the number of rows by -n N or" in result.stderr


def test_context_for_a_model_without(shoal_command: Run, model: Flow, tmp_path: Path):
    (tmp_path / "c.csv").write_text("t\n1\n")
    result = shoal_command("sample", "run", "--context-file", "c.csv", "-o", "s.csv")
    assert result.exit_code == 2
    assert "The model in run has no context columns; leave out --context-file and give -n N." in result.stderr


def test_a_float64_model_computes_in_float64(shoal_command: Run, tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(10, 3))
    pl.DataFrame(values, schema=COLUMNS).write_parquet(tmp_path / "t.parquet")
    with jax.enable_x64(True):
        flow = jax.tree.map(lambda leaf: leaf.astype("float64") if leaf.dtype == np.float32 else leaf, make())
        shoal.save(flow, tmp_path / "run")
        expected = np.asarray(flow.log_prob(values))
    assert shoal_command("score", "run", "t.parquet", "-o", "s.parquet").exit_code == 0
    scores = pl.read_parquet(tmp_path / "s.parquet")["log_prob"]
    assert scores.dtype == pl.Float64
    np.testing.assert_allclose(scores, expected, rtol=1e-13)
    assert shoal_command("sample", "run", "-n", 5, "-o", "s.parquet").exit_code == 0
    assert set(pl.read_parquet(tmp_path / "s.parquet").dtypes) == {pl.Float64}


def test_not_a_number_is_written_and_told(shoal_command: Run, model: Flow, tmp_path: Path, monkeypatch: Any):
    def broken(flow: Any, values: np.ndarray, context: Any, lattices: Any) -> np.ndarray:
        return np.where(np.arange(len(values)) == 3, np.nan, 1.0)

    monkeypatch.setattr(_scores, "log_prob_of_cells", broken)
    (tmp_path / "t.csv").write_text("a,b,c\n" + "1,2,3\n" * 6)
    result = shoal_command("score", "run", "t.csv", "-o", "s.csv")
    assert result.exit_code == 3
    assert (
        "log_prob of 1 of 6 rows is not a number, the first in row 5; s.csv holds them as they are."
        in result.stderr
    )
    assert (
        pl.read_csv(tmp_path / "s.csv")["log_prob"].is_nan().to_list() == [False] * 3 + [True] + [False] * 2
    )


USUAL = ["run", "t.csv", "-o", "s.csv"]
SCORE_ERRORS: dict[str, tuple[str, list[str], str]] = {
    "missing column": (
        "a,b\n1,2\n",
        USUAL,
        "t.csv has no column 'c', named by the model",
    ),
    "missing value": (
        "a,b,c\n1,2,\n",
        USUAL,
        "t.csv, column 'c', row 2: found a missing value",
    ),
    "text": (
        "a,b,c\n1,2,x\n",
        USUAL,
        "t.csv, column 'c', row 2: found the text 'x'",
    ),
    "twice": ("a,b,c,a\n1,2,3,4\n", USUAL, "t.csv has 2 columns 'a'"),
    "scored": (
        "a,b,c,log_prob\n1,2,3,4\n",
        USUAL,
        "has a column 'log_prob' already",
    ),
    "no rows": ("a,b,c\n", USUAL, "t.csv has columns but no rows"),
    "no data": (
        "a,b,c\n1,2,3\n",
        ["run", "u.csv", "-o", "s.csv"],
        "u.csv does not exist; did you mean t.csv?",
    ),
    "suffix": (
        "a,b,c\n1,2,3\n",
        ["run", "t.csv", "-o", "s.txt"],
        "-o s.txt has the suffix .txt; name a file that ends in .csv or .parquet.",
    ),
    "output folder": (
        "a,b,c\n1,2,3\n",
        ["run", "t.csv", "-o", "no/s.csv"],
        "-o no/s.csv can not be written: there is no",
    ),
    "onto itself": ("a,b,c\n1,2,3\n", ["run", "t.csv", "-o", "t.csv"], "-o t.csv is the input itself"),
    "no run": (
        "a,b,c\n1,2,3\n",
        ["rum", "t.csv", "-o", "s.csv"],
        "RUN rum does not exist; name a folder that",
    ),
    "file as run": (
        "a,b,c\n1,2,3\n",
        ["t.csv", "t.csv", "-o", "s.csv"],
        "RUN t.csv is a file; name the folder",
    ),
}


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(("text", "words", "expected"), SCORE_ERRORS.values(), ids=SCORE_ERRORS.keys())
def test_score_errors(shoal_command: Run, tmp_path: Path, text: str, words: list[str], expected: str):
    (tmp_path / "t.csv").write_text(text)
    result = shoal_command("score", *words)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "run"}
    assert (tmp_path / "t.csv").read_text() == text


def change(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        data = (run / name).read_bytes()
        assert old in data
        (run / name).write_bytes(data.replace(old, new, 1))

    return damage


def shorten(run: Path) -> None:
    path = run / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def clear(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def overwrite(text: str) -> Callable[[Path], None]:
    def damage(run: Path) -> None:
        (run / "model.json").write_text(text)

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no model": (
        lambda run: (run / "model.json").unlink(),
        "RUN run holds no model: there is no model.json in it",
    ),
    "no weights": (
        lambda run: (run / "weights.safetensors").unlink(),
        "run has no weights.safetensors",
    ),
    "torn weights": (shorten, "weights.safetensors is damaged or was changed: its checksum"),
    "no JSON": (overwrite("{"), "it is not JSON"),
    "a list": (overwrite("[]"), "Expected `object`, got `array`"),
    "deep": (overwrite("[" * 100000), "it is nested deeper"),
    "tampered": (change("model.json", b'"weights"', b'"wights"'), "does not match its own checksum"),
    "later format": (
        change("model.json", b'"format": 1', b'"format": 2'),
        "has format 2, this version of Shoal reads 1",
    ),
    "empty": (clear, "RUN run holds no model"),
}


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(("damage", "expected"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_models(shoal_command: Run, tmp_path: Path, damage: Callable[[Path], None], expected: str):
    damage(tmp_path / "run")
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n")
    for words in (["score", "run", "t.csv", "-o", "s.csv"], ["sample", "run", "-n", "5", "-o", "s.csv"]):
        result = shoal_command(*words)
        assert result.exit_code == 2
        assert expected in result.stderr
        assert result.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "run"}


def test_an_unfinished_run_is_named(shoal_command: Run, tmp_path: Path):
    (tmp_path / "run.unfinished").mkdir()
    result = shoal_command("sample", "run", "-n", 5, "-o", "s.csv")
    assert result.exit_code == 2
    assert "RUN run does not exist; an unfinished run lies in run.unfinished." in result.stderr


def test_wrong_columns_are_told_before_the_model_loads(
    shoal_command: Run, model: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr(_model, "load", None)
    result = shoal_command("score", "run", "t.csv", "-o", "s.csv")
    assert result.exit_code == 2
    assert "t.csv has no column 'c'" in result.stderr


@pytest.mark.parametrize("text", ["[]", "{", '{"data": {"columns": ["x", "y", "z"]}}'])
@pytest.mark.usefixtures("model")
def test_the_record_has_no_say_in_what_the_model_is(shoal_command: Run, tmp_path: Path, text: str):
    (tmp_path / "run/record.json").write_text(text)
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n")
    result = shoal_command("score", "run", "t.csv", "-o", "s.csv")
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("model")
def test_a_context_file_for_a_model_without_context_is_told_before_the_model_loads(
    shoal_command: Run, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_model, "load", None)
    result = shoal_command("sample", "run", "--context-file", "t.csv", "-o", "s.csv")
    assert result.exit_code == 2
    assert "The model in run has no context columns; leave out --context-file" in result.stderr


def test_a_piece_is_the_power_of_two_that_takes_all_rows():
    sizes = {rows: piece(rows, 256, 4096) for rows in (1, 256, 257, 512, 513, 4096, 4097, 10**6)}
    assert list(sizes.values()) == [256, 256, 512, 512, 1024, 4096, 4096, 4096]


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
def test_pieces_cover_every_row_once(rows: int):
    class Counting:
        def __init__(self) -> None:
            self.shapes: set[tuple[int, ...]] = set()

        def log_prob(self, values: np.ndarray, context: np.ndarray | None) -> np.ndarray:
            self.shapes.add(values.shape)
            return values.sum(axis=1)

    values = np.random.default_rng(0).normal(size=(rows, 2))
    flow = Counting()
    (found,) = in_pieces(flow.log_prob, 64, values, None)
    np.testing.assert_array_equal(found, values.sum(axis=1))
    assert flow.shapes == {(64, 2)}
