"""What a worker of an executor does: one seed of one rung, from the parts that the submitter wrote and the flow it sent.

The training is that of `shoal.training.fit` with the key that the seed has anywhere else, so it gives the same bits. Its
checkpoints lie where a ladder without an executor has them. What crosses between processes is pickled, as executors pickle
tasks anyway; it is opened after the versions were compared, with float64 on or off as it was where it was made.
"""

import functools
import json
import os
import platform
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._executors import check_seen, check_versions, pack, unpack
from shoal._scalars import FloatArray
from shoal.distributions import AbstractFlow
from shoal.records import held, to_plain
from shoal.selection._options import BASE_SLOWER
from shoal.tables import StoredRows
from shoal.training import ConditioningMonitor, FitResult, RowSource, Settings, digest, fit

LOOK = 0.25  # seconds between looks at the stop file
ARRAYS = ("data", "context", "weights", "validation", "validation_context", "validation_weights")


@dataclass(frozen=True)
class Seed:
    """What a training of one seed begins from, but for the rows."""

    flow: AbstractFlow
    key: tuple[int, ...]  # the words of the random key
    settings: Settings
    monitor: ConditioningMonitor | None
    source: RowSource | None  # where rows come in blocks
    compile_first: bool


@dataclass(frozen=True)
class Trained:
    """What came of it: `seconds` of the whole task, `compile_seconds` before the limit of its steps began to count."""

    result: FitResult
    seconds: float
    compile_seconds: float
    worker: str


class StopFile:
    """A stop signal that other processes see: set once the file is there."""

    def __init__(self, path: Path):
        self.path, self.seen, self.looked = path, False, -np.inf

    def is_set(self) -> bool:
        """Whether the file was there at the last look, at most `LOOK` seconds ago."""
        if not self.seen and time.monotonic() - self.looked > LOOK:
            self.looked, self.seen = time.monotonic(), self.path.exists()
        return self.seen


def write_parts(arrays: dict[str, FloatArray | None], folder: Path) -> tuple[str, str]:
    """Writes the rows of training and validation into `folder`. **Returns:** the file, and the digest of what it holds."""
    known = {name: array for name, array in arrays.items() if array is not None}
    mark = digest(known)
    path = folder.resolve() / f"parts-{mark[:16]}.npz"
    temporary = path.with_name(f".parts-{os.getpid()}.npz")
    with open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, **known)
    os.replace(temporary, path)
    return str(path), mark


@functools.lru_cache(maxsize=2)
def _parts(path: str, mark: str) -> dict[str, FloatArray | None]:
    """The rows that the submitter wrote; read once by a process."""
    check_seen(path)
    with np.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in ARRAYS if name in file.files}
    if digest(found) != mark:
        raise InputError(
            f"The worker on {platform.node()} finds other rows in {path} than were written; it must be one file for all."
        )
    return {name: found.get(name) for name in ARRAYS}


@dataclass(frozen=True)
class Places:
    """Where one seed's files lie: its checkpoints, and in the folder that submitter and workers share: its lock, its news
    (None: nobody listens), and the file that stops it.
    """

    checkpoints: str
    lock: str
    news: str | None
    stop: str


def train_seed(
    wanted: dict[str, str | None], float64: bool, parts: tuple[str, str], seed: bytes, places: dict[str, Any]
) -> bytes | None:
    """Trains one seed to its end, from its last checkpoint on where an earlier try left one.

    **Arguments:** plain values, so that any version can read them: the submitter's `versions`, whether float64 is on, the
    file of the rows and its digest, a packed `Seed`, the fields of `Places`.

    **Returns:** a packed `Trained`; None where it was stopped before it began.

    **Raises:** `InputError` where the worker has other versions or other rows than the submitter, or does not see them.
    """
    started = time.monotonic()
    check_versions(wanted)
    at = Places(**places)
    stop = StopFile(Path(at.stop))
    rows = _parts(*parts)
    with jax.enable_x64(float64), _alone(Path(at.lock), stop) as mine:
        if not mine or stop.is_set():
            return None
        todo: Seed = unpack(seed)
        if todo.source is not None and isinstance(todo.source.table, StoredRows):
            check_seen(todo.source.table.path)
            rows = {**rows, "data": todo.source}
        more = {"optimizer": BASE_SLOWER, "monitor": todo.monitor, "stop": stop}
        key = jr.wrap_key_data(jnp.array(todo.key, jnp.uint32))
        compiling = 0.0
        if todo.compile_first:
            least = replace(todo.settings, time_limit=1e-3)
            compiling = fit(todo.flow, key=key, settings=least, **rows, **more).compile_seconds
        with _news(at.news) as tell:
            result = fit(
                todo.flow,
                key=key,
                settings=todo.settings,
                folder=at.checkpoints,
                resume=True,
                progress=tell,
                **rows,
                **more,
            )
        worker = f"{platform.node()} {os.getpid()}"
        return pack(Trained(result, time.monotonic() - started, compiling, worker))


@contextmanager
def _alone(lock: Path, stop: StopFile) -> Generator[bool, None, None]:
    """Waits until no other process trains this seed: one that was given up for dead may still do. False: stopped before."""
    while not stop.is_set():
        waiting = held(lock, "another worker is at it")
        try:
            waiting.__enter__()
        except InputError:
            time.sleep(LOOK)
            continue
        try:
            yield True
        finally:
            waiting.__exit__(None, None, None)
        return
    yield False


@contextmanager
def _news(path: str | None) -> Generator[Any, None, None]:
    """What writes the events of a training to a file, a line each, where the submitter reads them."""
    if path is None:
        yield None
        return
    with open(path, "a", encoding="utf-8", buffering=1) as file:
        yield lambda event: file.write(json.dumps(to_plain(event)) + "\n")
