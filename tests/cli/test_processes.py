"""`shoal fit` in several processes: when it is, what the first one tells the others, and who writes and prints."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from shoal._errors import InputError
from shoal.cli import _processes

JAX = {"JAX_COORDINATOR_ADDRESS": "127.0.0.1:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"}
STEP = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "16",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "3",
}
START = "import sys; from shoal.cli import main; main()"
OPTIONS = "--fronts gaussian --families realnvp --depths 1 --hidden 8 --max-epochs 3 --batch-size 64"


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*JAX, *STEP):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        (JAX, True),
        ({name: JAX[name] for name in list(JAX)[:2]}, False),
        (STEP, True),
        (STEP | {"SLURM_NTASKS": "1"}, False),
        ({name: value for name, value in STEP.items() if name != "SLURM_STEP_NODELIST"}, False),
    ],
    ids=[
        "nothing",
        "JAX's",
        "no number",
        "a step of Slurm",
        "a step of one task",
        "a script of Slurm, no step",
    ],
)
def test_the_environment_says_so(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], several: bool):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _processes._several() == several


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The words of this process, of two; the other one can train."""
    words: list[float] = []

    def answered(word: float) -> list[float]:
        words.append(word)
        return [word, 0.0]

    monkeypatch.setattr(_processes, "_several", lambda: True)
    monkeypatch.setattr(_processes, "_words", answered)
    return words


@pytest.mark.parametrize("resumed", [False, True])
def test_the_others_are_told_once(told: list[float], resumed: bool):
    with _processes.leading() as tell:
        tell(resumed)
    assert told == [float(resumed)]


def test_the_others_end_with_an_error(told: list[float]):
    with pytest.raises(InputError, match="no such"), _processes.leading():
        raise InputError("no such file")
    assert told == [_processes.ENDED]


def test_nothing_is_trained_without_all(
    shoal_command: Callable[..., Result],
    ladder: Any,
    table: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: list[float],
):
    monkeypatch.setattr("shoal.cli._fit.follows", lambda: False)
    monkeypatch.setattr(_processes, "_words", lambda word: [word, _processes.ENDED])
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 2
    assert "Process 1 could not read the table, so nothing was trained." in result.stderr
    assert not ladder.calls
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv"}


def test_variables_that_are_no_numbers_are_told(
    shoal_command: Callable[..., Result], table: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in (JAX | {"JAX_NUM_PROCESSES": "two"}).items():
        monkeypatch.setenv(name, value)
    result = shoal_command("fit", table, "--out", "run")
    assert result.exit_code == 2
    assert "Error: The processes of this program could not be joined: " in result.stderr


@pytest.mark.long
def test_one_writes_and_prints(tmp_path: Path):
    """Two processes make the run that one makes, to rounding, once."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(600, 2))
    table[:, 1] += table[:, 0] ** 2
    np.save(tmp_path / "t.npy", table)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]

    def begun(place: int, out: str, environment: dict[str, str]) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", START, "fit", "t.npy", "--out", out, *OPTIONS.split()]
        pipe, where = subprocess.PIPE, {**os.environ, **environment, "JAX_NUM_CPU_DEVICES": "1"}
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=where, cwd=tmp_path)

    several = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"}
    both = [begun(i, "two", several | {"JAX_PROCESS_ID": str(i)}) for i in range(2)]
    alone = begun(0, "one", {})
    (first, _), (second, errors), _ = [process.communicate(timeout=600) for process in (*both, alone)]
    assert [process.returncode for process in (*both, alone)] == [0, 0, 0], errors
    assert "Test log-likelihood" in first
    assert not [line for line in second.splitlines() if "Gloo" not in line]
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        path.name for path in (tmp_path / "one").iterdir()
    }
    assert {path.name for path in tmp_path.iterdir()} == {"t.npy", "one", "two"}
    records = [json.loads((tmp_path / name / "record.json").read_text()) for name in ("one", "two")]
    assert records[0]["decision"]["chosen"] == records[1]["decision"]["chosen"]
    values = [[rung["validation_log_likelihood"] for rung in record["rungs"]] for record in records]
    np.testing.assert_allclose(*values, rtol=1e-5)
