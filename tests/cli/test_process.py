"""The command as a process: exit code, time to an answer, what is loaded, what is left behind."""

import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from shoal.cli import main

from .conftest import table_text

START = "from shoal.cli import main; main()"
HEAVY = {"jax", "jaxlib", "equinox", "polars", "numpy", "altair"}
LISTED = f"""
import atexit, sys
atexit.register(lambda: print("loaded", *sorted({HEAVY} & set(sys.modules))))
{START}
"""
WITH_LADDER = f"""
import json, signal, sys, time
from types import SimpleNamespace
def ladder(table, *, folder, progress, **options):
    folder.mkdir(exist_ok=True)
    (folder / "state.json").write_text("{{}}")
    print("training", flush=True)
    time.sleep(60)
sys.modules["shoal.selection"] = SimpleNamespace(ladder=ladder)
{START}
"""


def run(*words: str, code: str = START) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False
    )


def processor_seconds(*words: str) -> float:
    """The least processor time of three runs: what the command takes where nothing else is at work."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(*words)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_version(shoal_command: Callable[..., Result]):
    done = shoal_command("--version")
    assert done.exit_code == 0
    assert done.stdout.startswith("shoal 0.")
    assert done.stderr == ""


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"]])
def test_help_loads_nothing_heavy(words: list[str]):
    done = run(*words, code=LISTED)
    assert done.returncode == 0
    assert "Usage: " in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["fit"], "Missing argument", id="argument"),
        pytest.param(["fit", "t.csv"], "Missing option '--out'", id="option"),
        pytest.param(["fit", "t.csv", "--out", "run", "--seeds", "two"], "--seeds", id="number"),
        pytest.param(["fot"], "No such command 'fot'", id="command"),
    ],
)
def test_usage(
    words: list[str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["shoal", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("Error: ")
    assert expected in told


def bad_files(folder: Path) -> dict[str, bytes | None]:
    """The content of files that can not be fitted, by name."""
    np.save(folder / "flat.npy", np.zeros(1000))
    text = table_text(2000)
    return {
        "text.csv": text.replace("\n", ",Ideal\n").replace("c,Ideal", "c,cut", 1).encode(),
        "flat.npy": None,
    }


@pytest.mark.parametrize("name", ["text.csv", "flat.npy", "missing.csv"])
def test_bad_input_is_told_before_jax_loads(tmp_path: Path, name: str):
    content = bad_files(tmp_path).get(name)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    done = run("fit", name, "--out", "run", code=LISTED)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {name}")
    assert done.stderr.count("\n") == 1
    assert done.stdout.split() == ["loaded", "numpy", "polars"]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.long
def test_bad_input_is_told_within_a_second(tmp_path: Path):
    (tmp_path / "text.csv").write_bytes(bad_files(tmp_path)["text.csv"] or b"")
    taken = processor_seconds("fit", "text.csv", "--out", "run")
    print(f"bad input is told after {taken:.2f} s of processor time")
    assert taken < 1.0


@pytest.fixture
def training(tmp_path: Path):
    """A `shoal fit` that is at work."""
    (tmp_path / "t.csv").write_text(table_text())
    words = [sys.executable, "-c", WITH_LADDER, "fit", "t.csv", "--out", "run"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = iter(process.stdout.readline, "")
        assert "training\n" in said  # behind a line for each column
        yield process
        process.kill()


def test_ctrl_c(training: subprocess.Popen[str], tmp_path: Path):
    training.send_signal(signal.SIGINT)
    _, errors = training.communicate(timeout=20)
    assert training.returncode == 130
    assert (
        errors
        == "Interrupted: checkpoints are kept in run.unfinished; go on with the same command and --resume.\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "run.unfinished"}


def test_a_kill_leaves_what_can_be_resumed_and_no_lock(training: subprocess.Popen[str], tmp_path: Path):
    done = run("fit", "t.csv", "--out", "run", "--resume")
    assert done.returncode == 2
    assert "Another `shoal fit` is at work in run.unfinished" in done.stderr
    training.kill()
    training.communicate(timeout=20)
    assert (tmp_path / "run.unfinished/checkpoints/state.json").exists()
    done = run("fit", "t.csv", "--out", "run")
    assert done.returncode == 2
    assert "An unfinished run lies in run.unfinished; go on with it by --resume" in done.stderr


def test_no_bar_where_there_is_no_terminal(training: subprocess.Popen[str]):
    training.kill()
    output, errors = training.communicate(timeout=20)
    assert output == ""
    assert errors == ""
