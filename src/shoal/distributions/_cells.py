"""log p of rows as tables hold them: lattice values, which stand for the cell around them, and numbers that are missing."""

from collections.abc import Sequence

import equinox as eqx
import jax
import numpy as np

from shoal._pieces import in_pieces, piece
from shoal._scalars import FloatArray
from shoal._types import Array, Key
from shoal.bijections import Noise
from shoal.distributions._flow import AbstractFlow
from shoal.distributions._mixed import Mixed
from shoal.tables import Lattice, in_cells

FEWEST, ROWS = 256, 4096  # of a piece
DRAWS = 64  # of the numbers that a row lacks
PLACES = 16  # in the cell of a value on a lattice


def log_prob_of_cells(
    flow: AbstractFlow | Mixed,
    values: FloatArray,
    context: FloatArray | None,
    lattices: Sequence[Lattice] = (),
    seed: int = 0,
) -> FloatArray:
    """log p of each row of `values` as a table has them: of the row and the seed alone, whatever rows are beside it.

    Of a row with a value on a lattice it is the log of the mean density over the value's cell, that is of its probability
    by the length of the cell, by `PLACES` places in it, one in each equal part of the cell (a Latin hypercube where
    several values have cells: McKay, Beckman, Conover 1979); numbers that a row lacks are drawn `DRAWS` times in all.
    Computed in pieces of one size, a power of two.
    """
    draws = DRAWS if isinstance(flow, Mixed) and flow.filling is not None else 1
    places = PLACES if lattices else 1
    key, found, size = jax.random.key(seed), [], piece(len(values), FEWEST, ROWS)
    parts = np.random.default_rng(seed).permuted(np.tile(np.arange(PLACES), (len(lattices), 1)), axis=1).T
    for place in range(places):
        one, moved = jax.random.fold_in(key, place), values
        if lattices:
            uniform = in_pieces(lambda x, one=one: _uniform(one, x, len(lattices)), size, values)[0]
            moved = in_cells(values, lattices, (parts[place] + uniform) / PLACES)
        run = flow.log_prob
        if draws > 1:
            run = lambda x, c, one=one: flow.log_prob_estimate(one, x, c, samples=draws // places).value
        found.append(in_pieces(run, size, moved, context)[0])
    if places == 1:
        return found[0]
    with np.errstate(invalid="ignore"):  # of rows that are not a number, which stay so
        return np.logaddexp.reduce(np.asarray(found, np.float64), axis=0) - np.log(places)


@eqx.filter_jit
def _uniform(key: Key, rows: Array, count: int) -> Array:
    """Numbers in [0, 1) by a hash of each row: (rows, count)."""
    return jax.vmap(lambda row: jax.random.uniform(Noise(key).key_for(row), (count,)))(rows)
