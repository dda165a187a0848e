"""`as_table`: from arrays and data frames in memory to a checked `Table`.

A NumPy array and all that has `__array__` (JAX arrays too), polars and pandas data frames are known by what they can
do; neither JAX nor pandas is imported here.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.tables._checks import build_table, check_weights
from shoal.tables._columns import Columns, check_names, choose_roles
from shoal.tables._dependents import check_density
from shoal.tables._index import without_index
from shoal.tables._numpy_files import array_source
from shoal.tables._source import Source
from shoal.tables._table import Table
from shoal.tables._whole import build_whole


def as_table(
    data: object,
    columns: Sequence[Hashable] | None = None,
    *,
    context: object = None,
    weights: object = None,
    kinds: Mapping[str, str] | None = None,
    minimum_rows: int = 1,
    distinct: bool = False,
) -> Table:
    """Turns `data` into a `Table`; a `Table` is returned as it is, or with its columns in the order of `columns`.

    **Arguments:**

    - `data`: a real array of shape (rows, columns), or a polars or pandas data frame.
    - `columns`: for a data frame, the columns to take, by name; for an array, what to call its columns (x0, x1, ...
        without).
    - `context`: names of context columns of a data frame, or an array or data frame of them with the same rows.
    - `weights`: the name of a column of a data frame, or an array of shape (rows,).
    - `kinds`: as in `read_table`.
    - `minimum_rows`, `distinct`: as a training set needs them: fewer rows, or (if `distinct`) constant and identical
        columns are an error.

    **Returns:** a `Table` of finite float64 values.

    **Raises:** `InputError`, one sentence that names column and row (counted from 0) and says what was found.
    """
    listed = None if columns is None else tuple(str(name) for name in columns)
    if isinstance(data, Table):
        if context is not None or weights is not None:
            raise InputError(
                "The data are a `Table`, which has its own context and weights: "
                "leave out `context` and `weights`, or give them to the call that made the table."
            )
        return data if listed is None else _reordered(data, listed)
    source = as_source(data, listed)
    by_name = source.kind == "frame"
    weights = str(weights) if by_name and isinstance(weights, int) else weights
    asked = Columns(
        columns=listed if by_name else None,
        context=_column_names(context) if by_name else (),
        weights=weights if by_name and isinstance(weights, str) else None,
    )
    roles = choose_roles(source, asked)
    if kinds is not None:
        table = build_whole(source, roles, asked, kinds, minimum_rows=minimum_rows, distinct=distinct)
    else:
        table = build_table(
            source, roles, asked if distinct else None, minimum_rows=minimum_rows, distinct=distinct
        )
    if context is not None and not asked.context:
        beside = as_table(context, distinct=distinct)
        if beside.rows != table.rows:
            raise InputError(
                f"The context has {beside.rows} rows where the data have {table.rows}; give one for each row."
            )
        table = replace(table, context_names=beside.names, context=beside.values)
    if weights is not None and not asked.weights:
        table = replace(table, weights=_weights(weights, source, minimum_rows))
    if distinct and kinds is None:
        table = check_density(source, asked, table)
    return replace(table, notes=source.notes)


def as_source(data: Any, names: Sequence[str] | None = None) -> Source:
    """The cells of an array or a data frame, as `as_table` reads them."""
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
    source = array_source(array, None, "The array", "array", 0)
    if names is None:
        return source
    width = len(source.names)
    if len(names) != width:
        raise InputError(f"The array has {width} columns where {len(names)} names are given; name each one.")
    return replace(source, names=tuple(names))


def _frame_source(names: tuple[str, ...], frame: pl.DataFrame) -> Source:
    if not names:
        raise InputError("The data frame has no columns; give one with at least one column of numbers.")
    words = [i for i, kind in enumerate(frame.dtypes) if isinstance(kind, (pl.Categorical, pl.Enum))]
    frame = frame.with_columns(pl.nth(words).cast(pl.String)) if words else frame
    return without_index(Source("The data frame", "frame", names, frame, 0))


def _pandas_series(column: Any) -> pl.Series:
    kind, missing = getattr(column.dtype, "kind", "O"), column.isna().to_numpy()
    if kind in "iu":  # not by way of float64, which rounds whole numbers beyond 2^53
        whole = pl.UInt64() if kind == "u" else pl.Int64()
        cells = zip(column.tolist(), missing, strict=True)
        exact = (
            [None if gone else value for value, gone in cells]
            if missing.any()
            else column.to_numpy(dtype=f"{kind}8")
        )
        return pl.Series(exact, dtype=whole)
    if kind == "f":
        return pl.Series(column.to_numpy(dtype=float, na_value=np.nan))
    if kind in "Mm":  # times of a zone in that of Greenwich
        unit = "datetime64[us]" if kind == "M" else "timedelta64[us]"
        return pl.Series(column.to_numpy(dtype=unit))
    cells = zip(column.tolist(), missing, strict=True)
    if kind == "b":
        return pl.Series([None if gone else bool(value) for value, gone in cells], dtype=pl.Boolean)
    return pl.Series([None if gone else str(value) for value, gone in cells])


def _column_names(context: object) -> tuple[str, ...]:
    if isinstance(context, str):
        return (context,)
    if isinstance(context, (list, tuple)) and all(isinstance(name, (str, int)) for name in context):
        return tuple(str(name) for name in context)
    return ()


def _weights(weights: object, source: Source, minimum_rows: int) -> FloatArray:
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
    if table.codes is not None:
        raise InputError(
            "The data are a `Table` of words and numbers: choose its columns in the call that made it."
        )
    check_names(
        Source(table.source, "frame", table.names, pl.DataFrame(), table.first_row), names, "`columns`"
    )
    order = [table.names.index(name) for name in names]
    return replace(table, names=names, values=table.values[:, order])
