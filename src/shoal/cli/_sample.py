"""`shoal sample`: rows drawn from a fitted flow."""

from pathlib import Path
from typing import Annotated, Any

import typer

import shoal

from .._errors import InputError
from ._exit import NUMERICAL_FAILURE, exit_codes, stop
from ._model import ModelFolder, find_model, loaded
from ._parse import check_count


def sample(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A folder that `shoal fit` made.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="A .csv or .parquet file to write.")
    ],
    rows: Annotated[int | None, typer.Option("-n", "--rows", metavar="N", help="Number of rows.")] = None,
    context_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A table of the context columns; one row is drawn for each of its rows."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same rows.")] = 0,
) -> None:
    """Draw N rows from the flow in RUN."""
    with exit_codes():
        check_count(seed, "--seed", 0)
        if rows is not None:
            check_count(rows, "-n")
        if (rows is None) == (context_file is None):
            raise InputError(
                "Give the number of rows by -n N or, for a model with context, a table by --context-file."
            )
        folder = find_model(run)
        _check_context(folder.context_columns, folder, context_file)
        shoal.tables.check_output(output)
        names = folder.context_columns
        table = (
            shoal.tables.match_columns(context_file, names) if context_file is not None and names else None
        )
        with loaded(folder) as flow:
            values, names = _draw(flow, folder, rows, context_file, table, seed)
        shoal.tables.write_table(output, names, values)
        _check_finite(values, output)
        typer.echo(f"{len(values)} rows are in {output}")


def _draw(
    flow: Any, folder: ModelFolder, rows: int | None, context_file: Path | None, table: Any, seed: int
) -> tuple[Any, tuple[str, ...]]:
    from . import _chunks  # it loads NumPy

    names = flow.columns or tuple(f"x{i}" for i in range(flow.shape[0]))
    if flow.context_shape is None:
        _check_context((), folder, context_file)
        return _chunks.sample(flow, seed, check_count(rows or 0, "-n")), names
    context_names = flow.context_columns or tuple(f"c{i}" for i in range(flow.context_shape[0]))
    _check_context(context_names, folder, context_file)
    if table is None:
        table = shoal.tables.match_columns(context_file or "", context_names)
    return _chunks.sample(flow, seed, len(table.values), table.values), names


def _check_context(names: tuple[str, ...] | None, folder: ModelFolder, context_file: Path | None) -> None:
    if names and context_file is None:
        raise InputError(
            f"The model in {folder.path} is conditioned on {shoal.tables.join_names(names)}: give a table of these "
            "columns by --context-file."
        )
    if names == () and context_file is not None:
        raise InputError(
            f"The model in {folder.path} has no context columns; leave out --context-file and give -n N."
        )


def _check_finite(values: Any, output: Path) -> None:
    import numpy as np  # here and not above: `shoal --help` must not wait for it

    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise stop(
            f"Numerical failure: {bad.size} of {len(values)} samples are not finite, the first in row "
            f"{bad[0] + 1}; {output} holds them as they are.",
            NUMERICAL_FAILURE,
        )
