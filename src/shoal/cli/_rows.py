"""What commands that write rows share: how many they wrote, and whether numbers among them failed. It loads JAX."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer

from shoal._scalars import FloatArray
from shoal.cli._session import NUMERICAL_FAILURE, stop
from shoal.distributions import sampled_rows
from shoal.tables import Source, Stream, match_columns


@dataclass
class Written:
    """The rows that were written to `output`, of which some may have failed: -inf is a log-density, but no sample."""

    output: Path
    rows: int = 0
    bad: int = 0
    first: int = 0  # of the bad ones, counted from 0

    def add(self, values: FloatArray) -> None:
        """Counts log-densities (rows,), or samples (rows, columns)."""
        wrong = np.isnan(values) if values.ndim == 1 else ~np.isfinite(values).all(axis=1)
        if not self.bad and wrong.any():
            self.first = self.rows + int(np.argmax(wrong))
        self.rows, self.bad = self.rows + len(values), self.bad + int(wrong.sum())

    def join(self, after: "Written") -> None:
        """Counts the rows of a later part."""
        if not self.bad and after.bad:
            self.first = self.rows + after.first
        self.rows, self.bad = self.rows + after.rows, self.bad + after.bad

    def finish(self, words: str, first_row: int) -> None:
        """Says how many rows there are. **Raises:** what ends the command where some failed."""
        if self.bad:
            found = words.format(bad=self.bad, all=self.rows)
            raise stop(
                f"Numerical failure: {found}, the first in row {first_row + self.first}; {self.output} holds them as they "
                "are.",
                NUMERICAL_FAILURE,
            )
        typer.echo(f"{self.rows} rows are in {self.output}")


def contexts_among(names: Sequence[str], table: Source | Stream, seed: int) -> FloatArray | None:
    """Contexts of rows at random, under which `Conditionals` draws, of the whole table; None for a model without context."""
    if not names:
        return None
    total = table.total if isinstance(table, Stream) else table.frame.height
    total = sum(source.frame.height for source in table.sources()) if total is None else total
    rows, start = sampled_rows(total, seed), 0
    found = np.empty((len(rows), len(names)))
    for source in table.sources():
        here = (rows >= start) & (rows < start + source.frame.height)
        context = match_columns(source, names).values
        found[here], start = context[rows[here] - start], start + source.frame.height
    return found
