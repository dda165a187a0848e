"""Writes tables as CSV or Parquet, under a temporary name that is renamed when the file is complete."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from .._errors import InputError
from ._source import Source

SUFFIXES = (".csv", ".parquet")


def check_output(path: str | os.PathLike[str]) -> Path:
    """Returns `path` if a table can be written there.

    **Raises:** `InputError` if its suffix is neither .csv nor .parquet, it is a folder, or its folder is missing or can
    not be written.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        found = f"the suffix {path.suffix}" if path.suffix else "no suffix"
        raise InputError(f"{path} has {found}; name an output file that ends in .csv or .parquet.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file to write.")
    if not path.parent.is_dir():
        raise InputError(f"{path} can not be written: there is no folder {path.parent}; make it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise InputError(f"{path} can not be written: the folder {path.parent} is not writable.")
    return path


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


def append_column(path: str | os.PathLike[str], source: Source, name: str, values: np.ndarray) -> None:
    """Writes the columns of `source` as they were read, and `values`, called `name`, as the last one.

    In a CSV file the cells that were read from CSV stay as they stood; in a Parquet file text that is a number
    throughout becomes numbers.
    """
    columns = list(source.frame.get_columns())
    if Path(path).suffix.lower() == ".parquet":
        columns = [_typed(column) for column in columns]
    write_columns(path, (*source.names, name), [*columns, pl.Series(values)])


def write_columns(path: str | os.PathLike[str], names: Sequence[str], columns: Sequence[pl.Series]) -> None:
    """Writes `columns`, called `names`, to a .csv or .parquet file."""
    path = check_output(path)
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise InputError(
            f"{path} would have two columns called {repeated[0]!r}; rename the one in the input."
        )
    frame = pl.DataFrame([column.alias(name) for name, column in zip(names, columns, strict=True)])
    temporary = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with open(temporary, "wb") as file:
            if path.suffix.lower() == ".csv":
                frame.write_csv(file)
            else:
                frame.write_parquet(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path} can not be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _typed(column: pl.Series) -> pl.Series:
    if column.dtype != pl.String:
        return column
    for kind in (pl.Int64, pl.Float64):
        numbers = column.cast(kind, strict=False)
        if numbers.null_count() == column.null_count():
            return numbers
    return column
