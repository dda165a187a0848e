"""Tables that a command is given, read as its options say; what is wrong with one is told in words of the command line.

It loads NumPy and polars.
"""

import shlex
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import typer

from shoal._errors import InputError
from shoal._scalars import IntArray
from shoal.cli._parse import COLUMN_OPTIONS, parse_columns
from shoal.cli._run_folder import ModelFolder
from shoal.cli._session import Call
from shoal.cli._settings import FitSettings
from shoal.records import SCHEMA, read_record
from shoal.tables import (
    MINIMUM_ROWS,
    Argument,
    Columns,
    ColumnsError,
    Schema,
    SchemaRows,
    Source,
    Strange,
    Stream,
    StreamedTable,
    Table,
    is_large,
    join_names,
    match_columns,
    open_source,
    open_stream,
    read_stream,
    read_table,
    strange_notes,
)


def read_data(
    call: Call,
    data: str,
    columns: Mapping[str, Any],
    *,
    trained: bool = True,
    kinds: Mapping[str, str] | None = None,
) -> Table:
    """The checked table of the file `data`.

    **Arguments:** `columns`: from `parse_columns`; `trained`: a flow is to be trained on it, which asks for many rows and
    for columns that vary; `kinds`: as in `read_table`.

    **Raises:** `InputError`, which repeats the command with columns that would work.
    """
    with _worded(call):
        rows = MINIMUM_ROWS if trained else 1
        table = read_table(data, **columns, kinds=kinds, minimum_rows=rows, distinct=trained)
    say_notes(data, table.notes)
    return table


def to_fit(call: Call, data: str, settings: FitSettings) -> Table | StreamedTable:
    """The table to train on, read in pieces where it is large or the settings ask for it."""
    columns = parse_columns(call.given)
    kinds = None if settings.dequantize == "off" else settings.kinds  # off: columns are numbers, as they are
    stream = settings.stream
    if stream == "off" or (stream == "auto" and not is_large(data)):
        return read_data(call, data, columns, kinds=kinds)
    with _worded(call):
        place = "memory" if stream == "memory" else "disk"
        table = read_stream(data, **columns, kinds=kinds, seed=settings.seed, shuffle=place)
    say_notes(data, table.sample.notes)
    return table


@contextmanager
def _worded(call: Call) -> Generator[None, None, None]:
    """Errors of columns in words of the command line."""

    def words(part: Argument | Columns) -> str:
        if isinstance(part, Argument):
            return f"--{part.name}"
        options = shlex.join(column_options(part.named()))
        return f"`{' '.join([call.line(*COLUMN_OPTIONS), options]).strip()}`"

    try:
        yield
    except ColumnsError as error:
        raise InputError(error.worded(words)) from error


def open_rows(data: str) -> Source | Stream:
    """The table at `data` in memory, or as a stream where it is large; what was done while it was read is said."""
    table = open_stream(data) if is_large(data) else open_source(data)
    say_notes(data, table.notes)
    return table


def first_block(table: Source | Stream) -> Source:
    """The first rows. **Raises:** `InputError` where there is none."""
    for source in table.sources():
        return source
    raise InputError(f"{table.label} has columns but no rows; at least 1 is needed.")


def say_notes(data: str, notes: Sequence[str]) -> None:
    """Says on stderr what was done while a table was read."""
    for note in notes:
        typer.echo(f"{data}: {note}", err=True)


def column_options(named: Mapping[str, Sequence[str]]) -> list[str]:
    """Names of columns as options of the command line."""
    return [word for name, names in named.items() if names for word in (f"--{name}", join_names(names))]


def matched_by_name(folder: ModelFolder, source: Source) -> Table | None:
    """The columns of a model in a table; None where its folder does not say which they are."""
    return match_columns(source, folder.columns, folder.context_columns or ()) if folder.columns else None


def read_schema(folder: ModelFolder) -> Schema | None:
    """What the columns of a model's table are, where they are more than numbers."""
    path = folder.path / SCHEMA
    return read_record(path, Schema) if path.exists() else None


def schema_needed(schema: Schema | None, folder: ModelFolder) -> None:
    """Raises where a run does not say what its columns are."""
    if schema is None:
        raise InputError(
            f"The model in {folder.label} does not say what its columns are, as a run of `shoal fit` without "
            "--dequantize off does; cells given the rest of their row are not computed."
        )


def matched_rows(
    folder: ModelFolder, schema: Schema | None, source: Source, strange: list[Strange] | None = None
) -> tuple[Table, SchemaRows] | None:
    """The model's columns by name, or by its schema states and numbers; None where its folder says neither.

    `strange`: takes cells that training had none of, which are said without it.
    """
    if schema is None:
        table = matched_by_name(folder, source)
        return None if table is None else (table, SchemaRows(table.values, np.zeros(table.rows, bool)))
    context = match_columns(source, folder.context_columns).values if folder.context_columns else None
    rows = schema.rows(source, float64=folder.float64)
    if strange is None:
        say_notes(source.label, strange_notes(rows.strange))
    else:
        strange.extend(rows.strange)
    beside, first = folder.context_columns or (), source.first_row
    return Table(schema.names, rows.values, beside, context, source=source.label, first_row=first), rows


def chosen_rows(count: int, points: int, seed: int) -> IntArray:
    """At most `points` of `count` rows, in their order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:points])
