"""`shoal score`: the log-density of each row of a table under a fitted flow, block by block, or file by file on workers."""

from pathlib import Path
from typing import Annotated

from shoal._errors import InputError
from shoal._executors import connected
from shoal.cli._parse import TABLES, check_output
from shoal.cli._run_folder import find_model
from shoal.cli._session import argument, command, option

COLUMN, RANK, WHY = "log_prob", "rank", "unlikely"
ERROR, BOUND = "log_prob_error", "log_prob_bound"


@command
def score(
    run: Annotated[str, argument("A folder that `shoal fit` made, or its URL.", metavar="RUN")],
    data: Annotated[
        str,
        argument(
            "A CSV, Parquet, NPY or NPZ file, a folder or pattern of Parquet files; or a URL.", metavar="DATA"
        ),
    ],
    output: Annotated[
        Path,
        option(
            "A .csv or .parquet file to write, or a new folder that takes one file for each of DATA.",
            "-o",
            "--output",
            metavar="FILE|FOLDER",
        ),
    ],
    explain: Annotated[
        bool, option("One more column: which cells are unlikely, given the rest of their row.", "--explain")
    ] = False,
    errors: Annotated[
        bool,
        option("Two more columns: what rounding does to log_prob, measured and bounded.", "--errors"),
    ] = False,
    cluster: Annotated[
        str | None,
        option(
            "Files side by side, where -o is a folder: a Dask scheduler, or so many processes here.",
            "--cluster",
            metavar="tcp://HOST:PORT|local:N",
        ),
    ] = None,
) -> None:
    """Write DATA with log_prob (nats, in the units of the table) and rank (the share of training rows less likely).

    Columns are found by name, in any order; further columns are kept. A large table is read, scored and written in blocks.
    """
    folder = find_model(run)
    from shoal.cli._data import first_block, matched_rows, open_rows, read_schema, say_notes, schema_needed
    from shoal.tables import Stream, are_files, strange_notes

    by_file = not output.suffix and are_files(data)
    check_output(output, "-o", None if by_file else TABLES, data)
    if cluster is not None and not by_file:
        raise InputError(
            "--cluster scores file by file: DATA must be a folder or a pattern of files, and -o a new folder, such as "
            "-o scored."
        )
    table = open_rows(data)
    for file in table.files if isinstance(table, Stream) and not by_file else ():
        check_output(output, "-o", TABLES, str(file))
    rank = _free_names(data, table.names, errors=errors, explain=explain)
    schema = read_schema(folder)
    matched_rows(folder, schema, first_block(table), [])
    if explain:
        schema_needed(schema, folder)
    from shoal.cli._rows import contexts_among  # here: wrong columns are told before JAX loads
    from shoal.cli._scores import Scoring, score_files, score_table

    among = contexts_among(folder.context_columns or (), table, 0) if explain else None
    asked = Scoring(run, rank, errors, explain, among)
    if isinstance(table, Stream) and by_file:
        with connected(cluster) as executor:
            written, strange = score_files(table, output, asked, executor)
    else:
        written, strange = score_table(table, output, asked)
    say_notes(data, strange_notes(strange))
    written.finish(f"{COLUMN} of {{bad}} of {{all}} rows is not a number", table.first_row)


def _free_names(data: str, names: tuple[str, ...], *, errors: bool, explain: bool) -> str:
    """The name of the rank. **Raises:** `InputError` where the table has a column with the name of another new one."""
    for name in (COLUMN, *([WHY] if explain else []), *([ERROR, BOUND] if errors else [])):
        if name in names:
            raise InputError(
                f"{data} has a column {name!r} already; rename it, so that it is not taken for the new one."
            )
    return RANK if RANK not in names else f"{COLUMN}_{RANK}"
