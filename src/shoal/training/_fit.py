"""`fit`: maximum-likelihood training of one flow."""

import os
import time
from collections.abc import Callable
from typing import Any

import optax

from shoal._types import ArrayLike

from ._data import Rows
from ._interrupt import StopSignal, interruptible
from ._job import KeyLike, make_job, make_tables
from ._losses import negative_log_likelihood
from ._monitor import ConditioningMonitor
from ._progress import listener
from ._result import Epoch, FitResult
from ._run import Run
from ._settings import DEFAULTS, Settings
from ._step import ADAM


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
    settings: Settings = DEFAULTS,
    optimizer: optax.GradientTransformation = ADAM,
    loss: Callable[[Any, Rows], Any] = negative_log_likelihood,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callback: Callable[[Epoch], Any] | None = None,
    progress: Callable[[dict[str, Any]], Any] | bool | None = None,
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

    - `flow`: a density with a batched `log_prob(x, context=None)`; its floating-point arrays are trained.
    - `data`, `validation`: tables of shape (rows, columns). `context`, `validation_context`: (rows, k).
      `weights`, `validation_weights`: one number >= 0 per row; only their ratios matter.
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
    tables = make_tables(flow, data, context, weights, validation, validation_context, validation_weights)
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
        return Run(job, stopped, started, settings.time_limit).finish()
