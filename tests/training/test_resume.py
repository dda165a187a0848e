"""Checkpoints: what is on the disk, resuming, damage, and runs that do not match."""

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from shoal.training import FitResult, Settings, fit
from shoal.training._checkpoint import Checkpoints
from tests.training.cases import TRAIN, VALID, Fragile, chained, fragile, same_bits, scales, settled

KEY = jax.random.key(11)
SETTINGS = Settings(
    batch_size=64, max_epochs=12, learning_rate=0.2, warmup_fraction=0.0, checkpoint_seconds=1e-6
)
WIDE = (np.exp(0.45) * np.random.default_rng(0).normal(size=(640, 2))).astype(np.float32)


def run(folder: Path | None = None, *, epochs: int | None = None, **changes: Any) -> FitResult:
    """The run that all tests here share; with `epochs`, stopped after so many."""
    stop = threading.Event()

    def listen(event: dict) -> None:
        if event["epoch"] == epochs:
            stop.set()

    arguments = {"validation": VALID, "key": KEY, "folder": folder, "stop": stop, "progress": listen}
    return fit(**settled(SETTINGS, **({"flow": fragile(0.3), "data": WIDE} | arguments | changes)))


@pytest.fixture(scope="module")
def whole() -> FitResult:
    return run()


def folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_run_rolls_back_so_that_resuming_has_something_to_remember(whole: FitResult):
    assert whole.status == "finished"
    assert whole.rollbacks


def test_writing_checkpoints_changes_nothing(whole: FitResult, tmp_path: Path):
    assert same_bits(whole, run(tmp_path / "run"))


@pytest.mark.parametrize("epochs", [1, 5, 11])
def test_an_interrupted_run_goes_on_bit_for_bit(whole: FitResult, tmp_path: Path, epochs: int):
    part = run(tmp_path, epochs=epochs)
    assert part.status == "interrupted"
    assert len(part.history) == epochs
    assert folders(tmp_path) == sorted(p.name for p in Checkpoints(tmp_path).whole)
    rest = run(tmp_path, resume=True)
    assert same_bits(whole, rest)
    assert rest.seconds > sum(row.seconds for row in part.history)  # of both parts together


def test_many_interruptions(whole: FitResult, tmp_path: Path):
    for epochs in (2, 3, 7):
        run(tmp_path, epochs=epochs, resume=True)
    assert same_bits(whole, run(tmp_path, resume=True))


def test_a_run_that_is_over_is_returned_as_it_was(whole: FitResult, tmp_path: Path):
    first = run(tmp_path)
    before = folders(tmp_path)
    again = run(tmp_path, resume=True)
    assert same_bits(whole, again)
    assert (again.status, again.message) == (first.status, first.message)
    assert 0 < again.seconds <= first.seconds
    assert folders(tmp_path) == before


def test_the_last_two_are_kept(tmp_path: Path):
    run(tmp_path)
    numbers = [int(name.removeprefix("checkpoint-")) for name in folders(tmp_path)]
    assert len(numbers) == 2
    assert numbers[1] == numbers[0] + 1
    assert numbers[1] >= 12


def test_not_more_often_than_asked(tmp_path: Path):
    run(tmp_path, checkpoint_seconds=3600.0)
    assert folders(tmp_path) == ["checkpoint-00000001"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))


def change_a_number(path: Path) -> None:
    record = json.loads(path.read_text())
    record["content"]["factor"] = 1.5
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("arrays.safetensors", truncate),
        ("arrays.safetensors", flip),
        ("arrays.safetensors", Path.unlink),
        ("state.json", truncate),
        ("state.json", change_a_number),
        ("state.json", Path.unlink),
    ],
    ids=["torn-arrays", "flipped-bit", "no-arrays", "torn-json", "changed-json", "no-json"],
)
def test_a_damaged_newest_checkpoint_falls_back(whole: FitResult, tmp_path: Path, name: str, damage: Any):
    run(tmp_path, epochs=6)
    newest = Checkpoints(tmp_path).whole[-1]
    damage(newest / name)
    events: list[dict] = []
    rest = run(tmp_path, resume=True, progress=events.append)
    assert 1 < events[0]["epoch"] <= 6
    assert same_bits(whole, rest)
    assert newest.name not in folders(tmp_path)


def test_nothing_whole_is_an_error(tmp_path: Path):
    run(tmp_path, epochs=3)
    for path in Checkpoints(tmp_path).whole:
        truncate(path / "state.json")
    with pytest.raises(ValueError, match=r"None of the checkpoints in .* is whole; remove the folder"):
        run(tmp_path, resume=True)


def test_resume_without_checkpoints_begins_anew(whole: FitResult, tmp_path: Path):
    assert same_bits(whole, run(tmp_path / "nothing here yet", resume=True))


def test_left_over_temporary_folders_are_removed(tmp_path: Path):
    left = tmp_path / ".unfinished-checkpoint-00000009"
    left.mkdir(parents=True)
    (left / "arrays.safetensors").write_bytes(b"torn")
    run(tmp_path, epochs=2)
    assert not left.exists()


def test_every_file_and_folder_is_flushed_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    flushed: list[str] = []
    fsync = os.fsync

    def flush(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", flush)
    Checkpoints(tmp_path / "run").save({"a": np.zeros(3)}, {"b": 1.0})
    files = [f".{name}.{os.getpid()}.unfinished" for name in ("arrays.safetensors", "state.json")]
    folder = ".unfinished-checkpoint-00000001"
    assert flushed == [files[0], folder, files[1], folder, "run"]


def test_values_come_back_as_they_were(tmp_path: Path):
    arrays = {"x": np.array([1.5, np.nan], np.float32), "n": np.array(7, np.int32), "d": np.array([0.1])}
    content = {"loss": [0.1, float("nan"), float("-inf")], "text": "layer 1: Affine", "none": None}
    Checkpoints(tmp_path).save(arrays, content)
    found = Checkpoints(tmp_path).load()
    assert found is not None
    for name, array in arrays.items():
        assert found[0][name].dtype == array.dtype
        assert found[0][name].tobytes() == array.tobytes()
    assert repr(found[1]) == repr(content)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    run(folder, epochs=4)
    return folder


OTHER = {
    "learning_rate": ({"learning_rate": 0.1}, r"`learning_rate` \(0\.2 there, 0\.1 here\)"),
    "max_epochs": ({"max_epochs": 13}, r"`max_epochs` \(12 there, 13 here\)"),
    "batch_size": ({"batch_size": 32}, r"`batch_size` \(64 there, 32 here\)"),
    "clip_norm": ({"clip_norm": None}, r"`clip_norm` \(5\.0 there, None here\)"),
    "data": ({"data": WIDE[::-1]}, "another run: `data` differ"),
    "weights": ({"weights": np.arange(640.0)}, "another run: `data` differ"),
    "validation": ({"validation": VALID[1:]}, "another run: `validation` differ"),
    "no validation": ({"validation": None}, "another run: `validation` differ"),
    "key": ({"key": jax.random.key(12)}, r"`key` \(\[0, 11\] there, \[0, 12\] here\)"),
    "flow": ({"flow": scales()}, "another run: `flow`, "),
    "two": ({"data": TRAIN, "patience": 3}, r"`patience` \(20 there, 3 here\), `data` differ"),
}


@pytest.mark.parametrize(("changes", "message"), OTHER.values(), ids=OTHER.keys())
def test_another_run_is_refused_by_name(stopped: Path, changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        run(stopped, resume=True, **changes)


def test_an_earlier_run_is_never_written_over(stopped: Path):
    before = folders(stopped)
    with pytest.raises(ValueError, match="holds checkpoints of an earlier run; pass `resume=True`"):
        run(stopped)
    assert folders(stopped) == before


def test_the_time_limit_may_change(stopped: Path, whole: FitResult, tmp_path: Path):
    shutil.copytree(stopped, tmp_path / "copy")
    assert same_bits(whole, run(tmp_path / "copy", resume=True, time_limit=1e6))


def test_state_before_the_first_epoch_is_resumable(whole: FitResult, tmp_path: Path):
    stop = threading.Event()
    stop.set()
    assert run(tmp_path, stop=stop).history == []
    assert same_bits(whole, run(tmp_path, resume=True))


def test_structure_of_another_flow_is_refused(stopped: Path):
    wider = chained(Fragile(2, 1e3), Fragile(2, 0.3), Fragile(2, 1e3))
    with pytest.raises(ValueError, match="another run: `flow`, "):
        run(stopped, resume=True, flow=wider)
