"""`fit_many`: several flows of one structure, trained at the same time by threads that share one compiled program.

A step of a small flow keeps one core busy, so threads, one run each, use the others; the runs are the same programs
on the same numbers as single runs, and give the same bits. `benchmarks/seeds.py` measures this against one batched
program (`vmap`) and against several host devices.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from shoal._errors import InputError
from shoal._types import ArrayLike

from ._checks import whole_number
from ._data import Rows
from ._interrupt import StopSignal, interruptible
from ._job import KeyLike, make_job, make_tables
from ._losses import negative_log_likelihood
from ._monitor import ConditioningMonitor
from ._result import Epoch, FitResult
from ._run import Job, Run
from ._settings import DEFAULTS, Settings
from ._step import ADAM

WAKE = 0.25  # seconds between looks of the main thread at signals


def fit_many(
    flows: Sequence[Any],
    data: ArrayLike,
    *,
    keys: Sequence[KeyLike] | KeyLike,
    validation: ArrayLike | None = None,
    context: ArrayLike | None = None,
    validation_context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    validation_weights: ArrayLike | None = None,
    settings: Settings = DEFAULTS,
    optimizer: optax.GradientTransformation = ADAM,
    loss: Callable[[Any, Rows], Any] = negative_log_likelihood,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callback: Callable[[int, Epoch], Any] | None = None,
    progress: Callable[[dict[str, Any]], Any] | None = None,
    stop: StopSignal | None = None,
    monitor: ConditioningMonitor | None = None,
    workers: int | None = None,
) -> list[FitResult]:
    """`fit` for several flows of one structure (seeds of one recipe, say) on the same data.

    **Arguments:** those of `fit`, and `flows`; `keys`, one per flow; `workers`, how many run at a time (default: one
    per core). The time limit is for all of them together; `folder` gets a sub-folder per flow (`run-00`, ...);
    `progress` events have `run`, the number of the flow, in them; `callback(run, epoch)`. Listeners are called from
    the threads, one at a time.

    **Returns:** one `FitResult` per flow, in order; without a time limit the same bits as `fit(flows[i], ...,
    key=keys[i])`. The first result's `compile_seconds` holds the compilation for all.

    **Raises:** `InputError` as `fit` does, and if the flows differ in structure.
    """
    started = time.perf_counter()
    _check_flows(flows, keys)
    if workers is not None:
        whole_number("workers", workers)
    tables = make_tables(flows[0], data, context, weights, validation, validation_context, validation_weights)
    lock = threading.Lock()
    jobs = [
        make_job(
            flow,
            tables,
            keys[i],
            settings,
            optimizer=optimizer,
            loss=loss,
            folder=None if folder is None else Path(folder) / f"run-{i:02d}",
            resume=resume,
            progress=None if progress is None else _numbered_progress(progress, i, lock),
            callback=None if callback is None else _numbered_callback(callback, i, lock),
            monitor=monitor,
        )
        for i, flow in enumerate(flows)
    ]
    with interruptible(stop) as stopped:
        return _train(jobs, stopped, started, settings.time_limit, workers or cores())


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _train(
    jobs: list[Job], stopped: Callable[[], bool], started: float, time_limit: float | None, workers: int
) -> list[FitResult]:
    failed, lock = threading.Event(), threading.Lock()
    x64 = bool(jnp.zeros(()).dtype == jnp.float64)  # the switch is per thread
    pending = [i for i, job in enumerate(jobs) if not job.is_over]

    def stop() -> bool:
        return stopped() or failed.is_set()

    # the first run compiles for all, before the threads begin
    first = Run(jobs[pending[0]], stop, started, time_limit) if pending else None
    if first is not None:
        first.compile()
    waiting = len(pending)

    def train(i: int) -> FitResult:
        nonlocal waiting
        now, limit = time.perf_counter(), None
        if time_limit is not None:
            with lock:  # what is left of the time is shared by the rounds to come
                rounds, waiting = max(1, -(-waiting // workers)), waiting - (not jobs[i].is_over)
            limit = max(1e-3, (time_limit - (now - started)) / rounds)
        try:
            with jax.enable_x64(x64):
                if first is None or i != pending[0]:
                    return Run(jobs[i], stop, now, limit).finish()
                first.limit = None if limit is None else limit + now - started
                return first.finish()
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(min(workers, len(jobs)), thread_name_prefix="shoal-fit") as pool:
        futures = [pool.submit(train, i) for i in range(len(jobs))]
        while wait(futures, timeout=WAKE).not_done:
            pass  # a signal that comes just before this thread sleeps is only seen when it wakes
    return [future.result() for future in futures]


def _check_flows(flows: Sequence[Any], keys: Sequence[KeyLike] | KeyLike) -> None:
    if len(flows) == 0:
        raise InputError("`flows` is empty; pass at least one flow.")
    if len(keys) != len(flows):
        raise InputError(f"`keys` has {len(keys)} entries for {len(flows)} flows; pass one key per flow.")
    wanted = _structure(flows[0])
    for i, flow in enumerate(flows):
        if _structure(flow) != wanted:
            raise InputError(
                f"`flows[{i}]` differs in structure from `flows[0]`; train it apart, with `fit`."
            )


def _structure(flow: Any) -> Any:
    arrays, static = eqx.partition(flow, eqx.is_array)
    leaves, tree = jax.tree.flatten(static)
    return tree, leaves, [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(arrays)]


def _numbered_progress(
    progress: Callable[[dict[str, Any]], Any], run: int, lock: Any
) -> Callable[[dict[str, Any]], Any]:
    def numbered(event: dict[str, Any]) -> None:
        with lock:
            progress({"run": run, **event})

    return numbered


def _numbered_callback(callback: Callable[[int, Epoch], Any], run: int, lock: Any) -> Callable[[Epoch], Any]:
    def numbered(epoch: Epoch) -> None:
        with lock:
            callback(run, epoch)

    return numbered
