"""`read_table`: from a file to a checked `Table`."""

import os
import shlex
from collections.abc import Sequence

from ._checks import MINIMUM_DISTINCT, MINIMUM_ROWS, build_table, check_distinct_rows
from ._open import open_source
from ._request import Request
from ._roles import choose_roles
from ._table import Table


def read_table(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    context: Sequence[str] | None = None,
    weights: str | None = None,
    minimum_rows: int = MINIMUM_ROWS,
    distinct: bool = True,
    command: str | None = None,
) -> Table:
    """Reads a CSV, Parquet, NPY or NPZ file and checks that a flow can be trained on it.

    **Arguments:**

    - `path`: the file; its suffix says the format. CSV is UTF-8 with a header row; an NPY file holds one real array
        of shape (rows, columns), whose columns are called x0, x1, ...
    - `columns`: names of the columns to model; all that are named nowhere else without.
    - `drop`: names of columns to leave out.
    - `context`: names of the columns that the model is conditioned on.
    - `weights`: name of the column of row weights.
    - `minimum_rows`: fewer rows are an error.
    - `distinct`: constant and identical columns are an error, as no density exists on them.
    - `command`: the command line, up to the column options, that messages repeat with options that would work.

    **Returns:** a `Table` of finite float64 values.

    **Raises:** `InputError`, one sentence that names file, column and row (as in the file: a CSV header is row 1), says
    what was found and what to type instead: a missing, unreadable or empty file; rows of unequal length; unknown or
    repeated names; text, missing or infinite values; constant or identical columns; bad weights; too few rows, or too
    few that differ.
    """
    request = Request(
        label=os.fspath(path),
        kind="file",
        command=f"shoal fit {shlex.quote(os.fspath(path))} --out RUN" if command is None else command,
        columns=None if columns is None else tuple(columns),
        drop=tuple(drop or ()),
        context=tuple(context or ()),
        weights=weights,
    )
    source = open_source(path)
    table = build_table(
        source, choose_roles(source, request), request, minimum_rows=minimum_rows, distinct=distinct
    )
    check_distinct_rows(table, min(MINIMUM_DISTINCT, minimum_rows))
    return table
