"""A monitor at work in one run: its points, when it looks next, and what follows from what it sees.

Everything is decided by numbers that depend on the weights alone, so a resumed run decides as the whole one did.
"""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.bijections import Chain, Standardize
from shoal.conditioning import unit_scale

from ._data import Rows
from ._figures import conditioning_row
from ._log import Log
from ._monitor import ConditioningMonitor
from ._step import Form, Problem, State, Weights


class Watch:
    """`monitor` on the flows of one form and problem."""

    def __init__(self, monitor: ConditioningMonitor, form: Form, problem: Problem, flow: Any):
        self.monitor, self.form, self.buffers = monitor, form, problem.buffers
        table = problem.rows if problem.validation is None else problem.validation
        index = np.linspace(0, len(table) - 1, min(monitor.points, len(table))).round().astype(np.int32)
        taken = table.take(jnp.asarray(index))
        self.points = Rows(taken.x, taken.context, None)
        self.scale = _scale(flow, np.asarray(problem.rows.x))
        self.every = monitor.interval(len(self.scale))
        self.good: Weights | None = None  # the last ones that were seen within the budget

    def stop(self, done: int, step: int, wanted: int) -> int:
        """Where a chunk that begins at `step` after `done` epochs ends: at `wanted`, or where a look is due before it."""
        before, every = done * self.form.train_steps, self.every
        due = ((before + step) // every + 1) * every - before
        return min(wanted, due) if due <= self.form.train_steps else wanted

    def is_due(self, done: int, step: int) -> bool:
        """True if a look is due after `step` steps of an epoch."""
        return step <= self.form.train_steps and (done * self.form.train_steps + step) % self.every == 0

    def row(self, params: Any, *, step: int, epoch: int, attempt: int) -> dict[str, Any]:
        """The figures of these weights. `step` counts from the start of training; `attempt`: goings-back so far."""
        row = conditioning_row(self.form, params, self.buffers, self.points, self.scale)
        return {"step": step, "epoch": epoch, "attempt": attempt, **row, "action": None}

    def look(self, state: State, log: Log, *, step: int, epoch: int) -> State:
        """Note the figures in the log; beyond the budget go back to the last weights within it, or end the training.

        **Returns:** the state, whose epoch begins with those weights where `log.rescales` has grown.
        """
        monitor = self.monitor
        row = self.row(state.now.kept, step=step, epoch=epoch, attempt=log.attempt)
        log.conditioning.append(row)
        if not monitor.crossed(row):
            if monitor.has_budget:
                self.good, log.good_step = jax.tree.map(jnp.copy, state.now), step
            return state
        if monitor.action == "rescale" and self.good is not None and log.rescales < monitor.max_rescales:
            row["action"] = "rescale"
            log.rescales += 1
            log.factor *= 0.5
            state = replace(state, start=jax.tree.map(jnp.copy, self.good))
        else:
            row["action"], log.status = "stop", "ill-conditioned"
        if log.best_epoch is not None and monitor.crossed(self._row_of_best(state, log)):
            state = _without_best(state, log)
        return state

    def look_at_best(self, state: State, log: Log) -> State:
        """In the end: the best weights, perhaps never looked at, are not delivered if they are beyond the budget."""
        ended = log.status in ("finished", "stopped early") and log.best_epoch is not None
        if ended and self.monitor.has_budget:
            row = self._row_of_best(state, log)
            if self.monitor.crossed(row):
                log.conditioning.append({**row, "action": "stop"})
                log.status = "ill-conditioned"
                return _without_best(state, log)
        return state

    def _row_of_best(self, state: State, log: Log) -> dict[str, Any]:
        epoch = log.best_epoch or 0
        return self.row(state.best, step=epoch * self.form.train_steps, epoch=epoch, attempt=log.attempt)


def _without_best(state: State, log: Log) -> State:
    """Forget the best weights; patience begins again."""
    log.best_epoch, log.patient_from = None, log.done
    return replace(state, best_value=jnp.full_like(state.best_value, -jnp.inf))


def check_monitored(monitor: Any, flow: Any) -> None:
    """**Raises:** `InputError` unless `monitor` is a `ConditioningMonitor` and `flow` has a bijection."""
    if not isinstance(monitor, ConditioningMonitor):
        raise InputError(f"`monitor` must be a `ConditioningMonitor`; got a {type(monitor).__name__}.")
    if not hasattr(flow, "bijection"):
        raise InputError(
            f"`monitor` needs a flow with a bijection; a {type(flow).__name__} has none: leave `monitor` out."
        )


def _scale(flow: Any, x: FloatArray) -> FloatArray:
    """The unit of each coordinate of the data: what the flow's last layer says, or the deviation of the column."""
    last = flow.bijection
    while isinstance(last, Chain):
        last = last.bijections[-1]
    if isinstance(last, Standardize):
        return np.asarray(last.scale, np.float64)
    return np.concatenate([unit_scale(x), np.ones(flow.extra)])
