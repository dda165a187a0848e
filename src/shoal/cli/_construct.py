"""`shoal construct`: a sample and a distance in, a flow of two couplings and its certificate out, without training."""

import inspect
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from msgspec.structs import replace

import shoal

from .._errors import InputError
from ..records import ConstructionRecord
from ._artifacts import write_page
from ._console import spinner
from ._construct_summary import print_construction
from ._exit import exit_codes
from ._parse import check_above, check_count, parse_choice, parse_names, single_name
from ._precision import float64
from ._run_folder import check_places, claimed, discard, find_places, publish

MOST_COLUMNS = 64
PRECISIONS: tuple[Literal["float64", "float32"], ...] = ("float64", "float32")
COLUMN_OPTIONS = ("columns", "drop", "weights")
PACKAGES = ("shoal", "numpy", "scipy", "scikit-learn", "jax", "jaxlib", "equinox")


def construct(
    samples: Annotated[
        Path, typer.Argument(metavar="SAMPLES", help="A CSV, Parquet, NPY or NPZ file.", show_default=False)
    ],
    epsilon: Annotated[
        float,
        typer.Option(
            metavar="E", help="Largest W2 distance to the sample, in its units.", show_default=False
        ),
    ],
    out: Annotated[
        str,
        typer.Option("-o", "--out", metavar="RUN", help="Folder to make, for the model and its report."),
    ],
    columns: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to model; all without.")] = None,
    drop: Annotated[str | None, typer.Option(metavar="A,B", help="Columns to leave out.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of row weights.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of k-means and of the measurement.")] = 0,
    precision: Annotated[
        str, typer.Option(metavar="float64|float32", help="Precision of the model.")
    ] = "float64",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace RUN if it exists.")] = False,
) -> None:
    """Write down a flow of two couplings whose law is within E of SAMPLES, with a certificate of the distance.

    Exit codes: 0 done, 2 bad input or an E that is out of reach, 130 interrupted; RUN is made whole or not at all.
    """
    given = dict(locals())
    with exit_codes():
        check_above(epsilon, "--epsilon", 0.0)
        check_count(seed, "--seed", 0)
        kind = parse_choice(precision, "--precision", PRECISIONS)
        named = {name: parse_names(given[name], f"--{name}") for name in COLUMN_OPTIONS}
        weight = single_name(named["weights"], "--weights")
        places = find_places(out)
        check_places(places, overwrite=overwrite, resume=False, resumable=False)
        table = shoal.tables.read_table(
            samples,
            columns=named["columns"] or None,
            drop=named["drop"],
            weights=weight,
            minimum_rows=1,
            distinct=False,
            command=_command(given, COLUMN_OPTIONS),
        )
        _check_width(table, str(samples))
        config = _config(given, named, weight)
        with claimed(places, config):
            try:
                with (
                    _interruptible(),
                    float64(kind == "float64"),
                    spinner(f"constructing from {table.rows:,d} rows of {len(table.names)} columns"),
                ):
                    record = _constructed(table, epsilon, kind, seed, places.unfinished)
                record = replace(record, config=config, seed=seed, command=_command(given))
                shoal.records.write_record(record, places.unfinished / "certificate.json")
                write_page(record, places.unfinished / "report.html")
                print_construction(record)
                publish(places)
            except BaseException:
                discard(places)
                raise
        typer.echo(f"The model, its certificate and the report lie in {places.label}")


def _constructed(
    table: Any, epsilon: float, precision: Literal["float64", "float32"], seed: int, folder: Path
) -> ConstructionRecord:
    """Saves the model and returns the record."""
    import jax  # here and not above: `shoal --help` must not wait for it

    start = time.perf_counter()
    try:
        made = shoal.universal.construct(
            table.values, epsilon, key=jax.random.key(seed), weights=table.weights, dtype=precision
        )
    except InputError as error:
        raise InputError(f"{table.source}: {str(error).replace('`epsilon`', '--epsilon')}") from error
    seconds = time.perf_counter() - start
    shoal.save(_with_columns(made.flow, table.names), folder)
    record = shoal.universal.construction_record(
        made, table.values, weights=table.weights, columns=table.names, seed=seed
    )
    versions = shoal.records.system_info(PACKAGES)
    return replace(record, source=str(table.source), rows=table.rows, seconds=seconds, versions=versions)


def _with_columns(flow: Any, names: tuple[str, ...]) -> Any:
    """The same flow, which knows the names of its columns."""
    return flow.with_joint(flow.joint, names)


def _check_width(table: Any, label: str) -> None:
    width = len(table.names)
    if not 2 <= width <= MOST_COLUMNS:
        count = "1 column" if width == 1 else f"{width} columns"
        raise InputError(f"{label}: {count} to construct from; give 2 to {MOST_COLUMNS} columns.")


def _config(given: dict[str, Any], named: dict[str, tuple[str, ...]], weight: str | None) -> dict[str, Any]:
    plain = {key: given[key] for key in ("epsilon", "seed", "precision")}
    chosen = {
        "columns": list(named["columns"]) or None,
        "drop": list(named["drop"]),
        "weights": weight,
    }
    return {"format": 1, "command": "construct", "samples": str(given["samples"]), **plain, **chosen}


def _command(given: dict[str, Any], without: tuple[str, ...] = ()) -> str:
    """The command line with the options that are not at their default, but those named in `without`."""
    words = [
        "shoal",
        "construct",
        str(given["samples"]),
        "--epsilon",
        f"{given['epsilon']:g}",
        "-o",
        given["out"],
    ]
    for name, parameter in inspect.signature(construct).parameters.items():
        value = given[name]
        if name in ("samples", "epsilon", "out", *without) or value == parameter.default:
            continue
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return shlex.join(words)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raises a Ctrl-C at the end that was swallowed on the way, as happens in callbacks of the garbage collector."""
    asked = False

    def note(number: int, frame: Any) -> None:
        nonlocal asked
        asked = True
        signal.default_int_handler(number, frame)

    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt
