"""`shoal advise`: what a table asks of a flow, each sentence with what it rests on, and the ladder that would confirm it."""

import json
import shlex
from typing import Annotated, Any

import typer

from shoal._errors import InputError
from shoal._names import KINDS
from shoal.cli._fit_output import kinds_of
from shoal.cli._parse import COLUMN_OPTIONS, check_above, parse_choice, parse_columns, parse_kinds
from shoal.cli._run_folder import is_folder, local_run
from shoal.cli._session import Call, argument, command, option, say, sized
from shoal.cli._settings import FitSettings
from shoal.records import read_record, read_run, to_plain

DTYPES = ("float32", "float64")
FIT_CONDITION = 1e5  # the default of `shoal fit`


@command
def advise(
    call: Call,
    data: Annotated[
        str,
        argument(
            "A CSV, Parquet, NPY or NPZ file, a folder that `shoal fit` made, or a URL.", metavar="DATA|RUN"
        ),
    ],
    max_condition: Annotated[
        float, option("Largest condition number that the flow may have.", metavar="C")
    ] = 1e4,
    dtype: Annotated[
        str, option("Precision that you would train in.", metavar="float32|float64")
    ] = "float32",
    columns: Annotated[str | None, option("Columns to model; all without.", metavar="A,B")] = None,
    drop: Annotated[str | None, option("Columns to leave out.", metavar="A,B")] = None,
    context: Annotated[str | None, option("Columns to condition on.", metavar="A,B")] = None,
    weights: Annotated[str | None, option("Column of row weights.", metavar="COLUMN")] = None,
    kind: Annotated[
        str | None,
        option(f"Kinds of columns, out of {', '.join(KINDS)}; found without.", metavar="A=KIND,.."),
    ] = None,
    as_json: Annotated[bool, option("Print one JSON record instead.", "--json")] = False,
) -> None:
    """Advise on a flow for DATA before one is trained: columns, shape, settings; nothing is trained or written.

    Each sentence is proven, measured or heuristic. Exit codes: 0 done, 2 bad input, 130 interrupted.
    """
    check_above(max_condition, "--max-condition")
    if max_condition < 1:
        raise InputError(
            f"--max-condition must be at least 1, as every condition number is; got {max_condition:g}."
        )
    precision = parse_choice(dtype, "--dtype", DTYPES)
    named, kinds = parse_columns(call.given), parse_kinds(kind, "--kind")
    run = local_run(data) if is_folder(data) else None
    if run is not None:
        used = [f"--{name}" for name in (*COLUMN_OPTIONS, "kind") if call.given[name] is not None]
        if used:
            raise InputError(f"A run knows its own columns; leave out {', '.join(used)}.")
        source, record = run, read_run(run)
        said = {} if record is None else record.data.kinds
        table = record.data.source if record is not None and record.run else None
    else:
        from shoal.cli._data import read_data  # here and not above: `shoal --help` must not wait for it

        source = read_data(call, data, named, trained=False, kinds=kinds)
        said, table = kinds_of(source), data
    from shoal.advice import advise as advised  # here: bad input is told before JAX loads

    found = advised(source, max_condition=max_condition, dtype=precision)
    if run is not None and (run / "config.json").exists():
        settings = read_record(run / "config.json", FitSettings)
        named = {name: getattr(settings, name) for name in COLUMN_OPTIONS}
        kinds = settings.kinds
    line = None if table is None else _confirm(found, table, named, kinds)
    if as_json:
        plain = {**found.to_record(), "kinds": said, "source": data, "command": line}
        typer.echo(json.dumps(to_plain(plain), ensure_ascii=False))
        return
    console = sized(None)
    for name, sentence in said.items():
        say(console, f"{name}: {sentence}")
    for one in found.lines:
        if one.about != "confirm" or line is None:
            say(console, f"{one.status:<9}  {one.text}")
    if line is not None:
        say(console, f"\nTo confirm: {line}")


def _confirm(found: Any, data: str, named: dict[str, Any], kinds: dict[str, str]) -> str:
    """The ladder as a command line."""
    from shoal.cli._data import column_options
    from shoal.tables import join_names

    words = ["shoal", "fit", data, "--out", "RUN", "--families", ",".join(found.families)]
    columns = {"columns": found.columns} if named["columns"] else {"drop": (*named["drop"], *found.drop)}
    weights = () if named["weights"] is None else (named["weights"],)
    words += column_options({**columns, "context": named["context"], "weights": weights})
    words += ["--kind", join_names([f"{name}={kind}" for name, kind in kinds.items()])] if kinds else []
    if found.max_condition != FIT_CONDITION:
        words += ["--max-condition", f"{found.max_condition:g}"]
    if found.dtype != "float32":
        words += ["--dtype", found.dtype]
    return shlex.join(words)
