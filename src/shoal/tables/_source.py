"""`Source`: a table as it was found, before any column was chosen or checked; and its columns as numbers."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from .._scalars import FloatArray

MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "nil", "missing", "-", "--", ".", "?"}
)


@dataclass(frozen=True, eq=False)
class Source:
    """Columns `c0`, `c1`, ... of `frame`, named by `names` (which may repeat); CSV cells are kept as text."""

    label: str
    kind: Literal["file", "frame", "array"]
    names: tuple[str, ...]
    frame: pl.DataFrame
    first_row: int

    def row(self, index: int) -> str:
        """A row named as in the file."""
        return f"row {self.first_row + index}" if self.kind == "file" else f"row {index} (counted from 0)"


@dataclass(frozen=True)
class Problem:
    """Why a column can not be used as it is: its kind, the first row index where, and the value found there."""

    kind: Literal["text", "missing", "infinite"]
    row: int
    found: object


@dataclass(frozen=True, eq=False)
class Column:
    """One column as float64 numbers (NaN where there is none), and the first problem in it."""

    numbers: FloatArray
    problem: Problem | None


def read_column(source: Source, index: int) -> Column:
    """Reads column `index` as numbers; text that is no number and missing or infinite values are a `Problem`."""
    series = source.frame.to_series(index)
    if series.dtype == pl.String:
        return _from_text(series)
    if not series.dtype.is_numeric():
        if series.null_count() == len(series) > 0:
            return Column(np.full(len(series), np.nan), Problem("missing", 0, None))
        row = int(np.argmax(series.is_not_null().to_numpy())) if len(series) else 0
        found = series[row] if len(series) else str(series.dtype)
        return Column(np.full(len(series), np.nan), Problem("text", row, found))
    numbers = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return Column(numbers, _non_finite(series, numbers))


def _from_text(series: pl.Series) -> Column:
    values = series.cast(pl.Float64, strict=False)
    if values.null_count():
        values = series.str.strip_chars(' \t"').cast(pl.Float64, strict=False)
    unread = values.is_null()
    if unread.any():
        rows = unread.arg_true()
        cells = series.gather(rows).fill_null("")
        words = cells.str.strip_chars(' \t"').str.to_lowercase()
        text = (~words.is_in(list(MISSING))).arg_true()
        if len(text):
            return Column(
                values.fill_null(np.nan).to_numpy(), Problem("text", int(rows[text[0]]), cells[text[0]])
            )
    numbers = values.fill_null(np.nan).to_numpy()
    return Column(numbers, _non_finite(series, numbers))


def _non_finite(series: pl.Series, numbers: FloatArray) -> Problem | None:
    finite = np.isfinite(numbers)
    if finite.all():
        return None
    missing = np.flatnonzero(np.isnan(numbers))
    row = int(missing[0]) if missing.size else int(np.argmin(finite))
    return Problem("missing" if missing.size else "infinite", row, series[row])
