"""Columns that number the rows, as pandas leaves them in files and frames: they say nothing and are left out."""

import re

import polars as pl

from shoal.tables._dates import looks_like_dates
from shoal.tables._source import Source

_SAVED = re.compile(r"__index_level_\d+__")
_UNNAMED = re.compile(r"(Unnamed: 0(_level_\d+)?(\.\d+)*)?")


def without_index(source: Source) -> Source:
    """The source without pandas' index columns, and without unnamed first columns of distinct whole numbers or words.

    A source that would have no column left stays as it is.
    """
    kept, notes = without_index_columns(source)
    return source.only(kept, notes) if notes else source


def without_index_columns(source: Source) -> tuple[list[int], tuple[str, ...]]:
    """The positions of the columns that `without_index` leaves, and a sentence about each other one."""
    found = {i: "" for i, name in enumerate(source.names) if _SAVED.fullmatch(name)}
    for i, name in enumerate(source.names):  # saved more than once, it stands more than once
        column = source.frame.to_series(i)
        does = "numbers" if _numbers_rows(column) else "names" if _names_rows(column) else None
        if does is None or not _UNNAMED.fullmatch(name):
            break
        found[i] = does
    kept = [i for i in range(len(source.names)) if i not in found]
    if not found or not kept:
        return list(range(len(source.names))), ()
    return kept, tuple(
        f"column {source.names[i]!r} is a pandas index and was left out"
        if source.names[i]
        else f"column {i + 1} has no name and {found[i]} the rows, so it was left out"
        for i in sorted(found)
    )


def without_empty_last(source: Source) -> Source:
    """The source without a last column that has neither a name nor a cell, which a separator at the end of rows makes."""
    if len(source.names) < 2 or source.names[-1] or not source.frame.height:
        return source
    if not is_empty(source.frame.to_series(-1)):
        return source
    return source.only(
        range(len(source.names) - 1), ("every row ends in a separator, which makes no column",)
    )


def is_empty(column: pl.Series) -> bool:
    """Whether a column of text has no cell."""
    return column.dtype == pl.String and not (column.is_not_null() & (column.str.strip_chars() != "")).any()


def _names_rows(column: pl.Series) -> bool:
    """Whether the cells are distinct words, none of them a number, nor the days and times of a series."""
    if column.dtype != pl.String or len(column) < 2 or column.null_count() or column.n_unique() < len(column):
        return False
    return not column.str.contains(r"^\s*[-+]?\.?\d[\d\s.,:/T+-]*Z?\s*$").any() and not looks_like_dates(
        column
    )


def _numbers_rows(column: pl.Series) -> bool:
    """Whether the cells are distinct whole numbers from 0 on."""
    if column.dtype != pl.String and not column.dtype.is_numeric():
        return False
    numbers = column.cast(pl.Float64, strict=False)
    if not len(numbers) or numbers.null_count():
        return False
    whole = bool((numbers >= 0).all() and (numbers < 1e15).all() and (numbers == numbers.round(0)).all())
    return whole and numbers.n_unique() == len(numbers)
