"""`fit`: maximum-likelihood training of one flow."""

import os
import time
from collections.abc import Callable
from typing import Any

from shoal._types import ArrayLike

from ._interrupt import StopSignal, interruptible
from ._job import KeyLike, make_job, make_tables
from ._monitor import ConditioningMonitor
from ._penalty import AbstractPenalty
from ._progress import listener
from ._result import Epoch, FitResult
from ._run import Run
from ._settings import LEARNING_RATE, Settings


def fit(
    flow: Any,
    data: ArrayLike,
    *,
    key: KeyLike,
    validation: ArrayLike | None = None,
    context: ArrayLike | None = None,
    validation_context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    validation_weights: ArrayLike | None = None,
    batch_size: int = 512,
    max_epochs: int = 100,
    learning_rate: float = LEARNING_RATE,
    warmup_fraction: float = 0.05,
    clip_norm: float | None = 5.0,
    penalty: AbstractPenalty | None = None,
    patience: int | None = 20,
    time_limit: float | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    checkpoint_seconds: float = 20.0,
    callback: Callable[[Epoch], Any] | None = None,
    callback_every: int = 1,
    progress: Callable[[dict[str, Any]], Any] | bool | None = None,
    stop: StopSignal | None = None,
    max_rollbacks: int = 10,
    monitor: ConditioningMonitor | None = None,
) -> FitResult:
    r"""Maximise $\sum_i w_i \log p(x_i \mid c_i)$ by Adam, and keep the weights that are best on validation rows.

    An epoch is a fresh shuffle, all whole batches, then the validation rows. The learning rate warms up over
    `warmup_fraction` of the planned steps and falls to zero along a cosine. A step whose loss or gradient is not
    finite is not applied: training goes back to the start of the epoch with half the learning rate and another
    shuffle, and the layer at fault is noted. Nothing that is not finite is ever replaced by a number.

    **Main arguments:**

    - `flow`: a density with a batched `log_prob(x, context=None)`; its floating-point arrays are trained.
    - `data`, `validation`: tables of shape (rows, columns). `context`, `validation_context`: (rows, k).
      `weights`, `validation_weights`: one number >= 0 per row; only their ratios matter.
    - `key`: a JAX random key for the shuffles. The same key, data and settings give the same bits on one machine.
    - `time_limit`: seconds in all, compilation included. The number of epochs (at most `max_epochs`) is planned from
      the measured speed so that the cosine ends in time, and corrected on the way.
    - `patience`: epochs without a better validation value after which training stops; None for never.
    - `folder`: where checkpoints go (at ends of epochs, at most every `checkpoint_seconds`, and at the end);
      `resume=True` goes on from the last one, bit for bit, and begins anew where there is none.

    **Other arguments:** `batch_size` (all rows, if there are fewer); `max_epochs`; `learning_rate`, the highest;
    `clip_norm`, of the gradient's global norm, None for no clipping; `penalty`, a term added to the loss of every k-th
    step, such as `JacobianPenalty()` (the history shows the likelihood alone); `progress`, called with a dictionary after
    every epoch (the history's row, `fraction`, `seconds_left`, ...), or True for a progress bar; `callback`, called
    with an `Epoch` (the flow as it stands) every `callback_every` epochs, at its own cost; `stop`, a
    `threading.Event` that ends training at the next chunk; `max_rollbacks`, after which the run counts as diverged;
    `monitor`, a `ConditioningMonitor`: σmax, σmin, κ and the round trip every so many steps (the result's
    `conditioning`), and what is to happen beyond a budget.

    **Returns:** a `FitResult`. Ctrl-C gives the status "interrupted" and what was done; a second Ctrl-C raises.

    **Raises:** `InputError` (a ValueError) for bad input, before anything is compiled.

    Adam: Kingma & Ba 2015; cosine decay: Loshchilov & Hutter 2017.
    """
    started = time.perf_counter()
    settings = Settings(
        batch_size=batch_size,
        max_epochs=max_epochs,
        learning_rate=learning_rate,
        warmup_fraction=warmup_fraction,
        clip_norm=clip_norm,
        patience=patience,
        max_rollbacks=max_rollbacks,
        time_limit=time_limit,
    )
    tables = make_tables(flow, data, context, weights, validation, validation_context, validation_weights)
    with listener(progress) as listen, interruptible(stop) as stopped:
        job = make_job(
            flow,
            tables,
            key,
            settings,
            folder=folder,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
            penalty=penalty,
            progress=listen,
            callback=callback,
            callback_every=callback_every,
            monitor=monitor,
        )
        return Run(job, stopped, started, time_limit).finish()
