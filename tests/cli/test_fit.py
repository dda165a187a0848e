"""`shoal fit`: what it passes on, what it leaves on the disk, and its exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console
from typer.testing import Result

from shoal import report
from shoal._errors import InputError, NumericalFailure
from shoal.cli._fit_output import print_summary, write_far_rows
from shoal.records import FitRecord, as_record

from .conftest import FakeLadder, checkpoint, plain_record, record, table_text

Run = Callable[..., Result]
CURVES = [
    *("family", "depth", "seed", "epoch"),
    *("train", "validation", "validation_mean", "far_rows", "learning_rate"),
]
EPOCHS = [
    ("nsf on gaussian", 2, 0, 0, None, None, None),
    ("nsf on gaussian", 2, 0, 1, -3.0, 1, 1e-3),
    ("nsf on gaussian", 2, 0, 2, -2.5, 0, 1e-4),
]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_is_complete(shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path):
    ladder.before = checkpoint
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 0, result.output
    assert names(tmp_path) == {"t.csv", "run"}
    files = {
        "model.json",
        "schema.json",
        "metrics.parquet",
        "report.html",
        "record.json",
        "config.json",
        "log.jsonl",
        "checkpoints",
    }
    assert names(tmp_path / "run") == files
    assert "It is chosen." in result.stdout
    line = "Test log-likelihood of nsf on gaussian, 2 layers: -2.600 ± 0.010 nats per row (plain mean of 15 rows)."
    assert line in result.stdout
    assert result.stdout.splitlines()[-1] == "The report lies at run/report.html"
    assert "nsf on gaussian, 2 layers: finished after 3 s, validation -2.5000 nats per row" in result.stderr


def test_what_the_ladder_is_given(shoal_command: Run, ladder: FakeLadder, tmp_path: Path):
    (tmp_path / "t.csv").write_text(table_text(names="a,b,c,d,w").replace("-", ""))
    options = [
        "--columns",
        "c, a",
        "--context",
        "b",
        "--weights",
        "w",
        "--families",
        "maf,spline,maf",
        "--depths",
        "8,2,2",
        "--fronts",
        "gaussian,marginals",
        "--start",
        "scratch",
        "--margin",
        "0.3",
        "--parts",
        "70,20,10",
        "--seeds",
        3,
        "--seed",
        7,
        "--time-limit",
        "1h30m",
        "--max-condition",
        "1e6",
        "--max-round-trip",
        "1e-2",
        "--dequantize",
        "off",
        "--hidden",
        "32,16",
        "--batch-size",
        64,
        "--max-epochs",
        9,
        "--patience",
        4,
        "--learning-rate",
        "2e-3",
        "--weight-decay",
        0,
        "--devices",
        2,
        "--dtype",
        "float64",
    ]
    result = shoal_command("fit", "t.csv", "--out", "run", *options)
    assert result.exit_code == 0, result.output
    ((table, given),) = ladder.calls
    assert (table.names, table.context_names, table.weights_name, table.rows) == (
        ("c", "a"),
        ("b",),
        "w",
        150,
    )
    assert given.pop("folder").name == "checkpoints"
    assert callable(given.pop("progress"))
    assert isinstance(given.pop("began"), float)
    assert given.pop("executor") is None
    assert given == {
        "fronts": ("gaussian", "marginals"),
        "families": ("maf", "spline"),
        "depths": (2, 8),
        "start": "scratch",
        "seeds": 3,
        "seed": 7,
        "time_limit": 5400.0,
        "margin": 0.3,
        "max_condition": 1e6,
        "max_round_trip": 1e-2,
        "dequantize": "off",
        "parts": (0.7, 0.2, 0.1),
        "hidden": (32, 16),
        "dtype": "float64",
        "resume": False,
        "settings": {
            "batch_size": 64,
            "max_epochs": 9,
            "patience": 4,
            "learning_rate": 2e-3,
            "weight_decay": 0.0,
            "devices": 2,
        },
    }
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert config["columns"] == ["c", "a"]
    assert config["time_limit"] == 5400.0
    assert json.loads((tmp_path / "run/record.json").read_text())["command"] == (
        "shoal fit t.csv --out run --columns 'c, a' --context b --weights w --dequantize off --parts 70,20,10 --fronts "
        "gaussian,marginals --families maf,spline,maf --depths 8,2,2 --start scratch --seeds 3 --margin 0.3 "
        "--max-condition 1e+06 --max-round-trip 0.01 --time-limit 1h30m --hidden 32,16 --batch-size 64 "
        "--max-epochs 9 --patience 4 --learning-rate 0.002 --weight-decay 0 --devices 2 --dtype float64 --seed 7"
    )


def test_the_summary_names_the_delivered_flow_and_fits_into_100_columns(capsys: pytest.CaptureFixture[str]):
    found = record()
    print_summary(found, Console(width=100, force_terminal=True, color_system=None))
    lines = capsys.readouterr().out.splitlines()
    assert "As good: behind the best by at most 0.05, with 95 % confidence." in lines
    rows = [line.split() for line in lines if line.rstrip().endswith(("5.0e-07", "not measured", "started"))]
    assert rows == [
        [
            "chosen",
            "nsf",
            "on",
            "gaussian,",
            "2",
            "layers",
            "-2.500",
            "0.000",
            "0.000",
            "as",
            "good",
            "10",
            "5.0e-07",
        ],
        ["gaussian,", "no", "layer", "-3.750", "1.250", "1.266", "worse", "not", "measured"],
        ["nsf", "on", "gaussian,", "16", "layers", "not", "started"],
    ]
    plain = plain_record()
    plain["decision"].update(chosen=None, kept=1)
    plain["test"]["winsorised"] = -2.5
    plain["rungs"][1]["name"] = long = "single_coordinate on marginals+mixture, 16 layers"
    print_summary(as_record(plain, FitRecord), Console(width=100, force_terminal=True, color_system=None))
    text = capsys.readouterr().out
    assert [
        line.split()[0] for line in text.splitlines() if line.startswith(("chosen", "best", "delivered"))
    ] == [
        "best",
        "delivered",
    ]
    assert f"Test log-likelihood of {long}: -2.600" in text
    assert "robust mean -2.500" in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("Test")) <= 100


def test_far_rows_are_written_only_where_there_are_any(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path
):
    rows = {"row": [7, 3], "error": ["nan", 0.5], "log_prob": ["-inf", -40.0]}
    ladder.result.record = record(far_rows={"count": 2, "of": 15, **rows})
    shoal_command("fit", table, "--out", "run")
    frame = pl.read_parquet(tmp_path / "run/rows.parquet")
    assert frame.columns == ["row", "error", "log_prob"]
    assert frame.select("row", "log_prob").rows() == [(7, -np.inf), (3, -40.0)]
    assert np.isnan(frame["error"][0])
    write_far_rows(record(), tmp_path / "run/rows.parquet")
    assert not (tmp_path / "run/rows.parquet").exists()


def test_metrics_and_log(shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path):
    shoal_command("fit", table, "--out", "run")
    frame = pl.read_parquet(tmp_path / "run/metrics.parquet")
    assert frame.columns == CURVES
    assert frame.drop("validation", "validation_mean").rows() == EPOCHS
    assert frame["validation"][:2].to_list() == [-4.0, -3.1]
    assert frame["validation_mean"][:2].to_list() == [None, -3.2]
    assert np.isnan(frame["validation"][2])
    events = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert [event["stage"] for event in events] == ["train", "train", "rung"]
    assert events[0]["validation"] == "nan"
    assert events[2]["summary"]["condition_q99"] == 10.0


def test_looks_of_a_monitor_follow_the_epochs(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path
):
    seen = {
        "step": [0, 100],
        "epoch": [0, 2],
        "attempt": [0, 0],
        "sigma_max": [1.0, 3.0],
        "sigma_max_median": [1.0, 2.0],
        "sigma_min": [1.0, 0.5],
        "sigma_min_median": [1.0, 0.6],
        "condition_median": [1.0, 4.0],
        "condition_max": [1.0, "nan"],
        "round_trip": [0.0, 1e-6],
        "growth": [2.0, "inf"],
        "unresolved": [0, 1],
        "kind": ["estimate", "unresolved"],
        "action": [None, None],
    }
    plain = plain_record()
    plain["rungs"][0]["seeds"][0]["conditioning"] = [
        dict(zip(seen, look, strict=True)) for look in zip(*seen.values(), strict=True)
    ]
    ladder.result.record = as_record(plain, FitRecord)
    shoal_command("fit", table, "--out", "run")
    frame = pl.read_parquet(tmp_path / "run/metrics.parquet")
    assert frame.columns == CURVES + [name for name in seen if name != "epoch"]
    epochs, looks = frame.filter(pl.col("step").is_null()), frame.filter(pl.col("step").is_not_null())
    assert epochs.select(CURVES).drop("validation", "validation_mean").rows() == EPOCHS
    assert looks.select("family", "depth", "seed", "epoch", "step", "unresolved", "kind", "train").rows() == [
        ("nsf on gaussian", 2, 0, 0, 0, 0, "estimate", None),
        ("nsf on gaussian", 2, 0, 2, 100, 1, "unresolved", None),
    ]
    assert looks["condition_max"][0] == 1.0
    assert np.isnan(looks["condition_max"][1])


BAD_OPTIONS: dict[str, tuple[list[str], str]] = {
    "families": (
        ["--families", "realnvp,glow"],
        "--families names 'glow', which is none of nsf, spline, realnvp, nice, maf",
    ),
    "fronts": (
        ["--fronts", "whiten"],
        "--fronts names 'whiten', which is none of standardize, gaussian, marginals",
    ),
    "start": (["--start", "warm"], "--start is 'warm'; it must be one of grow, scratch."),
    "margin": (["--margin", "0"], "--margin must be a finite number above 0; got 0."),
    "parts": (
        ["--parts", "80,20"],
        "--parts '80,20' must be the shares of training, validation and test rows",
    ),
    "no training part": (["--parts", "0,90,10"], "--parts '0,90,10' must be the shares"),
    "depths": (["--depths", "1,0"], "--depths '1,0' must be whole numbers of at least 1"),
    "depths text": (["--depths", "1-4"], "--depths '1-4' must be whole numbers"),
    "seeds": (["--seeds", "0"], "--seeds must be a whole number of at least 1; got 0."),
    "seed": (["--seed", "-1"], "--seed must be a whole number of at least 0; got -1."),
    "time": (
        ["--time-limit", "5"],
        "--time-limit '5' is not a time; give a number with its unit, such as 90s, 5m",
    ),
    "no time": (["--time-limit", "0s"], "--time-limit '0s' is not a time"),
    "condition": (["--max-condition", "1"], "--max-condition must be a finite number above 1; got 1."),
    "condition nan": (
        ["--max-condition", "nan"],
        "--max-condition must be a finite number above 1; got nan.",
    ),
    "round trip": (["--max-round-trip", "0"], "--max-round-trip must be a finite number above 0; got 0."),
    "dequantize": (["--dequantize", "on"], "--dequantize is 'on'; it must be one of auto, off."),
    "dtype": (["--dtype", "float16"], "--dtype is 'float16'; it must be one of float32, float64."),
    "weight decay": (
        ["--weight-decay", "-0.1"],
        "--weight-decay must be a finite number of at least 0; got -0.1.",
    ),
    "learning rate": (
        ["--learning-rate", "inf"],
        "--learning-rate must be a finite number above 0; got inf.",
    ),
    "empty name": (["--columns", "a,,b"], "--columns 'a,,b' has an empty name"),
    "no name": (["--drop", ""], "--drop '' has an empty name"),
    "two weights": (["--weights", "a,b"], "--weights names 2 columns; name one."),
    "unknown column": (
        ["--columns", "A"],
        "has no column 'A', named by --columns; did you mean 'a', as in `shoal fit",
    ),
    "no folder for out": (["--out", "no/run"], "--out no/run can not be made: there is no folder"),
    "out in a file": (["--out", "t.csv/run"], "t.csv is a file, not a folder."),
    "out is a file": (["--out", "t.csv"], "--out t.csv is a file; name a folder that does not exist yet."),
    "out is empty": (["--out", ""], "--out '' is no name for a folder"),
    "out is the root": (["--out", "/"], "--out '/' is no name for a folder"),
    "out is here": (
        ["--out", "."],
        "--out . exists already; name another folder, or replace it by --overwrite.",
    ),
}


@pytest.mark.parametrize(("options", "expected"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_options(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path, options: list[str], expected: str
):
    words = options if "--out" in options else [*options, "--out", "run"]
    result = shoal_command("fit", "t.csv", *words)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1
    assert not ladder.calls
    assert names(tmp_path) == {"t.csv"}


def test_the_sentence_repeats_the_command_with_columns_that_work(
    shoal_command: Run, ladder: FakeLadder, tmp_path: Path
):
    (tmp_path / "t.csv").write_text(table_text().replace("\n", ",Ideal\n").replace("c,Ideal", "c,cut", 1))
    result = shoal_command("fit", "t.csv", "--out", "my run", "--seeds", "3", "--overwrite", "--drop", "c")
    assert result.exit_code == 2
    assert result.stderr == (
        "Error: t.csv: column 'cut' holds one value in every row; use "
        "`shoal fit t.csv --out 'my run' --seeds 3 --overwrite --drop c,cut`.\n"
    )
    assert names(tmp_path) == {"t.csv"}


def test_bad_input_that_only_the_ladder_sees_leaves_nothing(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path
):
    def refuse(folder: Path) -> None:
        raise InputError("t.csv: only 2 rows\nare distinct.")

    ladder.before = refuse
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: t.csv: only 2 rows are distinct.\n")
    assert names(tmp_path) == {"t.csv"}


def test_a_run_is_not_overwritten_by_accident(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path
):
    assert shoal_command("fit", table, "--out", "run/").exit_code == 0
    before = (tmp_path / "run/log.jsonl").read_bytes()
    result = shoal_command("fit", table, "--out", "run/")
    assert result.exit_code == 2
    assert (
        result.stderr
        == "Error: --out run exists already; name another folder, or replace it by --overwrite.\n"
    )
    assert (tmp_path / "run/log.jsonl").read_bytes() == before
    assert len(ladder.calls) == 1


def test_overwrite_replaces_a_run_but_nothing_else(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path
):
    shoal_command("fit", table, "--out", "run")
    (tmp_path / "run/old").touch()
    assert shoal_command("fit", table, "--out", "run", "--overwrite").exit_code == 0
    assert names(tmp_path) == {"t.csv", "run"}
    assert not (tmp_path / "run/old").exists()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/one.txt").touch()
    result = shoal_command("fit", table, "--out", "letters", "--overwrite")
    assert result.exit_code == 2
    assert "holds something other than a run and is not overwritten" in result.stderr
    assert names(tmp_path / "letters") == {"one.txt"}


def test_numerical_failure(shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path):
    ladder.result.flow, ladder.result.failed = None, True
    ladder.result.record = record("diverged", decision={"chosen": None, "sentence": "No rung is finite."})
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 3
    assert "No rung is finite." in result.stdout
    assert result.stderr.endswith(
        "Numerical failure: no flow is kept, the record and the report (run.unfinished/report.html) are kept in "
        "run.unfinished.\n"
    )
    assert names(tmp_path) == {"t.csv", "run.unfinished"}
    assert "model.json" not in names(tmp_path / "run.unfinished")


def test_out_of_time_is_no_numerical_failure(shoal_command: Run, ladder: FakeLadder, table: Path):
    ladder.result.flow, ladder.result.failed = None, True
    plain = plain_record("unfinished", decision={"chosen": None, "sentence": "No rung had the time."})
    del plain["rungs"][1]  # the front alone, which needs no time
    ladder.result.record = as_record(plain, FitRecord)
    result = shoal_command("fit", table, "--out", "run", "--time-limit", "1s")
    assert result.exit_code == 3
    assert result.stderr.endswith(
        "Out of time: no flow is kept, the record and the report (run.unfinished/report.html) are kept in "
        "run.unfinished; go on with the same command, a longer --time-limit and --resume.\n"
    )
    assert "Numerical failure" not in result.stderr
    ladder.result.record = record("diverged")
    result = shoal_command("fit", table, "--out", "run", "--time-limit", "5m", "--resume")
    assert "Numerical failure: no flow is kept" in result.stderr


def test_a_raised_numerical_failure(shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path):
    def fail(folder: Path) -> None:
        raise NumericalFailure("the spectrum is not finite")

    ladder.before = fail
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 3
    assert "Numerical failure: the spectrum is not finite (nothing was trained yet" in result.stderr
    assert names(tmp_path) == {"t.csv"}


def test_interrupted_with_a_result(shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path):
    ladder.result.interrupted, ladder.before = True, checkpoint
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 130
    assert result.stderr.endswith(
        "Interrupted: the best flow so far, the record and the report (run.unfinished/report.html) are kept in "
        "run.unfinished; go on with the same command and --resume.\n"
    )
    assert names(tmp_path) == {"t.csv", "run.unfinished"}
    assert {"model.json", "record.json", "report.html"} <= names(tmp_path / "run.unfinished")


@pytest.mark.parametrize("trained", [True, False])
def test_interrupted_without_a_result(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path, trained: bool
):
    def interrupt(folder: Path) -> None:
        if trained:
            checkpoint(folder)
        raise KeyboardInterrupt

    ladder.before = interrupt
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 130
    kept = (
        "checkpoints are kept in run.unfinished; go on with"
        if trained
        else "nothing was trained yet and nothing"
    )
    assert f"Interrupted: {kept}" in result.stderr
    assert names(tmp_path) == ({"t.csv", "run.unfinished"} if trained else {"t.csv"})


@pytest.fixture
def unfinished(shoal_command: Run, ladder: FakeLadder, table: Path) -> None:
    """A run that was interrupted."""
    ladder.result.interrupted, ladder.before = True, checkpoint
    shoal_command("fit", table, "--out", "run", "--depths", "1,2")
    ladder.result.interrupted = False


@pytest.mark.usefixtures("unfinished")
def test_resume(shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path):
    result = shoal_command("fit", table, "--out", "run", "--depths", "1,2")
    assert result.exit_code == 2
    assert (
        "An unfinished run lies in run.unfinished; go on with it by --resume, or start again by"
        in result.stderr
    )
    result = shoal_command("fit", table, "--out", "run", "--depths", "1,2", "--time-limit", "5m", "--resume")
    assert result.exit_code == 0, result.output
    assert ladder.calls[-1][1]["resume"] is True
    assert names(tmp_path) == {"t.csv", "run"}
    assert len((tmp_path / "run/log.jsonl").read_text().splitlines()) == 6


@pytest.mark.usefixtures("unfinished")
def test_resume_with_other_options(shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path):
    result = shoal_command("fit", table, "--out", "run", "--depths", "1", "--seeds", "5", "--resume")
    assert result.exit_code == 2
    assert (
        "The run in run.unfinished was started with other --depths, --seeds; resume with the same"
        in result.stderr
    )
    assert len(ladder.calls) == 1
    (tmp_path / "run.unfinished/config.json").write_text("{")
    result = shoal_command("fit", table, "--out", "run", "--resume")
    assert result.exit_code == 2
    assert "config.json can not be read; start again by --overwrite." in result.stderr


@pytest.mark.usefixtures("unfinished")
def test_overwrite_starts_again(shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path):
    assert shoal_command("fit", table, "--out", "run", "--overwrite").exit_code == 0
    assert ladder.calls[-1][1]["resume"] is False
    assert len((tmp_path / "run/log.jsonl").read_text().splitlines()) == 3


def test_resume_with_nothing_to_resume_starts(shoal_command: Run, ladder: FakeLadder, table: Path):
    assert shoal_command("fit", table, "--out", "run", "--resume").exit_code == 0
    assert ladder.calls[-1][1]["resume"] is False
    result = shoal_command("fit", table, "--out", "run", "--resume")
    assert result.exit_code == 2
    assert "--out run exists already" in result.stderr


def test_two_processes_do_not_share_a_run(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path
):
    results: list[Any] = []

    def second(folder: Path) -> None:
        ladder.before = lambda folder: None
        results.append(shoal_command("fit", table, "--out", "run", "--overwrite"))

    ladder.before = second
    assert shoal_command("fit", table, "--out", "run").exit_code == 0
    assert results[0].exit_code == 2
    assert "Another `shoal fit` is at work in run.unfinished" in results[0].stderr
    assert len(ladder.calls) == 1


def test_a_report_that_fails_keeps_the_run(
    shoal_command: Run, ladder: FakeLadder, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(record: Any, path: Path) -> None:
        raise InputError("The report would be 6 MB.")

    monkeypatch.setattr(report, "write_report", refuse)
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 0
    assert "No report was written: The report would be 6 MB." in result.stderr
    assert "model.json" in names(tmp_path / "run")
