"""`shoal runs`: what is listed of a folder or URL, and that nothing in it makes it fail."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import Result

from shoal.cli._runs import find_runs
from shoal.records import write_record

from .conftest import plain_record, settings

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two runs, two unfinished ones, and what is none."""
    place = tmp_path / "runs"
    for name in (
        "b",
        "a",
        "c.unfinished",
        "d.unfinished",
        "empty",
        "broken",
        "other",
        "c.unfinished/checkpoints",
    ):
        (place / name).mkdir(parents=True, exist_ok=True)
    write_record(plain_record(created="2026-11-30T12:34:56+00:00", seconds=61.5), place / "a" / "record.json")
    nothing = {"chosen": None, "best": 0, "kept": None, "seed": None}
    write_record(plain_record(decision=nothing, test=None), place / "b" / "record.json")
    delivered = {"chosen": None, "best": 0, "kept": 1, "seed": 0}
    write_record(plain_record(decision=delivered), place / "c.unfinished" / "record.json")
    write_record(settings("d.csv"), place / "d.unfinished" / "config.json")
    (place / "broken" / "record.json").write_text("{")
    write_record({"kind": "construction", "format": 1}, place / "other" / "record.json")
    (place / "notes.txt").write_text("no run")
    return place


@pytest.fixture
def store(folder: Path) -> Iterator[MemoryFileSystem]:
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/lab/runs", recursive=True)
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


EXPECTED = {
    "a": {"flow": "nsf on gaussian, 2 layers", "layers": 2, "chosen": True, "test": -2.6, "condition": 10.0},
    "b": {"flow": "", "layers": None, "chosen": False, "test": None, "condition": None},
    "c.unfinished": {"flow": "gaussian, no layer", "layers": 0, "chosen": False, "validation": -3.75},
    "d.unfinished": {"flow": "", "data": "d.csv", "rows": None},
}


@pytest.mark.parametrize("place", ["runs", "memory://lab/runs", "memory://lab/runs/"])
def test_what_is_listed(shoal_command: Run, store: MemoryFileSystem, place: str):
    done = shoal_command("runs", place, "--json")
    assert done.exit_code == 0, done.output
    found = {run.pop("name"): run for run in json.loads(done.stdout)}
    assert list(found) == list(EXPECTED)
    for name, expected in EXPECTED.items():
        assert {key: found[name][key] for key in expected} == expected
        assert found[name]["unfinished"] == name.endswith("unfinished")
    assert (found["a"]["created"], found["a"]["seconds"]) == ("2026-11-30T12:34:56+00:00", 61.5)
    assert (found["a"]["data"], found["a"]["rows"], found["a"]["columns"]) == ("t.csv", 150, 3)
    told = done.stderr.splitlines()
    assert [line.split()[0] for line in told] == ["broken", "other"]
    assert "shoal-" not in done.stderr


def test_the_table(shoal_command: Run, folder: Path):
    done = shoal_command("runs", "runs")
    lines = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert {"nsf on gaussian, 2 layers", "-2.500", "-2.600", "10", "2026-11-30 12:34", "62"} <= {
        cell.strip() for cell in lines["a"].split("│")
    }
    assert "gaussian, no layer (not chosen)" in " ".join(lines["c.unfinished"].split())
    assert "│ unfinished " in lines["d.unfinished"]
    assert all(len(line) <= 140 for line in done.stdout.splitlines())


def test_a_run_itself_and_a_folder_without_one(shoal_command: Run, folder: Path):
    (one,), damaged = find_runs(str(folder / "a"))
    assert (one.name, damaged) == (str(folder / "a"), [])
    done = shoal_command("runs", folder / "empty")
    assert (done.exit_code, done.stdout) == (0, f"No run lies in {folder / 'empty'}.\n")


@pytest.mark.parametrize("place", ["nothing", "runs/notes.txt", "memory://lab/nothing"])
def test_no_folder(shoal_command: Run, store: MemoryFileSystem, place: str):
    done = shoal_command("runs", place)
    assert done.exit_code == 2
    assert done.stderr == f"Error: {place} is no folder; name one with runs in it.\n"
