"""Evaluates a flow on many rows in pieces of one size, so that it compiles once."""

from collections.abc import Iterator
from typing import Any

import numpy as np

ROWS = 4096


def log_prob(flow: Any, values: np.ndarray, context: np.ndarray | None) -> np.ndarray:
    """log p of each row of `values`."""
    parts = [
        np.asarray(flow.log_prob(_piece(values, start), None if context is None else _piece(context, start)))
        for start in range(0, len(values), ROWS)
    ]
    return np.concatenate(parts)[: len(values)]


def sample(flow: Any, seed: int, rows: int) -> np.ndarray:
    """`rows` samples; a smaller number of rows gives the first ones of a larger number."""
    parts = [np.asarray(flow.sample(key, (ROWS,))) for key in _keys(seed, rows)]
    return np.concatenate(parts)[:rows]


def sample_given(flow: Any, seed: int, context: np.ndarray) -> np.ndarray:
    """One sample for each row of `context`."""
    parts = [
        np.asarray(flow.sample(key, (), context=_piece(context, i * ROWS)))
        for i, key in enumerate(_keys(seed, len(context)))
    ]
    return np.concatenate(parts)[: len(context)]


def _piece(values: np.ndarray, start: int) -> np.ndarray:
    """`ROWS` rows from `start` on; the last row is repeated where there are fewer."""
    rows = np.minimum(np.arange(start, start + ROWS), len(values) - 1)
    return values[rows]


def _keys(seed: int, rows: int) -> Iterator[Any]:
    import jax  # here and not above: `shoal --help` must not wait for it

    key = jax.random.key(seed)
    return (jax.random.fold_in(key, i) for i in range(-(-rows // ROWS)))
