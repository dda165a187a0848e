"""`shoal advise`: what a table asks of a flow, each sentence with what it rests on, and the ladder that would confirm it."""

import json
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

import shoal

from .._errors import InputError
from ._console import sized
from ._exit import exit_codes
from ._parse import check_above, parse_choice, parse_names, single_name

DTYPES = ("float32", "float64")
FIT_CONDITION = 1e5  # the default of `shoal fit`
COLUMN_OPTIONS = ("columns", "drop", "context", "weights")


def advise(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA|RUN",
            help="A CSV, Parquet, NPY or NPZ file, or a folder that `shoal fit` made.",
            show_default=False,
        ),
    ],
    max_condition: Annotated[
        float, typer.Option(metavar="C", help="Largest condition number that the flow may have.")
    ] = 1e4,
    dtype: Annotated[
        str, typer.Option(metavar="float32|float64", help="Precision that you would train in.")
    ] = "float32",
    columns: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to model; all without.")] = None,
    drop: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to leave out.")] = None,
    context: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to condition on.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of row weights.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON record instead.")] = False,
) -> None:
    """Advise on a flow for DATA before one is trained: columns, shape, settings; nothing is trained or written.

    Each sentence is proven, measured or heuristic. Exit codes: 0 done, 2 bad input, 130 interrupted.
    """
    given = dict(locals())
    with exit_codes():
        check_above(max_condition, "--max-condition", 0.0)
        if max_condition < 1:
            raise InputError(
                f"--max-condition must be at least 1, as every condition number is; got {max_condition:g}."
            )
        kind = parse_choice(dtype, "--dtype", DTYPES)
        named = {name: parse_names(given[name], f"--{name}") for name in COLUMN_OPTIONS}
        weight = single_name(named["weights"], "--weights")
        if data.is_dir():
            used = [f"--{name}" for name in COLUMN_OPTIONS if given[name] is not None]
            if used:
                raise InputError(f"A run knows its own columns; leave out {', '.join(used)}.")
            source: Any = data
        else:
            source = shoal.tables.read_table(
                data,
                columns=named["columns"] or None,
                drop=named["drop"],
                context=named["context"],
                weights=weight,
                minimum_rows=1,
                distinct=False,
                command=f"shoal advise {shlex.quote(str(data))}",
            )
        found = shoal.advise(source, max_condition=max_condition, dtype=kind)
        table = _source(data)
        command = None if table is None else _confirm(found, table, named)
        if as_json:
            record = {**found.to_record(), "source": str(data), "command": command}
            typer.echo(json.dumps(shoal.records.to_plain(record), ensure_ascii=False))
        else:
            _print(found, command)


def _print(found: Any, command: str | None) -> None:
    """One line a sentence, its status first; then the command."""
    console = sized(None)
    for line in found.lines:
        if line.about == "confirm" and command is not None:
            continue
        console.print(f"{line.status:<9}  {line.text}", markup=False, highlight=False, soft_wrap=True)
    if command is not None:
        console.print(f"\nTo confirm: {command}", markup=False, highlight=False, soft_wrap=True)


def _source(data: Path) -> str | None:
    """The table: DATA itself, or the one that the run says it was fitted to by `shoal fit`."""
    if not data.is_dir():
        return str(data)
    record = shoal.records.read_run(data)
    return record.data.source if record is not None and record.run else None


def _confirm(found: Any, data: str, named: dict[str, tuple[str, ...]]) -> str:
    """The ladder as a command line."""
    join = shoal.tables.join_names
    words = ["shoal", "fit", data, "--out", "RUN", "--families", ",".join(found.families)]
    if named["columns"]:
        words += ["--columns", join(found.columns)]
    elif named["drop"] or found.drop:
        words += ["--drop", join((*named["drop"], *found.drop))]
    for name in ("context", "weights"):
        if named[name]:
            words += [f"--{name}", join(named[name])]
    if found.max_condition != FIT_CONDITION:
        words += ["--max-condition", f"{found.max_condition:g}"]
    if found.dtype != "float32":
        words += ["--dtype", found.dtype]
    return shlex.join(words)
