"""Evaluates a flow on many rows in pieces of one size, so that it compiles once."""

from typing import Any

import numpy as np

from shoal._pieces import in_pieces, pieces

ROWS = 4096


def log_prob(flow: Any, values: np.ndarray, context: np.ndarray | None) -> np.ndarray:
    """log p of each row of `values`."""
    return in_pieces(flow.log_prob, ROWS, values, context)[0]


def sample(flow: Any, seed: int, rows: int, context: np.ndarray | None = None) -> np.ndarray:
    """`rows` samples, one for each row of `context`; a smaller number of rows gives the first ones of a larger number."""
    import jax  # here and not above: `shoal --help` must not wait for it

    key, parts = jax.random.key(seed), []
    for i, (index, _) in enumerate(pieces(rows, ROWS)):
        one = jax.random.fold_in(key, i)
        drawn = flow.sample(one, (ROWS,)) if context is None else flow.sample(one, (), context=context[index])
        parts.append(np.asarray(drawn))
    return np.concatenate(parts)[:rows]
