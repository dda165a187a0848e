"""Cells: which words say that one is missing, numbers from text, and whole numbers that float64 can not hold."""

import re

import numpy as np
import polars as pl

from shoal._scalars import FloatArray

_SPELLINGS = """
    na n/a <na> #na #n/a #n/a! @na n.a. n.a n\\a nan -nan +nan 1.#qnan -1.#qnan 1.#ind -1.#ind nat <nat>
    na_real_ na_integer_ na_character_ null <null> (null) \\n none <none> nil missing <missing> (missing) undefined
    (empty) (blank) <blank> unknown_value not_available n/d n.d. k.a. k.a nodata no_data
    - -- --- – — . .. ... .... ? ?? ??? * ** *** **** ***** 0000-00-00
    #div/0! #div/0 #value! #ref! #name? #num! #null! #n/v #spill! #calc! #getting_data #error! #err! #blocked! #field!
    #busy! #connect! #unknown! #arg! #wert! #bezug! #zahl! #nv #valeur! #nom? #nombre! #nul! #¡valor! #¡ref! #¿nombre?
    #¡num! #¡div/0! #¡nulo! #valore! #rif! #nome? #n/d #valor! loading... #loading...
"""
MISSING = frozenset(  # small letters: of pandas, R, SQL, spreadsheets, SAS and Stata
    {"", "not available", "no data", "no value", "# n/a", "0000-00-00 00:00:00"}
    | {*_SPELLINGS.split()}
    | {f"err:{code}" for code in range(501, 541)}
)
EXACT = 2**53  # beyond it neighbours among whole numbers become one


def from_text(series: pl.Series) -> tuple[pl.Series, int | None]:
    """The numbers, null where there is none, and the first row of text that is neither a number nor a missing value."""
    values = series.cast(pl.Float64, strict=False)
    if values.null_count():
        values = series.str.strip_chars(' \t"').cast(pl.Float64, strict=False)
    unread = values.is_null()
    if not unread.any():
        return values, None
    rows = unread.arg_true()
    words = series.gather(rows).fill_null("").str.strip_chars(' \t"').str.to_lowercase()
    text = (~words.is_in(list(MISSING))).arg_true()
    return values, int(rows[text[0]]) if len(text) else None


def first_rounded(column: pl.Series, numbers: FloatArray) -> int | None:
    """The first row whose whole number is not exactly the float64 in `numbers`; None if there is none."""
    large = np.flatnonzero(np.abs(np.nan_to_num(numbers, posinf=0, neginf=0)) >= EXACT)
    if not large.size or column.dtype.is_float():
        return None
    if column.dtype.is_integer():
        cells = column.gather(large).to_list()
    else:
        cells = column.gather(large).cast(pl.String()).str.strip_chars(' \t"').to_list()
    for row, cell in zip(large.tolist(), cells, strict=True):
        whole = cell if isinstance(cell, int) else _whole(cell)
        if whole is not None and whole != int(numbers[row]):
            return row
    return None


def counted_from(column: pl.Series, first: int | None = None) -> tuple[FloatArray, int]:
    """Whole numbers less `first` (None: the least one), exactly; NaN for others; and `first`."""
    text = column.cast(pl.String()).str.strip_chars(' \t"').to_list()
    whole = [None if cell is None else _whole(cell) for cell in text]
    first = min((n for n in whole if n is not None), default=0) if first is None else first
    return np.array([np.nan if n is None else float(n - first) for n in whole]), first


def _whole(text: str) -> int | None:
    return int(text.split(".")[0]) if re.fullmatch(r"[+-]?\d+(\.0*)?", text, re.ASCII) else None
