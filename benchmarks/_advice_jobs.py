"""Ladders of several tables at a time: one process of one thread a table, and one process that writes the record."""

import multiprocessing as mp
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"), "1"),
}
Task = tuple[str, NDArray[np.float64]]
Train = Callable[[NDArray[np.float64]], dict[str, Any]]


def run(tasks: list[Task], train: Train, jobs: int, limit: float | None) -> Iterator[tuple[str, Any]]:
    """Yields name and entry, or name and error, of each table as it is done; the largest tables are begun first.

    **Arguments:** `train`: a function of a module, called with the rows in a process of its own; `jobs`: processes at a
    time; `limit`: seconds after which no table is begun and those at work are ended, without an entry.
    """
    end = time.monotonic() + (float("inf") if limit is None else limit)
    waiting = sorted(tasks, key=lambda task: (task[1].size, task[0]))
    working: dict[Connection, tuple[str, Any]] = {}
    context = mp.get_context("spawn")
    with _environment(ONE_THREAD), _ended_by_signal():
        try:
            while (waiting or working) and time.monotonic() < end:
                while waiting and len(working) < jobs:
                    name, rows = waiting.pop()
                    ours, theirs = context.Pipe(duplex=False)
                    process = context.Process(target=_work, args=(theirs, train, rows), daemon=True)
                    process.start()
                    theirs.close()
                    working[ours] = name, process
                left = end - time.monotonic()
                for ready in wait(list(working), None if left == float("inf") else max(left, 0)):
                    assert isinstance(ready, Connection)
                    name, process = working.pop(ready)
                    yield name, _received(ready)
                    process.join()
        finally:
            for _, process in working.values():
                process.kill()
                process.join()


def _received(ready: Connection) -> Any:
    try:
        return ready.recv()
    except EOFError:
        return RuntimeError("the process ended without a result")
    finally:
        ready.close()


def _work(back: Connection, train: Train, rows: NDArray[np.float64]) -> None:
    """One table, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        back.send(train(rows))
    except Exception as error:  # noqa: BLE001  a table that fails must not end the others
        back.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _end_with_parent() -> None:
    """Ends this process where the parent was killed and could not do so."""
    parent = mp.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for the processes started within, which see them before they import JAX."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """SIGTERM ends this process by an exception, so that it can end the others."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
