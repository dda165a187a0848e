"""`as_table`: from arrays and data frames in memory to a checked `Table`.

A NumPy array and all that has `__array__` (JAX arrays too), polars and pandas data frames are known by what they can
do; neither JAX nor pandas is imported here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from .._errors import InputError
from .._scalars import FloatArray
from ._arrays import array_source, numeric_matrix
from ._checks import build_table, check_weights
from ._request import Request
from ._roles import check_names, choose_roles
from ._source import Source
from ._table import Table


def as_table(
    data: Any,
    names: Sequence[str] | None = None,
    *,
    context: Any = None,
    weights: Any = None,
    minimum_rows: int = 1,
    distinct: bool = False,
) -> Table:
    """Turns `data` into a `Table`; a `Table` is returned as it is, or with its columns in the order of `names`.

    **Arguments:**

    - `data`: a real array of shape (rows, columns), or a polars or pandas data frame.
    - `names`: for a data frame, the columns to take, by name; for an array, what to call its columns (x0, x1, ...
        without).
    - `context`: names of context columns of a data frame, or an array or data frame of them with the same rows.
    - `weights`: the name of a column of a data frame, or an array of shape (rows,).
    - `minimum_rows`, `distinct`: as a training set needs them: fewer rows, or (if `distinct`) constant and identical
        columns are an error.

    **Returns:** a `Table` of finite float64 values.

    **Raises:** `InputError`, one sentence that names column and row (counted from 0) and says what was found.
    """
    if isinstance(data, Table):
        if context is not None or weights is not None:
            raise InputError(
                "The data are a `Table`, which has its own context and weights: "
                "leave out `context` and `weights`, or give them to the call that made the table."
            )
        return data if names is None else _reordered(data, tuple(names))
    source = _source(data, names)
    by_name = source.kind == "frame"
    request = Request(
        label=source.label,
        kind=source.kind,
        columns=tuple(names) if names is not None and by_name else None,
        context=_column_names(context) if by_name else (),
        weights=weights if by_name and isinstance(weights, str) else None,
    )
    roles = choose_roles(source, request)
    table = build_table(
        source, roles, request if distinct else None, minimum_rows=minimum_rows, distinct=distinct
    )
    beside = None if context is None or request.context else as_table(context, distinct=distinct)
    if beside is not None and beside.rows != table.rows:
        raise InputError(
            f"The context has {beside.rows} rows where the data have {table.rows}; give one for each row."
        )
    loose = None if weights is None or request.weights else _weights(weights, source, minimum_rows)
    return Table(
        names=table.names,
        values=table.values,
        context_names=beside.names if beside is not None else table.context_names,
        context=beside.values if beside is not None else table.context,
        weights=loose if loose is not None else table.weights,
        source=table.source,
        first_row=table.first_row,
        weights_name=table.weights_name,
    )


def _source(data: Any, names: Sequence[str] | None) -> Source:
    if isinstance(data, Source):
        return data
    if isinstance(data, pl.LazyFrame):
        raise InputError("The data are a polars LazyFrame: give `data.collect()`.")
    if isinstance(data, pl.DataFrame):
        frame = data.rename({name: f"c{i}" for i, name in enumerate(data.columns)})
        return _frame_source(tuple(data.columns), frame)
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        series = {f"c{i}": _pandas_series(data.iloc[:, i]) for i in range(len(data.columns))}
        return _frame_source(tuple(str(name) for name in data.columns), pl.DataFrame(series))
    if not hasattr(data, "__array__") and not isinstance(data, (list, tuple)):
        raise InputError(
            f"The data are a {type(data).__name__}: give an array, or a polars or pandas data frame."
        )
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise InputError(
            "The data are a list of rows of unequal length: give every row the same length."
        ) from error
    matrix = numeric_matrix(array, "The array")
    if names is not None and len(names) != matrix.shape[1]:
        raise InputError(
            f"The array has {matrix.shape[1]} columns where {len(names)} names are given; name each one."
        )
    return array_source(matrix, names, "The array", "array", 0)


def _frame_source(names: tuple[str, ...], frame: pl.DataFrame) -> Source:
    if not names:
        raise InputError("The data frame has no columns; give one with at least one column of numbers.")
    return Source("The data frame", "frame", names, frame, 0)


def _pandas_series(column: Any) -> pl.Series:
    kind = getattr(column.dtype, "kind", "O")
    if kind in "iuf":
        return pl.Series(column.to_numpy(dtype=float, na_value=np.nan))
    missing = column.isna().to_numpy()
    return pl.Series(
        [None if gone else _plain(value) for value, gone in zip(column.tolist(), missing, strict=True)]
    )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _column_names(context: Any) -> tuple[str, ...]:
    if isinstance(context, str):
        return (context,)
    is_names = isinstance(context, (list, tuple)) and all(isinstance(name, str) for name in context)
    return tuple(context) if is_names else ()


def _weights(weights: Any, source: Source, minimum_rows: int) -> FloatArray:
    array = np.asarray(weights)
    if array.ndim != 1 or array.dtype.kind not in "iuf" or array.shape[0] != source.frame.height:
        raise InputError(
            f"`weights` must hold one real number for each of the {source.frame.height} rows; "
            f"found shape {array.shape}, type {array.dtype}."
        )
    values = np.asarray(array, dtype=np.float64)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise InputError(f"`weights`, {source.row(row)}: found {values[row]}; weights must be finite.")
    check_weights(values, "`weights`", source, minimum=minimum_rows)
    return values


def _reordered(table: Table, names: tuple[str, ...]) -> Table:
    frame = pl.DataFrame({f"c{i}": table.values[:, i] for i in range(len(table.names))})
    source = Source(table.source, "frame", table.names, frame, table.first_row)
    check_names(source, names, "names")
    order = [table.names.index(name) for name in names]
    return Table(
        names,
        table.values[:, order],
        table.context_names,
        table.context,
        table.weights,
        table.source,
        table.first_row,
        table.weights_name,
    )
