"""From the arguments of `fit` to a `Job`: every static input is checked here, before anything is compiled."""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from shoal._errors import InputError
from shoal.bijections import Standardize, StandardizedContext

from ._checkpoint import Checkpoints
from ._data import Rows, digest, make_rows
from ._monitor import ConditioningMonitor
from ._result import Epoch
from ._run import Job
from ._settings import Settings, check_same, described
from ._step import Form, Problem
from ._watch import check_monitored

SMALLEST_VALIDATION_BATCH = 1024

KeyLike: TypeAlias = Any  # one JAX random key, of either kind: checked here


def make_tables(
    flow: Any,
    data: Any,
    context: Any,
    weights: Any,
    validation: Any,
    validation_context: Any,
    validation_weights: Any,
) -> tuple[Rows, Rows | None]:
    """The training and the validation rows on the device, in the dtype of the flow's parameters.

    **Raises:** `InputError` for a table that does not fit the flow, the other table, or its context.
    """
    if not callable(getattr(flow, "log_prob", None)):
        raise InputError(
            f"`flow` is a {type(flow).__name__} without `log_prob`; pass a flow or another density."
        )
    leaves = jax.tree.leaves(eqx.filter(flow, trained(flow)))
    if not leaves:
        raise InputError(
            f"`flow` is a {type(flow).__name__} without floating-point arrays: there is nothing to train."
        )
    dtype = jnp.result_type(*leaves)
    columns = (getattr(flow, "columns", None), getattr(flow, "context_columns", None))
    rows = make_rows("data", data, context, weights, dtype, columns)
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
    return rows, seen


def make_job(
    flow: Any,
    tables: tuple[Rows, Rows | None],
    key: KeyLike,
    settings: Settings,
    *,
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any, Rows], Any],
    folder: str | os.PathLike[str] | None,
    resume: bool,
    progress: Callable[[dict[str, Any]], Any] | None,
    callback: Callable[[Epoch], Any] | None,
    monitor: ConditioningMonitor | None,
) -> Job:
    """The job of one flow. **Raises:** `InputError` for a bad key, value or folder, or checkpoints of another run."""
    _check_values(settings, optimizer, loss)
    if settings.penalty is not None and getattr(flow, "bijection", None) is None:
        raise InputError(f"`penalty` needs a flow with a bijection; a {type(flow).__name__} has none.")
    if resume and folder is None:
        raise InputError("`resume=True` needs the `folder` that holds the checkpoints.")
    if monitor is not None:
        check_monitored(monitor, flow)
    rows, validation = tables
    params, rest = eqx.partition(flow, trained(flow))
    buffers, static = eqx.partition(rest, lambda leaf: eqx.is_array(leaf) or isinstance(leaf, np.ndarray))
    leaves, tree = jax.tree.flatten(static)
    batch = min(settings.batch_size, len(rows))
    parts = (
        0 if validation is None else math.ceil(len(validation) / max(2 * batch, SMALLEST_VALIDATION_BATCH))
    )
    problem = Problem(
        buffers=buffers,
        rows=rows,
        validation=validation,
        key=_typed_key(key),
        peak=jnp.array(settings.learning_rate, jnp.float32),
        warmup=jnp.array(settings.warmup_fraction, jnp.float32),
        clip_norm=jnp.array(jnp.inf if settings.clip_norm is None else settings.clip_norm, jnp.float32),
        averaging=None if settings.averaging is None else jnp.array(settings.averaging, jnp.float32),
        weight_decay=jnp.array(settings.weight_decay, jnp.float32) if settings.weight_decay else None,
    )
    checkpoints = None if folder is None else Checkpoints(folder)
    form = Form(
        leaves=tuple(leaves),
        tree=tree,
        batch=batch,
        train_steps=len(rows) // batch,
        validation_batch=0 if validation is None else math.ceil(len(validation) / parts),
        validation_steps=parts,
        penalty=settings.penalty,
        optimizer=optimizer,
        loss=loss,
    )
    fingerprint: dict[str, Any] = {}
    if checkpoints is not None:
        fingerprint = {
            **settings.fingerprint(),
            "key": jax.random.key_data(problem.key).tolist(),
            "flow": digest(eqx.filter(flow, eqx.is_array)),
            "data": digest(rows),
            "validation": digest(validation),
            "monitor": described(monitor),
            "optimizer": f"{described(optimizer)} {digest(optimizer.init(params))}",
            "loss": described(loss),
        }
    return Job(
        form=form,
        problem=problem,
        params=params,
        settings=settings,
        checkpoints=checkpoints,
        fingerprint=fingerprint,
        resumed=None if checkpoints is None else _stored_run(checkpoints, fingerprint, resume=resume),
        progress=progress,
        callback=callback,
        monitor=monitor,
    )


def trained(flow: Any) -> Any:
    """The flow's tree with True at the arrays that are trained: floating-point ones, but for those of `Standardize` and
    the units of `StandardizedContext`, which have no gradient: an optimizer that decays weights would move them.
    """

    def one(node: Any) -> Any:
        if isinstance(node, Standardize):
            return jax.tree.map(lambda _: False, node)
        if isinstance(node, StandardizedContext):
            fixed = jax.tree.map(lambda _: False, node)
            return eqx.tree_at(lambda n: n.bijection, fixed, trained(node.bijection))
        return eqx.is_inexact_array(node)

    return jax.tree.map(one, flow, is_leaf=lambda n: isinstance(n, Standardize | StandardizedContext))


def _check_values(settings: Any, optimizer: Any, loss: Any) -> None:
    if not isinstance(settings, Settings):
        raise InputError(f"`settings` must be a `Settings`; got {settings!r}.")
    if not isinstance(optimizer, optax.GradientTransformation):
        raise InputError(
            f"`optimizer` must be an Optax optimizer such as `optax.adam(1.0)`; got {optimizer!r}."
        )
    if not callable(loss) or type(loss).__hash__ is None:
        raise InputError(f"`loss` must be a hashable function (flow, rows) -> scalar; got {loss!r}.")


def _typed_key(key: KeyLike) -> Any:
    if not isinstance(key, jax.Array):
        raise InputError(
            f"`key` must be a JAX random key such as `jax.random.key(0)`; got a {type(key).__name__}."
        )
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.dtype != jnp.uint32 or key.shape != (2,):
            raise InputError(
                f"`key` must be one JAX random key; got an array of shape {key.shape}, dtype {key.dtype}."
            )
        key = jax.random.wrap_key_data(key)
    if key.shape != ():
        raise InputError(f"`key` must be one JAX random key; got {key.shape[0]} of them.")
    return key


def _stored_run(
    checkpoints: Checkpoints, fingerprint: Mapping[str, Any], *, resume: bool
) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    if not checkpoints.whole:
        return None
    folder = Path(checkpoints.folder)
    if not resume:
        raise InputError(
            f"{folder} holds checkpoints of an earlier run; pass `resume=True`, or name another folder."
        )
    found = checkpoints.load()
    if found is None:
        raise InputError(f"None of the checkpoints in {folder} is whole; remove the folder to begin again.")
    check_same(folder, found[1]["fingerprint"], fingerprint)
    return found
