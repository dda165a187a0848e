"""`shoal construct`: the run folder against NumPy and against the other commands, every wrong input, and interruptions."""

import json
import re
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.spatial.distance import cdist
from typer.testing import CliRunner, Result

import shoal
from shoal.cli import app
from shoal.cli._audit_target import run_target
from shoal.cli._construct import _interruptible
from shoal.cli._run_folder import find_model
from shoal.distributions import AbstractFlow
from shoal.tables import open_source
from tests.report.test_page import Parsed

Run = Callable[..., Result]
FILES = {"model.json", "weights.safetensors", "certificate.json", "config.json", "report.html"}
ROWS, EPSILON = 40, 0.25


def command(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="shoal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weighted sample of two columns on a circle."""
    path = tmp_path_factory.mktemp("construct")
    rng = np.random.default_rng(0)
    angle = 2 * np.pi * np.sort(rng.random(ROWS))
    columns = {
        "left": 2 * np.cos(angle),
        "right": 2 * np.sin(angle),
        "w": rng.integers(1, 6, size=ROWS) * 1.0,
    }
    pl.DataFrame(columns).write_parquet(path / "t.parquet")
    np.save(path / "odd.npy", rng.normal(size=(12, 3)))
    return path


@pytest.fixture(scope="module")
def made(folder: Path) -> Result:
    result = command(
        "construct",
        folder / "t.parquet",
        "--epsilon",
        EPSILON,
        "-o",
        folder / "run",
        "--weights",
        "w",
        "--seed",
        3,
    )
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def odd(folder: Path) -> Result:
    words = ("--epsilon", 2.0, "-o", folder / "odd", "--precision", "float32")
    result = command("construct", folder / "odd.npy", *words)
    assert result.exit_code == 0, result.output
    return result


def certificate(run: Path) -> dict[str, Any]:
    return json.loads((run / "certificate.json").read_text(encoding="utf-8"))


def test_the_folder_is_whole_and_says_how_it_was_made(folder: Path, made: Result) -> None:
    assert {path.name for path in (folder / "run").iterdir()} == FILES
    assert not [path for path in folder.iterdir() if path.name.startswith("run.")]
    record = certificate(folder / "run")
    config = json.loads((folder / "run" / "config.json").read_text(encoding="utf-8"))
    assert record["config"] == config
    assert config == {
        "format": 1,
        "command": "construct",
        "samples": str(folder / "t.parquet"),
        "epsilon": EPSILON,
        "seed": 3,
        "precision": "float64",
        "columns": None,
        "drop": [],
        "weights": "w",
    }
    assert (record["seed"], record["columns"], record["rows"]) == (3, ["left", "right"], ROWS)
    assert record["versions"]["packages"]["shoal"] == shoal.__version__
    found = record["certificate"]
    assert [found[k]["kind"] for k in ("w2_bound", "w2_measured", "statistical")] == [
        "upper_bound",
        "estimate",
        "estimate",
    ]
    assert found["w2_measured"]["high"] <= found["w2_bound"]["value"] <= EPSILON
    page = Parsed(folder / "run" / "report.html")
    assert record["command"] in page.words


def test_it_prints_each_figure_with_the_sign_of_its_kind(folder: Path, made: Result) -> None:
    found = certificate(folder / "run")["certificate"]
    out = " ".join(made.stdout.split())
    bound, measured = found["w2_bound"]["value"], found["w2_measured"]
    assert f"W2 to the sample of {ROWS} rows, bound: <= {bound:.4g} (upper bound); epsilon {EPSILON}" in out
    interval = f"{measured['low']:.4g} ... {measured['high']:.4g}"
    assert (
        f"measured by an explicit coupling: ~ {measured['value']:.4g} (estimate, 99 % interval {interval})"
        in out
    )
    assert (
        f"W2 of the sample to its population: ~ {found['statistical']['value']:.4g} (estimate); not part of"
        in out
    )
    assert f"{found['atoms']} atoms, float64" in out
    for name in ("layer 1", "layer 2", "composition"):
        assert f"│ {name} │ = {found['conditions'][name]['cells']['value']:.4g} │ = " in out
    assert "odd" not in out


def test_its_samples_are_the_rows_in_their_proportions(folder: Path, made: Result) -> None:
    """Each sample belongs to its nearest row: the mean squared distance and the frequencies are those of the weights."""
    result = command("sample", folder / "run", "-n", 4000, "-o", folder / "s.csv", "--seed", 1)
    assert result.exit_code == 0, result.output
    samples, table = pl.read_csv(folder / "s.csv"), pl.read_parquet(folder / "t.parquet")
    assert samples.columns == ["left", "right"]
    distances = cdist(samples.to_numpy(), table.select("left", "right").to_numpy())
    bound = certificate(folder / "run")["certificate"]["w2_bound"]["value"]
    assert np.sqrt(np.mean(distances.min(axis=1) ** 2)) <= bound
    weights = table["w"].to_numpy() / table["w"].sum()
    angle = np.arctan2(*table.select("right", "left").to_numpy().T)
    of_samples = np.arctan2(*samples.select("right", "left").to_numpy().T)
    for name, rows, drawn in (
        ("right half", np.abs(angle) < 1.5, np.abs(of_samples) < 1.5),
        ("upper half", angle > 0, of_samples > 0),
    ):
        share = weights[rows].sum()
        slack = (
            4 * np.sqrt(share * (1 - share) / len(drawn)) + weights.max()
        )  # atoms may be pushed over the line
        assert abs(drawn.mean() - share) < slack, name


def test_it_scores_like_any_run(folder: Path, made: Result) -> None:
    """exp(log_prob) of a sample is, in the mean over its cell, 1 / (2 π e δ²): both layers scale by δ there."""
    result = command("score", folder / "run", folder / "t.parquet", "-o", folder / "scored.csv")
    assert result.exit_code == 0, result.output
    scored = pl.read_csv(folder / "scored.csv")
    assert scored.columns == ["left", "right", "w", "log_prob"]
    assert np.isfinite(scored["log_prob"].to_numpy()).all()
    assert command("sample", folder / "run", "-n", 2000, "-o", folder / "s.csv").exit_code == 0
    assert command("score", folder / "run", folder / "s.csv", "-o", folder / "scored.csv").exit_code == 0
    levels = pl.read_csv(folder / "scored.csv")["log_prob"].to_numpy()
    expected = -np.log(2 * np.pi * np.e) - 2 * np.log(certificate(folder / "run")["delta"])
    assert abs(levels.mean() - expected) < 5 / np.sqrt(
        2000
    )  # its deviation is 1; ramps have a mass of 1e-3 or so


def test_an_odd_number_of_columns_is_padded(folder: Path, odd: Result) -> None:
    record = certificate(folder / "odd")
    assert (record["size"], record["padded"], record["columns"]) == (3, True, ["x0", "x1", "x2"])
    sentence = f"3 columns are odd: the flow has one more coordinate, Gaussian padding of deviation {record['delta']:.3g}"
    assert sentence in odd.stdout
    assert sentence.split(",")[0] in Parsed(folder / "odd" / "report.html").words
    assert command("sample", folder / "odd", "-n", 15, "-o", folder / "o.csv").exit_code == 0
    assert pl.read_csv(folder / "o.csv").columns == ["x0", "x1", "x2"]
    assert command("score", folder / "odd", folder / "odd.npy", "-o", folder / "scored.csv").exit_code == 0


def test_an_audit_of_a_padded_run_is_of_rows_with_their_padding(folder: Path, odd: Result) -> None:
    with run_target(find_model(folder / "odd"), open_source(folder / "odd.npy"), 5, 0) as target:
        flow, x, context = target.whole, target.x, target.arguments["context"]
        assert isinstance(flow, AbstractFlow)
        assert (x.shape, context, target.about["columns"]) == ((5, 4), None, ["x0", "x1", "x2", "padding 0"])
        rows = np.load(folder / "odd.npy")[np.array(target.rows) - 1]
        np.testing.assert_array_equal(x[:, :3], rows)
        assert 0 < np.abs(x[:, 3]).max() < 6 * certificate(folder / "odd")["delta"]  # Gaussian of deviation δ
        assert np.isfinite(np.asarray(flow.joint.inverse(x.astype(np.float32)))).all()


@pytest.mark.long
@pytest.mark.parametrize("name", ["run", "odd"])
def test_audits(folder: Path, made: Result, odd: Result, name: str) -> None:
    data = folder / f"{name}.csv"
    assert command("sample", folder / name, "-n", 15, "-o", data).exit_code == 0
    result = command("audit", folder / name, data, "-o", folder / f"{name}.html")
    assert result.exit_code == 0, result.output
    assert f"auditing 15 points of {2 if name == 'run' else 4} coordinates" in result.stderr
    assert ("The flow has 1 coordinate of padding besides" in result.stdout) == (name == "odd")
    cells = certificate(folder / name)["certificate"]["conditions"]["layer 1"]["cells"]["value"]
    lines = [
        line for line in result.stdout.splitlines() if line.startswith("│") and "Coupling(Affine)" in line
    ]
    rows = [[cell.strip() for cell in line.split("│")] for line in lines]
    assert [row[2] for row in rows] == ["0 Coupling(Affine)", "1 Coupling(Affine)"]
    assert float(rows[0][3]) == pytest.approx(
        cells, rel=6e-3
    )  # by autodiff, three digits; the last layer has data's units


def write_inputs(folder: Path) -> None:
    np.save(folder / "t.npy", np.random.default_rng(0).normal(size=(20, 2)))
    np.save(folder / "one.npy", np.arange(6.0)[:, None])
    np.save(folder / "wide.npy", np.ones((3, 65)))
    (folder / "gap.csv").write_text("a,b\n1,2\n3,\n")
    (folder / "infinite.csv").write_text("a,b\n1,2\n3,inf\n")
    (folder / "text.csv").write_text("a,b\n1,x\n3,4\n")
    (folder / "weights.csv").write_text("a,b,w\n1,2,1\n3,4,-1\n")


ERRORS: dict[str, tuple[list[str], str]] = {
    "missing": (["no.npy"], "no.npy does not exist"),
    "one column": (["one.npy"], "one.npy: 1 column to construct from; give 2 to 64 columns."),
    "too many columns": (["wide.npy"], "wide.npy: 65 columns to construct from; give 2 to 64 columns."),
    "missing value": (["gap.csv"], "gap.csv, column 'b', row 3: found a missing value"),
    "infinite value": (["infinite.csv"], "infinite.csv, column 'b', row 3: found the infinite value 'inf'"),
    "text": (["text.csv"], "text.csv, column 'b', row 2: found the text 'x' where a number is needed"),
    "weights": (
        ["weights.csv", "--weights", "v"],
        "weights.csv has no column 'v', named by --weights; its columns are a,b",
    ),
    "two weights": (["weights.csv", "--weights", "a,b"], "--weights names 2 columns; name one."),
    "negative weight": (
        ["weights.csv", "--weights", "w"],
        "row 3: found the weight -1; give weights of 0 or more",
    ),
    "epsilon": (["t.npy", "--epsilon", "-1"], "--epsilon must be a finite number above 0; got -1."),
    "out of reach": (
        ["t.npy", "--epsilon", "1e-9", "--precision", "float32"],
        "t.npy: --epsilon 1e-09 is out of reach in float32",
    ),
    "precision": (
        ["t.npy", "--precision", "half"],
        "--precision is 'half'; it must be one of float64, float32.",
    ),
    "seed": (["t.npy", "--seed", "-1"], "--seed must be a whole number of at least 0; got -1."),
    "place": (["t.npy", "-o", "no/run"], "--out no/run can not be made: there is no folder"),
}


@pytest.mark.parametrize(("words", "sentence"), ERRORS.values(), ids=ERRORS.keys())
def test_wrong_input_is_one_sentence_and_leaves_nothing(
    words: list[str], sentence: str, shoal_command: Run, tmp_path: Path
) -> None:
    write_inputs(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    result = shoal_command("construct", "--epsilon", 0.5, "-o", "run", *words)
    assert result.exit_code == 2, result.output
    assert sentence in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == before


def test_out_of_reach_names_an_epsilon_that_is_in_reach_and_keeps_the_old_run(
    shoal_command: Run, tmp_path: Path, folder: Path, odd: Result
) -> None:
    shutil.copytree(folder / "odd", tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    words = [folder / "odd.npy", "-o", "run", "--precision", "float32"]
    result = shoal_command("construct", *words, "--epsilon", 1e-9)
    assert result.exit_code == 2
    assert "--out run exists already; name another folder, or replace it by --overwrite." in result.stderr
    result = shoal_command("construct", *words, "--epsilon", 1e-9, "--overwrite")
    assert result.exit_code == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    named = re.search(r"smallest reachable epsilon is ([\d.e-]+)", result.stderr)
    assert named is not None
    result = shoal_command("construct", *words, "--epsilon", named[1], "--overwrite")
    assert result.exit_code == 0, result.output
    assert certificate(tmp_path / "run")["certificate"]["epsilon"] == float(named[1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_an_interruption_that_was_swallowed_is_raised_at_the_end() -> None:
    went_on = False

    def swallowed() -> None:
        nonlocal went_on
        with _interruptible():
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            went_on = True

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        swallowed()
    assert went_on
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interruption_keeps_nothing(
    shoal_command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any, **__: Any) -> None:
        assert (tmp_path / "run.unfinished").is_dir()
        raise KeyboardInterrupt

    write_inputs(tmp_path)
    monkeypatch.setattr(shoal.universal, "construct", stopped)
    result = shoal_command("construct", "t.npy", "--epsilon", 0.5, "-o", "run")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted: nothing was kept.\n"
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    (tmp_path / "run.unfinished").mkdir()  # as a kill leaves it
    (tmp_path / "run.unfinished" / "config.json").write_text("{}")
    result = shoal_command("construct", "t.npy", "--epsilon", 0.5, "-o", "run")
    assert (
        "An unfinished run lies in run.unfinished; move it away, or start again by --overwrite."
        in result.stderr
    )
