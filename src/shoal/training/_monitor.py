"""The conditioning monitor: how often a training is looked at, what a look measures, and what follows beyond a budget.

Up to `DENSE` coordinates one compiled program gives dz/dx and the round trip at all points; training needs that direction,
so it is there and cheap for every flow. Beyond, a few Golub-Kahan steps on the map and on its inverse bound the ends.
Everything is decided by numbers that depend on the weights alone, so a resumed run decides as the whole one did.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from jaxtyping import PyTree

from shoal import conditioning
from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Array
from shoal.bijections import Chain, Standardize, rolled, whole
from shoal.distributions import AbstractFlow
from shoal.records.fit import Look

from ._checks import positive
from ._data import Rows
from ._log import Log
from ._reverse_kl import ReverseKL
from ._step import Form, Problem, State, Weights

DENSE = 64  # coordinates up to which the whole Jacobian is computed
EVERY, RARER = 100, 8  # steps between looks, and the factor beyond `DENSE` coordinates
SCALED = 512  # draws that give the units of a known density
STEPS = 8  # of Golub and Kahan beyond that, in each direction

Action: TypeAlias = Literal["stop", "rescale"]


@dataclass(frozen=True)
class ConditioningMonitor:
    """Measures σmax, σmin and κ of latent -> standardised data, and the round trip x -> z -> x, while a flow trains.

    Given to `fit(..., monitor=...)`, it measures `points` fixed rows, evenly spaced in the validation table (in the data
    where there is none), before the first step and every `interval(n)` steps. It also measures how far these points go
    when they are scaled by two. Measuring does not change the training: the weights are bit for bit those of a run
    without a monitor, until a budget is crossed.

    Cost, beside compiling a program: `results/monitor.json`. Up to 64 coordinates a measurement computes whole Jacobians.
    Beyond, it bounds the two ends of the spectrum by products. With narrow nets one such measurement costs about 20
    training steps, so the default interval is eight times longer.

    **Arguments:** `every`: in training steps (None: 100, or 800 beyond 64 coordinates); `points`: rows; `max_condition`,
    `max_round_trip`: budgets for the largest κ and the largest error over the points, in the flow's own dtype (None: none;
    NaN is beyond any). `action`, beyond a budget: "stop" ends the training with the status "ill-conditioned"; "rescale"
    goes back to the last weights that were measured within it, with half the learning rate and another shuffle, at most
    `max_rescales` times, and then stops.

    **Raises:** `InputError` for counts below 1, budgets that are no finite numbers above 0, an unknown action, and an
    action other than "stop" without a budget.
    """

    every: int | None = None
    points: int = 16
    max_condition: float | None = None
    max_round_trip: float | None = None
    action: Action = "stop"
    max_rescales: int = 3

    def __post_init__(self) -> None:
        for name in ("every", "points", "max_rescales"):
            if getattr(self, name) is not None or name != "every":
                whole(name, getattr(self, name))
        for name in ("max_condition", "max_round_trip"):
            if getattr(self, name) is not None:
                positive(name, getattr(self, name))
        if self.action not in get_args(Action):
            raise InputError(f"`action` must be one of {', '.join(get_args(Action))}; got {self.action!r}.")
        if self.action != "stop" and not self.has_budget:
            raise InputError(
                f"`action={self.action!r}` needs a budget; give `max_condition` or `max_round_trip`."
            )

    def interval(self, size: int) -> int:
        """Training steps from look to look for a flow of `size` coordinates."""
        if self.every is not None:
            return self.every
        return EVERY if size <= DENSE else RARER * EVERY

    @property
    def has_budget(self) -> bool:
        """True if some budget is set."""
        return self.max_condition is not None or self.max_round_trip is not None

    def crossed(self, look: Look) -> bool:
        """True if a figure is above its budget, or NaN where there is a budget."""
        budgets = ((look.condition_max, self.max_condition), (look.round_trip, self.max_round_trip))
        return any(limit is not None and not found <= limit for found, limit in budgets)


def check_monitored(monitor: object, flow: object) -> None:
    """**Raises:** `InputError` unless `monitor` is a `ConditioningMonitor` and `flow` has a bijection."""
    if not isinstance(monitor, ConditioningMonitor):
        raise InputError(f"`monitor` must be a `ConditioningMonitor`; got a {type(monitor).__name__}.")
    if not isinstance(flow, AbstractFlow):
        raise InputError(
            f"`monitor` needs a flow with a bijection; a {type(flow).__name__} has none: leave `monitor` out."
        )


class Watch:
    """`monitor` on the flows of one form and problem."""

    def __init__(self, monitor: ConditioningMonitor, form: Form, problem: Problem, flow: AbstractFlow):
        self.monitor, self.form, self.buffers = monitor, form, problem.buffers
        table = problem.rows if problem.validation is None else problem.validation
        index = np.linspace(0, len(table) - 1, min(monitor.points, len(table))).round().astype(np.int32)
        taken = table.take(jnp.asarray(index))
        self.points = Rows(taken.x, taken.context, None)
        self.scale = _scale(flow, np.asarray(problem.rows.x))
        self.latents = problem.rows.x[:SCALED] if isinstance(form.loss, ReverseKL) else None
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

    def figures(self, params: PyTree, *, step: int, epoch: int, attempt: int) -> Look:
        """The figures of the flow with these weights, of latent -> data / `scale`.

        Medians and worst cases over the points; NaN at a point is NaN here, and κ above 1/eps is counted. `step` counts from
        the start of training; `attempt`: goings-back so far.
        """
        rows, scale = self._seen(params)
        dense = len(scale) <= DENSE
        precision: conditioning.Precision = "float64" if rows.x.dtype == np.float64 else "float32"
        found = _look(self.form, params, self.buffers, rows.x, rows.context, dense=dense)
        jacobian, z, far, errors = jax.device_get(found)
        if dense:
            values = conditioning.inverse_singular_values(np.asarray(jacobian, np.float64) * scale)
        else:
            bijection = rolled(self.form.combined(params, self.buffers).bijection)
            whole = conditioning.JaxMap(bijection.forward, bijection.inverse, len(scale))
            context = None if rows.context is None else np.asarray(rows.context)
            ends = conditioning.extremes(whole, z, context, scale=scale, steps=STEPS, precision=precision)
            values = np.stack([ends.sigma_max, ends.sigma_min], axis=1)
        lost = ~np.isfinite(z).all(axis=1, keepdims=True)  # a derivative may be finite where the value is not
        values = np.where(lost, np.nan, values)
        kappa = conditioning.condition_numbers(values)
        spectrum = conditioning.Spectrum(values, dense, kappa, None, precision=precision)
        with np.errstate(invalid="ignore"):
            trips = np.max(np.asarray(errors, np.float64) / scale, axis=1)
            grown = conditioning.growth(np.asarray(z, np.float64), np.asarray(far, np.float64))
        return Look(
            step=step,
            epoch=epoch,
            attempt=attempt,
            sigma_max=float(np.max(values[:, 0])),
            sigma_max_median=float(np.median(values[:, 0])),
            sigma_min=float(np.min(values[:, -1])),
            sigma_min_median=float(np.median(values[:, -1])),
            condition_median=float(np.median(kappa)),
            condition_max=float(np.max(kappa)),
            round_trip=float(np.max(trips)),
            growth=float(np.max(grown)),
            unresolved=int(spectrum.unresolved.sum()),
            kind=spectrum.kinds["condition_numbers"],
        )

    def _seen(self, params: PyTree) -> tuple[Rows, FloatArray]:
        """The points and their units; for a known density the images of latents under the flow as it stands."""
        if self.latents is None:
            return self.points, self.scale
        x = _images(self.form, params, self.buffers, self.latents)
        with np.errstate(invalid="ignore", over="ignore"):
            scale = conditioning.unit_scale(np.asarray(x, np.float64))
        return Rows(x[: len(self.points)], None, None), scale

    def look(self, state: State, log: Log, *, step: int, epoch: int) -> State:
        """Note the figures in the log; beyond the budget go back to the last weights within it, or end the training.

        **Returns:** the state, whose epoch begins with those weights where `log.rescales` has grown.
        """
        monitor = self.monitor
        found = self.figures(state.now.kept, step=step, epoch=epoch, attempt=log.attempt)
        if not monitor.crossed(found):
            log.conditioning.append(found)
            if monitor.has_budget:
                self.good, log.good_step = jax.tree.map(jnp.copy, state.now), step
            return state
        back = monitor.action == "rescale" and self.good is not None and log.rescales < monitor.max_rescales
        log.conditioning.append(msgspec.structs.replace(found, action="rescale" if back else "stop"))
        if back:
            log.rescales += 1
            log.factor *= 0.5
            state = replace(state, start=jax.tree.map(jnp.copy, self.good))
        else:
            log.status = "ill-conditioned"
        if log.best_epoch is not None and monitor.crossed(self._of_best(state, log)):
            state = _without_best(state, log)
        return state

    def look_at_best(self, state: State, log: Log) -> State:
        """In the end: the best weights, perhaps never looked at, are not delivered if they are beyond the budget."""
        ended = log.status in ("finished", "stopped early") and log.best_epoch is not None
        if ended and self.monitor.has_budget:
            found = self._of_best(state, log)
            if self.monitor.crossed(found):
                log.conditioning.append(msgspec.structs.replace(found, action="stop"))
                log.status = "ill-conditioned"
                return _without_best(state, log)
        return state

    def _of_best(self, state: State, log: Log) -> Look:
        epoch = log.best_epoch or 0
        return self.figures(state.best, step=epoch * self.form.train_steps, epoch=epoch, attempt=log.attempt)


def _without_best(state: State, log: Log) -> State:
    """Forget the best weights; patience begins again."""
    log.best_epoch, log.patient_from = None, log.done
    return replace(state, best_value=jnp.full_like(state.best_value, -jnp.inf))


def _scale(flow: AbstractFlow, x: FloatArray) -> FloatArray:
    """The unit of each coordinate of the data: what the flow's last layer says, or the deviation of the column."""
    last = flow.bijection
    while isinstance(last, Chain):
        last = last.bijections[-1]
    if isinstance(last, Standardize):
        return np.asarray(last.scale, np.float64)
    return np.concatenate([conditioning.unit_scale(x), np.ones(flow.extra)])


@partial(jax.jit, static_argnames="form")
def _images(form: Form, params: PyTree, buffers: PyTree, z: Array) -> Array:
    return jax.vmap(rolled(form.combined(params, buffers)).bijection.forward)(z)


@partial(jax.jit, static_argnames=("form", "dense"))
def _look(
    form: Form, params: PyTree, buffers: PyTree, x: Array, context: Array | None, *, dense: bool
) -> tuple[Array | None, Array, Array, Array]:
    """dz/dx (None unless `dense`), z, the latents of points twice as far from their mean, and |f(z) - x|."""
    flow = rolled(form.combined(params, buffers))
    body, x = flow.bijection, jax.vmap(flow.extended)(x)

    def to_latent(v: Array, c: Array | None) -> tuple[Array, Array]:
        z = body.inverse(v, c)
        return z, z

    inverse = jax.vmap(body.inverse)
    jacobian = None
    if dense:
        jacobian, z = jax.vmap(jax.jacfwd(to_latent, has_aux=True))(x, context)
    else:
        z = inverse(x, context)
    # the barrier keeps the compiler from cancelling f against its inverse
    back = jax.vmap(body.forward)(jax.lax.optimization_barrier(z), context)
    return jacobian, z, inverse(conditioning.doubled(x), context), jnp.abs(back - x)
