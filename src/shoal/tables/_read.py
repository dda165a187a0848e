"""Files: opened by their suffix as they are, read as checked tables, or as the matrix of a linear map."""

import difflib
import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._remote import fetched, file_name, is_url
from shoal.tables._checks import MINIMUM_DISTINCT, MINIMUM_ROWS, build_table, check_distinct_rows
from shoal.tables._columns import Columns, Roles, check_names, choose_roles, join_names
from shoal.tables._csv import read_csv
from shoal.tables._dependents import check_density
from shoal.tables._index import without_index
from shoal.tables._numpy_files import load_array, read_npy, read_npz
from shoal.tables._source import Source
from shoal.tables._table import Table
from shoal.tables._whole import build_whole

Found = TypeVar("Found")


def read_table(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    context: Sequence[str] | None = None,
    weights: str | None = None,
    kinds: Mapping[str, str] | None = None,
    minimum_rows: int = MINIMUM_ROWS,
    distinct: bool = True,
) -> Table:
    """Reads a CSV, Parquet, NPY or NPZ file and checks that a flow can be trained on it.

    **Arguments:**

    - `path`: the file, or its URL (`s3://bucket/table.parquet`); its suffix says the format. Separator, quotes, header,
        encoding and decimal mark of a CSV file are found, and it may be packed; an NPY file holds one real array of shape
        (rows, columns), whose columns are called x0, x1, ...
    - `columns`: names of the columns to model; all that are named nowhere else without.
    - `drop`: names of columns to leave out.
    - `context`: names of the columns that the model is conditioned on.
    - `weights`: name of the column of row weights.
    - `kinds`: None: every column must hold numbers. A mapping, perhaps empty: columns are taken for what they are, numbers,
        categories, dates or identifiers, with missing cells and values that many rows share (`Table.schema` says what was
        found); it may say the kind of some of them.
    - `minimum_rows`: fewer rows are an error.
    - `distinct`: columns that are constant or follow from others are an error, as no density exists on them.

    **Returns:** a `Table` of finite float64 values.

    **Raises:** `InputError`, one sentence that names file, column and row (as in the file: a CSV header is row 1), says
    what was found and what would work instead: a missing, unreadable or empty file; rows of unequal length; unknown or
    repeated names; text, missing or infinite values; constant or identical columns; bad weights; too few rows, or too
    few that differ.
    """
    listed = None if columns is None else tuple(columns)
    asked = Columns(listed, tuple(drop or ()), tuple(context or ()), weights)
    source = open_source(path)
    roles = choose_roles(source, asked)
    if kinds is not None:
        table = build_whole(source, roles, asked, kinds, minimum_rows=minimum_rows, distinct=distinct)
    else:
        table = build_table(source, roles, asked, minimum_rows=minimum_rows, distinct=distinct)
        check_distinct_rows(table, min(MINIMUM_DISTINCT, minimum_rows))
        table = check_density(source, asked, table) if distinct else table
    return replace(table, notes=source.notes)


def match_columns(
    data: str | os.PathLike[str] | Source, names: Sequence[str], context_names: Sequence[str] = ()
) -> Table:
    """Finds the columns `names` and `context_names` in `data`, whatever their order; further columns are left aside.

    **Arguments:** `data`: a path, or a `Source` that `open_source` read. `names`, `context_names`: as the model has
    them.

    **Returns:** a `Table` whose columns stand in the order of `names`.

    **Raises:** `InputError` naming the columns that are not there, or the first cell that is not a finite number.
    """
    source = data if isinstance(data, Source) else open_source(data)
    missing = [name for name in dict.fromkeys((*names, *context_names)) if name not in source.names]
    if len(missing) > 1:
        raise InputError(
            f"{source.label} has no columns {join_names(missing)}, which the model needs; "
            f"its columns are {join_names(source.names)}."
        )
    check_names(source, (*names, *context_names), "the model")
    where = {name: i for i, name in enumerate(source.names)}
    roles = Roles(tuple(where[name] for name in names), tuple(where[name] for name in context_names), None)
    table = build_table(source, roles, None, minimum_rows=1, distinct=False)
    return replace(table, notes=source.notes)


def read_matrix(
    path: str | os.PathLike[str], tell: Callable[[Sequence[str]], None] = lambda notes: None
) -> np.ndarray:
    """The array in `path`: NPY; NPZ with one two-dimensional array, or one called T or target; CSV with or without header.

    **Arguments:** `tell`: is given the sentences about how a CSV file was read.

    **Raises:** `InputError` if there is no such file or it can not be read, or a cell of a CSV file is no finite number;
    whether an array of NumPy is a matrix is not looked at.
    """
    array, notes = _opened(path, MATRICES)
    tell(notes)
    return array


def open_source(path: str | os.PathLike[str]) -> Source:
    """Reads the CSV, Parquet, NPY or NPZ file at `path` as it is, no column chosen and no value checked.

    **Raises:** `InputError` if there is no such file or it can not be read.
    """
    return _opened(path, READERS)


def read_parquet(path: Path, label: str) -> Source:
    """Reads the Parquet file at `path`. Columns keep their type, but dictionaries of words become text; the first row is 1.

    **Raises:** `InputError` if it is not a Parquet file that can be read.
    """
    check_parquet(path, label)
    with open(path, "rb") as file:
        try:
            frame = pl.read_parquet(file)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            reason = (str(error).splitlines() or ["it is damaged"])[0]
            raise InputError(f"{label} is not a Parquet file that can be read: {reason}.") from error
    names = tuple(frame.columns)
    frame.columns = [f"c{i}" for i in range(len(names))]
    return without_index(Source(label, "file", names, without_dictionaries(frame), 1))


def check_parquet(path: Path, label: str) -> None:
    """**Raises:** `InputError` for a file that does not begin as a Parquet file does."""
    with open(path, "rb") as file:
        if file.read(4) != b"PAR1":
            raise InputError(
                f"{label} is not a Parquet file (it does not start with PAR1): give it its own suffix."
            )


def without_dictionaries(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with dictionaries of words as text."""
    words = [i for i, kind in enumerate(frame.dtypes) if isinstance(kind, (pl.Categorical, pl.Enum))]
    return frame.with_columns(pl.nth(words).cast(pl.String)) if words else frame


READERS: dict[str, Callable[[Path, str], Source]] = {
    ".csv": read_csv,
    ".tsv": read_csv,
    ".tab": read_csv,
    ".txt": read_csv,
    ".dat": read_csv,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".npy": read_npy,
    ".npz": read_npz,
}


def _array(path: Path, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    return load_array(path, label, ("T", "target"))[0], ()


def _matrix(path: Path, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    source = read_csv(path, label, counted=False)
    roles = Roles(tuple(range(len(source.names))), (), None)
    return build_table(source, roles, None, minimum_rows=1, distinct=False).values, source.notes


MATRICES: dict[str, Callable[[Path, str], tuple[np.ndarray, tuple[str, ...]]]] = {
    **dict.fromkeys((".npy", ".npz"), _array),
    **{suffix: _matrix for suffix, reader in READERS.items() if reader is read_csv},
}
PACKED = (".gz", ".zst", ".zip", ".bz2", ".xz")


def _opened(path: str | os.PathLike[str], readers: Mapping[str, Callable[[Path, str], Found]]) -> Found:
    """What the reader of the file's suffix makes of it. **Raises:** `InputError` for what is no file, or of another kind."""
    label = os.fspath(path)
    if is_url(label):
        _reader(Path(file_name(label)), label, readers)  # before anything is fetched
        with fetched(label) as copy:
            return _read_local(copy, label, readers)
    return _read_local(Path(path), label, readers)


def _read_local(path: Path, label: str, readers: Mapping[str, Callable[[Path, str], Found]]) -> Found:
    *most, last = readers
    listed = f"{', '.join(most)} or {last}"
    try:
        if path.is_dir():
            raise InputError(f"{label} is a folder: name one file in it{_example(path, readers, listed)}.")
        if not path.exists():
            raise InputError(f"{label} does not exist{_similar(path, readers)}")
        if not path.is_file():
            raise InputError(f"{label} is not a file; name a {listed} file.")
        return _reader(path, label, readers)(path, label)
    except OSError as error:
        raise InputError(f"{label} can not be read: {error.strerror or error}.") from error


def _reader(
    path: Path, label: str, readers: Mapping[str, Callable[[Path, str], Found]]
) -> Callable[[Path, str], Found]:
    reader = readers.get(suffix_of(path))
    if reader is None:
        *most, last = readers
        found = f"the suffix {path.suffix}" if path.suffix else "no suffix"
        listed = f"{', '.join(most)} or {last}"
        raise InputError(f"{label} has {found}: the format is read off the suffix, one of {listed}.")
    return reader


def suffix_of(path: Path) -> str:
    """The suffix that says the format: of `table.csv.gz` it is .csv, as of a packed file without another one."""
    suffix = path.suffix.lower()
    return (Path(path.stem).suffix.lower() or ".csv") if suffix in PACKED else suffix


def _example(folder: Path, suffixes: Container[str], listed: str) -> str:
    files = sorted(file.name for file in folder.iterdir() if suffix_of(file) in suffixes)
    return f", such as {folder / files[0]}" if files else f" (a {listed} file)"


def _similar(path: Path, suffixes: Container[str]) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}."
    files = [file.name for file in path.parent.iterdir() if suffix_of(file) in suffixes]
    close = difflib.get_close_matches(path.name, files, 1)
    return (
        f"; did you mean {path.parent / close[0]}?" if close else f": it is not in {path.parent.resolve()}."
    )
