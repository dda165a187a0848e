"""`fit` and `fit_many`: maximum-likelihood training of one flow, and of several of one structure at the same time.

A step of a small flow keeps one core busy, so threads, one run each, use the others; the runs are the same programs
on the same numbers as single runs, and give the same bits. `benchmarks/speed/seeds.py` measures this against one batched
program (`vmap`) and against several host devices.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from shoal._compiling import make_room
from shoal._errors import InputError
from shoal._types import ArrayLike
from shoal.bijections import whole

from ._checks import KeyLike
from ._job import Job, make_job, make_tables
from ._listening import Listener, StopSignal, interruptible, listener
from ._losses import Density, Loss, negative_log_likelihood
from ._monitor import ConditioningMonitor
from ._result import Epoch, FitResult
from ._run import Run
from ._settings import DEFAULTS, Settings
from ._source import RowSource
from ._step import ADAM

WAKE = 0.25  # seconds between looks of the main thread at signals

T = TypeVar("T")


def fit(
    flow: Density,
    data: ArrayLike | RowSource,
    *,
    key: KeyLike,
    validation: ArrayLike | None = None,
    context: ArrayLike | None = None,
    validation_context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    validation_weights: ArrayLike | None = None,
    settings: Settings = DEFAULTS,
    optimizer: optax.GradientTransformation = ADAM,
    loss: Loss = negative_log_likelihood,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callback: Callable[[Epoch], object] | None = None,
    progress: Listener | bool | None = None,
    stop: StopSignal | None = None,
    monitor: ConditioningMonitor | None = None,
) -> FitResult:
    r"""Maximise $\sum_i w_i \log p(x_i \mid c_i)$, and keep the weights that are best on validation rows.

    An epoch is a fresh shuffle, all whole batches, then the validation rows. Epoch 0 is the validation of the weights that
    `flow` has: a fit returns them unless an epoch was better, so a trained flow can be trained on without a risk. Validation
    values are compared by `winsorised_mean`, which single rows far out can not move. A step whose loss or gradient is not
    finite is not applied: training goes back to the start of the epoch with half the learning rate and another shuffle, and
    the layer at fault is noted. Nothing that is not finite is ever replaced by a number.

    **Main arguments:**

    - `flow`: a density with a batched `log_prob(x, context=None)`; the arrays that `trainable(flow)` marks are trained.
    - `data`, `validation`: tables of shape (rows, columns). `context`, `validation_context`: (rows, k).
      `weights`, `validation_weights`: one number >= 0 per row; only their ratios matter. A large table is given as a
      `RowSource`, in memory or in a file, which has context and weights of its own; an epoch is then one of its blocks.
    - `key`: a JAX random key for the shuffles. The same key, data and settings give the same bits on one machine.
    - `settings`: a `Settings`: batch size, epochs, learning rate, patience, time limit, ...
    - `optimizer`: any Optax optimizer. Its update, times the learning rate of the schedule, is *added* to the weights, as
      everywhere in Optax: give it the learning rate 1, `optax.adam(1.0)` (the default) or `optax.adamw(1.0)`. It sees
      gradients that are clipped already, the weights, and the loss as `value`. A part of the flow trains at a rate of its
      own where its updates are scaled, here the base at a tenth:

          def base(params):  # a tree of True and False
              rest = jax.tree.map(lambda _: False, params)
              return eqx.tree_at(lambda f: f.base, rest, jax.tree.map(lambda _: True, params.base))

          optimizer = optax.chain(optax.adam(1.0), optax.masked(optax.scale(0.1), base))

      One optimizer for many fits, not a new one for each, shares their compiled program.
    - `loss`: a function (flow, rows) -> scalar, minimised; `rows.x`, `rows.context`, `rows.weights` (None, or of mean 1 over
      the table) are those of a batch. The default is `negative_log_likelihood`. Validation is by log p all the same.
    - `folder`: where checkpoints go (at ends of epochs, and at the end); `resume=True` goes on from the last one, bit for
      bit, and begins anew where there is none. A run that differs in flow, data, key or settings is refused; of an optimizer
      the form of its state is compared, of a loss its name.

    **Other arguments:** `progress`, called with a dictionary after every epoch (the history's row, `fraction`,
    `seconds_left`, ...), or True for a progress bar; `callback`, called with an `Epoch` (the flow as it stands) after every
    epoch, at its own cost; `stop`, a `threading.Event` that ends training at the next chunk; `monitor`, a
    `ConditioningMonitor`: σmax, σmin, κ and the round trip every so many steps (the result's `conditioning`), and what is to
    happen beyond a budget.

    **Returns:** a `FitResult`. Ctrl-C gives the status "interrupted" and what was done; a second Ctrl-C raises.

    **Raises:** `InputError` (a ValueError) for bad input, before anything is compiled.

    Adam: Kingma & Ba 2015; cosine decay: Loshchilov & Hutter 2017.
    """
    started = time.perf_counter()
    make_room()
    tables = make_tables(
        flow,
        data,
        context=context,
        weights=weights,
        validation=validation,
        validation_context=validation_context,
        validation_weights=validation_weights,
    )
    with listener(progress) as listen, interruptible(stop) as stopped:
        job = make_job(
            flow,
            tables,
            key,
            settings,
            optimizer=optimizer,
            loss=loss,
            folder=folder,
            resume=resume,
            progress=listen,
            callback=callback,
            monitor=monitor,
        )
        del tables  # they lie on the devices that train
        return Run(job, stopped, started, settings.time_limit).finish()


class Tables(TypedDict, total=False):
    """The arguments of `fit` that lie beside `data`."""

    context: ArrayLike | None
    weights: ArrayLike | None
    validation: ArrayLike | None
    validation_context: ArrayLike | None
    validation_weights: ArrayLike | None


def fit_many(
    flows: Sequence[Density],
    data: ArrayLike | RowSource,
    *,
    keys: Sequence[KeyLike] | KeyLike,
    settings: Settings = DEFAULTS,
    optimizer: optax.GradientTransformation = ADAM,
    loss: Loss = negative_log_likelihood,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callback: Callable[[int, Epoch], object] | None = None,
    progress: Listener | None = None,
    stop: StopSignal | None = None,
    monitor: ConditioningMonitor | None = None,
    workers: int | None = None,
    **tables: Unpack[Tables],
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
    make_room()
    _check_flows(flows, keys)
    if workers is not None:
        whole("workers", workers)
    rows = make_tables(flows[0], data, **tables)
    lock = threading.Lock()
    jobs: list[Job] = []
    for i, flow in enumerate(flows):
        job = make_job(
            flow,
            rows,
            keys[i],
            settings,
            optimizer=optimizer,
            loss=loss,
            folder=None if folder is None else Path(folder) / f"run-{i:02d}",
            resume=resume,
            progress=_locked(progress, lock, lambda event, i=i: ({"run": i, **event},)),
            callback=_locked(callback, lock, lambda epoch, i=i: (i, epoch)),
            monitor=monitor,
        )
        jobs.append(job)
        rows = replace(
            rows, train=job.problem.rows, validation=job.problem.validation
        )  # on the devices, once for all
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

    if any(job.form.mesh is not None for job in jobs):
        workers = 1  # programs of several devices must begin on all of them in one order
    with ThreadPoolExecutor(min(workers, len(jobs)), thread_name_prefix="shoal-fit") as pool:
        futures = [pool.submit(train, i) for i in range(len(jobs))]
        while wait(futures, timeout=WAKE).not_done:
            pass  # a signal that comes just before this thread sleeps is only seen when it wakes
    return [future.result() for future in futures]


def _check_flows(flows: Sequence[Density], keys: Sequence[KeyLike] | KeyLike) -> None:
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


def _structure(flow: Density) -> tuple[object, ...]:
    arrays, static = eqx.partition(flow, eqx.is_array)
    leaves, tree = jax.tree.flatten(static)
    return tree, leaves, [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(arrays)]


def _locked(
    listen: Callable[..., object] | None, lock: threading.Lock, arranged: Callable[[T], tuple[object, ...]]
) -> Callable[[T], None] | None:
    """What tells `listen` the news, as `arranged` puts them, one at a time; None where nobody listens."""
    if listen is None:
        return None

    def tell(news: T) -> None:
        with lock:
            listen(*arranged(news))

    return tell
