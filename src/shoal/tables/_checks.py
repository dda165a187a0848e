"""From chosen columns to a checked `Table`: what makes a table unfit to train on, each told in one sentence."""

import hashlib
from dataclasses import dataclass

import numpy as np

from .._errors import InputError
from .._scalars import FloatArray
from ._request import Request, shown
from ._roles import Roles
from ._source import Column, Problem, Source, read_column
from ._table import Table

MINIMUM_ROWS = 100
MINIMUM_DISTINCT = 10  # distinct rows; with fewer, the test or the validation part stays empty


@dataclass(frozen=True)
class Fault:
    """What was found in a column, and what to do about it other than leaving the column out."""

    found: str
    cure: str = ""
    rank: int = 3  # lower ones are told first


def build_table(
    source: Source, roles: Roles, request: Request | None, *, minimum_rows: int, distinct: bool
) -> Table:
    """Reads the chosen columns as numbers and checks them.

    **Arguments:** `request`: what messages say how to change; `None` if every column is needed. `minimum_rows`: fewer
    rows are an error. `distinct`: constant and identical columns are an error, which is right for training only.

    **Raises:** `InputError` naming file, column and row, what was found, and the command that would work.
    """
    columns = {i: read_column(source, i) for i in roles.all()}
    faults = {
        i: _value_fault(source, i, column, problem)
        for i, column in columns.items()
        if (problem := column.problem) is not None
    }
    if source.frame.height > 1 and distinct:
        used = (
            None if roles.weights is None or roles.weights in faults else columns[roles.weights].numbers > 0
        )
        faults |= _equal_faults(
            source,
            {i: columns[i] for i in (*roles.values, *roles.context) if i not in faults},
            None if used is None or used.sum() < max(minimum_rows, 2) else used,  # too few are told below
        )
    if faults:
        _raise_first(source, roles, request, faults)
    _check_rows(source, minimum_rows)
    weights = None if roles.weights is None else columns[roles.weights].numbers
    if weights is not None and roles.weights is not None:
        name = source.names[roles.weights]
        cure = f", or use {request.without([name], (), listed=False)}" if request is not None else ""
        check_weights(weights, f"{source.label}, column {name!r}", source, cure, minimum=minimum_rows)
    return Table(
        names=tuple(source.names[i] for i in roles.values),
        values=_stack(columns, roles.values, source.frame.height),
        context_names=tuple(source.names[i] for i in roles.context),
        context=_stack(columns, roles.context, source.frame.height) if roles.context else None,
        weights=weights,
        source=source.label,
        first_row=source.first_row,
        weights_name=None if roles.weights is None else source.names[roles.weights],
    )


def check_weights(
    weights: FloatArray, label: str, source: Source, cure: str = "", *, minimum: int = 1
) -> None:
    """Raises `InputError` for a negative weight, or if fewer than `minimum` are positive; `cure` ends the sentence."""
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        found = f"{label}, {source.row(row)}: found the weight {weights[row]:g}"
        raise InputError(f"{found}; give weights of 0 or more{cure}.")
    if weights.size and not (weights > 0).any():
        raise InputError(
            f"{label}: found the weight 0 in every row; give at least one positive weight{cure}."
        )
    positive = int((weights > 0).sum())
    if positive < min(minimum, weights.size):
        count = "1 row" if positive == 1 else f"{positive} rows"
        raise InputError(
            f"{label}: found a weight above 0 in {count}, and rows of weight 0 take no part; "
            f"at least {minimum} are needed, so give more rows a weight{cure}."
        )


def _stack(columns: dict[int, Column], chosen: tuple[int, ...], rows: int) -> FloatArray:
    values = np.empty((rows, len(chosen)))
    for place, i in enumerate(chosen):
        values[:, place] = columns[i].numbers
    return values


def _value_fault(source: Source, i: int, column: Column, problem: Problem) -> Fault:
    place = f"{source.label}, column {source.names[i]!r}, {source.row(problem.row)}"
    if problem.kind == "text":
        text = "the text " if isinstance(problem.found, str) else ""
        return Fault(f"{place}: found {text}{shown(problem.found)} where a number is needed", rank=0)
    count = int((~np.isfinite(column.numbers)).sum())
    more = f" ({count} such rows in this column)" if count > 1 else ""
    if problem.kind == "infinite":
        return Fault(
            f"{place}: found the infinite value {shown(problem.found)}{more}", "remove such rows", rank=2
        )
    found = "a missing value" if problem.found in (None, "") else f"the missing value {shown(problem.found)}"
    return Fault(f"{place}: found {found}{more}", "remove such rows", rank=1)


def _equal_faults(
    source: Source, columns: dict[int, Column], used: np.ndarray | None = None
) -> dict[int, Fault]:
    """The columns that are constant in the rows `used` (None: in all), and those that repeat an earlier one there."""
    rows = "every row" if used is None or used.all() else "every row of a weight above 0"
    faults: dict[int, Fault] = {}
    seen: dict[bytes, int] = {}
    for i, column in columns.items():
        numbers = column.numbers if used is None else column.numbers[used]
        name, numbers = source.names[i], numbers + 0.0  # + 0.0 makes -0.0 and 0.0 one
        key = hashlib.blake2b(numbers.tobytes()).digest()
        if numbers.min() == numbers.max():
            faults[i] = Fault(
                f"{source.label}, column {name!r}: found {shown(numbers[0])} in {rows}, a constant"
            )
        elif key in seen:
            other = source.names[seen[key]]
            faults[i] = Fault(f"{source.label}: columns {other!r} and {name!r} are identical in {rows}")
        seen.setdefault(key, i)
    return faults


def _raise_first(source: Source, roles: Roles, request: Request | None, faults: dict[int, Fault]) -> None:
    """Raises the most basic fault, with the command that leaves out every column at fault."""
    first = min(faults.values(), key=lambda fault: fault.rank)
    good = [source.names[i] for i in roles.values if i not in faults]
    bad = [source.names[i] for i in faults]
    cures = [first.cure] if first.cure else []
    if request is not None and good:
        cures.append(f"use {request.without(bad, good, listed=first.rank == 0)}")
    if not good and len(roles.values) > 1:
        cures.append("no other column can be modelled in its place")
    raise InputError(f"{first.found}; {', or '.join(cures) or 'numbers are needed there'}.")


def _check_rows(source: Source, minimum_rows: int) -> None:
    rows = source.frame.height
    if rows >= minimum_rows:
        return
    if rows == 0:
        raise InputError(f"{source.label} has columns but no rows; at least {minimum_rows} are needed.")
    count = "1 row" if rows == 1 else f"{rows} rows"
    raise InputError(
        f"{source.label} has {count}; at least {minimum_rows} are needed, so give a longer table."
    )


def check_distinct_rows(table: Table, minimum: int) -> None:
    """Raises `InputError` for fewer than `minimum` distinct rows: too few for three parts that share no row."""
    columns = table.values if table.context is None else np.hstack([table.values, table.context])
    seen: set[bytes] = set()
    for row in columns + 0.0:  # + 0.0 makes -0.0 and 0.0 one
        seen.add(row.tobytes())
        if len(seen) >= minimum:
            return
    count = "1 row is" if len(seen) == 1 else f"{len(seen)} rows are"
    raise InputError(
        f"{table.source}: only {count} distinct of {table.rows}; at least {minimum} are needed, so give a "
        "longer table or more columns."
    )
