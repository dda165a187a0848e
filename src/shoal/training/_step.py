"""The compiled part of training: one program that does some steps of one epoch.

An epoch is `train_steps` gradient steps over a fresh shuffle, then `validation_steps` batches of validation rows.
`advance` is given the step to stop before as a traced number, so one compilation serves every cut of an epoch into
chunks, and the cut can not change a result: a step depends on the state and on its own number only. A step whose
loss or gradient norm is not finite is not applied and ends the program; the next call with `restart` goes back to
the weights and moments at the epoch's start. A restart at `train_steps` does the validation alone: that is epoch 0.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import PyTree

from shoal._compiling import quickly
from shoal._types import Array, Key
from shoal.bijections import reseeded
from shoal.bijections.conditioners import AbstractConditioner

from ._data import Rows, shuffle
from ._devices import apart, whole
from ._losses import AbstractPenalty, Density, Loss, due, negative_log_likelihood
from ._reverse_kl import ReverseKL
from ._schedule import learning_rate
from ._winsorised import Winsorised, winsorised_mean

MATRICES = ("skip", "weights", "last")  # of a conditioner
ADAM = optax.adam(1.0)  # the one default, so that runs share compiled programs

Number: TypeAlias = Any  # a NumPy scalar of the host, which is a traced array inside


@dataclass(frozen=True)
class Form:
    """What the program is compiled for: the flow without its arrays (as leaves and tree, so that this is hashable
    where the flow holds lists), the batch sizes, the penalty, the optimizer, the loss, and the devices (None: one).
    """

    leaves: tuple[object, ...]
    tree: PyTree
    batch: int
    train_steps: int
    validation_batch: int
    validation_steps: int
    penalty: AbstractPenalty | None = None
    optimizer: optax.GradientTransformation = ADAM
    loss: Loss | ReverseKL = negative_log_likelihood
    mesh: Mesh | None = None

    def combined(self, params: PyTree, buffers: PyTree) -> Density:
        """The flow with these weights and other arrays."""
        return eqx.combine(params, buffers, jax.tree.unflatten(self.tree, self.leaves))

    def loss_of(self, flow: Density, batch: Rows, progress: Number, key: Key) -> Array:
        """The loss of one step: of its rows, or of latents that `key` draws, as many."""
        if not isinstance(self.loss, ReverseKL):
            return self.loss(flow, batch)
        draws = apart(self.loss.draws(flow, key, len(batch)), self.mesh)
        return self.loss.value(flow, draws, self.loss.beta(progress))

    def scores(self, flow: Density, batch: Rows) -> Array:
        """What validation compares: log p of the rows; of a known density the log-weights of the rows, which are latents."""
        if not isinstance(self.loss, ReverseKL):
            return flow.log_prob(batch.x, batch.context)
        return self.loss.weighted(flow, batch.x)[1]

    @property
    def steps(self) -> int:
        """Steps of one epoch, training and validation together."""
        return self.train_steps + self.validation_steps


class Problem(eqx.Module):
    """The arrays that no step changes."""

    buffers: PyTree  # arrays of the flow that are not trained: integers, masks, `fixed` ones
    rows: Rows
    validation: Rows | None
    key: Key
    peak: Array  # learning rate at the end of the warm-up
    warmup: Array
    clip_norm: Array
    averaging: Array | None = None  # the decay of the averages
    weight_decay: Array | None = None


class Control(eqx.Module):
    """What the host tells one call: which part of which epoch, and where the plan stands."""

    restart: Number  # bool: begin the epoch (again),
    begin: Number  # int32: at this step; `train_steps` for the validation alone
    stop: Number  # int32: do the steps before this one
    factor: Number  # float32, of the learning rate; halved by every rollback
    epoch: Number  # int32, and
    rollbacks: Number  # int32: what the noise of a step depends on, beside its number
    progress: Number  # float32, of the plan at the epoch's start
    per_step: Number  # float32


class Weights(eqx.Module):
    """The weights, the optimizer's state and, where there is averaging, the averages."""

    params: PyTree
    moments: PyTree
    average: PyTree = None

    @property
    def kept(self) -> PyTree:
        """The weights that are validated and returned."""
        return self.params if self.average is None else self.average


class State(eqx.Module):
    """The arrays that steps change. `start` is the beginning of the epoch, `best` the best weights so far."""

    now: Weights
    start: Weights
    best: PyTree
    best_value: Array
    step: Array
    finite: Array
    train: Array  # mean loss of the steps of this epoch
    scores: Array  # log-likelihoods of the validation rows, as far as they are computed
    best_scores: Array  # those under the best weights
    found: Winsorised | None  # their mean after the last epoch that ended; None without validation rows
    learning_rate: Array  # of the last step


def first_state(form: Form, problem: Problem, params: PyTree) -> State:
    """The state before the first epoch. Every array is a copy: `advance` takes the state's memory over."""
    dtype = jnp.result_type(*jax.tree.leaves(params))
    given = Weights(params, form.optimizer.init(params), None if problem.averaging is None else params)
    scores, found = jnp.zeros(0, dtype), None
    if problem.validation is not None:
        scores = jnp.zeros(len(problem.validation), dtype)
        like = jax.eval_shape(winsorised_mean, scores, problem.validation.weights)
        found = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), like)
    return State(
        now=_copy(given),
        start=_copy(given),
        best=_copy(params),
        best_value=jnp.array(-jnp.inf, dtype),
        step=jnp.array(0, jnp.int32),
        finite=jnp.array(True),
        train=jnp.array(0, dtype),
        scores=scores,
        best_scores=jnp.zeros_like(scores),
        found=found,
        learning_rate=jnp.array(0, jnp.float32),
    )


_copy = partial(jax.tree.map, lambda leaf: jnp.array(leaf, leaf.dtype, copy=True))


def _choose(condition: Array, yes: PyTree, no: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)


@partial(jax.jit, static_argnames="rows")
def order_of(key: Key, epoch: Number, rollbacks: Number, rows: int) -> Array:
    """The order of the rows in one epoch. A rolled-back epoch gets another one."""
    return shuffle(jax.random.fold_in(jax.random.fold_in(key, epoch), rollbacks), rows)


def noise_of(key: Key, epoch: Number, rollbacks: Number, step: Number) -> Key:
    """The key of one step, for flows that draw noise (`Noise`); no other step of the run has it."""
    for word in (0x4E01, epoch, rollbacks, step):
        key = jax.random.fold_in(key, word)
    return key


@partial(quickly, jit=jax.jit, static_argnames="form", donate_argnames="state")
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
    return whole(_finish(form, problem, state), form.mesh)


def _begin(state: State, control: Control) -> State:
    restart = control.restart & (control.stop > 0)
    return replace(
        state,
        now=_choose(restart, state.start, state.now),
        step=jnp.where(restart, control.begin, state.step),
        finite=state.finite | restart,
        train=jnp.where(restart, jnp.zeros_like(state.train), state.train),
    )


def batch_of(form: Form, rows: Rows, order: Array, step: Number) -> Rows:
    """The rows of training step `step` of an epoch with this order."""
    return rows.take(jax.lax.dynamic_slice(order, (step * form.batch,), (form.batch,)))


def _train_step(form: Form, problem: Problem, order: Array, control: Control, state: State) -> State:
    batch = apart(batch_of(form, problem.rows, order, state.step), form.mesh)
    noise = noise_of(problem.key, control.epoch, control.rollbacks, state.step)
    now = state.now
    progress = control.progress + (state.step.astype(jnp.float32) + 0.5) * control.per_step

    def loss_of(params: PyTree) -> tuple[Array, Array]:
        flow = reseeded(form.combined(params, problem.buffers), noise)
        loss = form.loss_of(flow, batch, progress, noise)
        if form.penalty is None:
            return loss, loss
        count = control.epoch * form.train_steps + state.step
        key = jax.random.fold_in(noise, 0x50E7A1)
        return loss + due(form.penalty, flow, batch, count, key).astype(loss.dtype), loss

    (total, loss), gradient = jax.value_and_grad(loss_of, has_aux=True)(now.params)
    gradient = whole(gradient, form.mesh)
    finite = jnp.isfinite(total) & jnp.isfinite(optax.tree.norm(gradient))
    rate = control.factor * learning_rate(progress, problem.peak, problem.warmup)
    gradient, _ = optax.clip_by_global_norm(problem.clip_norm).update(gradient, optax.EmptyState())
    update = optax.with_extra_args_support(form.optimizer).update
    changes, moments = update(gradient, now.moments, now.params, value=total)
    old = now.params if problem.weight_decay is None else _shrunk(now.params, rate * problem.weight_decay)
    params = jax.tree.map(lambda p, u: p + rate.astype(p.dtype) * u, old, changes)
    average = None
    if problem.averaging is not None:
        fresh = 1.0 - problem.averaging
        average = jax.tree.map(lambda a, p: a + fresh.astype(a.dtype) * (p - a), now.average, params)
    step = state.step + finite.astype(jnp.int32)
    loss = loss.astype(state.train.dtype)
    train = jnp.where(finite, state.train + (loss - state.train) / step.astype(loss.dtype), state.train)
    return replace(
        state,
        now=_choose(finite, Weights(params, moments, average), now),
        step=step,
        finite=finite,
        train=train,
        learning_rate=rate,
    )


def _shrunk(params: PyTree, share: Array) -> PyTree:
    """The weights, with the matrices of conditioners times 1 - share."""

    def one(path: tuple[object, ...], leaf: Array) -> Array:
        matrix = any(getattr(key, "name", None) in MATRICES for key in path)
        return (1 - share).astype(leaf.dtype) * leaf if matrix else leaf

    def node(part: PyTree) -> PyTree:
        net = isinstance(part, AbstractConditioner)
        return jax.tree_util.tree_map_with_path(one, part) if net else part

    return jax.tree.map(node, params, is_leaf=lambda part: isinstance(part, AbstractConditioner))


def _validation_step(form: Form, problem: Problem, rows: Rows, state: State) -> State:
    first = (state.step - form.train_steps) * form.validation_batch
    index = first + jnp.arange(form.validation_batch, dtype=jnp.int32)
    batch = apart(rows.take(jnp.minimum(index, len(rows) - 1)), form.mesh)
    found = whole(form.scores(form.combined(state.now.kept, problem.buffers), batch), form.mesh)
    scores = state.scores.at[index].set(
        found.astype(state.scores.dtype), mode="drop"
    )  # the last batch is filled up
    return replace(state, step=state.step + 1, scores=scores)


def _finish(form: Form, problem: Problem, state: State) -> State:
    done = state.finite & (state.step >= form.steps)
    found, value, better = state.found, state.best_value, done
    if problem.validation is not None:
        weights = problem.validation.weights
        found = jax.lax.cond(done, lambda: winsorised_mean(state.scores, weights), lambda: state.found)
        value = found.value
        better = done & jnp.isfinite(value) & (value > state.best_value)
    return replace(
        state,
        start=jax.lax.cond(done, lambda: state.now, lambda: state.start),
        best=jax.lax.cond(better, lambda: state.now.kept, lambda: state.best),
        best_value=jnp.where(better, value, state.best_value),
        best_scores=jnp.where(better, state.scores, state.best_scores),
        found=found,
    )
