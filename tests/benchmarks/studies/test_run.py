"""Running, resuming, failing, interrupting: what the file of records holds afterwards."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from resume import alone
from studies.cells import run
from studies.grid import Cell, Failure
from studies.records import place, read_records, tally
from studies.summary import summarize

from .toys import Toy, cells, figures


def lines(folder: Path) -> list[dict[str, Any]]:
    return [dict(r) for r in read_records(Toy().study(), folder).latest.values()]


def test_every_cell_is_recorded_with_all_that_it_depends_on(tmp_path: Path):
    toy, events = Toy(), []
    found = run(toy.study(), tmp_path / "new", progress=events.append)
    assert (found.done, found.failed, found.open, found.total) == (6, 0, 0, 6)
    assert toy.calls == [["a/0", "a/1", "a/2"], ["b/0", "b/1", "b/2"]]
    for record, cell in zip(lines(tmp_path / "new"), cells(), strict=True):
        assert record["cell"] == cell.name
        assert record["config"] == dict(cell.config)
        assert record["seed"] == list(cell.words())
        assert record["figures"] == figures(cell)
        assert record["kinds"] == {"value": "estimate", "curve": "exact", "word": "exact", "ended": "exact"}
        assert (record["status"], record["dtype"], record["device"]) == ("done", "float32", "cpu")
        assert {"python", "numpy"} == set(record["versions"])
        assert record["seconds"] >= 0
        assert record["together"] == 3
    fractions = [event["fraction"] for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert [e["words"] for e in events if e["stage"] == "cell"] == [cell.name for cell in cells()]


KILLED = """
import os, signal, sys
sys.path[:0] = [sys.argv[2], sys.argv[2] + "/benchmarks"]
from tests.benchmarks.studies.toys import Toy
from studies.cells import run
kill = lambda cell: os.kill(os.getpid(), signal.SIGKILL) if cell.name == "b/1" else None
run(Toy(kill).study(), sys.argv[1])
"""


@pytest.mark.long
def test_a_killed_run_is_resumed_with_the_same_figures(tmp_path: Path):
    root = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), root], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    toy, before = Toy(), read_records(Toy().study(), tmp_path).latest
    assert len(before) == 3
    assert run(toy.study(), tmp_path).done == 6
    assert toy.calls == [["b/0", "b/1", "b/2"]]
    assert {h: r for h, r in read_records(toy.study(), tmp_path).latest.items() if h in before} == before
    assert [r["figures"] for r in lines(tmp_path)] == [figures(cell) for cell in cells()]


def fails(cell: Cell) -> Any:
    if cell.name == "a/1":
        return Failure("it did not converge")
    if cell.config["kind"] == "b":
        raise FloatingPointError("a value\nis not finite")
    return None


def test_failures_are_recorded_with_their_reason_and_run_again_when_asked(tmp_path: Path):
    found = run(Toy(fails).study(), tmp_path)
    assert (found.done, found.failed, found.open) == (2, 4, 0)
    reasons = {r["cell"]: r["reason"] for r in lines(tmp_path) if r["status"] == "failed"}
    assert reasons == {
        "a/1": "it did not converge",
        **dict.fromkeys(("b/0", "b/1", "b/2"), "FloatingPointError: a value is not finite"),
    }
    again = Toy()
    assert run(again.study(), tmp_path).failed == 4
    assert again.calls == []
    assert run(again.study(), tmp_path, retry=True).done == 6
    assert again.calls == [["a/1"], ["b/0", "b/1", "b/2"]]
    assert [r["cell"] for r in lines(tmp_path)] == [cell.name for cell in cells()]


def test_a_bug_is_no_figure(tmp_path: Path):
    def bug(cell: Cell) -> Any:
        raise KeyError("misspelt")

    with pytest.raises(KeyError):
        run(Toy(bug).study(), tmp_path)
    assert not (tmp_path / "toy.json").exists()


def interrupt(cell: Cell) -> Any:
    if cell.name == "b/1":
        raise KeyboardInterrupt


def test_an_interrupt_is_recorded_and_gone_on_from(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        run(Toy(interrupt).study(), tmp_path)
    assert [r["status"] for r in lines(tmp_path)] == ["done"] * 3 + ["interrupted"] * 3
    toy = Toy()
    assert tally(cells(), read_records(toy.study(), tmp_path)).open == 3
    assert run(toy.study(), tmp_path).done == 6
    assert toy.calls == [["b/0", "b/1", "b/2"]]


def test_the_smoke_grid_is_another_grid_in_the_same_file(tmp_path: Path):
    toy = Toy()
    assert run(toy.study(), tmp_path, smoke=True).total == 2
    assert toy.calls == [["a/0/smoke"], ["b/0/smoke"]]
    assert tally(cells(), read_records(toy.study(), tmp_path)).done == 0


def test_two_runs_of_one_study_do_not_mix(tmp_path: Path):
    study = Toy().study()
    with (
        alone(place(study, tmp_path)),
        pytest.raises(ValueError, match="Another run is at work on"),
    ):
        run(study, tmp_path)


def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path):
    (tmp_path / "toy.json").write_text('{"cells": {')
    with pytest.raises(ValueError, match=r"toy.json is not a record"):
        run(Toy().study(), tmp_path)
    assert (tmp_path / "toy.json").read_text() == '{"cells": {'


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="can not be written"):
        run(Toy().study(), tmp_path / "file")


def test_medians_over_seeds(tmp_path: Path):
    def gives(cell: Cell) -> Any:
        seed: Any = cell.config["seed"]
        if cell.config["kind"] == "b" and seed > 0:
            return {"value": None, "loss": float("nan")}
        return {"value": [5.0, 1.0, 3.0][seed], "loss": 1.0}

    study = Toy(gives).study()
    run(study, tmp_path)
    one, two = summarize(study, read_records(study, tmp_path))
    assert one.config == {"kind": "a", "size": 4}
    assert one.runs == 3
    assert vars(one.figures["value"]) == {"median": 3.0, "low": 1.0, "high": 5.0, "missing": 0}
    assert vars(two.figures["value"]) == {"median": None, "low": 5.0, "high": None, "missing": 2}
    assert vars(two.figures["loss"]) == {"median": None, "low": 1.0, "high": None, "missing": 2}
    assert one.kinds == {"value": "estimate", "loss": "exact"}
