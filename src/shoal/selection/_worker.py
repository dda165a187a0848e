"""What a worker of an executor does: one seed of one rung, from the parts that the submitter wrote and the flow it sent.

The training is that of `shoal.training.fit` with the key that the seed has anywhere else, so it gives the same bits. Its
checkpoints lie where a ladder without an executor has them. What crosses between processes is pickled, as executors pickle
tasks anyway; it is opened after the versions were compared, with float64 on or off as it was where it was made.
"""

import functools
import os
import platform
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._executors import check_versions, pack, unpack
from shoal._scalars import FloatArray
from shoal.distributions import AbstractFlow
from shoal.selection._options import BASE_SLOWER
from shoal.selection._work_place import found, work_place
from shoal.tables import StoredRows
from shoal.training import ConditioningMonitor, FitResult, RowSource, Settings, digest, fit

ARRAYS = ("data", "context", "weights", "validation", "validation_context", "validation_weights")


@dataclass(frozen=True)
class Seed:
    """What a training of one seed begins from, but for the rows."""

    flow: AbstractFlow
    key: tuple[int, ...]  # the words of the random key
    settings: Settings
    monitor: ConditioningMonitor | None
    source: RowSource | None  # where rows come in blocks
    stored: str  # where workers find those
    compile_first: bool


@dataclass(frozen=True)
class Trained:
    """What came of it: `seconds` of the whole task, `compile_seconds` before the limit of its steps began to count."""

    result: FitResult
    seconds: float
    compile_seconds: float
    worker: str


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
    with found(path) as file, np.load(file, allow_pickle=False) as held:
        arrays = {name: held[name] for name in ARRAYS if name in held.files}
    if digest(arrays) != mark:
        raise InputError(
            f"The worker on {platform.node()} finds other rows in {path} than were written; it must be one file for all."
        )
    return {name: arrays.get(name) for name in ARRAYS}


def train_seed(
    wanted: dict[str, str | None],
    float64: bool,
    parts: tuple[str, str],
    seed: bytes,
    place: str,
    desk: dict[str, Any],
) -> bytes | None:
    """Trains one seed to its end, from its last checkpoint on where an earlier try left one.

    **Arguments:** plain values, so that any version can read them: the submitter's `versions`, whether float64 is on, the
    place of the rows and their digest, a packed `Seed`, the place of the work and the arguments of its `desk`.

    **Returns:** a packed `Trained`; None where it was stopped before it began.

    **Raises:** `InputError` where the worker has other versions or other rows than the submitter, or does not see them.
    """
    started = time.monotonic()
    check_versions(wanted)
    rows = _parts(*parts)
    with jax.enable_x64(float64), work_place(place).desk(**desk) as at, ExitStack() as stack:
        if at is None:
            return None
        todo: Seed = unpack(seed)
        if todo.source is not None and isinstance(todo.source.table, StoredRows):
            table = replace(todo.source.table, path=stack.enter_context(found(todo.stored, kept=True)))
            rows = {**rows, "data": replace(todo.source, table=table)}
        more = {"optimizer": BASE_SLOWER, "monitor": todo.monitor, "stop": at.stop}
        key = jr.wrap_key_data(jnp.array(todo.key, jnp.uint32))
        compiling = 0.0
        if todo.compile_first:
            least = replace(todo.settings, time_limit=1e-3)
            compiling = fit(todo.flow, key=key, settings=least, **rows, **more).compile_seconds
        result = fit(
            todo.flow,
            key=key,
            settings=todo.settings,
            folder=at.checkpoints,
            resume=True,
            progress=at.tell,
            **rows,
            **more,
        )
        worker = f"{platform.node()} {os.getpid()}"
        return pack(Trained(result, time.monotonic() - started, compiling, worker))
