"""A table as it was found, `Source`, and as it reaches the rest of the library, `Table`: finite float64 numbers.

Rows are numbered as in the file: with a CSV header in row 1 the first data row is 2, in the other file formats it
is 1, and for data in memory it is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from shoal._scalars import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from shoal.tables._schema import Schema


@dataclass(frozen=True, eq=False)
class Source:
    """Columns `c0`, `c1`, ... of `frame`, named by `names` (which may repeat); CSV cells are kept as text.

    Numbers in CSV cells have the plain form (`3012.5`), however they were written. `notes` are sentences, without a full
    stop, of what was done while reading.
    """

    label: str
    kind: Literal["file", "frame", "array"]
    names: tuple[str, ...]
    frame: pl.DataFrame
    first_row: int
    notes: tuple[str, ...] = ()

    def row(self, index: int) -> str:
        """A row named as in the file."""
        return f"row {self.first_row + index}" if self.kind == "file" else f"row {index} (counted from 0)"

    def only(self, kept: Sequence[int], notes: tuple[str, ...] = ()) -> "Source":
        """The columns at the positions `kept`, with more notes."""
        frame = self.frame.select(pl.nth(i).alias(f"c{k}") for k, i in enumerate(kept))
        names = tuple(self.names[i] for i in kept)
        return replace(self, names=names, frame=frame, notes=(*self.notes, *notes))


@dataclass(frozen=True, eq=False)
class Table:
    """Columns to model, with the context columns and row weights that belong to them.

    **Arguments:**

    - `names`: names of the `k` columns.
    - `values`: their values, float64, shape `(rows, k)`.
    - `context_names`, `context`: names and values `(rows, c)` of the context columns; `()` and `None` without.
    - `weights`: non-negative row weights, shape `(rows,)`, or `None`.
    - `source`: file name, or what kind of object the data came from.
    - `first_row`: number of the first data row in the source.
    - `weights_name`: name of the column that held the weights, or `None`.
    - `schema`, `codes`, `present`: for a table with columns that are more than numbers: what they are, the states (rows, m)
        of the discrete variables, and which of the values are there (the others are 0); else `None`.
    - `notes`: what was done while reading, as in `Source`.
    """

    names: tuple[str, ...]
    values: FloatArray
    context_names: tuple[str, ...] = ()
    context: FloatArray | None = None
    weights: FloatArray | None = None
    source: str = "array"
    first_row: int = 0
    weights_name: str | None = None
    schema: "Schema | None" = None
    codes: IntArray | None = None
    present: BoolArray | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.values.shape[0])

    def row_numbers(self) -> np.ndarray:
        """Number of each row in the source, shape `(rows,)`."""
        return np.arange(self.first_row, self.first_row + self.rows)
