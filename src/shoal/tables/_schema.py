"""What kind each column of a table is, found before anything is modelled, and rows as numbers and back by it.

A table has a discrete part, one variable a column that needs one: the word of a category; of a numeric column whether the
cell holds a number with a density, one of its atoms (a value that many rows share: zeros, a sentinel, a clipped end), or
nothing. The rest is its continuous part: one number a numeric column or date, where the discrete part says that there is
one.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._names import KINDS, Kind
from shoal._scalars import FloatArray, IntArray
from shoal.records import Record
from shoal.tables._checks import MISSING, from_text
from shoal.tables._exact import first_rounded
from shoal.tables._lattice import Lattice, detect_lattice
from shoal.tables._table import Source

FORMS = (  # of dates and times, the first that reads every cell
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y"),
    *(
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
    ),
)
MOST_LEVELS = 100  # of a category; text of more words is an identifier
ATOM_ROWS, ATOM_SHARE, ATOM_TIMES = (
    10,
    0.01,
    10.0,
)  # of an atom: rows, share, and times the rows of other values
MOST_ATOMS = 3
SECONDS_A_DAY = 86_400.0
NUMERIC_SHARE = 0.5  # of the cells of a column that are numbers: from there on, text among them is an error


class Column(msgspec.Struct, frozen=True):
    """One column: its kind, and what is needed to write its cells as numbers and back.

    `type`: of its cells; `levels`: the words of a category; `atoms`, `shares`: values that many rows share, and how many;
    `missing`: the share of cells that are missing; `step`, `grid`, `stray`: as in `Lattice`; `form`: of a date.
    """

    name: str
    kind: Kind
    type: Literal["text", "integer", "number", "boolean", "day", "time"] = "number"
    levels: tuple[str, ...] = ()
    atoms: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    missing: float = 0.0
    step: float | None = None
    grid: tuple[float, ...] = ()
    stray: tuple[float, ...] = ()
    form: str | None = None

    @property
    def states(self) -> int:
        """How many values its discrete variable has; 0 where it has none. The last one of a category: a word never seen."""
        if self.kind == "category":
            return len(self.levels) + (self.missing > 0) + 1
        return 1 + len(self.atoms) + (self.missing > 0) if self.atoms or self.missing else 0

    @property
    def state_words(self) -> tuple[str, ...]:
        """A word for each state."""
        gone = ("(missing)",) if self.missing else ()
        if self.kind == "category":
            return (*self.levels, *gone, "(never seen)")
        return ("(a number)", *(f"{a:.6g}" for a in self.atoms), *gone)

    @property
    def is_continuous(self) -> bool:
        """Whether it has a number in the continuous part."""
        return self.kind in ("number", "date")

    def sentence(self) -> str:
        """What the column is taken for, in words."""
        gone = f"; {self.missing:.1%} of the cells are missing" if self.missing else ""
        if self.kind == "identifier":
            return "an identifier, left out: its values do not repeat"
        if self.kind == "category":
            words = ", ".join(self.levels[:4]) + (", ..." if len(self.levels) > 4 else "")
            return f"a category of {len(self.levels)} values ({words}): log-probabilities{gone}"
        unit = {"day": "days", "time": "days"}.get(self.type, "its unit")
        words = f"a {'date' if self.kind == 'date' else 'number'}: log-density in {unit}"
        if self.grid:
            words += f", with noise up to the middles between its {len(self.grid)} values"
        elif self.step is not None:
            words += f", with noise of its step {self.step:.6g}"
        for atom, share in zip(self.atoms, self.shares, strict=True):
            words += f"; {share:.1%} of the rows hold {atom:.6g}, which has a probability of its own"
        if self.stray:
            cells = "the value" if len(self.stray) == 1 else "the values"
            words += f"; off its lattice: {cells} {', '.join(f'{v:.9g}' for v in self.stray[:5])}"
        return words + gone


class Encoded(NamedTuple):
    """Rows by a schema: `codes` (rows, m), the discrete variables; `values` (rows, k), 0 where `present` is False."""

    codes: IntArray
    values: FloatArray
    present: np.ndarray


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
        return not self.discrete and all(c.kind in ("number", "identifier") for c in self.columns)

    def lattices(self) -> tuple[Lattice, ...]:
        """The lattices of the continuous part."""
        return tuple(
            Lattice(c.name, c.step, 1.0, i, c.grid, c.stray)
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

    def encode(self, source: Source) -> Encoded:
        """The rows of a source, by the names of the columns.

        **Raises:** `InputError` for a column that is not there, for text where a number must stand, and for a cell that is
        missing in a column that had none.
        """
        codes, values, present = [], [], []
        for c in (c for c in self.columns if c.kind != "identifier"):
            if c.name not in source.names:
                raise InputError(f"{source.label} has no column {c.name!r}, which the model needs.")
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

    def decode(self, codes: IntArray, values: FloatArray) -> dict[str, pl.Series]:
        """Columns as they are written in the table: words, whole numbers, dates, null where a cell is missing."""
        place = {c.name: i for i, c in enumerate(self.discrete)}
        where = {c.name: i for i, c in enumerate(self.continuous)}
        lattices = {lattice.column: lattice for lattice in self.lattices()}
        found = {}
        for c in (c for c in self.columns if c.kind != "identifier"):
            state = codes[:, place[c.name]] if c.states else np.zeros(len(values), np.int64)
            if c.kind == "category":
                found[c.name] = _words(c, state)
                continue
            number = values[:, where[c.name]]
            number = lattices[c.name].rounded(number) if c.name in lattices else number
            for i, atom in enumerate(c.atoms):
                number = np.where(state == i + 1, atom, number)
            found[c.name] = _cells(c, number, state > len(c.atoms))
        return found


def find_schema(source: Source, indices: Sequence[int], kinds: Mapping[str, str]) -> Schema:
    """The schema of the columns at `indices`; `kinds` says the kind of some of them.

    **Raises:** `InputError` for a kind that is none or does not fit, a name that is not there, and unreadable cells.
    """
    names = [source.names[i] for i in indices]
    for name, kind in kinds.items():
        if name not in names:
            raise InputError(f"{source.label} has no column {name!r} to model, which a kind is given for.")
        if kind not in KINDS:
            raise InputError(
                f"The kind {kind!r} of column {name!r} is unknown; choose from {', '.join(KINDS)}."
            )
    return Schema(columns=tuple(_column(source, i, kinds.get(source.names[i])) for i in indices))


def _column(source: Source, index: int, kind: str | None) -> Column:
    name, series = source.names[index], source.frame.to_series(index)
    text, missing = _text(series)
    share = float(missing.mean()) if len(series) else 0.0
    words = np.unique(text[~missing])
    if series.dtype == pl.Boolean and kind is None:
        kind = "category"
    if kind in (None, "date") and (form := _date_form(series, text, missing)) is not None:
        days = _days(series, text, missing, form)
        timed = "%H" in form or series.dtype == pl.Datetime
        column = Column(name, "date", "time" if timed else "day", missing=share, form=form)
        found = _with_lattice(column, days)
        return found if timed or found.step is not None else msgspec.structs.replace(found, step=1.0)
    if kind == "date":
        raise InputError(f"{source.label}, column {name!r}: no form of dates reads all of its cells.")
    numbers, bad = _numbers(series)
    if kind is None:
        kind = _guessed(source, index, words, numbers, bad, missing)
    if kind == "identifier":
        return Column(name, "identifier", missing=share)
    if kind == "category":
        typed = (
            "boolean"
            if series.dtype == pl.Boolean
            else "text"
            if bad is not None
            else _type(numbers[~missing])
        )
        return Column(name, "category", typed, levels=tuple(words.tolist()), missing=share)
    if bad is not None:
        raise InputError(_stray_text(source, index, bad))
    atoms, shares = _atoms(numbers)
    column = Column(name, "number", _type(numbers[np.isfinite(numbers)]), (), atoms, shares, share)
    return _with_lattice(column, np.where(np.isin(numbers, atoms), np.nan, numbers))


def _guessed(
    source: Source, index: int, words: np.ndarray, numbers: FloatArray, bad: int | None, missing: np.ndarray
) -> Kind:
    count = int((~missing).sum())
    if bad is not None:  # text
        numeric = np.isfinite(numbers).sum() / max(count, 1)
        if numeric > NUMERIC_SHARE:
            raise InputError(_stray_text(source, index, bad))
        if len(words) > MOST_LEVELS or len(words) > max(2, count / 2):
            return "identifier"
        return "category"
    found = numbers[~missing]
    if first_rounded(source.frame.to_series(index), numbers) is not None:  # float64 can not tell them apart
        return "identifier" if len(words) > MOST_LEVELS else "category"
    if len(words) == 2:
        return "category"
    whole = len(found) > 2 and bool(np.all(found == np.rint(found)))
    if whole and len(words) == count and len(np.unique(np.diff(found))) == 1:
        return "identifier"  # it counts the rows
    return "number"


def _stray_text(source: Source, index: int, row: int) -> str:
    found = source.frame.to_series(index)[row]
    name = source.names[index]
    return (
        f"{source.label}, column {name!r}, {source.row(row)}: found the text {str(found)!r:.40} among numbers; "
        "mend that cell, or give the column the kind category."
    )


def _text(series: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The cells as stripped text, and which of them are missing."""
    if series.dtype == pl.String:
        text = series.fill_null("").str.strip_chars(' \t"')
        missing = text.str.to_lowercase().is_in(list(MISSING)).to_numpy()
        return text.to_numpy().astype(str), missing
    missing = series.is_null()
    if series.dtype.is_float():
        missing = missing | series.is_nan().fill_null(True)
    cast = series.cast(pl.String, strict=False).fill_null("")
    return cast.to_numpy().astype(str), missing.to_numpy()


def _numbers(series: pl.Series) -> tuple[FloatArray, int | None]:
    """The numbers, NaN where there is none, and the first row of text."""
    if series.dtype == pl.String:
        values, row = from_text(series)
        return values.fill_null(np.nan).to_numpy(), row
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return series.cast(pl.Float64).fill_null(np.nan).to_numpy(), None
    return np.full(len(series), np.nan), int(series.is_not_null().arg_max() or 0)


def _type(numbers: FloatArray) -> Literal["integer", "number"]:
    return "integer" if np.all(numbers == np.rint(numbers)) else "number"


def _atoms(numbers: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Values that far more rows share than any usual value of the column, and the shares of all rows."""
    values, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    order = np.argsort(-counts)
    atoms: list[int] = []
    for place, i in enumerate(order[: MOST_ATOMS + 1]):
        rest = counts[order[place + 1 :]]
        usual = max(float(np.quantile(rest, 0.9)), 1.0) if len(rest) else np.inf
        if counts[i] < max(ATOM_ROWS, ATOM_SHARE * counts.sum(), ATOM_TIMES * usual) or len(rest) < 3:
            break
        atoms.append(int(i))
    if len(atoms) > MOST_ATOMS:  # values that are heaped on a coarser lattice are no atoms
        return (), ()
    return tuple(float(values[i]) for i in atoms), tuple(float(counts[i] / len(numbers)) for i in atoms)


def _with_lattice(column: Column, numbers: FloatArray) -> Column:
    found = detect_lattice(numbers[:, None], [column.name])
    if not found:
        return column
    return msgspec.structs.replace(column, step=found[0].step, grid=found[0].grid, stray=found[0].stray)


def _date_form(series: pl.Series, text: np.ndarray, missing: np.ndarray) -> str | None:
    """The form in which every cell is a date; "" for a column of dates."""
    if series.dtype.is_temporal():
        return "" if series.dtype in (pl.Date, pl.Datetime) else None
    if series.dtype != pl.String or missing.all():
        return None
    cells = pl.Series(text[~missing])
    if not cells.str.contains(r"^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}").all():
        return None
    for form in FORMS:
        kind = pl.Datetime("us") if "%H" in form else pl.Date
        if not cells.str.strptime(kind, form, strict=False).has_nulls():
            return form
    return None


def _days(series: pl.Series, text: np.ndarray, missing: np.ndarray, form: str) -> FloatArray:
    """Days since 1970-01-01, NaN where there is none."""
    if form:
        cells = pl.Series(text.tolist(), dtype=pl.String).set(pl.Series(missing), None)
        series = cells.str.strptime(pl.Datetime("us") if "%H" in form else pl.Date, form, strict=False)
    stamps = series.cast(pl.Datetime("us")).dt.timestamp("us")
    return stamps.cast(pl.Float64).fill_null(np.nan).to_numpy() / (1e6 * SECONDS_A_DAY)


def _encoded(column: Column, source: Source, index: int) -> tuple[IntArray, FloatArray]:
    """The state of the column's discrete variable, and the number, of each row."""
    series = source.frame.to_series(index)
    text, missing = _text(series)
    if missing.any() and not column.missing:
        row = int(np.argmax(missing))
        raise InputError(
            f"{source.label}, column {column.name!r}, {source.row(row)}: found a missing cell, which the model has not "
            "seen in this column; remove such rows."
        )
    if column.kind == "category":
        unseen = column.states - 1
        known = {word: i for i, word in enumerate(column.levels)}
        state = np.array([known.get(word, unseen) for word in text], np.int64)
        return np.where(missing, len(column.levels), state), np.zeros(len(series))
    if column.kind == "date":
        numbers = _days(series, text, missing, column.form or "")
        bad = np.flatnonzero(np.isnan(numbers) & ~missing)
    else:
        numbers, row = _numbers(series)
        bad = [] if row is None else [row]
    if len(bad):
        raise InputError(_stray_text(source, index, int(bad[0])))
    state = np.zeros(len(series), np.int64)
    for i, atom in enumerate(column.atoms):
        state[numbers == atom] = i + 1
    state[missing] = 1 + len(column.atoms)
    if not np.isfinite(numbers[~missing]).all():
        row = int(np.argmax(~missing & ~np.isfinite(numbers)))
        raise InputError(
            f"{source.label}, column {column.name!r}, {source.row(row)}: found an infinite value."
        )
    return state, np.nan_to_num(numbers)


def _words(column: Column, state: IntArray) -> pl.Series:
    words = pl.Series([*column.levels, None, None])[np.minimum(state, len(column.levels)).tolist()]
    if column.type == "boolean":
        return words.str.to_lowercase() == "true"
    kinds = {"integer": pl.Int64, "number": pl.Float64}
    return words.cast(pl.Float64).cast(kinds[column.type]) if column.type in kinds else words


def _cells(column: Column, numbers: FloatArray, missing: np.ndarray) -> pl.Series:
    cells = pl.Series(numbers).set(pl.Series(missing), None)
    if column.kind == "date":
        stamps = (cells * (1e6 * SECONDS_A_DAY)).round(0).cast(pl.Int64).cast(pl.Datetime("us"))
        dates = stamps.dt.date() if column.type == "day" else stamps
        return dates.dt.strftime(column.form) if column.form else dates
    whole = column.type == "integer" and (column.step is not None or column.atoms)
    return cells.round(0).cast(pl.Int64) if whole else cells
