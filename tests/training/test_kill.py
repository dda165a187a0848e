"""SIGKILLs at random moments, half of them during a save: every later loss equals the uninterrupted run's."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class Server:
    """The process that forks the training processes."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        command = [sys.executable, str(ROOT / "tests/training/kill_server.py")]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(
        self, folder: Path | None, log: Path, *, slow: bool = False, compiled: Path | None = None
    ) -> int:
        """Begin a training; its process number."""
        assert self.process.stdin is not None
        paths = {"folder": folder, "log": log, "compiled": compiled}
        order = {name: None if path is None else str(path) for name, path in paths.items()} | {"slow": slow}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def status(self) -> int:
        """Wait for the training to be gone; as `os.waitpid` gives it."""
        return int(self.line())


@pytest.fixture
def server():
    server = Server()
    yield server
    server.process.kill()
    server.process.communicate()


def entries(log: Path) -> list[list[Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def wait(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited a minute for {what}"
        time.sleep(0.0005)


def saving(folder: Path) -> bool:
    return any(path.name.startswith(".unfinished-") for path in folder.iterdir())


@pytest.mark.parametrize(("kills", "reached"), [(6, 3), pytest.param(20, 21, marks=pytest.mark.long)])
def test_kills(server: Server, tmp_path: Path, kills: int, reached: int):
    whole = tmp_path / "whole.log"
    server.start(None, whole)
    assert server.status() == 0
    expected = entries(whole)
    assert expected[-1][:2] == ["end", "finished"]
    assert expected[-2][-1] > 0, "the run rolls back, so that a resumed run has that to remember"

    folder, log, dice = tmp_path / "run", tmp_path / "killed.log", random.Random(0)
    folder.mkdir()
    in_save, first_epochs = 0, []
    for kill in range(kills):
        seen = len(entries(log))
        compiled = None if kill % 5 == 0 else tmp_path / "compiled"
        child = server.start(folder, log, slow=kill % 2 == 1, compiled=compiled)
        wait(lambda seen=seen: len(entries(log)) > seen, "an epoch")
        time.sleep(dice.uniform(0.0, 0.08))
        if kill % 2 == 1:
            wait(lambda: saving(folder), "a save")
            time.sleep(dice.uniform(0.0, 0.06))
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(server.status()) == signal.SIGKILL, "the training ended before it was killed"
        in_save += saving(folder)
        first_epochs.append(entries(log)[seen][0])
    server.start(folder, log)
    assert server.status() == 0

    found = entries(log)
    assert found[-1] == expected[-1]
    assert {row[0] for row in found} == {row[0] for row in expected}
    by_epoch = {row[0]: row for row in expected}
    assert [row for row in found if row != by_epoch[row[0]]] == []
    assert in_save >= kills // 4
    assert first_epochs == sorted(first_epochs)
    assert first_epochs[-1] >= reached, "resumed runs went on from where the killed ones were"
