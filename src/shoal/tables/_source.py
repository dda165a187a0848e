"""A table as it was found: `Source`.

Rows are numbered as in the file: with a CSV header in row 1 the first data row is 2, in the other file formats it
is 1, and for data in memory it is 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from shoal._scalars import IntArray

BLOCK_ROWS, BLOCK_CELLS = 131_072, 2**24  # of a block, at most
LEAST_ROWS = 4096  # of a block: those that go through a program together, of which it has a multiple


def block_rows(columns: int) -> int:
    """Rows of a block of a table of so many columns."""
    return min(BLOCK_ROWS, max(BLOCK_CELLS // max(columns, 1) // LEAST_ROWS, 1) * LEAST_ROWS)


@dataclass(frozen=True, eq=False)
class Source:
    """Columns `c0`, `c1`, ... of `frame`, named by `names` (which may repeat); CSV cells are kept as text.

    Numbers in CSV cells have the plain form (`3012.5`), however they were written. `notes` are sentences, without a full
    stop, of what was done while reading. `numbers`: of rows that do not follow one another in the table, counted from 0 at
    the row `first_row`.
    """

    label: str
    kind: Literal["file", "frame", "array"]
    names: tuple[str, ...]
    frame: pl.DataFrame
    first_row: int
    notes: tuple[str, ...] = ()
    numbers: IntArray | None = None

    def sources(self) -> Iterator["Source"]:
        """The rows in blocks, as a `Stream` has them."""
        rows = block_rows(len(self.names))
        for start in range(0, self.frame.height, rows):
            frame = self.frame[start : start + rows]
            yield replace(self, frame=frame, first_row=self.first_row + start)

    def row(self, index: int) -> str:
        """A row named as in the file."""
        index = index if self.numbers is None else int(self.numbers[index])
        return f"row {self.first_row + index}" if self.kind == "file" else f"row {index} (counted from 0)"

    def only(self, kept: Sequence[int], notes: tuple[str, ...] = ()) -> "Source":
        """The columns at the positions `kept`, with more notes."""
        frame = self.frame.select(pl.nth(i).alias(f"c{k}") for k, i in enumerate(kept))
        names = tuple(self.names[i] for i in kept)
        return replace(self, names=names, frame=frame, notes=(*self.notes, *notes))
