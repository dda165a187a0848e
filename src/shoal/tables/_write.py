"""Writes tables as CSV or Parquet, complete or not at all."""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal.records import write_bytes
from shoal.tables._source import Source


def write_table(path: str | os.PathLike[str], names: Sequence[str], values: np.ndarray) -> None:
    """Writes the columns of `values`, of shape (rows, columns), called `names`, to a .csv or .parquet file.

    **Raises:** `InputError` if the file can not be written, a name repeats, or names and columns differ in number.
    """
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise InputError(
            f"Values of shape {values.shape} do not have one column for each of the {len(names)} names."
        )
    write_columns(path, names, [pl.Series(np.ascontiguousarray(values[:, i])) for i in range(len(names))])


def append_columns(
    path: str | os.PathLike[str], source: Source, values: Mapping[str, np.ndarray | pl.Series]
) -> None:
    """Writes the columns of `source` as they were read, and behind them `values`, name by name.

    In a CSV file the cells that were read from CSV stay as they stood; in a Parquet file text that is a number
    throughout becomes numbers.
    """
    columns = list(source.frame.get_columns())
    if Path(path).suffix.lower() == ".parquet":
        columns = [_typed(column) for column in columns]
    write_columns(path, (*source.names, *values), [*columns, *map(pl.Series, values.values())])


def write_columns(path: str | os.PathLike[str], names: Sequence[str], columns: Sequence[pl.Series]) -> None:
    """Writes `columns`, called `names`, to a .csv or .parquet file."""
    path = Path(path)
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise InputError(
            f"{path} would have two columns called {repeated[0]!r}; rename the one in the input."
        )
    frame = pl.DataFrame([column.alias(name) for name, column in zip(names, columns, strict=True)])
    data = io.BytesIO()
    if path.suffix.lower() == ".csv":
        frame.write_csv(data)
    else:
        frame.write_parquet(data)
    write_bytes(data.getvalue(), path)


def _typed(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column
    for kind in (pl.Int64, pl.Float64):
        numbers = column.cast(kind, strict=False)
        if numbers.null_count() == column.null_count():
            return numbers
    return column
