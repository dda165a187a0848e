"""The model of a run and its samples, in pieces of one size so that a flow compiles once. It loads JAX."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

import jax
import numpy as np

from shoal._errors import InputError
from shoal._pieces import pieces
from shoal._scalars import FloatArray, IntArray
from shoal.cli._data import matched_rows
from shoal.cli._run_folder import ModelFolder
from shoal.cli._session import float64
from shoal.distributions import AbstractFlow, Mixed, log_prob_of_cells
from shoal.flows import load
from shoal.tables import Schema, SchemaRows, Source, Table, match_columns

ROWS = 4096  # of a piece


@contextmanager
def loaded(folder: ModelFolder) -> Generator[AbstractFlow | Mixed, None, None]:
    """Yields the flow; a model with float64 weights computes in float64 within the scope."""
    with float64(folder.float64):
        yield load(folder.path)


def matched(folder: ModelFolder, flow: AbstractFlow | Mixed, source: Source) -> Table:
    """The columns of the flow in a table; by their place where a model without names has as many as there are."""
    size = flow.shape[0]
    names = flow.columns or (source.names if len(source.names) == size else ())
    if not names or (flow.context_shape is not None and not flow.context_columns):
        raise InputError(f"The model in {folder.label} has no column names; give a table of {size} columns.")
    return match_columns(source, names, flow.context_columns or ())


def log_probs(
    folder: ModelFolder, schema: Schema | None, source: Source, index: IntArray | slice = slice(None)
) -> FloatArray:
    """log p of rows of a table under the model, -inf where a number lies outside of its support."""
    found = matched_rows(folder, schema, source)
    with loaded(folder) as flow:
        table = found[0] if found else matched(folder, flow, source)
        rows = found[1] if found else SchemaRows(table.values, np.zeros(table.rows, bool))
        context = None if table.context is None else table.context[index]
        values = log_prob_of_cells(flow, rows.values[index], context, rows.lattices)
    return np.where(rows.outside[index], -np.inf, values)


def sample(flow: AbstractFlow | Mixed, seed: int, rows: int, context: FloatArray | None = None) -> FloatArray:
    """`rows` samples, one for each row of `context`; a smaller number of rows gives the first ones of a larger number."""
    return np.concatenate([values for values, _ in sample_blocks(flow, seed, [(rows, context)])])


def sample_blocks(
    flow: AbstractFlow | Mixed, seed: int, blocks: Iterable[tuple[int, FloatArray | None]]
) -> Iterator[tuple[FloatArray, FloatArray | None]]:
    """The same block by block, with the context of each.

    **Arguments:** `blocks`: numbers of rows, with their contexts; all but the last one are multiples of `ROWS`.
    """
    key, done = jax.random.key(seed), 0
    for rows, context in blocks:
        parts = []
        for index, _ in pieces(rows, ROWS):
            one, done = jax.random.fold_in(key, done), done + 1
            given = (ROWS,) if context is None else ()
            drawn = flow.sample(one, given, context=None if context is None else context[index])
            parts.append(np.asarray(drawn))
        yield np.concatenate(parts)[:rows], context
