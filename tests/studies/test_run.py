"""Running, resuming, failing, interrupting: what the file of records holds afterwards."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shoal.studies import Cell, Failure, read_records, run, summarize, tally
from shoal.studies._records import appending, record_of

from .toys import Toy, cells, figures


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "toy.jsonl").read_text().splitlines()]


def test_every_cell_is_recorded_with_all_that_it_depends_on(tmp_path: Path):
    toy, events = Toy(), []
    found = run(toy.study(), tmp_path / "new", progress=events.append)
    assert (found.done, found.failed, found.open, found.total) == (6, 0, 0, 6)
    assert toy.calls == [["a/0", "a/1", "a/2"], ["b/0", "b/1", "b/2"]]
    for record, cell in zip(lines(tmp_path / "new"), cells(), strict=True):
        assert record["cell"] == cell.name
        assert record["config"] == dict(cell.config)
        assert record["hash"] == cell.hash
        assert record["seed"] == list(cell.words())
        assert record["figures"] == figures(cell)
        assert record["kinds"] == {"value": "estimate", "curve": "exact", "word": "exact", "ended": "exact"}
        assert (record["status"], record["study"], record["dtype"], record["device"]) == (
            "done",
            "toy",
            "float32",
            "cpu",
        )
        assert {"python", "numpy"} == set(record["versions"])
        assert record["seconds"] >= 0
        assert record["together"] == 3
    fractions = [event["fraction"] for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert [e["words"] for e in events if e["stage"] == "cell"] == [cell.name for cell in cells()]


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_last_line_is_survived_and_nothing_before_it_changes(tmp_path: Path, cut: int):
    run(Toy().study(), tmp_path)
    path, toy = tmp_path / "toy.jsonl", Toy()
    path.write_bytes(path.read_bytes()[:-cut])
    torn = path.read_bytes()
    lost = 0 if cut == 1 else 1  # only the end of the line is gone: the record is whole
    assert tally(cells(), read_records(toy.study(), tmp_path)).done == 6 - lost
    assert run(toy.study(), tmp_path).done == 6
    assert toy.calls == [["b/2"]][:lost]
    assert path.read_bytes().startswith(torn)
    records = read_records(toy.study(), tmp_path)
    assert (records.lines, records.damaged) == (6, lost)
    assert all(records.figures(cell) == figures(cell) for cell in cells())


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from tests.studies.toys import Toy
from shoal.studies import run
kill = lambda cell: os.kill(os.getpid(), signal.SIGKILL) if cell.name == "b/1" else None
run(Toy(kill).study(), sys.argv[1])
"""


@pytest.mark.long
def test_a_killed_run_is_resumed_with_the_same_figures(tmp_path: Path):
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), root], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    toy, before = Toy(), (tmp_path / "toy.jsonl").read_bytes()
    assert run(toy.study(), tmp_path).done == 6
    assert toy.calls == [["b/0", "b/1", "b/2"]]
    assert (tmp_path / "toy.jsonl").read_bytes().startswith(before)
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
    assert len(lines(tmp_path)) == 10


def test_a_bug_is_no_figure(tmp_path: Path):
    def bug(cell: Cell) -> Any:
        raise KeyError("misspelt")

    with pytest.raises(KeyError):
        run(Toy(bug).study(), tmp_path)
    assert lines(tmp_path) == []


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
        appending(study, tmp_path),
        pytest.raises(ValueError, match="Another `shoal study run` is at work on"),
    ):
        run(study, tmp_path)


def test_records_of_a_later_version_are_refused(tmp_path: Path):
    run(Toy().study(), tmp_path)
    path = tmp_path / "toy.jsonl"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match=r"format 2, this version of Shoal reads 1"):
        read_records(Toy().study(), tmp_path)


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="can not be written"):
        run(Toy().study(), tmp_path / "file")


def test_the_list_of_statuses_is_closed(unchecked: None):
    with pytest.raises(ValueError, match="must be one of done, failed, interrupted; got 'fine'"):
        record_of(cells()[0], "fine")  # pyright: ignore[reportArgumentType]  (the test)


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
