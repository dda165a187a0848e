"""DATA, RUN and --out as URLs, on fsspec's `memory://`, which stands for an object store."""

import errno
import json
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import fsspec
import jax.random as jr
import numpy as np
import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import Result

import shoal
from shoal import _following, _remote
from shoal._errors import InputError
from shoal.distributions import Flow, StandardNormal
from shoal.tables import open_source, read_matrix, read_table

from .conftest import FakeLadder, checkpoint, table_text

Run = Callable[..., Result]
URL = "memory://lab/run"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    """An empty store; the folders of this machine that mirror it lie in `here`."""
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "here"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    system.pipe_file("/lab/t.csv", table_text().encode())
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


def names(store: MemoryFileSystem, folder: str) -> set[str]:
    return {name.removeprefix(f"/{folder}/") for name in store.find(f"/{folder}")}


def nothing_is_left(tmp_path: Path) -> bool:
    return not list((tmp_path / "here").iterdir())


class Broken(MemoryFileSystem):
    """A store that takes `works` files, and then no more."""

    protocol = "broken"
    works = 0

    def put_file(self, lpath: str, rpath: str, *args: Any, **options: Any) -> None:
        if not Broken.works:
            raise ConnectionError("the server is gone")
        Broken.works -= 1
        super().put_file(lpath, rpath, *args, **options)


@pytest.fixture
def broken() -> type[Broken]:
    fsspec.register_implementation("broken", Broken, clobber=True)
    return Broken


def test_a_table_is_read_from_its_url(tmp_path: Path, store: MemoryFileSystem):
    (tmp_path / "t.csv").write_text(table_text())
    table, far = read_table(tmp_path / "t.csv"), read_table("memory://lab/t.csv")
    np.testing.assert_array_equal(far.values, table.values)
    assert far.source == "memory://lab/t.csv"
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.write(tmp_path / "t.csv", "inner.csv")
    store.put_file(str(tmp_path / "t.zip"), "/lab/t.zip")
    np.save(tmp_path / "m.npy", np.eye(3))
    store.put_file(str(tmp_path / "m.npy"), "/lab/m.npy")
    assert open_source("zip://inner.csv::memory://lab/t.zip").names == ("a", "b", "c")
    assert open_source(f"file://{tmp_path}/t.csv").frame.height == 150
    np.testing.assert_array_equal(read_matrix("memory://lab/m.npy"), np.eye(3))
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("memory://lab/u.csv", "memory://lab/u.csv does not exist.", id="missing"),
        pytest.param("memory://lab/t.xls", "has the suffix .xls", id="suffix"),
        pytest.param("memory://folder.csv", "is a folder: name one file in it.", id="folder"),
        pytest.param("nosuch://lab/t.csv", "fsspec knows no such kind of address", id="protocol"),
        pytest.param("adl://lab/t.csv", "needs a package that is not here", id="package"),
    ],
)
def test_a_url_that_can_not_be_read_is_told(
    shoal_command: Run, store: MemoryFileSystem, tmp_path: Path, url: str, expected: str
):
    store.pipe_file("/folder.csv/t.csv", b"a,b\n")
    done = shoal_command("fit", url, "--out", "run")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {url} ")
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert nothing_is_left(tmp_path)


def test_files_of_a_pattern_or_folder(store: MemoryFileSystem):
    for name in ("part-2.csv", "part-1.csv", "other.csv", "deeper/part-3.csv"):
        store.pipe_file(f"/parts/{name}", b"a\n1\n")
    read = lambda urls: [open_source(url).label.rpartition("/")[2] for url in urls]
    assert read(_remote.remote_files("memory://parts/part-*.csv")) == ["part-1.csv", "part-2.csv"]
    assert read(_remote.remote_files("memory://parts")) == ["other.csv", "part-1.csv", "part-2.csv"]
    assert read(_remote.remote_files("memory://parts/other.csv")) == ["other.csv"]
    for url in ("memory://parts/*.parquet", "memory://nothing"):
        with pytest.raises(InputError, match=url.replace("*", r"\*")):
            _remote.remote_files(url)


def test_a_name_can_not_lead_out_of_the_folder(store: MemoryFileSystem, tmp_path: Path):
    store.store["/lab/run/../../evil.json"] = store.store["/lab/t.csv"]
    store.pipe_file("/lab/run/model.json", b"{}")
    assert list(_remote.fetch_folder("memory://lab/run", tmp_path / "run")) == ["model.json"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host/a/t.csv?token=1/2#x", "t.csv"),
        ("simplecache::s3://bucket/t.parquet", "t.parquet"),
        ("zip://in/t.npy::s3://bucket/a.zip", "t.npy"),
    ],
)
def test_the_name_of_a_file(url: str, name: str):
    assert _remote.is_url(url)
    assert _remote.file_name(url) == name


@pytest.mark.parametrize("place", ["t.csv", "/a/t.csv", "c:\\t.csv", "module:object", Path("s3://b/t.csv")])
def test_what_is_no_url(place: object):
    assert not _remote.is_url(place)


def test_a_run_is_published_whole(
    shoal_command: Run, ladder: FakeLadder, store: MemoryFileSystem, tmp_path: Path
):
    ladder.before = checkpoint
    done = shoal_command("fit", "memory://lab/t.csv", "--out", f"{URL}/")
    assert done.exit_code == 0, done.output
    assert f"The report lies at {URL}/report.html" in done.output
    expected = {"config.json", "record.json", "model.json", "report.html", "metrics.parquet", "log.jsonl"}
    expected |= {"schema.json"}
    assert names(store, "lab/run") == expected | {"checkpoints/state.json"}
    assert not names(store, "lab/run.unfinished")
    assert json.loads(store.cat_file("/lab/run/record.json"))["run"] == URL
    assert json.loads(store.cat_file("/lab/run/config.json"))["data"] == "memory://lab/t.csv"
    assert nothing_is_left(tmp_path)


def test_the_record_comes_last(
    shoal_command: Run, ladder: FakeLadder, store: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
):
    store.pipe_file("/lab/run/record.json", b"old")
    store.pipe_file("/lab/run/checkpoints/old.json", b"old")
    order: list[str] = []
    push = _remote.push_files

    def pushed(folder: Path, files: Any, url: str) -> None:
        if url == URL:
            assert not store.exists("/lab/run/record.json")
            assert names(store, "lab/run.unfinished") >= {"model.json", "record.json"}
            order.extend(files)
        push(folder, files, url)

    monkeypatch.setattr(_remote, "push_files", pushed)
    assert shoal_command("fit", "memory://lab/t.csv", "--out", URL, "--overwrite").exit_code == 0
    assert order[-1] == "record.json"
    assert names(store, "lab/run") == set(order)
    assert not names(store, "lab/run.unfinished")


def test_checkpoints_are_copied_while_training_goes_on(
    shoal_command: Run,
    ladder: FakeLadder,
    store: MemoryFileSystem,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.setattr(_following, "EVERY", 0.01)

    def trained(folder: Path) -> None:
        for number in (1, 2, 3):
            one = folder / f"checkpoint-{number}"
            one.mkdir(parents=True)
            (one / "state.json").write_text("{}")
            (folder / ".unfinished-checkpoint-9").mkdir(exist_ok=True)
            (folder / ".unfinished-checkpoint-9" / "state.json").write_text("half")
            for old in sorted(folder.glob("checkpoint-*"))[:-2]:
                (old / "state.json").unlink()
                old.rmdir()
            wanted = {f"checkpoints/{path.name}/state.json" for path in folder.glob("checkpoint-*")}
            until = time.monotonic() + 10
            while names(store, "lab/run.unfinished") - {"config.json", "log.jsonl"} != wanted:
                assert time.monotonic() < until, names(store, "lab/run.unfinished")
                time.sleep(0.01)
        raise KeyboardInterrupt

    ladder.before = trained
    done = shoal_command("fit", "memory://lab/t.csv", "--out", URL)
    assert done.exit_code == 130
    assert f"checkpoints are kept in {URL}.unfinished" in done.stderr
    assert nothing_is_left(tmp_path)
    found: list[set[str]] = []
    ladder.before = lambda folder: found.append({path.name for path in folder.glob("*/state.json")})
    assert shoal_command("fit", "memory://lab/t.csv", "--out", URL).exit_code == 2
    with_other = shoal_command("fit", "memory://lab/t.csv", "--out", URL, "--resume", "--seeds", "3")
    assert with_other.exit_code == 2
    assert "was started with other --seeds" in with_other.stderr

    def seen(folder: Path) -> None:
        found.append({path.parent.name for path in folder.glob("checkpoint-*/state.json")})

    ladder.before = seen
    done = shoal_command("fit", "memory://lab/t.csv", "--out", URL, "--resume")
    assert done.exit_code == 0, done.output
    assert ladder.calls[-1][1]["resume"]
    assert found == [{"checkpoint-2", "checkpoint-3"}]
    assert not names(store, "lab/run.unfinished")
    assert nothing_is_left(tmp_path)


def test_workers_elsewhere_have_a_folder_beside_the_copy_that_is_left_alone(
    shoal_command: Run,
    ladder: FakeLadder,
    store: MemoryFileSystem,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    monkeypatch.setattr("shoal.cli._fit.connected", lambda text: nullcontext(text))
    words = ("fit", "memory://lab/t.csv", "--out")

    def interrupted(folder: Path) -> None:
        checkpoint(folder)
        store.pipe_file("/lab/run.unfinished/.work/rows", b"far")
        raise KeyboardInterrupt

    ladder.before = interrupted
    assert shoal_command(*words, URL, "--cluster", "tcp://there:8786").exit_code == 130
    assert ladder.calls[-1][1]["work"] == f"{URL}.unfinished"
    here: list[Path] = []
    ladder.before = lambda folder: here.extend(folder.parent.glob(".work"))
    assert shoal_command(*words, URL, "--cluster", "local:2", "--resume").exit_code == 0
    assert "work" not in ladder.calls[-1][1]
    assert not here
    assert not names(store, "lab/run.unfinished")
    assert not any(name.startswith(".work") for name in names(store, "lab/run"))
    store.pipe_file("/lab/run.unfinished/.work/rows", b"of a worker that was thought dead")
    assert shoal_command(*words, URL, "--overwrite").exit_code == 0
    assert shoal_command(*words, tmp_path / "run", "--cluster", "tcp://there:8786").exit_code == 0
    assert "work" not in ladder.calls[-1][1]


@pytest.mark.parametrize(
    ("there", "options", "expected"),
    [
        pytest.param({"run/record.json"}, [], "exists already", id="run"),
        pytest.param({"run/notes.txt"}, ["--overwrite"], "something other than a run", id="foreign"),
        pytest.param({"run.unfinished/notes.txt"}, ["--overwrite"], "needs the name", id="taken"),
        pytest.param({"run.unfinished/config.json"}, [], "An unfinished run lies in", id="unfinished"),
        pytest.param({"run"}, ["--overwrite"], "is a file", id="file"),
        pytest.param({"run/model.json", "run.unfinished/config.json"}, [], "exists already", id="half"),
    ],
)
def test_what_is_there_is_not_touched(
    shoal_command: Run,
    ladder: FakeLadder,
    store: MemoryFileSystem,
    there: set[str],
    options: list[str],
    expected: str,
):
    for name in there:
        store.pipe_file(f"/lab/{name}", b"precious")
    before = dict(store.store)
    done = shoal_command("fit", "memory://lab/t.csv", "--out", URL, *options)
    assert done.exit_code == 2
    assert expected in done.stderr
    assert store.store == before
    assert not ladder.calls


def test_a_publication_that_was_killed_is_completed(
    shoal_command: Run, ladder: FakeLadder, store: MemoryFileSystem
):
    assert shoal_command("fit", "memory://lab/t.csv", "--out", URL).exit_code == 0
    for name in names(store, "lab/run"):
        store.cp_file(f"/lab/run/{name}", f"/lab/run.unfinished/{name}")
    store.rm("/lab/run/record.json")  # killed before its last file
    done = shoal_command("fit", "memory://lab/t.csv", "--out", URL, "--resume")
    assert done.exit_code == 0, done.output
    assert "record.json" in names(store, "lab/run")
    for name in names(store, "lab/run"):
        store.cp_file(f"/lab/run/{name}", f"/lab/run.unfinished/{name}")  # killed before the deletion
    done = shoal_command("fit", "memory://lab/t.csv", "--out", URL, "--resume")
    assert "exists already" in done.stderr
    assert not names(store, "lab/run.unfinished")


def test_bad_rows_leave_nothing(shoal_command: Run, store: MemoryFileSystem, tmp_path: Path):
    before = dict(store.store)
    done = shoal_command("fit", "memory://lab/t.csv", "--out", URL, "--columns", "nix")
    assert done.exit_code == 2
    assert store.store == before
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("out", ["memory://", "s3://", "zip://run::memory://lab/a.zip"])
def test_a_url_that_names_no_folder(shoal_command: Run, out: str):
    done = shoal_command("fit", "memory://lab/t.csv", "--out", out)
    assert done.exit_code == 2
    assert "is no name for a folder" in done.stderr


def test_a_store_that_takes_nothing_is_told_before_training(
    shoal_command: Run, ladder: FakeLadder, broken: type[Broken], tmp_path: Path
):
    broken.works = 0
    done = shoal_command("fit", "memory://lab/t.csv", "--out", "broken://lab/run")
    assert done.exit_code == 2
    assert "broken://lab/run.unfinished can not be written (the server is gone)" in done.stderr
    assert not ladder.calls
    assert nothing_is_left(tmp_path)


def test_no_room_here_is_told(
    shoal_command: Run, ladder: FakeLadder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "t.csv").write_text(table_text())
    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        done = shoal_command("fit", tmp_path / "t.csv", "--out", URL)
    assert done.exit_code == 2
    assert "can not be made (No space left on device); set TMPDIR to a folder" in done.stderr
    with monkeypatch.context() as patched:
        patched.setattr(MemoryFileSystem, "get_file", full)
        done = shoal_command("fit", "memory://lab/t.csv", "--out", "run")
    assert done.exit_code == 2
    assert f"there is no room left in {tmp_path}/here; set TMPDIR to another folder" in done.stderr
    assert not ladder.calls
    assert nothing_is_left(tmp_path)


def test_a_server_that_goes_away_loses_nothing(
    shoal_command: Run, ladder: FakeLadder, broken: type[Broken], tmp_path: Path
):
    broken.works = 1  # the settings
    ladder.before = checkpoint
    done = shoal_command("fit", "memory://lab/t.csv", "--out", "broken://lab/run")
    assert done.exit_code == 3
    (staged,) = (tmp_path / "here").glob("shoal-*/run")
    assert f"The finished run is kept in {staged}; copy it to broken://lab/run." in done.stderr
    assert done.stderr.count("\n") == 2  # one is of the progress
    assert {path.name for path in staged.iterdir()} >= {"model.json", "record.json", "checkpoints"}

    def stopped(folder: Path) -> None:
        checkpoint(folder)
        raise KeyboardInterrupt

    broken.works, ladder.before = 1, stopped
    done = shoal_command("fit", "memory://lab/t.csv", "--out", "broken://lab/two")
    assert done.exit_code == 3
    (staged,) = (tmp_path / "here").glob("shoal-*/two.unfinished")
    assert f"kept in {staged}; go on with the same command, --out {staged.parent}/two" in done.stderr
    ladder.before = lambda folder: None
    done = shoal_command("fit", "memory://lab/t.csv", "--out", staged.parent / "two", "--resume")
    assert done.exit_code == 0, done.output
    assert ladder.calls[-1][1]["resume"]


def test_a_run_at_a_url_scores_samples_and_is_audited(
    shoal_command: Run, store: MemoryFileSystem, tmp_path: Path
):
    body = shoal.flows.realnvp(jr.key(0), 3, 1, hidden=(4,)).bijection
    flow = Flow(StandardNormal(3), body, columns=("a", "b", "c"))
    shoal.save(flow, tmp_path / "run")
    (tmp_path / "t.csv").write_text(table_text())
    store.put(str(tmp_path / "run"), "/lab/run", recursive=True)
    for words in (
        ("score", "run", "t.csv", "-o", "here.csv"),
        ("score", URL, "memory://lab/t.csv", "-o", "far.csv"),
    ):
        done = shoal_command(*words)
        assert done.exit_code == 0, done.output
    assert pl.read_csv(tmp_path / "far.csv").equals(pl.read_csv(tmp_path / "here.csv"))
    assert shoal_command("sample", URL, "-n", "5", "-o", "s.csv").exit_code == 0
    assert shoal_command("audit", URL, "memory://lab/t.csv", "--points", "20").exit_code == 0
    advised = shoal_command("advise", "memory://lab/t.csv", "--json")
    assert json.loads(advised.stdout)["source"] == "memory://lab/t.csv"
    missing = shoal_command("score", "memory://lab/none", "t.csv", "-o", "x.csv")
    assert missing.exit_code == 2
    assert "RUN memory://lab/none does not exist; name a folder" in missing.stderr
