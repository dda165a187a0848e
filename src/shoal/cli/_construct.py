"""`shoal construct`: a sample and a distance in, a flow of two couplings and its certificate out, without training."""

import math
import signal
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.table import Table

from shoal._errors import InputError
from shoal.cli._fit_output import write_page
from shoal.cli._parse import check_above, check_count, parse_choice, parse_columns
from shoal.cli._run_folder import check_places, claimed, discard, find_places, publish
from shoal.cli._session import Call, argument, command, float64, option, say, sized, spinner
from shoal.cli._session import table as empty_table
from shoal.records import ConstructionRecord, system_info, write_record
from shoal.records.figures import SIGNS, Figure, kind_words

MOST_COLUMNS = 64
PRECISIONS: tuple[Literal["float64", "float32"], ...] = ("float64", "float32")
PACKAGES = ("shoal", "numpy", "scipy", "jax", "jaxlib", "equinox")
HEADS = {
    "cells": "κ on cells",
    "least": "ramps, least",
    "median": "median",
    "largest": "largest",
    "mass": "mass of ramps",
    "at99": "κ 99 %",
}


@command
def construct(
    call: Call,
    samples: Annotated[str, argument("A CSV, Parquet, NPY or NPZ file, or its URL.", metavar="SAMPLES")],
    epsilon: Annotated[float, option("Largest W2 distance to the sample, in its units.", metavar="E")],
    out: Annotated[
        str, option("Folder to make, or its URL, for the model and its report.", "-o", "--out", metavar="RUN")
    ],
    columns: Annotated[str | None, option("Columns to model; all without.", metavar="A,B")] = None,
    drop: Annotated[str | None, option("Columns to leave out.", metavar="A,B")] = None,
    weights: Annotated[str | None, option("Column of row weights.", metavar="COLUMN")] = None,
    seed: Annotated[int, option("Seed of k-means and of the measurement.")] = 0,
    precision: Annotated[str, option("Precision of the model.", metavar="float64|float32")] = "float64",
    overwrite: Annotated[bool, option("Replace RUN if it exists.", "--overwrite")] = False,
) -> None:
    """Write down a flow of two couplings whose law is within E of SAMPLES, with a certificate of the distance.

    Exit codes: 0 done, 2 bad input or an E that is out of reach, 130 interrupted; RUN is made whole or not at all.
    """
    check_above(epsilon, "--epsilon")
    check_count(seed, "--seed", 0)
    kind = parse_choice(precision, "--precision", PRECISIONS)
    named = parse_columns(call.given)
    places = find_places(out)
    check_places(places, overwrite=overwrite, resume=False, resumable=False)
    from shoal.cli._data import read_data  # here and not above: `shoal --help` must not wait for it

    table = read_data(call, samples, named, trained=False)
    width = len(table.names)
    if not 2 <= width <= MOST_COLUMNS:
        count = "1 column" if width == 1 else f"{width} columns"
        raise InputError(f"{samples}: {count} to construct from; give 2 to {MOST_COLUMNS} columns.")
    config = {
        "format": 1,
        "command": "construct",
        "samples": samples,
        "epsilon": epsilon,
        "seed": seed,
        "precision": precision,
        **{name: named[name] for name in ("columns", "drop", "weights")},
    }
    with claimed(places, config):
        try:
            with (
                _interruptible(),
                float64(kind == "float64"),
                spinner(f"constructing from {table.rows:,d} rows of {width} columns"),
            ):
                record = _constructed(table, epsilon, kind, seed, places.unfinished)
            record = replace(record, config=config, seed=seed, command=call.line())
            write_record(record, places.unfinished / "certificate.json")
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
    import jax  # here: bad input is told before JAX loads

    from shoal.flows import save
    from shoal.theory import universal

    start = time.perf_counter()
    try:
        made = universal.construct(
            table.values, epsilon, key=jax.random.key(seed), weights=table.weights, dtype=precision
        )
    except InputError as error:
        raise InputError(f"{table.source}: {str(error).replace('`epsilon`', '--epsilon')}") from error
    seconds = time.perf_counter() - start
    save(made.flow.with_joint(made.flow.joint, table.names), folder)  # which knows the names of its columns
    record = universal.construction_record(
        made, table.values, weights=table.weights, columns=table.names, seed=seed
    )
    versions = system_info(PACKAGES)
    return replace(record, source=str(table.source), rows=table.rows, seconds=seconds, versions=versions)


@contextmanager
def _interruptible() -> Generator[None, None, None]:
    """Raises a Ctrl-C at the end that was swallowed on the way, as happens in callbacks of the garbage collector."""
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
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


def print_construction(record: ConstructionRecord, console: Console | None = None) -> None:
    """Prints a construction's record: one line a distance, and the table of condition numbers."""
    console = sized(console)
    say(console, *distances(record))
    console.print(conditions_table(record))
    if record.padded:
        say(console, padding_sentence(record))


def distances(record: ConstructionRecord) -> list[str]:
    """The lines of distances, each about the sample unless it says otherwise."""
    found, terms = record.certificate, record.certificate.terms
    parts = ", ".join(f"{name} {getattr(terms, name):.3g}" for name in terms.__struct_fields__)
    return [
        f"W2 to the sample of {found.points:,d} rows, bound: {figure(found.w2_bound)}; epsilon {found.epsilon:g}",
        f"W2 to the sample, measured by an explicit coupling: {figure(found.w2_measured)}",
        f"W2 of the sample to its population: {figure(found.statistical)}; not part of the bound",
        f"{found.atoms:,d} atoms, {found.dtype}; parts of the bound: {parts}",
    ]


def figure(found: Figure) -> str:
    """A figure with the sign and the name of its kind, and its interval."""
    value = f"{found.value:.4g}" if math.isfinite(found.value) else "not a number"
    known = found.low is not None and found.high is not None
    interval = f", 99 % interval {found.low:.4g} ... {found.high:.4g}" if known else ""
    return f"{SIGNS[found.kind]}{value} ({kind_words(found.kind)}{interval})"


def conditions_table(record: ConstructionRecord) -> Table:
    """One row for each layer and for the composition; every figure is exact."""
    table = empty_table("Condition numbers κ over the latent Gaussian, all exact (=)", "", *HEADS.values())
    for name, row in record.certificate.conditions.items():
        found = [getattr(row, key) for key in HEADS]
        table.add_row(name, *(f"{SIGNS[f.kind]}{f.value:.4g}" for f in found))
    return table


def padding_sentence(record: ConstructionRecord) -> str:
    """What the odd number of columns means."""
    return (
        f"{record.size} columns are odd: the flow has one more coordinate, Gaussian padding of deviation "
        f"{record.delta:.3g} that is independent of the "
        "columns; samples leave it out, and log-densities do not depend on it."
    )
