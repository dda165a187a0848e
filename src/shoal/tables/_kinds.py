"""What each column of a table is taken for: numbers, categories, dates, identifiers; atoms and lattices."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._names import Kind
from shoal._scalars import FloatArray
from shoal.tables._atoms import find_atoms
from shoal.tables._cells import EXACT, counted_from, first_rounded
from shoal.tables._checks import shown
from shoal.tables._column import Column
from shoal.tables._columns import UnfitColumn
from shoal.tables._dates import days_of, find_form, first_days, is_timed, looks_like_dates, part_of_year
from shoal.tables._lattice import detect_lattice
from shoal.tables._schema import Schema, canonical, numbers_of, stray_text, text_of
from shoal.tables._source import Source
from shoal.tables._spelling import odd_spelling
from shoal.tables._supports import Given, parse_kind, with_support

MOST_LEVELS = 100  # of a category; text of more words is an identifier
MOST_GIVEN = 1000  # of a category that is given as one
NUMERIC_SHARE = 0.5  # of the cells of a column that are numbers: from there on, text among them is an error

_KEY = re.compile(  # names of columns whose distinct whole numbers name the rows
    r"(?i:ids?|idx|index|level_\d+|key|[gu]?uid|pk|row|row[_. ]?(id|names?|num|number|nr)|nr|no\.?|serial)"
    r"|(?i:.*[_ .-](id|idx|index|key|no|nr))|.*[a-z]I[dD]"
)


def find_schema(source: Source, indices: Sequence[int], kinds: Mapping[str, str]) -> Schema:
    """The schema of the columns at `indices`; `kinds` says the kind of some of them.

    **Raises:** `InputError` for a kind that is none or does not fit, a name that is not there, and unreadable cells.
    """
    schema, unfit = find_columns(source, indices, kinds)
    if unfit:
        raise unfit[0]
    return schema


def find_columns(
    source: Source, indices: Sequence[int], kinds: Mapping[str, str]
) -> tuple[Schema, tuple[UnfitColumn, ...]]:
    """The schema as `find_schema` gives it, without the columns that can not be modelled, and what is wrong with these."""
    for name in kinds:
        if name not in source.names:
            raise InputError(f"{source.label} has no column {name!r} to model, which a kind is given for.")
    given = {name: parse_kind(name, text) for name, text in kinds.items()}
    columns, unfit = list[Column](), list[UnfitColumn]()
    for i in indices:
        try:
            columns.append(_column(source, i, given.get(source.names[i], Given(None))))
        except UnfitColumn as error:
            unfit.append(error)
    return Schema(columns=tuple(columns)), tuple(unfit)


def _column(source: Source, index: int, given: Given) -> Column:
    name, series, kind = source.names[index], source.frame.to_series(index), given.kind
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Duration, pl.Object):
        found = f"{source.label}, column {name!r}: cells of the type {series.dtype} are not modelled"
        raise UnfitColumn(name, found, "write them as numbers or words")
    text, missing = text_of(series)
    share = float(missing.mean()) if len(series) else 0.0
    words = (
        pl.Series(text, dtype=pl.String).filter(pl.Series(~missing)).unique(maintain_order=True).to_numpy()
    )
    if series.dtype == pl.Boolean and kind is None:
        kind = "category"
    if kind in (None, "date", "periodic"):
        form, odd = _date_form(series, text, missing)
        if form is not None and odd is not None:
            place = f"{source.label}, column {name!r}, {source.row(odd)}"
            found = f"{place}: found {shown(text[odd])} among dates whose days can all be months"
            raise UnfitColumn(name, found, "write years first, as in 2021-12-31")
        if form is not None:
            days = days_of(series, text, missing, form)
            return _date_column(source, index, form, days, share, given)
        if odd is not None:
            found = (
                f"{source.label}, column {name!r}, {source.row(odd)}: found {shown(text[odd])} among dates"
            )
            raise UnfitColumn(name, found, "write all dates of the column in one form")
    if kind == "date":
        raise InputError(f"{source.label}, column {name!r}: no form of dates reads all of its cells.")
    numbers, bad = numbers_of(series)
    if kind is None:
        kind = _guessed(source, index, words, numbers, bad, missing)
    if kind == "identifier":
        many = len(words) if len(words) < (~missing).sum() else 0
        return Column(name, "identifier", missing=share, different=many)
    if kind == "category":
        typed = _type_of_words(series, words.tolist(), numbers[~missing], bad)
        levels = sorted({canonical(word, typed) for word in words}, key=_order)
        if len(levels) > MOST_GIVEN:
            raise InputError(
                f"{source.label}, column {name!r} has {len(levels)} values; at most {MOST_GIVEN} make a category."
            )
        return Column(name, "category", typed, levels=tuple(levels), missing=share)
    if bad is not None:
        raise _stray(source, index, bad)
    if np.isinf(numbers).any():
        row = int(np.isinf(numbers).argmax())
        found = (
            f"{source.label}, column {name!r}, {source.row(row)}: found the infinite value {shown(text[row])}"
        )
        raise UnfitColumn(name, found, "remove such rows")
    first = 0
    if (row := first_rounded(series, numbers)) is not None:
        numbers, first = counted_from(series)
        wide = not np.nanmax(numbers) < EXACT
        if wide or given.kind not in ("number", "count"):
            found = (
                f"{source.label}, column {name!r}, {source.row(row)}: found {shown(text[row])}, beyond 2^53"
            )
            cure = "give its logarithm" if wide else "subtract an offset, or give its kind as number or count"
            raise UnfitColumn(name, found, cure)
    atoms, shares = find_atoms(numbers)
    column = Column(
        name, "number", _type(numbers[np.isfinite(numbers)]), (), atoms, shares, share, first=first
    )
    rest = np.where(np.isin(numbers, atoms), np.nan, numbers)
    return with_support(source, index, _with_lattice(column, rest), rest, given)


def _guessed(
    source: Source, index: int, words: np.ndarray, numbers: FloatArray, bad: int | None, missing: np.ndarray
) -> Kind:
    count = int((~missing).sum())
    many = len(words) > MOST_LEVELS or len(words) > max(2, count / 2)
    if bad is not None:  # text
        numeric = np.isfinite(numbers).sum() / max(count, 1)
        if numeric > NUMERIC_SHARE:
            raise _stray(source, index, bad)
        if many:
            _check_spelling(source, index, missing)
        return "identifier" if many else "category"
    found = numbers[~missing]
    if _is_code(source.frame.to_series(index), words, numbers, found):
        return "identifier" if many else "category"
    if len(np.unique(found)) + bool(missing.any() and len(words) == 1) == 2:
        return "category"
    return "identifier" if _counts_rows(source.names[index], found) else "number"


def _is_code(series: pl.Series, words: np.ndarray, numbers: FloatArray, found: FloatArray) -> bool:
    """Whether whole numbers are names: float64 can not tell them apart, or they have leading zeros at equal length."""
    if first_rounded(series, numbers) is not None:
        return True
    size = np.abs(found[np.isfinite(found)])
    if size.size and size.min() >= EXACT:  # rounded by whoever wrote them
        digits = series.dtype == pl.String and not any(set(word) & set("eE") for word in words[:100])
        return digits or bool(np.ptp(found) < 2.0**20 * np.spacing(size.max()))
    if series.dtype != pl.String or not words.size:
        return False
    width = len(words[0])
    if width < 3 or any(len(word) != width for word in words):
        return False
    return any(word[0] == "0" for word in words) and all(word.isdecimal() for word in words)


def _counts_rows(name: str, found: FloatArray) -> bool:
    """Whether the numbers are distinct whole ones that number the rows, in some order or with some left out; or an id."""
    if len(found) < 3 or not np.all(found == np.rint(found)) or len(np.unique(found)) < len(found):
        return False
    steps, reach = np.diff(found), float(np.ptp(found))
    one_way = bool((steps > 0).all() or (steps < 0).all())
    closed = (
        reach == len(found) - 1
        or (one_way and (steps == steps[0]).all())
        or (one_way and reach < 1.5 * len(found))
    )
    return bool(closed) or _KEY.fullmatch(name) is not None


def _check_spelling(source: Source, index: int, missing: np.ndarray) -> None:
    """Raises for text that is numbers, times or dates in a form that is not read."""
    rows = np.flatnonzero(~missing)
    cells = pl.Series(text_of(source.frame.to_series(index))[0][rows].tolist(), dtype=pl.String)
    if odd := odd_spelling(cells):
        row, what, cure = odd
        place = f"{source.label}, column {source.names[index]!r}, {source.row(int(rows[row]))}"
        raise UnfitColumn(
            source.names[index], f"{place}: found {shown(cells[row])}, {what}, in most rows", cure
        )


def _stray(source: Source, index: int, row: int) -> UnfitColumn:
    found = stray_text(source, index, row)
    last = row > source.frame.height - 4
    cure = (
        "remove the last rows, if they are no rows of the table"
        if last
        else "mend it, or write NA if it is missing"
    )
    return UnfitColumn(source.names[index], found, cure)


def _type_of_words(
    series: pl.Series, words: list[str], numbers: FloatArray, bad: int | None
) -> Literal["boolean", "text", "integer", "number"]:
    """Numbers that are written with leading zeros are words."""
    if series.dtype == pl.Boolean:
        return "boolean"
    if len(words) > 2 and {word.lower() for word in words} <= {"true", "false"}:
        return "boolean"
    if bad is not None or any(re.match(r"[+-]?0\d", word) for word in words):
        return "text"
    return _type(numbers)


def _order(word: str) -> tuple[float, str]:
    try:
        return float(word), word
    except ValueError:
        return np.inf, word


def _type(numbers: FloatArray) -> Literal["integer", "number"]:
    return "integer" if np.all(numbers == np.rint(numbers)) else "number"


def _with_lattice(column: Column, numbers: FloatArray) -> Column:
    found = detect_lattice(numbers[:, None], [column.name])
    if not found:
        return column
    return msgspec.structs.replace(
        column, step=found[0].step, origin=found[0].origin, grid=found[0].grid, stray=found[0].stray
    )


def _date_column(
    source: Source, index: int, form: str, days: FloatArray, missing: float, given: Given
) -> Column:
    """A column of dates: in whole days a step of one day, if no other. Periodic: of their places in a week or a year."""
    name, series = source.names[index], source.frame.to_series(index)
    found = days[np.isfinite(days)]
    first = int(np.floor(found.min())) if found.size else 0
    atoms, shares = find_atoms(days - first)
    timed = is_timed(form) or series.dtype == pl.Datetime
    column = Column(
        name,
        "date",
        "time" if timed else "day",
        atoms=atoms,
        shares=shares,
        missing=missing,
        form=form or None,
        first=first,
    )
    numbers = np.where(np.isin(days - first, atoms), np.nan, days - first)
    column = _with_lattice(column, numbers)
    if part_of_year(form) and found.size:  # steps of 28 to 92 days
        grid = first_days(found, form) - first
        column = msgspec.structs.replace(
            column,
            step=float(np.median(np.diff(grid, prepend=grid[0] - 1))),
            origin=0.0,
            grid=tuple(grid.tolist()),
            stray=(),
        )
    if column.step is None and bool((found == np.floor(found)).all()):
        column = msgspec.structs.replace(column, step=1.0)
    return with_support(source, index, column, numbers, given) if given.kind == "periodic" else column


def _date_form(series: pl.Series, text: np.ndarray, missing: np.ndarray) -> tuple[str | None, int | None]:
    """The form in which every cell is a date, "" for a column of dates, as `find_form` gives it; and a row that is amiss."""
    if series.dtype.is_temporal():
        return ("" if series.dtype in (pl.Date, pl.Datetime) else None), None
    rows = np.flatnonzero(~missing)
    if not rows.size or not (series.dtype == pl.String or series.dtype.is_integer()):
        return None, None
    some = pl.Series(text[rows[:: max(rows.size // 200, 1)]].tolist(), dtype=pl.String)
    if not looks_like_dates(some):
        return None, None
    form, place = find_form(pl.Series(text[rows].tolist(), dtype=pl.String))
    return form, None if place is None else int(rows[place])
