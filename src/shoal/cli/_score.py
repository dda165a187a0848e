"""`shoal score`: the log-density of each row of a table under a fitted flow."""

from pathlib import Path
from typing import Annotated

import typer

import shoal

from .._errors import InputError
from ._exit import NUMERICAL_FAILURE, exit_codes, stop
from ._model import find_model, loaded

COLUMN = "log_prob"


def score(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A folder that `shoal fit` made.", show_default=False)
    ],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A CSV, Parquet, NPY or NPZ file.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="A .csv or .parquet file to write.")
    ],
) -> None:
    """Write DATA with one more column, log_prob: nats, in the units of the table.

    Columns are found by name, in any order; further columns are kept.
    """
    with exit_codes():
        folder = find_model(run)
        shoal.tables.check_output(output)
        if output.exists() and data.exists() and output.samefile(data):
            raise InputError(f"-o {output} is the input itself; name another file.")
        source = shoal.tables.open_source(data)
        if COLUMN in source.names:
            raise InputError(
                f"{data} has a column {COLUMN!r} already; rename it, so that it is not taken for the new one."
            )
        names, context_names = folder.columns, folder.context_columns or ()
        table = shoal.tables.match_columns(source, names, context_names) if names else None
        with loaded(folder) as flow:
            from . import _chunks  # it loads NumPy

            by_place = source.names[: flow.shape[0]] if len(source.names) == flow.shape[0] else ()
            wanted = (flow.columns or by_place, flow.context_columns or ())
            if not wanted[0]:
                raise InputError(
                    f"The model in {run} has no column names; give a table of {flow.shape[0]} columns."
                )
            if table is None or (table.names, table.context_names) != wanted:
                table = shoal.tables.match_columns(source, *wanted)
            values = _chunks.log_prob(flow, table.values, table.context)
        shoal.tables.append_column(output, source, COLUMN, values)
        _check_numbers(values, table.first_row, output)
        typer.echo(f"{len(values)} rows are in {output}")


def _check_numbers(values, first_row: int, output: Path) -> None:
    import numpy as np  # here and not above: `shoal --help` must not wait for it

    bad = np.flatnonzero(np.isnan(values))
    if bad.size:
        raise stop(
            f"Numerical failure: {COLUMN} of {bad.size} of {len(values)} rows is not a number, the first in row "
            f"{first_row + bad[0]}; {output} holds them as they are.",
            NUMERICAL_FAILURE,
        )
