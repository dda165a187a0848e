"""What `shoal construct` prints: distances with their kinds, the terms of the bound, condition numbers."""

import math

from rich.console import Console
from rich.table import Table

from ..records import ConstructionRecord
from ..records.figures import SIGNS, Figure, kind_words
from ._console import sized

HEADS = {
    "cells": "κ on cells",
    "least": "ramps, least",
    "median": "median",
    "largest": "largest",
    "mass": "mass of ramps",
    "at99": "κ 99 %",
}


def print_construction(record: ConstructionRecord, console: Console | None = None) -> None:
    """Prints a construction's record: one line a distance, and the table of condition numbers."""
    console = sized(console)
    for line in distances(record):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(conditions_table(record))
    if record.padded:
        console.print(padding_sentence(record), markup=False, highlight=False, soft_wrap=True)


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
    table = Table(title="Condition numbers κ over the latent Gaussian, all exact (=)", title_justify="left")
    for name in ("", *HEADS.values()):
        table.add_column(name, justify="right" if name else "left")
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
