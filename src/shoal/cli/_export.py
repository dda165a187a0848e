"""`shoal export`: a fitted flow as ONNX graphs, or as plain PyTorch."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from shoal._errors import InputError
from shoal.cli._parse import parse_choice
from shoal.cli._run_folder import ModelFolder, find_model
from shoal.cli._session import argument, command, option

TARGETS = ("onnx", "torch")
DTYPES: tuple[Literal["float32", "float64"], ...] = ("float32", "float64")
ROWS = 2000  # of DATA that an export is checked on, the farthest and others at random


@command
def export(
    run: Annotated[
        str, argument("A folder that `shoal fit` or `shoal.save` made, or its URL.", metavar="RUN")
    ],
    to: Annotated[str, option(f"{' or '.join(TARGETS)}.", metavar="KIND")],
    output: Annotated[
        Path, option("A folder for the files; made if missing.", "-o", "--output", metavar="FOLDER")
    ],
    data: Annotated[
        str | None,
        option(
            "A table to check the export on, beside draws of the flow; a conditional flow needs it.",
            metavar="FILE",
        ),
    ] = None,
    dtype: Annotated[
        str | None, option("float32 or float64; the model's own where it is not given.", metavar="KIND")
    ] = None,
) -> None:
    """Write the flow in RUN for use without Shoal: log p, data to latent, and sampling.

    Every file is run and held against float64 before it is written; one that is wrong is not (exit code 3).
    """
    kind = parse_choice(to, "--to", TARGETS)
    precision: Any = None if dtype is None else parse_choice(dtype, "--dtype", DTYPES)
    if output.exists() and not output.is_dir():
        raise InputError(f"-o {output} is a file; name a folder.")
    folder = find_model(run)
    from shoal.cli import _model  # here: `shoal --help` must not wait for JAX
    from shoal.cli._data import read_schema
    from shoal.export import to_onnx, to_torch

    schema = read_schema(folder)
    with _model.loaded(folder) as flow:
        if data is None and flow.context_shape is not None:
            raise InputError(
                f"The model in {run} is conditional; give a table with its columns and context by --data."
            )
        rows, context = (None, None) if data is None else _rows_of(folder, schema, flow, data)
        notes = _notes(schema)
        try:
            if kind == "onnx":
                written = to_onnx(flow, output, rows=rows, context=context, dtype=precision, notes=notes)
            else:
                written = to_torch(flow, output, rows=rows, context=context, dtype=precision)
        except ImportError as error:
            raise InputError(
                f'`shoal export --to {kind}` needs {error.name}; install it by `pip install "shoal[{kind}]"`.'
            ) from error
    for one in written:
        found = one.agreement
        nodes = "" if one.nodes is None else f"{one.nodes} nodes in {one.inside}, "
        typer.echo(
            f"{one.path}: {one.name}, {nodes}{one.size / 1e3:.0f} kB; relative error against float64 at most "
            f"{found.error:.1e} over {found.rows} rows."
        )
    for note in notes:
        typer.echo(note)


def _rows_of(folder: ModelFolder, schema: Any, flow: Any, data: str) -> tuple[Any, Any]:
    """The rows of a table and their context: those farthest out in a column, and others at random, `ROWS` in all."""
    import numpy as np

    from shoal.cli import _model
    from shoal.cli._data import matched_rows, say_notes
    from shoal.tables import open_source

    source = open_source(data)
    say_notes(data, source.notes)
    matched = matched_rows(folder, schema, source)
    table = matched[0] if matched else _model.matched(folder, flow, source)
    values = table.values if matched is None else matched[1].values
    away = np.abs(values - np.median(values, axis=0))
    far = np.max(away / np.maximum(np.quantile(away, 0.9, axis=0), np.finfo(float).tiny), axis=1)
    order = np.argsort(-far, kind="stable")
    some = np.random.default_rng(0).permutation(order[ROWS // 2 :])[: ROWS // 2]
    index = np.concatenate([order[: ROWS // 2], some])
    return values[index], None if table.context is None else table.context[index]


def _notes(schema: Any) -> tuple[str, ...]:
    """What the numbers of the files are not, in sentences."""
    names = [] if schema is None else [lattice.column for lattice in schema.lattices()]
    if not names:
        return ()
    from shoal.tables import join_names

    return (
        f"Columns with a step ({join_names(names)}): log_prob is the density at a point, where `shoal score` has its mean "
        "over the step around it, and samples are not rounded to the step.",
    )
