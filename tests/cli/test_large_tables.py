"""`shoal score` and `shoal sample` on tables that are read in blocks: the same figures to the last bit, and whole files."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np
import polars as pl
import pytest
from typer.testing import Result

import shoal
from shoal import distributions, tables
from shoal._errors import InputError
from shoal.cli import _data, _model, _score, _scores
from shoal.conditioning import _log_prob_errors
from shoal.distributions import Conditionals, Flow, StandardNormal, _cells, _conditionals
from shoal.records import SCHEMA, FitRecord, read_record, write_record
from shoal.tables import Schema, Strange, hashed_parts, open_stream, strange_notes
from shoal.tables._column import Column

Run = Callable[..., Result]
ROWS, BLOCK = 300, 128
NAMES = ("a", "b", "c")
FRAME = pl.DataFrame(
    np.random.default_rng(0).normal(size=(ROWS, 4)).round(3), schema=[*NAMES, "t"]
).with_columns(k=pl.int_range(ROWS).cast(pl.String), word=pl.lit("x"))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_model, _cells, _log_prob_errors):
        monkeypatch.setattr(module, "ROWS", 64)
    monkeypatch.setattr(_conditionals, "BLOCK", 64)
    monkeypatch.setattr(_conditionals, "SAMPLED", 128)


@pytest.fixture
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Flow:
    """A flow in a folder with a schema, whose third column lies on a lattice; its context is the parameter, or none."""
    context: tuple[str, ...] = getattr(request, "param", ())
    inner = shoal.flows.realnvp(jr.key(0), 3, 2, hidden=(4,), context_dim=len(context))
    flow = Flow(StandardNormal(3), inner.bijection, columns=NAMES, context_columns=context or None)
    shoal.save(flow, tmp_path / "run")
    columns = Column("a", "number"), Column("b", "number"), Column("c", "number", step=0.001)
    write_record(Schema(columns=columns), tmp_path / "run" / SCHEMA)
    return flow


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Says whether tables are read in blocks from now on."""

    def switch(on: bool) -> None:
        monkeypatch.setattr(_data, "is_large", lambda path: on)
        monkeypatch.setattr(_data, "open_stream", functools.partial(open_stream, block_rows=BLOCK))
        monkeypatch.setattr(tables, "BLOCK_ROWS", BLOCK if on else 10**6)

    return switch


CASES = {
    "context, CSV": (("t",), ".csv"),
    "context, Parquet": (("t",), ".parquet"),
    "CSV": ((), ".csv"),
    "Parquet": ((), ".parquet"),
}


@pytest.mark.parametrize(
    ("model", "suffix"),
    [
        pytest.param(*case, id=name, marks=[pytest.mark.long] * (i > 0))
        for i, (name, case) in enumerate(CASES.items())
    ],
    indirect=["model"],
)
def test_scores_are_those_of_the_whole_table(
    shoal_command: Run, model: Flow, streamed: Callable[[bool], None], suffix: str, tmp_path: Path
):
    data = f"t{suffix}"
    (FRAME.write_parquet if suffix == ".parquet" else FRAME.write_csv)(data)
    for on in (False, True):
        streamed(on)
        words = ["score", "run", data, "-o", f"{on}.parquet", "--explain", "--errors"]
        result = shoal_command(*words)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{ROWS} rows are in {on}.parquet\n"
    whole, blocks = (pl.read_parquet(f"{on}.parquet") for on in (False, True))
    assert whole.schema == blocks.schema
    assert whole.schema["k"] == pl.Int64  # text that is a number throughout, in all blocks
    assert whole.equals(blocks, null_equal=True)
    values = FRAME.select(NAMES).to_numpy()
    context = FRAME.select("t").to_numpy() if model.context_columns else None
    schema = read_record(tmp_path / "run" / SCHEMA, Schema)
    direct = distributions.log_prob_of_cells(model, values, context, schema.lattices())
    np.testing.assert_array_equal(blocks["log_prob"], direct)
    surprises = Conditionals(model, schema, context=context).surprises(values)
    named = [sorted(np.array(NAMES)[row > 3.0].tolist()) for row in surprises]
    found = [
        sorted(cell.split(" (")[0] for cell in text.split(", ")) if text else []
        for text in blocks["unlikely"]
    ]
    assert found == named


def test_a_folder_is_scored_as_one_table(shoal_command: Run, model: Flow):
    del model
    Path("t").mkdir()
    FRAME[:100].write_parquet("t/a.parquet")
    FRAME[100:].write_parquet("t/b.parquet")
    FRAME.write_parquet("t.parquet")
    for data in ("t", "t/*.parquet", "t.parquet"):
        assert shoal_command("score", "run", data, "-o", "s.csv").exit_code == 0
        text = Path("s.csv").read_text()
        assert text.count("\n") == ROWS + 1
        Path("first.csv").write_text(text) if data == "t" else None
        assert text == Path("first.csv").read_text()
    result = shoal_command("score", "run", "t", "-o", "t/a.parquet")
    assert result.exit_code == 2
    assert "t/a.parquet is the input itself" in result.stderr


@pytest.mark.parametrize("model", [(), ("t",)], indirect=True, ids=["", "context"])
def test_samples_do_not_depend_on_blocks(shoal_command: Run, model: Flow, streamed: Callable[[bool], None]):
    FRAME.write_parquet("t.parquet")
    words = ["--context-file", "t.parquet"] if model.context_columns else ["-n", ROWS]
    for on in (False, True):
        streamed(on)
        result = shoal_command("sample", "run", *words, "-o", f"{on}.parquet", "--seed", 3)
        assert result.exit_code == 0, result.output
    whole, blocks = (pl.read_parquet(f"{on}.parquet") for on in (False, True))
    assert whole.height == ROWS
    assert whole.equals(blocks)


BROKEN: dict[str, tuple[Any, int, str]] = {
    "a cell": (None, 2, "t.csv, column 'b', row 292: found a missing"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "Interrupted: nothing was kept."),
}


@pytest.mark.parametrize(("error", "code", "words"), BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_table_that_ends_early_leaves_no_file(
    shoal_command: Run,
    model: Flow,
    streamed: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException | None,
    code: int,
    words: str,
    suffix: str,
):
    del model
    gone = [None if error is None and i == 290 else x for i, x in enumerate(FRAME["b"])]
    FRAME.with_columns(b=pl.Series(gone)).write_csv("t.csv")
    Path(f"s{suffix}").write_text("old")
    streamed(True)
    calls, scored = [], _scores.log_prob_of_cells

    def interrupted(*given: Any) -> np.ndarray:
        calls.append(given)
        if error is not None and len(calls) == 3:
            raise error
        return scored(*given)

    monkeypatch.setattr(_scores, "log_prob_of_cells", interrupted)
    result = shoal_command("score", "run", "t.csv", "-o", f"s{suffix}")
    assert result.exit_code == code
    assert words in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run", "t.csv", f"s{suffix}"}
    assert Path(f"s{suffix}").read_text() == "old"


@pytest.fixture
def pieces(model: Flow) -> pl.DataFrame:
    """The folder `t` with four files of rows under their log-densities: two of them in another order of columns."""
    del model
    Path("t").mkdir()
    for k, frame in enumerate((FRAME[:70], FRAME[70:170], FRAME[170:240], FRAME[240:])):
        (frame.select(frame.columns[::-1]) if k % 2 else frame).write_parquet(f"t/{'badc'[k]}.parquet")
    names = sorted(Path("t").iterdir())
    return pl.concat([pl.read_parquet(name).select(FRAME.columns) for name in names])


@contextmanager
def _threads(text: str | None) -> Iterator[ThreadPoolExecutor | None]:
    """What `connected` gives, with threads for workers."""
    if text is None:
        yield None
        return
    with ThreadPoolExecutor(int(text.removeprefix("local:"))) as pool:
        yield pool


CLUSTERS = {"here": [], "threads": ["--cluster", "local:3"]}


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_a_folder_becomes_a_folder_of_its_files(
    shoal_command: Run,
    pieces: pl.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cluster: list[str],
):
    monkeypatch.setattr(_score, "connected", _threads)
    result = shoal_command("score", "run", "t", "-o", "s", *cluster)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{ROWS} rows are in s\n"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "t", "s"}
    files = sorted(Path("s").iterdir())
    assert [path.name for path in files] == [path.name for path in sorted(Path("t").iterdir())]
    assert all(
        part.files[0].is_absolute() for part in open_stream("t").parts()
    )  # workers may stand elsewhere
    assert shoal_command("score", "run", "t", "-o", "s.parquet").exit_code == 0
    together = pl.concat([pl.read_parquet(file) for file in files])
    assert together.select(FRAME.columns).equals(pieces.cast({"k": pl.Int64}))
    np.testing.assert_allclose(together["log_prob"], pl.read_parquet("s.parquet")["log_prob"], rtol=1e-5)


@pytest.mark.long
def test_a_folder_is_scored_by_processes(shoal_command: Run, pieces: pl.DataFrame):
    for place, cluster in (("s", []), ("w", ["--cluster", "local:2"])):
        result = shoal_command("score", "run", "t", "-o", place, "--explain", *cluster)
        assert result.exit_code == 0, result.output
    for file in Path("s").iterdir():
        assert pl.read_parquet(file).equals(pl.read_parquet(Path("w") / file.name))


@pytest.mark.parametrize("cluster", CLUSTERS.values(), ids=CLUSTERS.keys())
def test_a_file_that_ends_early_leaves_no_folder(
    shoal_command: Run,
    pieces: pl.DataFrame,
    streamed: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    cluster: list[str],
):
    monkeypatch.setattr(_score, "connected", _threads)
    streamed(True)
    gone = pieces[:50].with_columns(b=pl.lit(None, pl.Float64))
    gone.write_parquet("t/d.parquet")
    result = shoal_command("score", "run", "t", "-o", "s", *cluster)
    assert result.exit_code == 2
    assert "t/d.parquet, column 'b', row 1: found a missing" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run", "t"}


REFUSED = {
    "there already": (["t", "-o", "run"], "-o run is there already"),
    "no folder of folders": (["t", "-o", "none/s"], "there is no folder none"),
    "one file": (["t/a.parquet", "-o", "s.csv", "--cluster", "local:2"], "--cluster scores file by file"),
    "no suffix": (["t/a.parquet", "-o", "s"], "-o s has no suffix"),
    "one name twice": (["**/a.*", "-o", "s"], "Two files of **/a.* would become s/a.parquet"),
    "no cluster": (["t", "-o", "s", "--cluster", "four"], "neither an address"),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_can_not_be_a_folder_is_said(
    shoal_command: Run, pieces: pl.DataFrame, tmp_path: Path, words: list[str], said: str
):
    Path("u").mkdir()
    pieces.write_parquet("u/a.parquet")
    result = shoal_command("score", "run", *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run", "t", "u"}


def test_a_worker_with_other_versions_scores_nothing():
    with pytest.raises(InputError, match=r"has numpy .* \(there 1\); give workers"):
        _scores.score_part({"numpy": "1"}, b"not opened")


def test_what_is_strange_is_said_once(shoal_command: Run, model: Flow, streamed: Callable[[bool], None]):
    del model
    off = np.where(np.arange(ROWS) % 100 == 70, FRAME["c"].to_numpy() + 0.0004, FRAME["c"].to_numpy())
    FRAME.with_columns(c=off).write_parquet("t.parquet")
    said = []
    for on in (False, True):
        streamed(on)
        said.append(shoal_command("score", "run", "t.parquet", "-o", "s.csv").stderr)
    assert said[0] == said[1]
    assert said[1].count("\n") == 1
    assert "column 'c': 3 rows hold a number off its lattice, the first," in said[1]
    assert "(row 71)" in said[1]


def test_what_is_strange_in_several_blocks_is_added():
    found = [Strange("c", "word", "new", 2, "x", "row 3"), Strange("c", "word", "new", 1, "y", "row 9")]
    assert strange_notes(found) == ("column 'c': 3 rows hold a word, the first, 'x' (row 3); it is as new",)


def test_numbers_that_failed_are_counted_through_all_blocks(
    shoal_command: Run, model: Flow, streamed: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
):
    del model
    FRAME.write_parquet("t.parquet")
    streamed(True)
    broken = lambda flow, values, context, lattices: np.where(values[:, 0] == FRAME["a"][200], np.nan, 1.0)
    monkeypatch.setattr(_scores, "log_prob_of_cells", broken)
    result = shoal_command("score", "run", "t.parquet", "-o", "s.parquet")
    assert result.exit_code == 3
    assert f"log_prob of 1 of {ROWS} rows is not a number, the first in row 201;" in result.stderr
    assert pl.read_parquet("s.parquet")["log_prob"].is_nan().arg_true().to_list() == [200]


@pytest.mark.long
def test_a_folder_is_fitted_on_disk_and_in_memory_and_the_runs_are_compared(
    shoal_command: Run, tmp_path: Path
):
    rng, folder = np.random.default_rng(0), tmp_path / "table"
    folder.mkdir()
    x = rng.normal(size=(2400, 2))
    words = rng.choice(["low", "high"], 2400)
    frame = pl.DataFrame({"a": x[:, 0], "b": x[:, 1] + x[:, 0] ** 2, "word": words})
    for i in range(2):
        frame.slice(1200 * i, 1200).write_parquet(folder / f"{i}.parquet")
    options = ("--depths", "1", "--fronts", "gaussian", "--max-epochs", "2", "--hidden", "4", "--quiet")
    found = []
    for place in ("disk", "memory"):
        done = shoal_command("fit", folder, "--out", tmp_path / place, "--stream", place, *options)
        assert done.exit_code == 0, done.output
        assert "2,400 rows were read in" in done.output
        assert not [path for path in (tmp_path / place).rglob("*") if path.name.startswith(".")]
        record = read_record(tmp_path / place / "record.json", FitRecord)
        found.append([(s.curve.train, s.curve.validation) for rung in record.rungs for s in rung.seeds])
    assert found[0] == found[1]
    codes = (words == "low").astype(float) if sorted({*words})[0] == "high" else None
    assert codes is not None
    part = hashed_parts(np.column_stack([x[:, 0], frame["b"].to_numpy(), codes]), 0, (0.8, 0.1, 0.1))
    assert record.data.parts == {"train": int((part == 0).sum()), "validation": int((part == 1).sum())} | {
        "test": int((part == 2).sum())
    }
    said = shoal_command("compare", tmp_path / "disk", tmp_path / "memory", folder)
    assert said.exit_code == 0, said.output
    assert f"{int((part == 2).sum())} test rows of" in said.output
    assert "The two are the same on these rows." in said.output
