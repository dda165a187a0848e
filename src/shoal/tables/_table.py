"""A table as it reaches the rest of the library, `Table`: finite float64 numbers, perhaps with states beside them."""

from dataclasses import dataclass

import numpy as np

from shoal._scalars import BoolArray, FloatArray, IntArray
from shoal.tables._schema import Schema


@dataclass(frozen=True, eq=False)
class Table:
    """Columns to model, with the context columns and row weights that belong to them.

    **Arguments:**

    - `names`: names of the `k` columns.
    - `values`: their values, float64, shape `(rows, k)`.
    - `context_names`, `context`: names and values `(rows, c)` of the context columns; `()` and `None` without.
    - `weights`: non-negative row weights, shape `(rows,)`, or `None`.
    - `source`: file name, or what kind of object the data came from.
    - `first_row`: number of the first data row in the source. `numbers`: those of all rows, of a sample.
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
    schema: Schema | None = None
    codes: IntArray | None = None
    present: BoolArray | None = None
    notes: tuple[str, ...] = ()
    numbers: IntArray | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.values.shape[0])

    def row_numbers(self) -> np.ndarray:
        """Number of each row in the source, shape `(rows,)`."""
        return np.arange(self.first_row, self.first_row + self.rows) if self.numbers is None else self.numbers
