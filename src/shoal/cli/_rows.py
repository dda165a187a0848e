"""`shoal sample`: rows drawn from a fitted flow; `shoal score`: the log-density of each row of a table under it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from shoal._errors import InputError
from shoal.cli._parse import check_count, check_output
from shoal.cli._run_folder import ModelFolder, find_model
from shoal.cli._session import NUMERICAL_FAILURE, argument, command, option, stop

COLUMN, RANK, WHY = "log_prob", "rank", "unlikely"
ERROR, BOUND = "log_prob_error", "log_prob_bound"
SURPRISING, MOST_CELLS = 3.0, 5  # nats beyond what is expected of a cell that is named, and how many are
TABLES = (".csv", ".parquet")
Run = Annotated[Path, argument("A folder that `shoal fit` made.", metavar="RUN")]
Output = Annotated[Path, option("A .csv or .parquet file to write.", "-o", "--output", metavar="FILE")]


@command
def sample(
    run: Run,
    output: Output,
    rows: Annotated[int | None, option("Number of rows.", "-n", "--rows", metavar="N")] = None,
    context_file: Annotated[
        Path | None,
        option("A table of the context columns; one row is drawn for each of its rows.", metavar="FILE"),
    ] = None,
    seed: Annotated[int, option("The same seed gives the same rows.")] = 0,
    complete: Annotated[
        bool, option("Draw what would be missing, given the rest of the row.", "--complete")
    ] = False,
    given: Annotated[
        Path | None,
        option("With --complete: a table whose missing cells are drawn, others kept.", metavar="FILE"),
    ] = None,
) -> None:
    """Draw N rows from the flow in RUN, or with --complete --given FILE the missing cells of FILE."""
    check_count(seed, "--seed", 0)
    if rows is not None:
        check_count(rows, "-n")
    if given is not None and not complete:
        raise InputError("--given goes with --complete: missing cells of its rows are drawn.")
    if [rows, context_file, given].count(None) != 2:
        raise InputError(
            "Give the number of rows by -n N or, for a model with context, a table by --context-file; or --complete with "
            "rows by --given."
        )
    folder = find_model(run)
    if given is None:  # whose rows have their context
        _check_context(folder.context_columns, folder, context_file)
    check_output(output, "-o", TABLES, None)
    from shoal.cli._data import read_schema  # here: `shoal --help` must not wait for it
    from shoal.tables import match_columns, write_columns, write_table

    schema = read_schema(folder)
    if complete:
        _model_must_say(schema, folder)
    if given is not None:
        _complete(folder, schema, given, output, seed)
        return
    names = folder.context_columns
    table = match_columns(context_file, names) if context_file is not None and names else None
    from shoal.cli import _model  # here: wrong columns are told before JAX loads
    from shoal.distributions import Conditionals

    with _model.loaded(folder) as flow:
        columns = flow.columns or tuple(f"x{i}" for i in range(flow.shape[0]))
        size = 0 if flow.context_shape is None else flow.context_shape[0]
        context_names = flow.context_columns or tuple(f"c{i}" for i in range(size))
        _check_context(context_names, folder, context_file)
        if context_file is not None and table is None:
            table = match_columns(context_file, context_names)
        count = rows or 0 if table is None else table.rows
        values = _model.sample(flow, seed, count, None if table is None else table.values)
        if complete and schema is not None:
            beside = None if table is None else table.values
            values = Conditionals(flow, schema, seed, beside).completed(values.astype(float))
    if schema is None:
        write_table(output, columns, values)
    else:
        states = len(schema.discrete)
        found = schema.decode(values[:, :states].astype(int), values[:, states:].astype(float))
        write_columns(output, tuple(found), tuple(found.values()))
    _finish(output, values, "{bad} of {all} samples are not finite", 1)


def _model_must_say(schema: Any, folder: ModelFolder) -> None:
    """Raises where a run does not say what its columns are."""
    if schema is None:
        raise InputError(
            f"The model in {folder.path} does not say what its columns are, as a run of `shoal fit` without "
            "--dequantize off does; cells given the rest of their row are not computed."
        )


def _complete(folder: ModelFolder, schema: Any, path: Path, output: Path, seed: int) -> None:
    """Writes the table at `path` with draws in its missing cells, all else as it was read."""
    import polars as pl

    from shoal.cli import _model
    from shoal.cli._data import matched_rows, say_notes
    from shoal.distributions import Conditionals
    from shoal.tables import open_source, write_columns

    source = open_source(path)
    say_notes(path, source.notes)
    found = matched_rows(folder, schema, source)
    assert found is not None
    table, (values, *_) = found
    states = len(schema.discrete)
    with _model.loaded(folder) as flow:
        made = Conditionals(flow, schema, seed, table.context).completed(values)
    drawn = schema.decode(made[:, :states].astype(int), made[:, states:])
    gaps = schema.gaps(values[:, :states].astype(int))
    columns = []
    for i, name in enumerate(source.names):
        cells = source.frame.to_series(i)
        if name in gaps:
            new = drawn[name].cast(cells.dtype, strict=False)
            cells = pl.select(pl.when(pl.Series(gaps[name])).then(new).otherwise(cells)).to_series()
        columns.append(cells)
    write_columns(output, source.names, columns)
    _finish(output, made, "{bad} of {all} rows are not finite", table.first_row)


@command
def score(
    run: Run,
    data: Annotated[Path, argument("A CSV, Parquet, NPY or NPZ file.", metavar="DATA")],
    output: Output,
    explain: Annotated[
        bool, option("One more column: which cells are unlikely, given the rest of their row.", "--explain")
    ] = False,
    errors: Annotated[
        bool,
        option("Two more columns: what rounding does to log_prob, measured and bounded.", "--errors"),
    ] = False,
) -> None:
    """Write DATA with log_prob (nats, in the units of the table) and rank (the share of training rows less likely).

    Columns are found by name, in any order; further columns are kept.
    """
    folder = find_model(run)
    check_output(output, "-o", TABLES, data)
    import numpy as np

    from shoal.cli._data import matched_rows, read_schema, say_notes
    from shoal.tables import SchemaRows, append_columns, open_source

    source = open_source(data)
    say_notes(data, source.notes)
    for name in (COLUMN, *([WHY] if explain else []), *([ERROR, BOUND] if errors else [])):
        if name in source.names:
            raise InputError(
                f"{data} has a column {name!r} already; rename it, so that it is not taken for the new one."
            )
    schema = read_schema(folder)
    matched = matched_rows(folder, schema, source)
    if explain:
        _model_must_say(schema, folder)
    from shoal.cli import _model
    from shoal.distributions import Conditionals, log_prob_errors_of_cells, log_prob_of_cells

    found: dict[str, Any] = {}
    with _model.loaded(folder) as flow:
        table = matched[0] if matched else _model.matched(folder, flow, source)
        rows = matched[1] if matched else SchemaRows(table.values, np.zeros(table.rows, bool))
        values = log_prob_of_cells(flow, rows.values, table.context, rows.lattices)
        if errors:
            bars = log_prob_errors_of_cells(flow, rows.values, table.context, rows.lattices)
            found = dict(zip((ERROR, BOUND), (np.where(rows.outside, np.nan, b) for b in bars), strict=True))
        if explain and schema is not None:
            surprises = Conditionals(flow, schema, context=table.context).surprises(rows.values)
            found[WHY] = _unlikely(table.names, surprises)
    values = np.where(rows.outside, -np.inf, values)
    rank = RANK if RANK not in source.names else f"{COLUMN}_{RANK}"
    append_columns(output, source, {COLUMN: values} | _ranks(folder, values, rank) | found)
    _finish(output, values, f"{COLUMN} of {{bad}} of {{all}} rows is not a number", table.first_row)


def _unlikely(names: tuple[str, ...], surprises: Any) -> Any:
    """Of each row the cells that are less likely than the rest of the row lets expect, the least likely first."""
    import numpy as np
    import polars as pl

    words = []
    for row in surprises:
        order = [i for i in np.argsort(-row, kind="stable") if row[i] > SURPRISING]
        words.append(", ".join(f"{names[i]} ({row[i]:.1f})" for i in order[:MOST_CELLS]))
    return pl.Series(words, dtype=pl.String)


def _ranks(folder: ModelFolder, values: Any, name: str) -> dict[str, Any]:
    """Under `name` the share of training rows that are less likely than each row, where the run has its record."""
    import numpy as np

    from shoal.records.fit import read_run

    try:
        record = read_run(folder.path)
    except InputError:  # the model is whole, whatever the record is
        return {}
    if record is None or not record.quantiles:
        return {}
    share = np.interp(values, record.quantiles, np.linspace(0.0, 1.0, len(record.quantiles)))
    return {name: np.where(np.isnan(values), np.nan, share)}


def _check_context(names: tuple[str, ...] | None, folder: ModelFolder, context_file: Path | None) -> None:
    if names and context_file is None:
        from shoal.tables import join_names

        raise InputError(
            f"The model in {folder.path} is conditioned on {join_names(names)}: give a table of these "
            "columns by --context-file."
        )
    if names == () and context_file is not None:
        raise InputError(
            f"The model in {folder.path} has no context columns; leave out --context-file and give -n N."
        )


def _finish(output: Path, values: Any, words: str, first_row: int) -> None:
    """Says how many rows were written, or that numbers among them failed: -inf is a log-density, but no sample."""
    import numpy as np

    wrong = np.isnan(values) if values.ndim == 1 else ~np.isfinite(values).all(axis=1)
    bad = np.flatnonzero(wrong)
    if bad.size:
        found = words.format(bad=bad.size, all=len(values))
        raise stop(
            f"Numerical failure: {found}, the first in row {first_row + bad[0]}; {output} holds them as they are.",
            NUMERICAL_FAILURE,
        )
    typer.echo(f"{len(values)} rows are in {output}")
