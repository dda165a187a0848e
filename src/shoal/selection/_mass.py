"""The discrete part of a table: the law of its codes, and numbers in place of those that rows lack."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._compiling import quickly
from shoal._pieces import in_pieces
from shoal._scalars import BoolArray, FloatArray
from shoal.bijections import marginals
from shoal.distributions import Categorical, Filling
from shoal.selection._prepare import Part, Prepared
from shoal.selection._rung import uninterrupted
from shoal.tables import Schema
from shoal.training import Settings, fit

CHUNK = 8192
COPIES, MOST_ROWS = 4, 50_000  # of the training rows, each with other draws; and rows of all of them together
SHARE, MOST, LEAST = 0.1, 60.0, 5.0  # of a time limit; seconds at most and at least
SETTINGS = Settings(batch_size=128, max_epochs=200, patience=20, learning_rate=3e-3)


def with_discrete_part(prepared: Prepared, *, seed: int, limit: float | None) -> Prepared:
    """The table with the law of its codes, trained; and with numbers drawn in place of those that are not there."""
    table = prepared.table
    if table.schema is None or table.codes is None or not table.schema.sizes:
        return prepared
    filling = None if table.present is None or table.present.all() else _filling(prepared, table.schema)
    key = jr.fold_in(jr.key(seed), 16)
    mass = _trained(prepared, table.schema, key, limit)
    parts = {
        name: _completed(part, prepared, mass, filling, jr.fold_in(key, i))
        for i, (name, part) in enumerate(prepared.parts.items())
    }
    made = replace(prepared, parts=parts, mass=mass, filling=filling)
    copies = int(np.clip(MOST_ROWS // len(parts["train"].x), 1, COPIES))
    if filling is None or copies == 1:
        return made
    keys = jr.split(jr.fold_in(key, len(parts)), copies)
    return replace(made, redrawn=_repeated([_filled(parts["train"], made, filling, k)[0] for k in keys]))


def _filled(part: Part, prepared: Prepared, filling: Filling, key: jax.Array) -> tuple[Part, FloatArray]:
    """The part with draws of the numbers that its rows lack, and their log-densities; 0 for numbers that are there."""
    there = prepared.table.present
    assert there is not None
    x, log_q = filled(part.x, there[part.rows], filling, key)
    return replace(part, x=x), np.where(there[part.rows], 0.0, log_q - np.log(prepared.scale))


def filled(
    x: FloatArray, there: BoolArray, filling: Filling, key: jax.Array
) -> tuple[FloatArray, FloatArray]:
    """Standardised numbers with draws where there are none; and the log-densities of all draws."""
    keys = jr.key_data(jr.split(key, len(x)))
    e, log_q = in_pieces(lambda k: _standard(filling, k), CHUNK, np.asarray(keys))
    return np.where(there, x, np.asarray(e, np.float64)), np.asarray(log_q, np.float64)


@quickly
def _standard(filling: Filling, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vmap(filling.standard)(jr.wrap_key_data(keys))


def _repeated(parts: Sequence[Part]) -> Part:
    first = parts[0]
    tiled = lambda rows: None if rows is None else np.concatenate([rows] * len(parts))
    x = np.concatenate([part.x for part in parts])
    return replace(
        first,
        x=x,
        context=tiled(first.context),
        weights=tiled(first.weights),
        rows=tiled(first.rows),
        beside=None,
    )


def _filling(prepared: Prepared, schema: Schema) -> Filling:
    """Curves of the numbers that are there, in the training rows."""
    there = prepared.table.present
    assert there is not None
    rows = {
        name: np.where(there[part.rows], part.x, np.nan)
        for name, part in prepared.parts.items()
        if name != "test"
    }
    train, held = prepared.parts["train"], prepared.parts["validation"]
    curves = marginals(
        rows["train"], train.weights, validation=rows["validation"], validation_weights=held.weights
    )
    dtype = jnp.result_type(float)
    mean, scale = jnp.asarray(prepared.mean, dtype), jnp.asarray(prepared.scale, dtype)
    return Filling(curves, mean, scale, schema.gates(), prepared.support)


def _context(part: Part, states: int) -> FloatArray | None:
    """The user's context columns of a part: those before the states."""
    if part.context is None or part.context.shape[1] == states:
        return None
    return part.context[:, : part.context.shape[1] - states]


def _trained(prepared: Prepared, schema: Schema, key: jax.Array, limit: float | None) -> Categorical:
    codes, states = prepared.table.codes, sum(schema.sizes)
    assert codes is not None
    train, held = prepared.parts["train"], prepared.parts["validation"]
    beside = _context(train, states)
    width = 0 if beside is None else beside.shape[1]
    first, second = jr.split(key)
    mass = Categorical(codes[train.rows], schema.sizes, weights=train.weights, context=width, key=first)
    if len(schema.sizes) == 1 and not width:
        return mass  # its frequencies
    trained = partial(
        fit,
        mass,
        codes[train.rows].astype(np.float64),
        key=second,
        validation=codes[held.rows].astype(np.float64),
        context=beside,
        validation_context=_context(held, states),
        weights=train.weights,
        validation_weights=held.weights,
    )
    seconds = None
    if (
        limit is not None
    ):  # compiling is not counted: without training there is no relation between the variables
        seconds = float(np.clip(SHARE * limit, LEAST, MOST))
        uninterrupted(trained(settings=replace(SETTINGS, time_limit=1e-3)))
    law = uninterrupted(trained(settings=replace(SETTINGS, time_limit=seconds))).flow
    if len(train.rows) + len(held.rows) > MOST_ROWS:
        return law
    # validation rows at which training stopped, where they are few, say little of a rare state's frequency
    stacked = lambda *rows: None if rows[0] is None else np.concatenate(rows)
    return law.with_frequencies(
        codes[np.concatenate([train.rows, held.rows])],
        context=stacked(beside, _context(held, states)),
        weights=stacked(train.weights, held.weights),
    )


def _completed(
    part: Part, prepared: Prepared, mass: Categorical, filling: Filling | None, key: jax.Array
) -> Part:
    """The part with numbers where it lacks them, and what log p of each row has beyond the flow's."""
    if not len(part.rows):
        return part
    codes = prepared.table.codes
    assert codes is not None
    states = codes[part.rows].astype(np.float64)
    beside = np.asarray(
        in_pieces(mass.log_prob, CHUNK, states, _context(part, sum(mass.sizes)))[0], np.float64
    )
    beside += 0.0 if part.beside is None else part.beside
    if filling is None:
        return replace(part, beside=beside)
    made, log_q = _filled(part, prepared, filling, key)
    return replace(made, beside=beside - log_q.sum(axis=1))
