"""From chosen columns to a checked `Table`: what makes a table unfit to train on, each told in one sentence."""

import hashlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.tables._cells import first_rounded, from_text
from shoal.tables._columns import Columns, ColumnsError, Roles
from shoal.tables._source import Source
from shoal.tables._table import Table

MINIMUM_ROWS = 100
MINIMUM_DISTINCT = 10  # distinct rows; with fewer, the test or the validation part stays empty


@dataclass(frozen=True)
class Fault:
    """What was found in a column, and what to do about it other than leaving the column out."""

    found: str
    cure: str = ""
    rank: int = 3  # lower ones are told first


def build_table(
    source: Source, roles: Roles, asked: Columns | None, *, minimum_rows: int, distinct: bool
) -> Table:
    """Reads the chosen columns as numbers and checks them.

    **Arguments:** `asked`: what messages say how to change; `None` if every column is needed. `minimum_rows`: fewer
    rows are an error. `distinct`: constant and identical columns are an error, which is right for training only.

    **Raises:** `InputError` naming file, column and row, what was found, and the columns that would work.
    """
    faults: dict[int, Fault] = {}
    numbers: dict[int, FloatArray] = {}
    for i in roles.all():
        numbers[i], fault = read_column(source, i)
        if fault is not None:
            faults[i] = fault
    if source.frame.height > 1 and distinct:
        used = None if roles.weights is None or roles.weights in faults else numbers[roles.weights] > 0
        faults |= _equal_faults(
            source,
            {i: numbers[i] for i in (*roles.values, *roles.context) if i not in faults},
            None if used is None or used.sum() < max(minimum_rows, 2) else used,  # too few are told below
        )
    if faults:
        _raise_first(source, roles, asked, faults)
    check_rows(source, minimum_rows)
    name = None if roles.weights is None else source.names[roles.weights]
    weights = None if roles.weights is None else numbers[roles.weights]
    if weights is not None and name is not None:
        cure = () if asked is None else (", or use ", asked.without([name], (), listed=False))
        label = f"{source.label}, column {name!r}"
        check_weights(weights, label, source, *cure, minimum=minimum_rows)
    return Table(
        names=tuple(source.names[i] for i in roles.values),
        values=np.stack([numbers[i] for i in roles.values], axis=1)
        if roles.values
        else np.empty((source.frame.height, 0)),
        context_names=tuple(source.names[i] for i in roles.context),
        context=np.stack([numbers[i] for i in roles.context], axis=1) if roles.context else None,
        weights=weights,
        source=source.label,
        first_row=source.first_row,
        weights_name=name,
    )


def read_column(source: Source, index: int) -> tuple[FloatArray, Fault | None]:
    """Column `index` as float64 numbers, NaN where there is none, and the first fault in it, if it has one."""
    series = source.frame.to_series(index)
    if series.dtype == pl.String:
        values, row = from_text(series)
    elif series.dtype.is_numeric():
        values, row = series.cast(pl.Float64), None
    else:
        values = pl.repeat(None, len(series), dtype=pl.Float64, eager=True)
        empty = series.null_count() == len(series) > 0
        row = None if empty else series.is_not_null().arg_max() or 0
    numbers = values.fill_null(np.nan).to_numpy()
    if row is not None:
        return numbers, _text_fault(source, index, row, series[row] if len(series) else str(series.dtype))
    row = first_rounded(series, numbers)
    return numbers, _rounded_fault(source, index, row) if row is not None else _non_finite(
        source, index, numbers
    )


def check_weights(
    weights: FloatArray, label: str, source: Source, *cure: str | Columns, minimum: int = 1
) -> None:
    """Raises `InputError` for a negative weight, or if fewer than `minimum` are positive; `cure` ends the sentence."""
    positive = int((weights > 0).sum())
    if (weights < 0).any():
        row = int(np.argmax(weights < 0))
        found = f", {source.row(row)}: found the weight {weights[row]:g}; give weights of 0 or more"
    elif weights.size and not positive:
        found = ": found the weight 0 in every row; give at least one positive weight"
    elif positive < min(minimum, weights.size):
        count = "1 row" if positive == 1 else f"{positive} rows"
        found = (
            f": found a weight above 0 in {count}, and rows of weight 0 take no part; at least {minimum} are needed, "
            "so give more rows a weight"
        )
    else:
        return
    raise ColumnsError(f"{label}{found}", *cure, ".")


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


def _text_fault(source: Source, index: int, row: int, found: object) -> Fault:
    place = f"{source.label}, column {source.names[index]!r}, {source.row(row)}"
    text = "the text " if isinstance(found, str) else ""
    return Fault(f"{place}: found {text}{shown(found)} where a number is needed", rank=0)


def _rounded_fault(source: Source, index: int, row: int) -> Fault:
    place = f"{source.label}, column {source.names[index]!r}, {source.row(row)}"
    found = (
        f"found {source.frame.to_series(index)[row]}, a whole number that float64 can not hold (beyond 2^53)"
    )
    return Fault(f"{place}: {found}", "subtract an offset from the whole column before", rank=0)


def _non_finite(source: Source, index: int, numbers: FloatArray) -> Fault | None:
    finite = np.isfinite(numbers)
    if finite.all():
        return None
    missing = np.flatnonzero(np.isnan(numbers))
    row = int(missing[0]) if missing.size else int(np.argmin(finite))
    value = source.frame.to_series(index)[row]
    if not missing.size:
        found = f"the infinite value {shown(value)}"
    else:
        found = "a missing value" if value in (None, "") else f"the missing value {shown(value)}"
    count = int((~finite).sum())
    more = f" ({count} such rows in this column)" if count > 1 else ""
    place = f"{source.label}, column {source.names[index]!r}, {source.row(row)}"
    return Fault(f"{place}: found {found}{more}", "remove such rows", rank=1 if missing.size else 2)


def _equal_faults(
    source: Source, columns: dict[int, FloatArray], used: np.ndarray | None = None
) -> dict[int, Fault]:
    """The columns that are constant in the rows `used` (None: in all), and those that repeat an earlier one there."""
    rows = "every row" if used is None or used.all() else "every row of a weight above 0"
    faults: dict[int, Fault] = {}
    seen: dict[bytes, int] = {}
    for i, numbers in columns.items():
        name, numbers = source.names[i], numbers[... if used is None else used] + 0.0  # -0.0 and 0.0 are one
        key = hashlib.blake2b(numbers.tobytes()).digest()
        if numbers.min() == numbers.max():
            found = f"{source.label}, column {name!r}: found {shown(numbers[0])} in {rows}, a constant"
            faults[i] = Fault(found)
        elif key in seen:
            other = source.names[seen[key]]
            faults[i] = Fault(f"{source.label}: columns {other!r} and {name!r} are identical in {rows}")
        seen.setdefault(key, i)
    return faults


def _raise_first(source: Source, roles: Roles, asked: Columns | None, faults: dict[int, Fault]) -> None:
    """Raises the most basic fault, with the choice of columns that leaves out every one at fault."""
    first = min(faults.values(), key=lambda fault: fault.rank)
    good = [source.names[i] for i in (*roles.values, *roles.elsewhere) if i not in faults]
    bad = [source.names[i] for i in faults]
    cures: list[tuple[str | Columns, ...]] = [(first.cure,)] if first.cure else []
    if asked is not None and good:
        if source.kind == "array":  # its columns have no names to choose by
            cures.append(("use the array without that column",))
        else:
            cures.append(("use ", asked.without(bad, good, listed=first.rank == 0 or source.kind == "frame")))
    if not good and len(roles.values) > 1:
        cures.append(("no other column can be modelled in its place",))
    if not cures:
        cures.append(("numbers are needed there",))
    told = [part for cure in cures for part in (", or ", *cure)][1:]
    raise ColumnsError(f"{first.found}; ", *told, ".")


def check_rows(source: Source, minimum_rows: int) -> None:
    rows = source.frame.height
    if rows >= minimum_rows:
        return
    if rows == 0:
        raise InputError(f"{source.label} has columns but no rows; at least {minimum_rows} are needed.")
    count = "1 row" if rows == 1 else f"{rows} rows"
    raise InputError(
        f"{source.label} has {count}; at least {minimum_rows} are needed, so give a longer table."
    )


def shown(value: object) -> str:
    """A found value as it is quoted in a sentence: text in quotes, control characters escaped, shortened."""
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.6g}"
    if isinstance(value, pl.Series):  # a cell of a column of lists
        value = value.to_list()
    text = repr(value) if isinstance(value, (str, bytes)) else str(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= 40 else f"{text[:36]}...{text[-1]}"
