"""`shoal advise`: what it prints, the command that it gives to confirm, exit codes."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import Result

import shoal

Run = Callable[..., Result]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A table with a constant, a repeated and an integer column, a context and weights."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    columns: dict[str, Any] = {
        "a": x[:, 0],
        "b": x[:, 1],
        "n": rng.poisson(4, 120),
        "twin": x[:, 0],
        "flat": 1.0,
        "c": x[:, 1],
        "w": np.ones(120),
    }
    path = tmp_path / "odd table.csv"
    pl.DataFrame({k: np.broadcast_to(v, 120).astype(float) for k, v in columns.items()}).write_csv(path)
    return path


def confirm(output: str) -> list[str]:
    """The words of the command that confirms the advice."""
    (line,) = [line for line in output.splitlines() if line.startswith("To confirm: ")]
    return shlex.split(line.removeprefix("To confirm: "))


def option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


def test_sentences_range_and_command(odd: Path, shoal_command: Run) -> None:
    result = shoal_command("advise", odd, "--context", "c", "--weights", "w", "--max-condition", 500)
    assert result.exit_code == 0, result.output
    expected = shoal.advise(
        shoal.tables.read_table(odd, context=["c"], weights="w", distinct=False), max_condition=500.0
    )
    for line in expected.lines:
        if line.about != "confirm":
            assert f"{line.status:<9}  {line.text}" in result.output
    words = confirm(result.output)
    assert words[:5] == ["shoal", "fit", str(odd), "--out", "RUN"]
    assert option(words, "--drop") == "twin,flat" or set(option(words, "--drop").split(",")) == {
        "twin",
        "flat",
    }
    assert option(words, "--context") == "c"
    assert option(words, "--weights") == "w"
    assert option(words, "--max-condition") == "500"
    assert "--depths" not in words


def test_the_command_that_confirms_is_understood(odd: Path, shoal_command: Run, ladder: Any) -> None:
    words = confirm(shoal_command("advise", odd, "--drop", "w,c").output)
    words[words.index("RUN")] = "made"
    result = shoal_command(*words[1:], "--quiet")
    assert result.exit_code == 0, result.output
    (table, options) = ladder.calls[0]
    assert table.names == ("a", "b", "n")
    assert (options["families"], options["max_condition"]) == (("realnvp",), 1e4)


def test_json(odd: Path, shoal_command: Run) -> None:
    result = shoal_command("advise", odd, "--json", "--columns", "a,b,twin", "--dtype", "float64")
    assert result.exit_code == 0, result.output
    record = json.loads(result.output)
    assert (record["kind"], record["drop"], record["dtype"]) == ("advice", ["twin"], "float64")
    assert {line["status"] for line in record["lines"]} <= {"proven", "measured", "heuristic"}
    words = shlex.split(record["command"])
    assert option(words, "--columns") == "a,b"
    assert option(words, "--dtype") == "float64"


def test_a_run_names_its_own_table(tmp_path: Path, shoal_command: Run) -> None:
    values = np.random.default_rng(0).normal(size=(60, 2)).tolist()
    record = {
        "format": 2,
        "kind": "fit",
        "run": "run",
        "data": {"columns": ["a", "b"], "source": "t.csv"},
        "rungs": [{"name": "four", "family": "nsf", "depth": 4, "status": "finished"}],
        "decision": {"chosen": 0, "kept": 0, "sentence": "Depth 4 is chosen."},
        "points": {
            "columns": ["a", "b"],
            "data": values,
            "condition": [1.0] * 60,
            "log_prob": [0.0] * 60,
            "row": list(range(60)),
            "samples": [],
        },
    }
    run = tmp_path / "run"
    run.mkdir()
    (run / "record.json").write_text(json.dumps(record))
    result = shoal_command("advise", run)
    assert result.exit_code == 0, result.output
    assert "measured   The ladder says: Depth 4 is chosen." in result.output
    assert confirm(result.output)[2] == "t.csv"
    (run / "record.json").write_text(json.dumps(record | {"run": ""}))  # made in Python
    assert "To confirm: shoal fit" not in shoal_command("advise", run).output
    told = shoal_command("advise", run, "--drop", "a")
    assert told.exit_code == 2
    assert "leave out --drop" in told.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("missing.csv",), "missing.csv does not exist"),
        (("odd table.csv", "--dtype", "half"), "--dtype is 'half'; it must be one of float32, float64"),
        (("odd table.csv", "--max-condition", "0.5"), "--max-condition must be at least 1"),
        (("odd table.csv", "--columns", "flat"), "every column is constant"),
        (("odd table.csv", "--weights", "w,c"), "--weights names 2 columns"),
        (("odd table.csv", "--drop", "z"), "'z'"),
        ((".",), "there is no record.json in it"),
    ],
)
def test_bad_input_is_one_sentence_and_code_two(
    odd: Path, shoal_command: Run, words: tuple[str, ...], told: str
) -> None:
    result = shoal_command("advise", *words)
    assert result.exit_code == 2
    assert told in result.output
    assert result.output.count("\n") == 1


@pytest.fixture
def whole() -> Path:
    """A table with a key, words, rain, dates, gaps and a stray cell."""
    rng = np.random.default_rng(1)
    wet, gone = rng.random(300) < 0.6, rng.random(300) < 0.1
    frame = pl.DataFrame(
        {
            "key": [f"station {i * 7919 % 99_991}" for i in range(300)],
            "soil": rng.choice(["clay", "sand"], 300),
            "rain": np.where(wet, 0.0, rng.gamma(2, 3, 300)),
            "y": [None if g else v for g, v in zip(gone, rng.normal(size=300), strict=True)],
            "n": [3.001, *rng.integers(0, 10, 299).tolist()],
            "class": rng.integers(0, 3, 300),
        },
        strict=False,
    )
    path = Path("whole.csv")
    frame.write_csv(path)
    return path


def test_the_columns_of_a_whole_table_are_said_and_its_complete_rows_measured(
    whole: Path, shoal_command: Run
):
    result = shoal_command("advise", whole, "--kind", "class=category")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "key: an identifier, left out: its values do not repeat"
    assert lines[1] == "soil: a category of 2 values (clay, sand): log-probabilities"
    assert lines[2].startswith("rain: a number above 0: log-density in its unit; ")
    assert lines[2].endswith("of the rows hold 0, which has a probability of its own")
    assert lines[3].endswith("of the cells are missing")
    assert "off its lattice: the value 3.001" in lines[4]
    assert lines[5] == "class: a category of 3 values (0, 1, 2): log-probabilities"
    frame = pl.read_csv(whole)
    complete = frame.filter((pl.col("rain") != 0) & pl.col("y").is_not_null()).height
    said = (
        f"All figures are of the {complete} of 300 rows that hold a number in each of the columns rain, y, n"
    )
    assert lines[6] == f"measured   {said}, whatever they hold in soil, class."
    assert option(confirm(result.output), "--kind") == "class=category"


def test_a_whole_table_as_json(whole: Path, shoal_command: Run):
    record = json.loads(shoal_command("advise", whole, "--json").output)
    assert list(record["kinds"]) == ["key", "soil", "rain", "y", "n", "class"]
    assert record["columns"] == ["soil", "rain", "y", "n", "class"]
    assert "--kind" not in record["command"]


def test_the_command_that_confirms_fits_the_whole_table(whole: Path, shoal_command: Run, ladder: Any):
    words = confirm(
        shoal_command("advise", whole, "--columns", "soil,rain,y", "--kind", "soil=category").output
    )
    assert option(words, "--columns") == "soil,rain,y"
    words[words.index("RUN")] = "made"
    assert shoal_command(*words[1:], "--quiet").exit_code == 0
    ((table, _),) = ladder.calls
    assert table.schema.names == ("soil", "rain", "y")


def test_too_few_complete_rows_are_said(shoal_command: Run):
    values = np.random.default_rng(0).normal(size=(100, 2))
    rows = [[None if i % 2 else a, b if i % 2 else None] for i, (a, b) in enumerate(values.tolist())]
    pl.DataFrame(rows, schema=["a", "b"], orient="row").write_csv("t.csv")
    result = shoal_command("advise", "t.csv")
    assert result.exit_code == 2
    assert "0 rows hold a number in each of the columns a, b; advice needs at least 30" in result.output


def test_a_text_cell_among_numbers_is_told_with_a_command_that_works(shoal_command: Run):
    rows = [f"{a:.4f},{b:.4f}" for a, b in np.random.default_rng(0).normal(size=(60, 2))]
    Path("t.csv").write_text("\n".join(["a,b", *rows[:9], "much,1.5", *rows]))
    result = shoal_command("advise", "t.csv")
    assert result.exit_code == 2
    assert "column 'a', row 11: found the text 'much' among numbers" in result.output
    command = shlex.split(result.stderr.split("`")[1])
    assert command == ["shoal", "advise", "t.csv", "--drop", "a"]
    assert shoal_command(*command[1:]).exit_code == 0
