"""Ladders on executors: the same decision and bits as without one; workers that die, differ or are stopped."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from shoal import _following, _remote
from shoal._errors import InputError, WorkersLost
from shoal._executors import connected
from shoal.records import read_run
from shoal.selection import LadderResult, _work_place, ladder
from shoal.selection import _worker as worker
from shoal.tables import read_stream
from shoal.training import Settings, fit

pytestmark = pytest.mark.usefixtures("unprofiled")
SMALL: dict[str, Any] = {
    "families": ("realnvp",),
    "fronts": ("gaussian", "marginals"),
    "depths": (1,),
    "hidden": (8,),
    "settings": Settings(max_epochs=4, batch_size=128, learning_rate=3e-3),
}
SLOW = Settings(max_epochs=120, patience=None, batch_size=64, checkpoint_seconds=0.2)
START = "from shoal.cli import main; main()"
TALL: dict[str, Any] = {**SMALL, "depths": (1, 2), "seeds": 2}
URL = "memory://lab/work"
SEEDS = {"realnvp-on-gaussian,-1/run-00", "realnvp-on-marginals,-1/run-00"}


def table(rows: int = 600) -> np.ndarray:
    z = np.random.default_rng(3).normal(size=(rows, 2))
    return np.stack([z[:, 0], z[:, 0] ** 2 + 0.3 * z[:, 1]], 1)


@pytest.fixture(scope="module")
def plain(unprofiled: None) -> LadderResult:
    return ladder(table(), **SMALL)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    """An empty store, looked at often; what workers fetch lies in `there`."""
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there"))
    for name in ("EVERY", "AFTER_FAILURE"):
        monkeypatch.setattr(_following, name, 0.02)
    monkeypatch.setattr(_work_place, "PAUSES", (0.02, 0.02))
    for cached in (worker._parts, _work_place._kept):
        cached.cache_clear()
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()
    _work_place._kept.cache_clear()


def assert_same(ours: LadderResult, theirs: LadderResult) -> None:
    """The same rungs, bit for bit, and the same decision; times may differ."""
    assert ours.choice == theirs.choice
    assert ours.record.decision == theirs.record.decision
    assert [r.name for r in ours.rungs] == [r.name for r in theirs.rungs]
    for a, b in zip(ours.rungs, theirs.rungs, strict=True):
        np.testing.assert_array_equal(a.log_likelihoods, b.log_likelihoods)
        assert [r.status for r in a.results] == [r.status for r in b.results]
        for mine, other in zip(a.results, b.results, strict=True):
            assert [row.train for row in mine.history] == [row.train for row in other.history]
    for a, b in zip(ours.record.race, theirs.record.race, strict=True):
        assert (a.event, a.rung, a.validation, a.status, a.why) == (
            b.event,
            b.rung,
            b.validation,
            b.status,
            b.why,
        )


def test_threads_give_the_same_ladder_and_the_record_says_who_did_what(plain: LadderResult, tmp_path: Path):
    told: list[dict[str, Any]] = []
    with ThreadPoolExecutor(2) as pool:
        out = ladder(table(), **SMALL, folder=tmp_path / "c", executor=pool, progress=told.append)
    assert_same(out, plain)
    done = [event for event in out.record.race if event.event == "rung" and out.rungs[event.rung].depth]
    assert [len(event.workers) for event in done] == [1, 1]
    assert all(event.workers[0].endswith(f" {os.getpid()}") for event in done)
    assert all(event.workers == [] for event in plain.record.race)
    assert len({event.rung for event in out.record.race if event.event == "rung"}) == len(out.rungs)
    epochs = [e for e in told if e["stage"] == "train"]
    assert {(e["rung"], e["epoch"]) for e in epochs} == {
        (r.name, i) for r in out.rungs[2:] for i in range(1, 5)
    }
    fractions = [e["fraction"] for e in epochs]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert not (tmp_path / "c" / ".work").exists()


def test_a_finished_ladder_resumes_without_an_executor(plain: LadderResult, tmp_path: Path):
    with ThreadPoolExecutor(1) as pool:
        ladder(table(), **SMALL, folder=tmp_path, executor=pool)
        with pytest.raises(InputError, match="holds checkpoints of an earlier run"):
            ladder(table(), **SMALL, folder=tmp_path, executor=pool)
    assert_same(ladder(table(), **SMALL, folder=tmp_path, resume=True), plain)


def test_a_worker_with_other_versions_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shoal._executors.package_versions", lambda names: {"numpy": "1", "jax": "3"})
    monkeypatch.setattr("shoal.selection._crew.versions", lambda: {"numpy": "1", "jax": "2"})
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(InputError, match=r"has jax 3 \(there 2\); give workers"),
    ):
        ladder(table(), **SMALL, executor=pool)


def test_a_worker_that_does_not_see_the_rows_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("shoal.selection._crew.write_parts", lambda *_: (str(tmp_path / "parts.npz"), "0"))
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(InputError, match=r"does not see .*parts\.npz; put it on a"),
    ):
        ladder(table(), **SMALL, executor=pool)


class Gone:
    """A task that its executor gave up."""

    def result(self) -> Any:
        raise CancelledError

    def done(self) -> bool:
        return True

    def cancel(self) -> bool:
        return True


class Dying:
    """Loses what it is given after the first task."""

    def __init__(self, pool: ThreadPoolExecutor):
        self.pool, self.dead = pool, False

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        if self.dead:
            return Gone()
        self.dead = True
        return self.pool.submit(fn, *args)


def test_an_executor_that_is_gone_is_one_sentence_and_its_checkpoints_stay(tmp_path: Path):
    with ThreadPoolExecutor(1) as pool, pytest.raises(WorkersLost, match="the workers are gone"):
        ladder(table(), **SMALL, folder=tmp_path, executor=Dying(pool))
    assert list(tmp_path.glob("realnvp-on-gaussian,-1/run-00/checkpoint-*"))
    assert not list(tmp_path.glob("realnvp-on-marginals,-1/run-00/checkpoint-*"))


@pytest.mark.parametrize("work", [None, URL])
def test_ctrl_c_stops_the_tasks_and_keeps_what_is_done(
    store: MemoryFileSystem, tmp_path: Path, work: str | None
):
    """Both rungs end at their next chunk, long before their last epoch."""
    long = {**SMALL, "settings": Settings(max_epochs=100_000, patience=None, batch_size=128)}

    def press(event: dict[str, Any]) -> None:
        if event["stage"] == "train" and not pressed.is_set():
            pressed.set()
            os.kill(os.getpid(), signal.SIGINT)

    pressed = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        out = ladder(table(), **long, folder=tmp_path, executor=pool, progress=press, work=work)
    assert out.interrupted
    assert out.flow is not None
    assert {r.status for r in out.rungs if r.results} == {"interrupted"}
    assert list(tmp_path.glob("realnvp-on-gaussian,-1/run-00/checkpoint-*"))
    assert not (tmp_path / ".work").exists()
    assert not store.find("/lab")


def seeds_in(folder: Path) -> set[str]:
    return {str(path.parent.relative_to(folder)) for path in folder.glob("*/*/checkpoint-*")}


def test_workers_that_share_a_url_alone_give_the_same_ladder(
    plain: LadderResult, store: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The store refuses the first copies; what a worker has told and its checkpoints arrive all the same."""
    refused, told = [0], list[dict[str, Any]]()
    push = _remote.push_files

    def unsure(*args: Any) -> None:
        refused[0] += 1
        if refused[0] <= 2:
            raise InputError("the store has its moments")
        push(*args)

    monkeypatch.setattr(_remote, "push_files", unsure)
    with ThreadPoolExecutor(2) as pool:
        out = ladder(table(), **SMALL, folder=tmp_path, executor=pool, progress=told.append, work=f"{URL}/")
    assert refused[0] > 2
    assert_same(out, plain)
    assert "work" not in out.record.config
    epochs = {(e["rung"], e["epoch"]) for e in told if e["stage"] == "train"}
    assert epochs == {(r.name, i) for r in out.rungs[2:] for i in range(1, 5)}
    assert seeds_in(tmp_path) == SEEDS
    assert not store.find("/lab")
    assert not list((tmp_path / "there").iterdir())
    assert_same(ladder(table(), **SMALL, folder=tmp_path, resume=True), plain)


class Lost(Exception):
    """Stands for the end of a worker."""


class Again:
    """Tries a task again whose worker was lost."""

    def __init__(self, pool: ThreadPoolExecutor):
        self.pool = pool

    def submit(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        return self.pool.submit(self.tried, fn, *args)

    def tried(self, fn: Callable[..., Any], /, *args: Any) -> Any:
        try:
            return fn(*args)
        except Lost:
            return fn(*args)


def test_a_task_whose_worker_is_lost_goes_on_from_its_checkpoint_at_the_url(
    plain: LadderResult, store: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    began: list[set[str]] = []

    def die(epoch: Any) -> None:
        if epoch.row.epoch == 2:
            until = time.monotonic() + 30
            while not any(name.endswith("/state.json") for name in store.find("/lab")):
                assert time.monotonic() < until
                time.sleep(0.01)
            raise Lost

    def dying(*args: Any, **more: Any) -> Any:
        began.append({path.name for path in Path(more["folder"]).glob("checkpoint-*")})
        return fit(*args, **more, callback=die if len(began) == 1 else None)

    monkeypatch.setattr(worker, "fit", dying)
    often = {**SMALL, "settings": replace(SMALL["settings"], checkpoint_seconds=1e-3)}
    with ThreadPoolExecutor(1) as pool:
        out = ladder(table(), **often, folder=tmp_path, executor=Again(pool), work=URL)
    assert [bool(names) for names in began] == [False, True, False]
    assert_same(out, plain)


def test_checkpoints_of_this_machine_and_of_a_lost_submitter_are_used(
    plain: LadderResult, store: MemoryFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    began: list[bool] = []

    def counted(*args: Any, **more: Any) -> Any:
        began.append(bool(list(Path(more["folder"]).glob("checkpoint-*"))))
        return fit(*args, **more)

    ladder(table(), **SMALL, folder=tmp_path / "one")
    monkeypatch.setattr(worker, "fit", counted)
    with ThreadPoolExecutor(1) as pool:
        more = {**SMALL, "executor": pool, "work": URL, "resume": True}
        assert_same(ladder(table(), **more, folder=tmp_path / "one"), plain)
        store.put(str(tmp_path / "one"), "/lab/work/.work", recursive=True)
        later = "realnvp-on-gaussian,-2/run-00"  # of a rung that this ladder does not come to
        store.put(str(tmp_path / "one" / min(SEEDS)), f"/lab/work/.work/{later}", recursive=True)
        store.pipe_file("/lab/work/.work/go-another", b"")
        with pytest.raises(InputError, match="holds the work of an earlier run; pass `resume=True`"):
            ladder(table(), **{**more, "resume": False}, folder=tmp_path / "two")
        assert_same(ladder(table(), **more, folder=tmp_path / "two"), plain)
    assert began == [True] * 4
    assert seeds_in(tmp_path / "two") == {*SEEDS, later}
    assert not store.find("/lab")


def test_a_worker_that_finds_other_rows_at_the_url_says_so(
    store: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
):
    put = _work_place.FarFolder.put

    def spoiled(place: _work_place.FarFolder, path: Path) -> str:
        url = put(place, path)
        store.pipe_file(url.removeprefix("memory:/"), b"other")
        return url

    monkeypatch.setattr(_work_place.FarFolder, "put", spoiled)
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(InputError, match=r"^The worker on \S+ says: memory://\S+npz holds other rows than"),
    ):
        ladder(table(), **SMALL, executor=pool, work=f"{URL}/other")
    assert not store.find("/lab")


def test_stored_rows_are_fetched_once(store: MemoryFileSystem, tmp_path: Path):
    np.savetxt(tmp_path / "t.csv", table(), delimiter=",", header="a,b", comments="")
    streamed = read_stream(str(tmp_path / "t.csv"))
    one = {**SMALL, "fronts": ("gaussian",)}
    with ThreadPoolExecutor(1) as pool:
        out = ladder(streamed, **one, seeds=2, folder=tmp_path / "c", executor=pool, work=URL)
        assert _work_place._kept.cache_info().misses == 1
    assert_same(out, ladder(streamed, **one, seeds=2))
    _work_place._kept.cache_clear()
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        ("shared/work", "must be the URL of a folder"),
        ("file:///shared/work", "must be the URL of a folder"),
        ("nosuch://lab/work", "fsspec knows no such kind of address"),
        (None, "is for the workers of an executor"),
    ],
)
def test_work_that_is_no_url_is_refused(work: str | None, sentence: str):
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match=sentence):
        ladder(table(), **SMALL, work=work or URL, executor=pool if work else None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("four", "is neither an address such as tcp://host:8786 nor local:N"),
        ("local:0", "is neither an address"),
        ("tcp://127.0.0.1:9", "does not answer"),
    ],
)
def test_a_cluster_that_is_none_is_refused(text: str, sentence: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shoal._executors.ANSWER", 0.5)
    with pytest.raises(InputError, match=sentence), connected(text):
        pass


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shoal._executors.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs the package distributed; install it"), connected("local:2"):
        pass


@pytest.mark.long
def test_a_pool_of_processes_gives_the_same_ladder(tmp_path: Path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        out = ladder(table(), **TALL, folder=tmp_path, executor=pool)
    assert_same(out, ladder(table(), **TALL))
    assert len({worker for event in out.record.race for worker in event.workers}) == 2


@pytest.mark.long
def test_a_pool_whose_process_was_killed_is_one_sentence_and_resuming_gives_the_same_ladder(tmp_path: Path):
    slow = {**TALL, "settings": SLOW}

    def kill(event: dict[str, Any]) -> None:
        if event["stage"] == "train" and not killed:
            killed.append(next(iter(pool._processes)))
            os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool, pytest.raises(WorkersLost):
        ladder(table(), **slow, folder=tmp_path, executor=pool, progress=kill)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        out = ladder(table(), **slow, folder=tmp_path, executor=pool, resume=True)
    assert_same(out, ladder(table(), **slow))


@pytest.mark.long
def test_a_dask_cluster_gives_the_same_ladder_though_a_worker_is_killed(tmp_path: Path):
    slow = {**TALL, "settings": SLOW}
    killed: list[int] = []

    def kill(event: dict[str, Any]) -> None:
        if event["stage"] == "train" and event["epoch"] >= 20 and not killed:
            client: Any = executor
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    with connected("local:2") as executor:
        out = ladder(table(), **slow, folder=tmp_path, executor=executor, progress=kill)
    assert killed
    assert_same(out, ladder(table(), **slow))
    names = [out.rungs[event.rung].name for event in out.record.race if event.event == "rung"]
    assert len(set(names)) == len(names)


@pytest.mark.long
def test_a_scheduler_that_is_gone_in_the_middle_is_one_sentence(tmp_path: Path):
    def close(event: dict[str, Any]) -> None:
        if event["stage"] == "train" and not closed:
            closed.append(time.monotonic())
            client: Any = executor
            threading.Thread(target=client.cluster.close, daemon=True).start()

    closed: list[float] = []
    with connected("local:2") as executor, pytest.raises(WorkersLost):
        ladder(table(), **{**TALL, "settings": SLOW}, folder=tmp_path, executor=executor, progress=close)
    assert time.monotonic() - closed[0] < 90


@pytest.mark.long
def test_ctrl_c_at_a_terminal_stops_a_local_cluster_and_the_run_goes_on_without_it(tmp_path: Path):
    """The whole group of processes is sent the signal, as a terminal does."""
    np.savetxt(tmp_path / "t.csv", table(), delimiter=",", header="a,b", comments="")
    fronts, sizes = ["--fronts", "gaussian,marginals"], ["--depths", "1", "--hidden", "8"]
    steps = ["--families", "realnvp", "--max-epochs", "300", "--patience", "300"]
    command = [sys.executable, "-c", START, "fit", "t.csv", *fronts, *sizes, *steps, "--out"]
    log = tmp_path / "run.unfinished" / "log.jsonl"
    with subprocess.Popen(
        [*command, "run", "--cluster", "local:2"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while process.poll() is None and not (log.exists() and '"train"' in log.read_text()):
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=240)[1]
    assert process.returncode == 130, said
    assert "go on with the same command and --resume" in said
    assert "Traceback" not in said
    assert list((tmp_path / "run.unfinished" / "checkpoints").glob("*/run-00/checkpoint-*"))
    for more in (["run", "--resume", "--quiet"], ["other", "--quiet"]):
        assert subprocess.run([*command, *more], cwd=tmp_path, check=False).returncode == 0
    runs = [read_run(tmp_path / name) for name in ("run", "other")]
    values = [[rung.validation_log_likelihood for rung in run.rungs] for run in runs if run is not None]
    assert values[0] == values[1]
