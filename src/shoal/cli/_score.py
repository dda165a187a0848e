"""`shoal score`: the log-density of each row of a table under a fitted flow, block by block."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from shoal._errors import InputError
from shoal.cli._parse import TABLES, check_output
from shoal.cli._run_folder import ModelFolder, find_model
from shoal.cli._session import argument, command, option

COLUMN, RANK, WHY = "log_prob", "rank", "unlikely"
ERROR, BOUND = "log_prob_error", "log_prob_bound"
SURPRISING, MOST_CELLS = 3.0, 5  # nats beyond what is expected of a cell that is named, and how many are


@command
def score(
    run: Annotated[str, argument("A folder that `shoal fit` made, or its URL.", metavar="RUN")],
    data: Annotated[
        str,
        argument(
            "A CSV, Parquet, NPY or NPZ file, a folder or pattern of Parquet files; or a URL.", metavar="DATA"
        ),
    ],
    output: Annotated[Path, option("A .csv or .parquet file to write.", "-o", "--output", metavar="FILE")],
    explain: Annotated[
        bool, option("One more column: which cells are unlikely, given the rest of their row.", "--explain")
    ] = False,
    errors: Annotated[
        bool,
        option("Two more columns: what rounding does to log_prob, measured and bounded.", "--errors"),
    ] = False,
) -> None:
    """Write DATA with log_prob (nats, in the units of the table) and rank (the share of training rows less likely).

    Columns are found by name, in any order; further columns are kept. A large table is read, scored and written in blocks.
    """
    folder = find_model(run)
    check_output(output, "-o", TABLES, data)
    from shoal.cli._data import first_block, matched_rows, open_rows, read_schema, say_notes, schema_needed
    from shoal.tables import Strange, Stream, append_columns, strange_notes

    table = open_rows(data)
    for file in table.files if isinstance(table, Stream) else ():
        check_output(output, "-o", TABLES, str(file))
    for name in (COLUMN, *([WHY] if explain else []), *([ERROR, BOUND] if errors else [])):
        if name in table.names:
            raise InputError(
                f"{data} has a column {name!r} already; rename it, so that it is not taken for the new one."
            )
    schema = read_schema(folder)
    first, strange = first_block(table), list[Strange]()
    matched_rows(folder, schema, first, [])
    if explain:
        schema_needed(schema, folder)
    from shoal.cli import _model  # here: wrong columns are told before JAX loads
    from shoal.cli._rows import Written, contexts_among

    written = Written(output)
    rank = RANK if RANK not in table.names else f"{COLUMN}_{RANK}"
    with _model.loaded(folder) as flow:
        among = contexts_among(folder.context_columns or (), table, 0) if explain else None
        scores = _Scores(folder, flow, schema, among, errors=errors, explain=explain, rank=rank)

        def scored() -> Iterator[tuple[Any, dict[str, Any]]]:
            for k, source in enumerate(table.sources()):
                columns = scores.of(source, matched_rows(folder, schema, source, strange), more=k > 0)
                written.add(columns[COLUMN])
                yield source, columns

        append_columns(output, table, scored())
    say_notes(data, strange_notes(strange))
    written.finish(f"{COLUMN} of {{bad}} of {{all}} rows is not a number", first.first_row)


class _Scores:
    """The new columns of each block of a table. `among`: as in `Conditionals`."""

    def __init__(
        self,
        folder: ModelFolder,
        flow: Any,
        schema: Any,
        among: Any,
        *,
        errors: bool,
        explain: bool,
        rank: str,
    ):
        self.folder, self.flow, self.schema, self.among = folder, flow, schema, among
        self.errors, self.explain, self.rank, self.conditionals = errors, explain, rank, None
        self.quantiles = _quantiles(folder)

    def of(self, source: Any, matched: Any, *, more: bool) -> dict[str, Any]:
        """Of one block; `more`: it is not the first one."""
        import numpy as np

        from shoal.cli import _model
        from shoal.distributions import log_prob_errors_of_cells, log_prob_of_cells
        from shoal.tables import SchemaRows

        table = matched[0] if matched else _model.matched(self.folder, self.flow, source)
        rows = matched[1] if matched else SchemaRows(table.values, np.zeros(table.rows, bool))
        count = table.rows
        given, context = (_filled(part, _model.ROWS if more else 0) for part in (rows.values, table.context))
        values = log_prob_of_cells(self.flow, given, context, rows.lattices)[:count]
        values = np.where(rows.outside, -np.inf, values)
        found: dict[str, Any] = {COLUMN: values}
        if self.quantiles:
            share = np.interp(values, self.quantiles, np.linspace(0.0, 1.0, len(self.quantiles)))
            found[self.rank] = np.where(np.isnan(values), np.nan, share)
        if self.errors:
            bars = log_prob_errors_of_cells(self.flow, given, context, rows.lattices)
            kept = (np.where(rows.outside, np.nan, b[:count]) for b in bars)
            found |= dict(zip((ERROR, BOUND), kept, strict=True))
        if self.explain:
            found[WHY] = _unlikely(table.names, self._surprises(rows.values, table.context))
        return found

    def _surprises(self, values: Any, context: Any) -> Any:
        from shoal.distributions import Conditionals

        if self.conditionals is None:
            self.conditionals = Conditionals(self.flow, self.schema, context=context, among=self.among)
        self.conditionals.context = context
        return self.conditionals.surprises(values)


def _filled(rows: Any, least: int) -> Any:
    """At least so many rows, the last one repeated: a short last block goes through the programs of the others."""
    import numpy as np

    return (
        rows if rows is None or len(rows) >= least else np.pad(rows, ((0, least - len(rows)), (0, 0)), "edge")
    )


def _unlikely(names: tuple[str, ...], surprises: Any) -> Any:
    """Of each row the cells that are less likely than the rest of the row lets expect, the least likely first."""
    import numpy as np
    import polars as pl

    words = []
    for row in surprises:
        order = [i for i in np.argsort(-row, kind="stable") if row[i] > SURPRISING]
        words.append(", ".join(f"{names[i]} ({row[i]:.1f})" for i in order[:MOST_CELLS]))
    return pl.Series(words, dtype=pl.String)


def _quantiles(folder: ModelFolder) -> list[float]:
    """The log-densities of training rows at equal steps of their share, where the run has its record; else none."""
    from shoal.records.fit import read_run

    try:
        record = read_run(folder.path)
    except InputError:  # the model is whole, whatever the record is
        return []
    return [] if record is None else list(record.quantiles or ())
