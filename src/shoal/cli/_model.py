"""The model of a run and its samples, in pieces of one size so that a flow compiles once. It loads JAX."""

from collections.abc import Generator
from contextlib import contextmanager

import jax
import numpy as np

from shoal._errors import InputError
from shoal._pieces import pieces
from shoal._scalars import FloatArray
from shoal.cli._run_folder import ModelFolder
from shoal.cli._session import float64
from shoal.distributions import AbstractFlow, Mixed
from shoal.flows import load
from shoal.tables import Source, Table, match_columns

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
        raise InputError(f"The model in {folder.path} has no column names; give a table of {size} columns.")
    return match_columns(source, names, flow.context_columns or ())


def sample(flow: AbstractFlow | Mixed, seed: int, rows: int, context: FloatArray | None = None) -> FloatArray:
    """`rows` samples, one for each row of `context`; a smaller number of rows gives the first ones of a larger number."""
    key, parts = jax.random.key(seed), []
    for i, (index, _) in enumerate(pieces(rows, ROWS)):
        one = jax.random.fold_in(key, i)
        drawn = flow.sample(one, (ROWS,)) if context is None else flow.sample(one, (), context=context[index])
        parts.append(np.asarray(drawn))
    return np.concatenate(parts)[:rows]
