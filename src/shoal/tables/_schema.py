"""What kind each column of a table is, found before anything is modelled, and rows as numbers and back by it.

A table has a discrete part, one variable a column that needs one: the word of a category; of a numeric column whether the
cell holds a number with a density, one of its atoms (a value that many rows share: zeros, a sentinel, a clipped end), or
nothing. The rest is its continuous part: one number a numeric column or date, where the discrete part says that there is
one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray
from shoal.records import Record
from shoal.tables._cells import MISSING, counted_from, from_text
from shoal.tables._column import Column
from shoal.tables._dates import SECONDS_A_DAY, days_of, spelled, written
from shoal.tables._lattice import TOLERANCE, Lattice
from shoal.tables._source import Source

YEARS = (-719_162, 2_932_896)  # days from 1970 to the first and the last that can be written


class Encoded(NamedTuple):
    """Rows by a schema: `codes` (rows, m), the discrete variables; `values` (rows, k), 0 where `present` is False."""

    codes: IntArray
    values: FloatArray
    present: np.ndarray


class SchemaRows(NamedTuple):
    """Rows as a law of whole tables takes them: `values` (rows, m + k), states, then numbers.

    `outside`: those that hold a number where its density is 0; `lattices`: of the numbers among the columns of `values`;
    `strange`: words that were never seen and numbers off their lattice.
    """

    values: FloatArray
    outside: np.ndarray
    lattices: tuple[Lattice, ...] = ()
    strange: tuple["Strange", ...] = ()


class Strange(NamedTuple):
    """Cells of a column that training had none of: in how many rows, the first one and its row, and how they are likely."""

    column: str
    what: str
    how: str
    rows: int
    cell: str
    row: str

    def sentence(self) -> str:
        """The same in words."""
        many = f"{self.rows} rows hold a {self.what}, the first"
        holds = f"1 row holds a {self.what}" if self.rows == 1 else many
        return f"column {self.column!r}: {holds}, {self.cell!r:.40} ({self.row}); it is as {self.how}"


def strange_notes(found: Iterable[Strange]) -> tuple[str, ...]:
    """A sentence for each column, of what was found in all blocks of a table."""
    every = dict[tuple[str, str], Strange]()
    for one in found:
        first = every.get((one.column, one.what))
        every[one.column, one.what] = one if first is None else first._replace(rows=first.rows + one.rows)
    return tuple(one.sentence() for one in every.values())


class Schema(Record, frozen=True, kw_only=True, tag="table schema"):
    """The columns of a table, in its order."""

    columns: tuple[Column, ...]

    @property
    def discrete(self) -> tuple[Column, ...]:
        """The columns with a discrete variable."""
        return tuple(c for c in self.columns if c.states)

    @property
    def continuous(self) -> tuple[Column, ...]:
        """The columns of the continuous part."""
        return tuple(c for c in self.columns if c.is_continuous)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are modelled."""
        return tuple(c.name for c in self.columns if c.kind != "identifier")

    @property
    def is_plain(self) -> bool:
        """Whether every column that is modelled has a number in every row."""
        return not self.discrete and all(
            c.kind not in ("category", "date", "periodic") and c.support == (-np.inf, np.inf) and not c.first
            for c in self.columns
        )

    def lattices(self) -> tuple[Lattice, ...]:
        """The lattices of the continuous part."""
        return tuple(
            Lattice(c.name, c.step, 1.0, i, c.grid, c.stray, c.origin)
            for i, c in enumerate(self.continuous)
            if c.step is not None
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """States of the discrete variables."""
        return tuple(c.states for c in self.discrete)

    @property
    def state_names(self) -> tuple[str, ...]:
        """A name for every state of every discrete variable, such as "cut=Ideal"."""
        return tuple(f"{c.name}={word}" for c in self.discrete for word in c.state_words)

    def gates(self) -> tuple[int, ...]:
        """For each continuous column the place of its discrete variable (state 0: there is a number), or -1."""
        place = {c.name: i for i, c in enumerate(self.discrete)}
        return tuple(place.get(c.name, -1) for c in self.continuous)

    def outside(self, encoded: Encoded) -> np.ndarray:
        """Which rows hold a number outside the interval of its column, where its density is 0."""
        beyond = np.zeros(len(encoded.values), bool)
        for i, c in enumerate(self.continuous):
            x, (low, high) = encoded.values[:, i], c.bounds
            outside = (x < low) | (x > high)
            if c.step is None:  # a value at a bound has no cell
                outside |= (x == low) | (x == high)
            beyond |= outside & encoded.present[:, i]
        return beyond

    def inside(self, values: FloatArray) -> FloatArray:
        """The numbers, those nearer to a bound of their interval than float32 can tell moved to the next one inside."""
        values = values.copy()
        for i, c in enumerate(self.continuous):
            x, (low, high) = values[:, i], c.support
            ends = _beside(low, np.inf), _beside(high, -np.inf)
            values[:, i] = np.where((x > low) & (x < high), np.clip(x, *ends), x)
        return values

    def gaps(self, codes: IntArray) -> dict[str, np.ndarray]:
        """Which rows have a missing cell, for each column that may have some."""
        return {c.name: codes[:, i] == c.missing_state for i, c in enumerate(self.discrete) if c.missing}

    def numbers(self, encoded: Encoded) -> FloatArray:
        """The continuous columns with the values of their atoms, NaN where a cell is missing."""
        values = np.where(encoded.present, encoded.values, np.nan)
        for i, (c, gate) in enumerate(zip(self.continuous, self.gates(), strict=True)):
            for k, atom in enumerate(c.atoms):
                values[encoded.codes[:, gate] == k + 1, i] = atom
        return values

    def turned(self, values: FloatArray) -> FloatArray:
        """The continuous columns `values` (rows, k) with periodic ones from their first to their last angle."""
        for i, c in enumerate(self.continuous):
            if c.period is not None and c.low is not None:
                values = values.copy()
                values[:, i] = c.low + np.mod(values[:, i] - c.low, c.period)
        return values

    def encode(self, source: Source) -> Encoded:
        """The rows of a source, by the names of the columns.

        **Raises:** `InputError` for a column that is not there, for text where a number must stand, and for a cell that is
        missing in a column that had none.
        """
        codes, values, present = [], [], []
        for c in (c for c in self.columns if c.kind != "identifier"):
            if source.names.count(c.name) != 1:
                many = "no" if c.name not in source.names else "more than one"
                raise InputError(f"{source.label} has {many} column {c.name!r}, which the model needs.")
            index = source.names.index(c.name)
            state, number = _encoded(c, source, index)
            if c.states:
                codes.append(state)
            if c.is_continuous:
                values.append(np.where(state == 0, number, 0.0))
                present.append(state == 0)
        rows = source.frame.height
        stacked = lambda parts, kind: np.array(parts, kind).reshape(len(parts), rows).T
        return Encoded(stacked(codes, np.int64), stacked(values, np.float64), stacked(present, bool))

    def rows(self, source: Source, *, float64: bool = False) -> SchemaRows:
        """The rows of a source, by the names of the columns. `float64`: of the law. **Raises:** `InputError` as `encode`."""
        encoded = self.encode(source)
        numbers = encoded.values if float64 else self.inside(encoded.values)
        values, m = np.hstack([encoded.codes.astype(np.float64), numbers]), encoded.codes.shape[1]
        lattices = tuple(replace(one, index=one.index + m) for one in self.lattices())
        return SchemaRows(values, self.outside(encoded), lattices, tuple(self._strange(source, encoded)))

    def _strange(self, source: Source, encoded: Encoded) -> Iterator[Strange]:
        """Cells that training had none of."""
        for i, c in enumerate(self.discrete):
            if c.kind == "category":
                new = encoded.codes[:, i] == c.states - 1
                yield from _told(
                    source, c.name, new, "word never seen", "likely as one row more would make it"
                )
        for lattice in self.lattices():
            off = off_lattice(lattice, encoded)
            yield from _told(
                source, lattice.column, off, "number off its lattice", "likely as the cell around it"
            )

    def decode(self, codes: IntArray, values: FloatArray) -> dict[str, pl.Series]:
        """Columns as they are written in the table: words, whole numbers, dates, null where a cell is missing."""
        place = {c.name: i for i, c in enumerate(self.discrete)}
        where = {c.name: i for i, c in enumerate(self.continuous)}
        lattices = {lattice.column: lattice for lattice in self.lattices()}
        found, values = {}, self.turned(values)
        for c in (c for c in self.columns if c.kind != "identifier"):
            state = codes[:, place[c.name]] if c.states else np.zeros(len(values), np.int64)
            if c.kind == "category":
                found[c.name] = _words(c, state)
                continue
            number = values[:, where[c.name]]
            number = lattices[c.name].rounded(number) if c.name in lattices else number
            number = np.clip(number, *c.bounds)
            for i, atom in enumerate(c.atoms):
                number = np.where(state == i + 1, atom, number)
            found[c.name] = _cells(c, number, state > len(c.atoms))
        return found


def off_lattice(lattice: Lattice, encoded: Encoded) -> np.ndarray:
    """Which rows hold a number that lies off its lattice, and is none of those that are known to."""
    x, there = encoded.values[:, lattice.index], encoded.present[:, lattice.index]
    off = np.abs(x - lattice.rounded(x)) > np.maximum(TOLERANCE * lattice.step, 1e-9 * np.abs(x))
    return off & there & ~np.isin(x, lattice.stray)


def _told(source: Source, name: str, rows: np.ndarray, what: str, how: str) -> Iterator[Strange]:
    if rows.any():
        first = int(np.argmax(rows))
        cell = source.frame.to_series(source.names.index(name))[first]
        yield Strange(name, what, how, int(rows.sum()), str(cell), source.row(first))


def _beside(bound: float, towards: float) -> float:
    """The number of float32 next to a bound, in a direction; none that is less than its smallest with all digits."""
    if np.isinf(bound):
        return bound
    near = float(np.nextafter(np.float32(bound), np.float32(towards)))
    return near if bound else float(np.copysign(np.finfo(np.float32).tiny, towards))


def text_of(series: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The cells as stripped text, and which of them are missing."""
    return _text(series).to_numpy(), missing_of(series)


def missing_of(series: pl.Series) -> np.ndarray:
    """Which cells are missing."""
    if series.dtype == pl.String:
        return _text(series).str.to_lowercase().is_in(list(MISSING)).to_numpy()
    missing = series.is_null()
    if series.dtype.is_float():
        missing = missing | series.is_nan().fill_null(True)
    return missing.to_numpy()


def _text(series: pl.Series) -> pl.Series:
    if series.dtype == pl.String:
        return series.fill_null("").str.strip_chars(' \t"')
    return series.cast(pl.String, strict=False).fill_null("")


def canonical(word: str, kind: str) -> str:
    """A word of a category as it is compared: numbers by value, flags in small letters."""
    if kind == "boolean":
        return word.lower()
    if kind not in ("integer", "number"):
        return word
    try:
        return str(int(word))
    except ValueError:
        return _by_value(word)


def _by_value(word: str) -> str:
    try:
        value = float(word)
    except ValueError:
        return word
    return str(int(value)) if value.is_integer() else repr(value)


def numbers_of(series: pl.Series) -> tuple[FloatArray, int | None]:
    """The numbers, NaN where there is none, and the first row of text."""
    if series.dtype == pl.String:
        values, row = from_text(series)
        return values.fill_null(np.nan).to_numpy(), row
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return series.cast(pl.Float64).fill_null(np.nan).to_numpy(), None
    return np.full(len(series), np.nan), int(series.is_not_null().arg_max() or 0)


def stray_text(source: Source, index: int, row: int, among: str = "numbers") -> str:
    """What was found, where text stands among numbers."""
    found = source.frame.to_series(index)[row]
    name = source.names[index]
    return (
        f"{source.label}, column {name!r}, {source.row(row)}: found the text {str(found)!r:.40} among {among}"
    )


def _encoded(column: Column, source: Source, index: int) -> tuple[IntArray, FloatArray]:
    """The state of the column's discrete variable, and the number, of each row."""
    series = source.frame.to_series(index)
    missing = missing_of(series)
    if missing.any() and not column.missing:
        row = int(np.argmax(missing))
        raise InputError(
            f"{source.label}, column {column.name!r}, {source.row(row)}: found a missing cell, which the model has not "
            "seen in this column; remove such rows."
        )
    if column.kind == "category":
        unseen = column.states - 1
        known = {word: i for i, word in enumerate(column.levels)}
        text = _text(series)
        words = text.unique()
        states = [known.get(canonical(word, column.type), unseen) for word in words.to_list()]
        found = text.replace_strict(words, states, return_dtype=pl.Int64()).to_numpy()
        return np.where(missing, column.missing_state, found), np.zeros(len(series))
    if column.is_time:
        numbers = days_of(series, _text(series).to_numpy(), missing, column.form or "") - column.first
        bad = np.flatnonzero(np.isnan(numbers) & ~missing)
        among = f"dates ({spelled(column.form)})" if column.form else "dates"
    else:
        numbers, row = numbers_of(series)
        numbers = counted_from(series, column.first)[0] if column.first else numbers
        bad, among = [] if row is None else [row], "numbers"
    if len(bad):
        raise InputError(
            f"{stray_text(source, index, int(bad[0]), among)}; mend that cell or remove such rows."
        )
    state = np.zeros(len(series), np.int64)
    for i, atom in enumerate(column.atoms):
        state[numbers == atom] = i + 1
    state[missing] = column.missing_state
    if not np.isfinite(numbers[~missing]).all():
        row = int(np.argmax(~missing & ~np.isfinite(numbers)))
        raise InputError(
            f"{source.label}, column {column.name!r}, {source.row(row)}: found an infinite value; remove such rows."
        )
    return state, np.nan_to_num(numbers)


def _words(column: Column, state: IntArray) -> pl.Series:
    words = pl.Series([*column.levels, None, None])[np.minimum(state, len(column.levels)).tolist()]
    if column.type == "boolean":
        return words == "true"
    kinds = {"integer": pl.Int64, "number": pl.Float64}
    return words.cast(kinds[column.type], strict=False) if column.type in kinds else words


def _cells(column: Column, numbers: FloatArray, missing: np.ndarray) -> pl.Series:
    cells = pl.Series(numbers).set(pl.Series(missing), None)
    if column.is_time:
        seconds = column.form is not None and "%.f" not in column.form
        seconds |= column.step is not None and column.step * SECONDS_A_DAY > 0.99
        unit = 1e6 if seconds else 1.0
        last = YEARS[1] - column.first + 1 - 1 / SECONDS_A_DAY
        days = np.clip(numbers, YEARS[0] - column.first, last)
        micros = np.rint(days * SECONDS_A_DAY * 1e6 / unit) * unit
        whole = pl.Series(np.nan_to_num(micros).astype(np.int64)) + int(column.first * SECONDS_A_DAY * 1e6)
        stamps = whole.set(pl.Series(missing | np.isnan(numbers)), None).cast(pl.Datetime("us"))
        dates = stamps.dt.date() if column.type == "day" else stamps
        return written(dates, column.form) if column.form else dates
    if column.first:  # beyond what float64 holds
        kind = pl.UInt64() if column.first >= 2**62 else pl.Int64()
        return pl.Series(
            [None if n is None else round(n) + column.first for n in cells.to_list()], dtype=kind
        )
    return cells.round(0).cast(pl.Int64, strict=False) if column.type == "integer" else cells
