"""Columns that follow from others, in every way that is looked for: there is no joint density of them."""

from collections.abc import Collection

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.tables._atoms import find_atoms
from shoal.tables._columns import Columns, ColumnsError
from shoal.tables._dependence import examine_columns, near_rows
from shoal.tables._functions import find_functions, function_of
from shoal.tables._lattice import detect_lattice
from shoal.tables._relations import SHARE, equal_columns, find_relations, views
from shoal.tables._source import Source
from shoal.tables._table import Table

LOOKED_AT = 20_000  # rows in which dependences are looked for first
DISTINCT = 20  # values of a column that follows in some rows, at least: few ones may do so by chance
LEAST_ROWS = 10  # that must hold a number in each column, to look for dependences among them
STRAY = 1 - SHARE  # of the rows in which a column has a density: those in which it need not follow, at most
JOINT = "so that there is no joint density"


def check_density(source: Source, asked: Columns | None, table: Table) -> Table:
    """The table of numbers as it is.

    **Raises:** `InputError` where it has no joint density: for a column that follows from others or from the context, and
    for a value that many rows of a column share which is on no lattice.
    """
    context = np.empty((table.rows, 0)) if table.context is None else table.context
    beside = [f"{name} of the context" if name in table.names else name for name in table.context_names]
    names, values = [*beside, *table.names], np.hstack([context, table.values])
    if table.weights is not None:
        values = values[table.weights > 0]
    first, on_steps = context.shape[1], [lattice.column for lattice in detect_lattice(values, names)]
    atoms: list[tuple[float, ...]] = [
        () if name in on_steps else find_atoms(values[:, i])[0] for i, name in enumerate(names)
    ]
    dense = np.column_stack([~np.isin(values[:, i], held) for i, held in enumerate(atoms)])
    found = find_dependent(source, names, values, dense, on_steps, first)
    if found:
        cure: str | Columns = "the array without that column"
        if asked is not None and source.kind != "array":
            good = [name for name in table.names if name not in found]
            cure = asked.without([*found], good, listed=source.kind == "frame")
        raise ColumnsError(f"{next(iter(found.values()))}; use ", cure, ".")
    for i in range(first, len(names)):
        if atoms[i]:
            share = np.mean(values[:, i] == atoms[i][0])
            raise InputError(
                f"{source.label}: column {names[i]!r} holds {atoms[i][0]:.6g} in {share:.1%} of the rows, which has no "
                "density; use `kinds={}`, which gives it a probability of its own."
            )
    return table


def find_dependent(
    source: Source,
    names: list[str],
    values: FloatArray,
    dense: np.ndarray,
    on_steps: Collection[str],
    first: int,
) -> dict[str, str]:
    """The columns that follow from others, and a sentence about each.

    **Arguments:** `values`: (rows, columns), NaN where there is none; `dense`: where they have a density; `on_steps`: names
    of lattice columns; `first`: how many columns are context, which may follow from whatever is not modelled.
    """
    found = dict[str, str]()
    for place, (chosen, rows) in enumerate(views(values, dense)):
        chosen = [k for k in chosen if names[k] not in found]
        if len(rows) < max(LEAST_ROWS, len(chosen) + 2) or len(chosen) < 2:
            continue
        whole = "every row" if len(rows) == len(values) else "every row that holds them"
        rows = rows[near_rows(values[rows][:, chosen])]
        part, called = values[rows][:, chosen], [names[k] for k in chosen]
        low = sum(k < first for k in chosen)
        for relation in find_relations(part, called, low):
            at = dense[rows, names.index(relation.column)]  # elsewhere it is an atom, and needs no density
            stray = [k for k in relation.stray if at[k]]
            few = place and len(np.unique(part[at, called.index(relation.column)])) < DISTINCT
            if few or len(stray) > STRAY * at.sum():
                continue
            where = whole if not stray else f"all rows but {source.row(int(rows[stray[0]]))}"
            where += f" and {len(stray) - 1} more" if len(stray) > 1 else ""
            found[relation.column] = f"{source.label}: {relation.sentence()} in {where}, {JOINT}"
        if not found and dense[rows][:, chosen].all():
            found |= _repeated(source, part, called, low)
    left = [k for k in range(len(names)) if names[k] not in found]
    for k, base in find_functions(values[:, left], dense[:, left], first).items():
        name, other = names[left[k]], names[left[base]]
        follows = function_of(name, other)
        if base < first:
            follows = f"one of column {name!r} and context column {other!r} is a function of the other"
        found[name] = f"{source.label}: {follows}, {JOINT}"
    rows = np.flatnonzero(dense.all(axis=1))
    smooth = [k for k in range(first, len(names)) if names[k] not in on_steps]
    equal = None if found else equal_columns(values[rows][:, smooth], [names[k] for k in smooth])
    if equal is not None:
        one, other, share = equal
        said = f"columns {one!r} and {other!r} are equal in {share:.1%} of the rows that have both"
        found[other] = f"{source.label}: {said}, {JOINT}"
    return found


def _repeated(source: Source, values: FloatArray, names: list[str], first: int) -> dict[str, str]:
    """The columns that `examine_columns` finds to follow from others, of those from `first` on."""
    examined = examine_columns(values[:LOOKED_AT], names)
    if len(values) > LOOKED_AT and (examined.duplicates or examined.dropped):
        examined = examine_columns(values, names)  # what holds in the first rows need not hold in all
    found = {}
    for one, twin in examined.duplicates:
        found[twin] = f"{source.label}: column {twin!r} is a multiple of {one!r}, perhaps shifted, {JOINT}"
    for dependence in examined.dependences:
        name, *others = dependence.columns
        if name in examined.dropped:
            listed = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
            found[name] = f"{source.label}: column {name!r} follows from {listed} in every row, {JOINT}"
    return {name: said for name, said in found.items() if names.index(name) >= first}
