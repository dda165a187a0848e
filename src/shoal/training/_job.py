"""From the arguments of `fit` to a `Job`: every static input is checked here, before anything is compiled."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PyTree

from shoal._errors import InputError
from shoal._processes import check_equal
from shoal._types import ArrayLike
from shoal.bijections import AbstractBijection
from shoal.distributions import AbstractFlow

from ._checkpoint import Checkpoints, Stored
from ._checks import KeyLike, check_same, described, one_key
from ._data import Rows, digest, make_rows
from ._devices import devices_for, home, mesh_of, placed
from ._listening import Listener
from ._losses import Density, Loss, negative_log_likelihood
from ._monitor import ConditioningMonitor, check_monitored
from ._result import Epoch
from ._reverse_kl import ReverseKL
from ._settings import Settings
from ._source import RowSource
from ._step import ADAM, Form, Problem

SMALLEST_VALIDATION_BATCH = 1024


@dataclass(frozen=True)
class Job:
    """All that one run needs."""

    form: Form
    problem: Problem  # on the devices that train; its rows: all, or the first block of `source`
    source: RowSource | None
    params: PyTree  # the first weights
    buffers: PyTree  # the flow's other arrays, as they were given
    settings: Settings
    checkpoints: Checkpoints | None
    fingerprint: dict[str, object]
    resumed: Stored | None
    progress: Listener | None
    callback: Callable[[Epoch], object] | None
    monitor: ConditioningMonitor | None

    @property
    def is_over(self) -> bool:
        """True if a checkpoint says that this run came to its end."""
        return self.resumed is not None and self.resumed[1]["status"] is not None

    def flow(self, params: PyTree) -> Density:
        """The flow with these weights, on one device."""
        return self.form.combined(home(params, self.form.mesh), self.buffers)


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a training on the device; where they come in blocks, `train` is the first one."""

    train: Rows
    validation: Rows | None
    source: RowSource | None = None


def make_tables(
    flow: Density,
    data: ArrayLike | RowSource,
    *,
    context: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    validation: ArrayLike | None = None,
    validation_context: ArrayLike | None = None,
    validation_weights: ArrayLike | None = None,
) -> TrainingRows:
    """The training and the validation rows on the device, in the dtype of the flow's parameters.

    **Raises:** `InputError` for a table that does not fit the flow, the other table, or its context.
    """
    if not callable(getattr(flow, "log_prob", None)):
        raise InputError(
            f"`flow` is a {type(flow).__name__} without `log_prob`; pass a flow or another density."
        )
    leaves = jax.tree.leaves(eqx.filter(flow, trainable(flow)))
    if not leaves:
        raise InputError(
            f"`flow` is a {type(flow).__name__} without trainable arrays: there is nothing to train."
        )
    dtype = jnp.result_type(*leaves)
    columns = (getattr(flow, "columns", None), getattr(flow, "context_columns", None))
    source = data if isinstance(data, RowSource) else None
    if source is None:
        rows = make_rows("data", data, context, weights, dtype, columns)
    elif context is None and weights is None:
        rows = source.rows(source.block(0, dtype))
    else:
        raise InputError(
            "`data` is a `RowSource`, which has context and weights of its own: leave these out."
        )
    shape = getattr(flow, "shape", None)
    if shape is not None and tuple(shape) != (rows.x.shape[1],):
        raise InputError(
            f"`data` has {rows.x.shape[1]} columns but the flow has shape {tuple(shape)}; they must agree."
        )
    wanted = getattr(getattr(flow, "bijection", flow), "context_shape", None)
    if wanted is not None and (rows.context is None or rows.context.shape[1:] != tuple(wanted)):
        found = "none was given" if rows.context is None else f"got {rows.context.shape[1]} columns"
        raise InputError(f"The flow needs a `context` with {wanted[0]} columns; {found}.")
    if validation is None:
        for name, value in (("context", validation_context), ("weights", validation_weights)):
            if value is not None:
                raise InputError(f"`validation_{name}` was given without `validation`; pass both.")
    seen = None
    if validation is not None:
        seen = make_rows(
            "validation", validation, validation_context, validation_weights, dtype, columns, like=rows
        )
    if rows.context is not None and getattr(flow, "context_shape", ()) is None:
        raise InputError(
            "`context` was given but the flow has none; build it with `context_dim`, or leave `context` out."
        )
    return TrainingRows(rows, seen, source)


def make_job(
    flow: Density,
    tables: TrainingRows,
    key: KeyLike,
    settings: Settings,
    *,
    optimizer: optax.GradientTransformation = ADAM,
    loss: Loss | ReverseKL = negative_log_likelihood,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Listener | None = None,
    callback: Callable[[Epoch], object] | None = None,
    monitor: ConditioningMonitor | None = None,
) -> Job:
    """The job of one flow. **Raises:** `InputError` for a bad key, value or folder, or checkpoints of another run."""
    _check_values(settings, optimizer, loss)
    if settings.penalty is not None and not isinstance(flow, AbstractFlow):
        raise InputError(f"`penalty` needs a flow with a bijection; a {type(flow).__name__} has none.")
    if resume and folder is None:
        raise InputError("`resume=True` needs the `folder` that holds the checkpoints.")
    if monitor is not None:
        check_monitored(monitor, flow)
    params, rest = eqx.partition(flow, trainable(flow))
    buffers, static = eqx.partition(rest, lambda leaf: eqx.is_array(leaf) or isinstance(leaf, np.ndarray))
    problem = _problem(buffers, tables, key, settings)
    checkpoints, fingerprint, resumed = None, {}, None
    if folder is not None:
        checkpoints = Checkpoints(folder)
        fingerprint = {
            **settings.fingerprint(),
            "key": jax.random.key_data(problem.key).tolist(),
            "flow": digest(eqx.filter(flow, eqx.is_array)),
            "data": digest(problem.rows) if tables.source is None else tables.source.digest,
            "validation": digest(problem.validation),
            "monitor": described(monitor),
            "optimizer": f"{described(optimizer)} {digest(optimizer.init(params))}",
            "loss": described(loss),
        }
        resumed = _stored_run(checkpoints, fingerprint, resume=resume)
    form = _form(static, tables, settings, optimizer, loss, sum(w.size for w in jax.tree.leaves(params)))
    if jax.process_count() > 1:
        rows = (tables.train, tables.validation)
        given = eqx.filter((flow, rows, jax.random.key_data(problem.key)), eqx.is_array)
        stored = None if tables.source is None else tables.source.digest
        words = repr((settings.fingerprint(), described(loss), resumed and resumed[1], stored))
        check_equal("flow, table, key, settings or checkpoint", digest((given, np.asarray(words))))
    return Job(
        form=form,
        problem=placed(problem, form.mesh),
        source=tables.source,
        params=params,
        buffers=buffers,
        settings=settings,
        checkpoints=checkpoints,
        fingerprint=fingerprint,
        resumed=resumed,
        progress=progress,
        callback=callback,
        monitor=monitor,
    )


def _problem(buffers: PyTree, tables: TrainingRows, key: KeyLike, settings: Settings) -> Problem:
    number = lambda value: jnp.array(value, jnp.float32)
    return Problem(
        buffers=buffers,
        rows=tables.train,
        validation=tables.validation,
        key=one_key(key),
        peak=number(settings.learning_rate),
        warmup=number(settings.warmup_fraction),
        clip_norm=number(jnp.inf if settings.clip_norm is None else settings.clip_norm),
        averaging=None if settings.averaging is None else number(settings.averaging),
        weight_decay=number(settings.weight_decay) if settings.weight_decay else None,
    )


def _form(
    static: PyTree,
    tables: TrainingRows,
    settings: Settings,
    optimizer: optax.GradientTransformation,
    loss: Loss | ReverseKL,
    weights: int,
) -> Form:
    leaves, tree = jax.tree.flatten(static)
    count, seen = (0 if rows is None else len(rows) for rows in (tables.train, tables.validation))
    batch = min(settings.batch_size, count)
    devices = devices_for(batch, weights, settings.devices)
    parts = math.ceil(seen / max(2 * batch, SMALLEST_VALIDATION_BATCH))
    return Form(
        leaves=tuple(leaves),
        tree=tree,
        batch=batch,
        train_steps=count // batch,
        validation_batch=devices * math.ceil(seen / (parts * devices)) if parts else 0,
        validation_steps=parts,
        penalty=settings.penalty,
        optimizer=optimizer,
        loss=loss,
        mesh=mesh_of(devices),
    )


def trainable(flow: PyTree) -> PyTree:
    """The flow's tree with True at the arrays that an optimizer may move: those of floats that no bijection calls `fixed`.

    Fixed ones, such as the means of `Standardize`, have no gradient, but an optimizer that decays weights would move them.
    `weights, rest = eqx.partition(flow, trainable(flow))`.
    """
    holds_fixed = lambda node: isinstance(node, AbstractBijection) and bool(node.fixed)

    def one(node: PyTree) -> PyTree:
        if not holds_fixed(node):
            return eqx.is_inexact_array(node)
        fields, tree = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda part: part is not node)
        none = lambda part: jax.tree.map(lambda _: False, part)
        return tree.unflatten([none(v) if path[0].name in node.fixed else trainable(v) for path, v in fields])

    return jax.tree.map(one, flow, is_leaf=holds_fixed)


def _check_values(settings: object, optimizer: object, loss: object) -> None:
    if not isinstance(settings, Settings):
        raise InputError(f"`settings` must be a `Settings`; got {settings!r}.")
    if not isinstance(optimizer, optax.GradientTransformation):
        raise InputError(
            f"`optimizer` must be an Optax optimizer such as `optax.adam(1.0)`; got {optimizer!r}."
        )
    if not (callable(loss) or isinstance(loss, ReverseKL)) or type(loss).__hash__ is None:
        raise InputError(f"`loss` must be a hashable function (flow, rows) -> scalar; got {loss!r}.")


def _stored_run(checkpoints: Checkpoints, fingerprint: dict[str, object], *, resume: bool) -> Stored | None:
    folder = checkpoints.folder
    if not checkpoints.whole:
        return None
    if not resume:
        raise InputError(
            f"{folder} holds checkpoints of an earlier run; pass `resume=True`, or name another folder."
        )
    found = checkpoints.load()
    if found is None:
        raise InputError(f"None of the checkpoints in {folder} is whole; remove the folder to begin again.")
    check_same(folder, found[1]["fingerprint"], fingerprint)
    return found
