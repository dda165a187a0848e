"""What the adviser measures of a table, before it says anything."""

from dataclasses import dataclass

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.advice._shape import Local, Modes, find_modes, local_structure
from shoal.tables import (
    Examined,
    Table,
    dequantize,
    examine_columns,
    find_functions,
    find_relations,
    function_of,
)

ROWS = 4000  # local structure and modes are measured on so many rows, chosen at random
LEAST = 30  # rows
TAIL = 8.0  # deviations: a column that reaches farther has a heavy tail


@dataclass(frozen=True)
class Measured:
    """Figures of the kept columns, in units of their deviations, noise of one step added to lattice columns.

    `tails`: (column, how many deviations its farthest row lies off the mean, whether all values are positive).
    `follows`: (column, a sentence of how it follows from others, as no more than a multiple of one), none of them kept.
    `condition`: an estimate of the kappa that a flow onto the rows needs, NaN where the rows have no density.
    """

    rows: int
    names: tuple[str, ...]
    columns: Examined
    local: Local
    modes: Modes
    tails: tuple[tuple[str, float, bool], ...]
    condition: float
    follows: tuple[tuple[str, str], ...] = ()


def measure(table: Table) -> Measured:
    """Measures the rows that hold a number in each column; the same figures for the same rows.

    **Raises:** `InputError` for no varying column, or few rows.
    """
    used = np.arange(table.rows) if table.weights is None else np.flatnonzero(table.weights)
    if table.present is not None:
        used = used[table.present[used].all(axis=1)]
        if len(used) < LEAST <= table.rows:
            raise InputError(
                f"{table.source}: {len(used)} rows hold a number in each of the columns {', '.join(table.names)}; advice "
                f"needs at least {LEAST}, so choose fewer columns."
            )
    values = np.asarray(table.values[used], np.float64)
    if len(values) < LEAST:
        raise InputError(
            f"{table.source}: {len(values)} rows take part; advice needs at least {LEAST}, so give a longer table."
        )
    columns = examine_columns(values, table.names)
    if not columns.kept:
        raise InputError(f"{table.source}: every column is constant; give at least one column that varies.")
    follows = _follows(values[:, columns.kept], [table.names[i] for i in columns.kept])
    kept = [i for i in columns.kept if table.names[i] not in follows]
    rng = np.random.default_rng(0)
    smooth = dequantize(values, columns.lattices, rng)[:, kept]
    unit = _unit(smooth)
    far = np.abs(unit).max(axis=0)
    names = tuple(table.names[i] for i in kept)
    tails = tuple(
        (name, float(far[j]), bool((values[:, kept[j]] > 0).all()))
        for j, name in enumerate(names)
        if far[j] > TAIL
    )
    chosen = np.sort(rng.permutation(len(unit))[:ROWS])
    local = local_structure(unit[chosen], rng)
    modes = find_modes(unit[chosen], rng)
    return Measured(
        len(values), names, columns, local, modes, tails, _condition(local, modes), tuple(follows.items())
    )


def _follows(values: FloatArray, names: list[str]) -> dict[str, str]:
    """The columns that follow from others, as `shoal fit` refuses them, and how."""
    found = {relation.column: relation.sentence() for relation in find_relations(values, names)}
    left = [i for i, name in enumerate(names) if name not in found]
    functions = find_functions(values[:, left], np.ones((len(values), len(left)), bool))
    return found | {
        names[left[i]]: function_of(names[left[i]], names[left[base]]) for i, base in functions.items()
    }


def _unit(values: FloatArray) -> FloatArray:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def _condition(local: Local, modes: Modes) -> float:
    """The largest of: kappa of the Gaussian; the median local ratio; the stretch between groups over the narrowest one."""
    stretch = modes.lipschitz / modes.width if modes.groups > 1 and modes.width > 0 else 1.0
    return max(local.global_condition, local.condition, stretch)
