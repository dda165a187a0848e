"""A monitor at work in one run: its points, when it looks next, and the row that a look gives."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.bijections import Chain, Standardize
from shoal.conditioning import unit_scale
from shoal.distributions import Padded

from ._data import Rows
from ._figures import ends
from ._monitor import ConditioningMonitor
from ._step import Form, Problem


class Watch:
    """`monitor` on the flows of one form and problem."""

    def __init__(self, monitor: ConditioningMonitor, form: Form, problem: Problem, flow: Any):
        self.monitor, self.form, self.buffers = monitor, form, problem.buffers
        table = problem.rows if problem.validation is None else problem.validation
        index = np.linspace(0, len(table) - 1, min(monitor.points, len(table))).round().astype(np.int32)
        taken = table.take(jnp.asarray(index))
        self.points = Rows(taken.x, taken.context, None)
        self.scale = _scale(flow, np.asarray(problem.rows.x))

    def stop(self, done: int, step: int, wanted: int) -> int:
        """Where a chunk that begins at `step` after `done` epochs ends: at `wanted`, or where a look is due before it."""
        before, every = done * self.form.train_steps, self.monitor.every
        due = ((before + step) // every + 1) * every - before
        return min(wanted, due) if due <= self.form.train_steps else wanted

    def is_due(self, done: int, step: int) -> bool:
        """True if a look is due after `step` steps of an epoch."""
        return (
            step <= self.form.train_steps and (done * self.form.train_steps + step) % self.monitor.every == 0
        )

    def row(self, params: Any, *, step: int, epoch: int, attempt: int) -> dict[str, Any]:
        """The figures of these weights. `step` counts from the start of training; `attempt`: goings-back so far."""
        found = ends(self.form, params, self.buffers, self.points, self.scale)
        return {"step": step, "epoch": epoch, "attempt": attempt, **found.row(), "action": None}


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
    units = unit_scale(x)
    return np.concatenate([units, np.ones(flow.padding.size)]) if isinstance(flow, Padded) else units
