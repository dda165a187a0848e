"""What each column of a table is taken for: numbers, categories, dates, identifiers; atoms and lattices."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._names import KINDS, Kind
from shoal._scalars import FloatArray
from shoal.tables._atoms import find_atoms
from shoal.tables._cells import first_rounded
from shoal.tables._lattice import detect_lattice
from shoal.tables._schema import FORMS, Column, Schema, canonical, days_of, numbers_of, stray_text, text_of
from shoal.tables._source import Source

MOST_LEVELS = 100  # of a category; text of more words is an identifier
MOST_GIVEN = 1000  # of a category that is given as one
NUMERIC_SHARE = 0.5  # of the cells of a column that are numbers: from there on, text among them is an error


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
    if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Duration, pl.Object):
        raise InputError(
            f"{source.label}, column {name!r}: cells of the type {series.dtype} are not modelled; leave it out."
        )
    text, missing = text_of(series)
    share = float(missing.mean()) if len(series) else 0.0
    words = np.unique(text[~missing])
    if series.dtype == pl.Boolean and kind is None:
        kind = "category"
    if kind in (None, "date") and (form := _date_form(series, text, missing)) is not None:
        days = days_of(series, text, missing, form)
        first = int(np.nanmin(days, initial=0.0 if missing.all() else np.inf))
        timed = "%H" in form or series.dtype == pl.Datetime
        column = Column(
            name, "date", "time" if timed else "day", missing=share, form=form or None, first=first
        )
        found = _with_lattice(column, days - first)
        return found if timed or found.step is not None else msgspec.structs.replace(found, step=1.0)
    if kind == "date":
        raise InputError(f"{source.label}, column {name!r}: no form of dates reads all of its cells.")
    numbers, bad = numbers_of(series)
    if kind is None:
        kind = _guessed(source, index, words, numbers, bad, missing)
    if kind == "identifier":
        return Column(name, "identifier", missing=share)
    if kind == "category":
        typed = _type_of_words(series, words.tolist(), numbers[~missing], bad)
        levels = sorted({canonical(word, typed) for word in words}, key=_order)
        if len(levels) > MOST_GIVEN:
            raise InputError(
                f"{source.label}, column {name!r} has {len(levels)} values; at most {MOST_GIVEN} make a category."
            )
        return Column(name, "category", typed, levels=tuple(levels), missing=share)
    if bad is not None:
        raise InputError(stray_text(source, index, bad))
    atoms, shares = find_atoms(numbers)
    column = Column(name, "number", _type(numbers[np.isfinite(numbers)]), (), atoms, shares, share)
    return _with_lattice(column, np.where(np.isin(numbers, atoms), np.nan, numbers))


def _guessed(
    source: Source, index: int, words: np.ndarray, numbers: FloatArray, bad: int | None, missing: np.ndarray
) -> Kind:
    count = int((~missing).sum())
    if bad is not None:  # text
        numeric = np.isfinite(numbers).sum() / max(count, 1)
        if numeric > NUMERIC_SHARE:
            raise InputError(stray_text(source, index, bad))
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


def _type_of_words(
    series: pl.Series, words: list[str], numbers: FloatArray, bad: int | None
) -> Literal["boolean", "text", "integer", "number"]:
    """Numbers that are written with leading zeros are words."""
    if series.dtype == pl.Boolean:
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


def _date_form(series: pl.Series, text: np.ndarray, missing: np.ndarray) -> str | None:
    """The form in which every cell is a date; "" for a column of dates."""
    if series.dtype.is_temporal():
        return "" if series.dtype in (pl.Date, pl.Datetime) else None
    if series.dtype != pl.String or missing.all():
        return None
    cells = pl.Series(text[~missing].tolist(), dtype=pl.String)
    if not cells.str.contains(r"^(\d{4}[-/]\d{1,2}[-/]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})").all():
        return None
    for form in FORMS:
        kind = pl.Datetime("us") if "%H" in form else pl.Date
        if not cells.str.strptime(kind, form, strict=False).has_nulls():
            return form
    return None
