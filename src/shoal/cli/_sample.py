"""`shoal sample`: rows drawn from a fitted flow, block by block; or what is missing in rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from shoal._errors import InputError
from shoal.cli._parse import TABLES, check_count, check_output
from shoal.cli._run_folder import ModelFolder, find_model
from shoal.cli._session import argument, command, option


@command
def sample(
    run: Annotated[str, argument("A folder that `shoal fit` made, or its URL.", metavar="RUN")],
    output: Annotated[Path, option("A .csv or .parquet file to write.", "-o", "--output", metavar="FILE")],
    rows: Annotated[int | None, option("Number of rows.", "-n", "--rows", metavar="N")] = None,
    context_file: Annotated[
        str | None,
        option("A table of the context columns; one row is drawn for each of its rows.", metavar="FILE"),
    ] = None,
    seed: Annotated[int, option("The same seed gives the same rows.")] = 0,
    complete: Annotated[
        bool, option("Draw what would be missing, given the rest of the row.", "--complete")
    ] = False,
    given: Annotated[
        str | None,
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
    from shoal.cli._data import first_block, open_rows, read_schema, schema_needed
    from shoal.tables import match_columns, write_blocks

    schema = read_schema(folder)
    if complete:
        schema_needed(schema, folder)
    if given is not None:
        _complete(folder, schema, given, output, seed)
        return
    table = None if context_file is None else open_rows(context_file)
    names = folder.context_columns
    if table is not None and names:
        match_columns(first_block(table), names)  # which says what is wrong
    from shoal.cli import _model  # here: wrong columns are told before JAX loads
    from shoal.cli._rows import Written

    written = Written(output)
    with _model.loaded(folder) as flow:
        size = 0 if flow.context_shape is None else flow.context_shape[0]
        names = flow.context_columns or tuple(f"c{i}" for i in range(size))
        _check_context(names, folder, context_file)
        write_blocks(output, _drawn(flow, schema, rows, table, names, seed, written, complete=complete))
    written.finish("{bad} of {all} samples are not finite", 1)


def _drawn(
    flow: Any,
    schema: Any,
    rows: int | None,
    table: Any,
    names: tuple[str, ...],
    seed: int,
    written: Any,
    *,
    complete: bool,
) -> Iterator[dict[str, Any]]:
    """The columns of each block of rows that are drawn: `rows` of them, or one for each row of `table`."""
    import numpy as np
    import polars as pl

    from shoal.cli import _model
    from shoal.cli._rows import contexts_among
    from shoal.distributions import Conditionals
    from shoal.tables import BLOCK_ROWS, match_columns

    columns = flow.columns or tuple(f"x{i}" for i in range(flow.shape[0]))
    if table is None:
        count = rows or 0
        asked = ((min(BLOCK_ROWS, count - start), None) for start in range(0, count, BLOCK_ROWS))
    else:
        matched = (match_columns(source, names).values for source in table.sources())
        asked = ((len(context), context) for context in matched)
    conditionals = None
    for k, (values, context) in enumerate(_model.sample_blocks(flow, seed, asked)):
        if complete and schema is not None:
            if conditionals is None:
                among = None if table is None else contexts_among(names, table, seed)
                conditionals = Conditionals(flow, schema, seed, context, among)
            conditionals.context = context
            values = conditionals.completed(values.astype(float), k)
        written.add(values)
        if schema is None:
            yield {name: pl.Series(np.ascontiguousarray(values[:, i])) for i, name in enumerate(columns)}
        else:
            states = len(schema.discrete)
            yield schema.decode(values[:, :states].astype(int), values[:, states:].astype(float))


def _complete(folder: ModelFolder, schema: Any, path: str, output: Path, seed: int) -> None:
    """Writes the table at `path` with draws in its missing cells, all else as it was read."""
    from shoal.cli._data import first_block, matched_rows, open_rows, say_notes

    table = open_rows(path)
    first, strange = first_block(table), list[Any]()
    matched_rows(folder, schema, first, [])
    from shoal.cli import _model  # here: wrong columns are told before JAX loads
    from shoal.cli._rows import Written, contexts_among
    from shoal.distributions import Conditionals
    from shoal.tables import named_columns, strange_notes, write_blocks

    written = Written(output)
    with _model.loaded(folder) as flow:

        def completed() -> Iterator[dict[str, Any]]:
            conditionals = None
            for k, source in enumerate(table.sources()):
                found = matched_rows(folder, schema, source, strange)
                assert found is not None
                beside, (values, *_) = found
                if conditionals is None:
                    among = contexts_among(folder.context_columns or (), table, seed)
                    conditionals = Conditionals(flow, schema, seed, beside.context, among)
                conditionals.context = beside.context
                made = conditionals.completed(values, k)
                written.add(made)
                yield named_columns(output, source.names, _mended(schema, source, values, made))

        write_blocks(output, completed())
    say_notes(path, strange_notes(strange))
    written.finish("{bad} of {all} rows are not finite", first.first_row)


def _mended(schema: Any, source: Any, values: Any, made: Any) -> list[Any]:
    """The columns of a block with what was drawn in the places of missing cells."""
    import polars as pl

    states = len(schema.discrete)
    drawn = schema.decode(made[:, :states].astype(int), made[:, states:])
    gaps = schema.gaps(values[:, :states].astype(int))
    columns = []
    for i, name in enumerate(source.names):
        cells = source.frame.to_series(i)
        if name in gaps:
            new = drawn[name].cast(cells.dtype, strict=False)
            cells = pl.select(pl.when(pl.Series(gaps[name])).then(new).otherwise(cells)).to_series()
        columns.append(cells)
    return columns


def _check_context(names: tuple[str, ...] | None, folder: ModelFolder, context_file: str | None) -> None:
    if names and context_file is None:
        from shoal.tables import join_names

        raise InputError(
            f"The model in {folder.label} is conditioned on {join_names(names)}: give a table of these "
            "columns by --context-file."
        )
    if names == () and context_file is not None:
        raise InputError(
            f"The model in {folder.label} has no context columns; leave out --context-file and give -n N."
        )
