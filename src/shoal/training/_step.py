"""The compiled part of training: one program that does some steps of one epoch.

An epoch is `train_steps` gradient steps over a fresh shuffle, then `validation_steps` batches of validation rows.
`advance` is given the step to stop before as a traced number, so one compilation serves every cut of an epoch into
chunks, and the cut can not change a result: a step depends on the state and on its own number only. A step whose
loss or gradient norm is not finite is not applied and ends the program; the next call with `restart` goes back to
the weights and moments at the epoch's start.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from shoal._types import Array, Key
from shoal.bijections import reseeded

from ._data import Rows, shuffle
from ._losses import log_likelihood_sum, negative_log_likelihood
from ._penalty import AbstractPenalty, due
from ._schedule import learning_rate


@dataclass(frozen=True)
class Form:
    """What the program is compiled for: the flow without its arrays (as leaves and tree, so that this is hashable
    where the flow holds lists), the batch sizes, and the penalty.
    """

    leaves: tuple[Any, ...]
    tree: Any
    batch: int
    train_steps: int
    validation_batch: int
    validation_steps: int
    penalty: AbstractPenalty | None = None

    @property
    def flow(self) -> Any:
        """The flow without its arrays."""
        return jax.tree.unflatten(self.tree, self.leaves)

    @property
    def steps(self) -> int:
        """Steps of one epoch, training and validation together."""
        return self.train_steps + self.validation_steps


class Problem(eqx.Module):
    """The arrays that no step changes."""

    buffers: Any  # arrays of the flow that are not trained: integers, masks
    rows: Rows
    validation: Rows | None
    key: Key
    peak: Array  # learning rate at the end of the warm-up
    warmup: Array
    clip_norm: Array


class Control(eqx.Module):
    """What the host tells one call: which part of which epoch, and where the plan stands."""

    restart: Any  # bool: begin the epoch (again)
    stop: Any  # int32: do the steps before this one
    factor: Any  # float32, of the learning rate; halved by every rollback
    epoch: Any  # int32, and
    rollbacks: Any  # int32: what the noise of a step depends on, beside its number
    progress: Any  # float32, of the plan at the epoch's start
    per_step: Any  # float32


class State(eqx.Module):
    """The arrays that steps change. `start_*` is the beginning of the epoch, `best` the best weights so far."""

    params: Any
    moments: Any
    start_params: Any
    start_moments: Any
    best: Any
    best_value: Array
    step: Array
    finite: Array
    train: Array  # mean loss of the steps of this epoch
    validation: Array  # weighted sum of log-likelihoods
    value: Array  # log-likelihood of the validation rows after the last epoch that ended
    learning_rate: Array  # of the last step


def optimizer(clip_norm: Any) -> optax.GradientTransformation:
    """Gradient clipping by the global norm, then Adam's direction; `advance` multiplies by the learning rate."""
    return optax.chain(optax.clip_by_global_norm(clip_norm), optax.scale_by_adam())


def first_state(params: Any) -> State:
    """The state before the first epoch. Every array is a copy: `advance` takes the state's memory over."""
    copy = partial(jax.tree.map, lambda leaf: jnp.array(leaf, copy=True))
    dtype = jnp.result_type(*jax.tree.leaves(params))
    moments = optimizer(np.inf).init(params)
    return State(
        params=copy(params),
        moments=copy(moments),
        start_params=copy(params),
        start_moments=copy(moments),
        best=copy(params),
        best_value=jnp.array(-jnp.inf, dtype),
        step=jnp.array(0, jnp.int32),
        finite=jnp.array(True),
        train=jnp.array(0, dtype),
        validation=jnp.array(0, dtype),
        value=jnp.array(-jnp.inf, dtype),
        learning_rate=jnp.array(0, jnp.float32),
    )


def _choose(condition: Array, yes: Any, no: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


@partial(jax.jit, static_argnames="rows")
def order_of(key: Key, epoch: Any, rollbacks: Any, rows: int) -> Array:
    """The order of the rows in one epoch. A rolled-back epoch gets another one."""
    return shuffle(jax.random.fold_in(jax.random.fold_in(key, epoch), rollbacks), rows)


def noise_of(key: Key, epoch: Any, rollbacks: Any, step: Any) -> Key:
    """The key of one step, for flows that draw noise (`Noise`); no other step of the run has it."""
    for word in (0x4E01, epoch, rollbacks, step):
        key = jax.random.fold_in(key, word)
    return key


@partial(jax.jit, static_argnames="form", donate_argnames="state")
def advance(form: Form, problem: Problem, order: Array, state: State, control: Control) -> State:
    """Do the steps of the epoch from where the state stands up to `control.stop` (exclusive), or to the first
    non-finite one. With `control.stop` 0 it changes nothing, and only compiles.

    **Returns:** the new state; `finite` is False where a step was refused, `step` is the next step to do.
    """
    state = _begin(state, control)
    stop = jnp.minimum(control.stop, form.train_steps)
    state = jax.lax.while_loop(
        lambda s: (s.step < stop) & s.finite, partial(_train_step, form, problem, order, control), state
    )
    if problem.validation is not None:
        stop = jnp.minimum(control.stop, form.steps)
        state = jax.lax.while_loop(
            lambda s: (s.step >= form.train_steps) & (s.step < stop) & s.finite,
            partial(_validation_step, form, problem, problem.validation),
            state,
        )
    return _finish(form, problem, state)


def _begin(state: State, control: Control) -> State:
    restart = control.restart & (control.stop > 0)
    zero = jnp.zeros_like(state.train)
    return replace(
        state,
        params=_choose(restart, state.start_params, state.params),
        moments=_choose(restart, state.start_moments, state.moments),
        step=jnp.where(restart, 0, state.step),
        finite=state.finite | restart,
        train=jnp.where(restart, zero, state.train),
        validation=jnp.where(restart, zero, state.validation),
    )


def batch_of(form: Form, rows: Rows, order: Array, step: Any) -> Rows:
    """The rows of training step `step` of an epoch with this order."""
    return rows.take(jax.lax.dynamic_slice(order, (step * form.batch,), (form.batch,)))


def _train_step(form: Form, problem: Problem, order: Array, control: Control, state: State) -> State:
    batch = batch_of(form, problem.rows, order, state.step)
    noise = noise_of(problem.key, control.epoch, control.rollbacks, state.step)

    def loss_of(params: Any) -> tuple[Array, Array]:
        flow = reseeded(eqx.combine(params, problem.buffers, form.flow), noise)
        loss = negative_log_likelihood(flow, batch)
        if form.penalty is None:
            return loss, loss
        count = control.epoch * form.train_steps + state.step
        key = jax.random.fold_in(noise, 0x50E7A1)
        return loss + due(form.penalty, flow, batch, count, key).astype(loss.dtype), loss

    (total, loss), gradient = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    finite = jnp.isfinite(total) & jnp.isfinite(optax.tree.norm(gradient))
    progress = control.progress + (state.step.astype(jnp.float32) + 0.5) * control.per_step
    rate = control.factor * learning_rate(progress, problem.peak, problem.warmup)
    direction, moments = optimizer(problem.clip_norm).update(gradient, state.moments, state.params)
    params = jax.tree.map(
        lambda p, d: jnp.where(finite, p - rate.astype(p.dtype) * d, p), state.params, direction
    )
    step = state.step + finite.astype(jnp.int32)
    loss = loss.astype(state.train.dtype)
    train = jnp.where(finite, state.train + (loss - state.train) / step.astype(loss.dtype), state.train)
    return replace(
        state,
        params=params,
        moments=_choose(finite, moments, state.moments),
        step=step,
        finite=finite,
        train=train,
        learning_rate=rate,
    )


def _validation_step(form: Form, problem: Problem, rows: Rows, state: State) -> State:
    index = (state.step - form.train_steps) * form.validation_batch + jnp.arange(
        form.validation_batch, dtype=jnp.int32
    )
    counted = index < len(rows)
    batch = rows.take(jnp.minimum(index, len(rows) - 1))
    total = log_likelihood_sum(eqx.combine(state.params, problem.buffers, form.flow), batch, counted)
    return replace(
        state, step=state.step + 1, validation=state.validation + total.astype(state.validation.dtype)
    )


def _finish(form: Form, problem: Problem, state: State) -> State:
    done = state.finite & (state.step >= form.steps)
    if problem.validation is None:
        value, better = state.value, done
    else:
        value = jnp.where(done, state.validation / len(problem.validation), state.value)
        better = done & jnp.isfinite(value) & (value > state.best_value)
    start = jax.lax.cond(
        done, lambda: (state.params, state.moments), lambda: (state.start_params, state.start_moments)
    )
    return replace(
        state,
        start_params=start[0],
        start_moments=start[1],
        best=jax.lax.cond(better, lambda: state.params, lambda: state.best),
        best_value=jnp.where(better, value, state.best_value),
        value=value,
    )
