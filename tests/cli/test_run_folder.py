"""The moments in which a finished run takes its place, each of them cut by a kill."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shoal._errors import InputError
from shoal.cli import _run_folder
from shoal.cli._run_folder import Places, check_places, find_places, publish

STEPS = ("complete", "old aside", "new in place")


def complete(folder: Path, what: str) -> None:
    """A folder that stands for a complete run."""
    folder.mkdir(exist_ok=True)
    for name in ("model.json", "record.json", "config.json"):
        (folder / name).write_text(json.dumps(what))
    (folder / "checkpoints").mkdir()


def content(folder: Path) -> str | None:
    """What a complete run was written as; None if there is none."""
    names = ("model.json", "record.json", "config.json")
    if not all((folder / name).is_file() for name in names):
        return None
    (what,) = {json.loads((folder / name).read_text()) for name in names}
    return what


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = find_places(str(tmp_path / "run"))
    complete(found.run, "old")
    complete(found.unfinished, "new")
    return found


def all_runs(places: Places) -> list[str | None]:
    return [content(folder) for folder in (places.run, places.unfinished, places.replaced) if folder.exists()]


KILLED = """
import os, signal, sys
from shoal.cli import _run_folder
def between(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
_run_folder.between = between
_run_folder.publish(_run_folder.find_places(sys.argv[1]))
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_between_two_steps_leaves_a_complete_run(places: Places, step: str):
    done = subprocess.run([sys.executable, "-c", KILLED, str(places.run), step], check=False)
    assert done.returncode == -signal.SIGKILL
    found = all_runs(places)
    assert None not in found
    assert "new" in found
    check_places(places, overwrite=True, resume=True)  # the next `shoal fit` puts the names right
    assert content(places.run) == ("new" if step == "new in place" else "old")
    assert not places.replaced.exists()
    if step != "new in place":
        assert content(places.unfinished) == "new"
        publish(places)
        assert content(places.run) == "new"
        assert all_runs(places) == ["new"]


def test_at_every_step_a_complete_run_is_there(places: Places, monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, list[str | None]] = {}
    monkeypatch.setattr(_run_folder, "between", lambda step: seen.update({step: all_runs(places)}))
    publish(places)
    assert seen == {"complete": ["old", "new"], "old aside": ["new", "old"], "new in place": ["new", "old"]}
    assert all_runs(places) == ["new"]


def test_the_first_run_takes_its_place(places: Places):
    shutil.rmtree(places.run)
    publish(places)
    assert all_runs(places) == ["new"]


def test_a_run_behind_a_link(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "run")
    found = find_places(str(tmp_path / "link"))
    complete(found.run, "old")
    complete(found.unfinished, "new")
    publish(found)
    assert content(tmp_path / "link") == "new"
    assert {path.name for path in (tmp_path / "disk").iterdir()} == {"run"}


@pytest.mark.parametrize("taken", ["unfinished", "replaced"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_run_is_not_deleted(places: Places, taken: str, kind: str):
    path: Path = getattr(places, taken)
    shutil.rmtree(places.unfinished)
    if kind == "folder":
        path.mkdir()
    mine = path if kind == "file" else path / "notes.txt"
    mine.write_text("mine")
    with pytest.raises(
        InputError, match=rf"needs the name run.{taken} beside it, which is taken by something"
    ):
        check_places(places, overwrite=True, resume=True)
    assert mine.read_text() == "mine"
    assert content(places.run) == "old"


def test_a_run_that_was_killed_before_its_first_file_is_no_obstacle(places: Places):
    shutil.rmtree(places.unfinished)
    places.unfinished.mkdir()
    (places.unfinished / _run_folder.LOCK).touch()
    check_places(places, overwrite=True, resume=False)
    assert content(places.run) == "old"


def test_what_a_killed_deletion_left_is_no_obstacle(places: Places):
    places.unfinished.rename(places.replaced)
    for path in places.replaced.glob("*.json"):
        path.unlink()
    check_places(places, overwrite=True, resume=False)
    assert not places.replaced.exists()


def test_a_folder_that_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_run_folder.os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(InputError, match=r"the folder .* is not writable"):
        check_places(find_places(str(tmp_path / "run")), overwrite=False, resume=False)
