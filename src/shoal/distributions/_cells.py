"""log p of rows as tables hold them: lattice values, which stand for the cell around them, and numbers that are missing."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from shoal._errors import InputError
from shoal._pieces import in_pieces, piece
from shoal._scalars import FloatArray
from shoal._types import Array, Key
from shoal.bijections import Noise
from shoal.conditioning import density_errors
from shoal.distributions._flow import AbstractFlow, Flow
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
    key, found, size = jax.random.key(seed), [], piece(len(values), FEWEST, ROWS)
    all_places = _places(values, lattices, seed)
    for place, moved in enumerate(all_places):
        run, one = flow.log_prob, jax.random.fold_in(key, place)
        if draws > 1:
            run = lambda x, c, one=one: (
                flow.log_prob_estimate(one, x, c, samples=draws // len(all_places)).value
            )
        found.append(in_pieces(run, size, moved, context)[0])
    return _mean(found)


def log_prob_errors_of_cells(
    flow: AbstractFlow | Mixed,
    values: FloatArray,
    context: FloatArray | None,
    lattices: Sequence[Lattice] = (),
    seed: int = 0,
) -> tuple[FloatArray, FloatArray]:
    """What rounding does to `log_prob_of_cells`: |log p in float32 - that in float64|, and its bound, (rows,) each.

    A flow with float64 parameters has the bound for float64. What is measured is NaN for it, and for rows that lack a
    number: their log p is a mean of draws, others in each precision, and the bound is that of one draw. **Raises:**
    InputError for a flow that adds coordinates of its own.
    """
    density = flow.flow if isinstance(flow, Mixed) else flow
    if not isinstance(density, Flow):
        raise InputError(
            f"The log p of a {type(density).__name__} flow is a mean of random draws, whose error rounding is not."
        )
    single = flow.dtype == np.float32
    found = [density_errors(flow.log_prob_one, moved, context) for moved in _places(values, lattices, seed)]
    logs = np.array([f.log_prob for f in found])
    with np.errstate(invalid="ignore"):
        shares = np.exp(logs - np.logaddexp.reduce(logs, axis=0))
    bounds = [f.bound_in("float32" if single else "float64") for f in found]
    bound = np.sum(shares * bounds, axis=0)
    measured = (
        np.abs(_mean([f.single for f in found]) - _mean(list(logs)))
        if single
        else np.full(len(values), np.nan)
    )
    whole = np.ones(len(values), bool)
    if isinstance(flow, Mixed) and flow.filling is not None:
        whole = np.asarray(jax.vmap(flow.filling.present)(jnp.asarray(values))).all(axis=1)
    return np.where(whole, measured, np.nan), bound


def _places(values: FloatArray, lattices: Sequence[Lattice], seed: int) -> list[FloatArray]:
    """The rows, once, or `PLACES` times with their lattice values moved within the cells."""
    if not lattices:
        return [values]
    key, size = jax.random.key(seed), piece(len(values), FEWEST, ROWS)
    parts = np.random.default_rng(seed).permuted(np.tile(np.arange(PLACES), (len(lattices), 1)), axis=1).T
    found = []
    for place in range(PLACES):
        one = jax.random.fold_in(key, place)
        uniform = in_pieces(lambda x, one=one: _uniform(one, x, len(lattices)), size, values)[0]
        found.append(in_cells(values, lattices, (parts[place] + uniform) / PLACES))
    return found


def _mean(found: Sequence[FloatArray]) -> FloatArray:
    """log of the mean of the densities at all places."""
    if len(found) == 1:
        return found[0]
    with np.errstate(invalid="ignore"):  # of rows that are not a number, which stay so
        return np.logaddexp.reduce(np.asarray(found, np.float64), axis=0) - np.log(len(found))


@eqx.filter_jit
def _uniform(key: Key, rows: Array, count: int) -> Array:
    """Numbers in [0, 1) by a hash of each row: (rows, count)."""
    return jax.vmap(lambda row: jax.random.uniform(Noise(key).key_for(row), (count,)))(rows)
