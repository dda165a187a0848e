"""log p of rows as tables hold them: lattice values, which stand for the cell around them, and numbers that are missing."""

from collections.abc import Sequence

import jax
import numpy as np

from shoal._pieces import in_pieces
from shoal._scalars import FloatArray
from shoal.distributions._flow import AbstractFlow
from shoal.distributions._mixed import Mixed
from shoal.tables import Lattice, dequantize

ROWS = 4096  # of a piece
DRAWS = 64  # of the numbers that a row lacks
PLACES = 16  # in the cell of a value on a lattice


def log_prob_of_cells(
    flow: AbstractFlow | Mixed,
    values: FloatArray,
    context: FloatArray | None,
    lattices: Sequence[Lattice] = (),
    seed: int = 0,
) -> FloatArray:
    """log p of each row of `values` as a table has them; computed in pieces of one size.

    Of a row with a value on a lattice it is the log of the mean density over the value's cell, that is of its probability
    by the length of the cell, by `PLACES` places in it; numbers that a row lacks are drawn `DRAWS` times in all.
    """
    draws = DRAWS if isinstance(flow, Mixed) and flow.filling is not None else 1
    places = PLACES if lattices else 1
    rng, key = np.random.default_rng(seed), jax.random.key(seed)
    logs = []
    for place in range(places):
        moved = dequantize(values, lattices, rng) if lattices else values
        if draws == 1:
            run = flow.log_prob
        else:
            one, each = jax.random.fold_in(key, place), draws // places
            run = lambda x, c, one=one, each=each: flow.log_prob_estimate(one, x, c, samples=each).value
        logs.append(in_pieces(run, ROWS, moved, context)[0])
    if places == 1:
        return logs[0]
    with np.errstate(invalid="ignore"):  # of rows that are not a number, which stay so
        return np.logaddexp.reduce(np.asarray(logs, np.float64), axis=0) - np.log(places)
