"""Dates and times as people write them: the form that reads every cell of a column, and days since 1970-01-01."""

import re
from itertools import product
from typing import Literal

import numpy as np
import polars as pl

from shoal._scalars import FloatArray

SECONDS_A_DAY = 86_400.0
_DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d. %B %Y"),
)
_MONTHS = (  # and quarters, %q; a space stands for nothing too, and %Y for two digits, so these come last
    *(
        "%Y-%m",
        "%Y/%m",
        "%m/%Y",
        "%m-%Y",
        "%m.%Y",
        "%Y%m",
        "%Y-%b",
        "%b-%y",
        "%B-%y",
        "%b %y",
        "%b-%Y",
        "%B-%Y",
        "%b %Y",
    ),
    *("%B %Y", "%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q-%Y", "Q%q/%Y", "Q%q %Y"),
)
_TIMES = ("%H:%M:%S", "%H:%M", "%H:%M:%S%.f", "%I:%M:%S %p", "%I:%M %p")
FORMS = (  # the first that reads every cell
    *(*_DAYS, *_MONTHS, "%Y%m%d", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M"),
    *(
        day + mark + time
        for day, time, mark in product(_DAYS, _TIMES, (" ", "T"))
        if mark == " " or day == _DAYS[0]
    ),
)
_LIKE = (
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{1,2}\.?[- ][A-Za-z]{3,9}[- ]\d{4}"
    r"|(18|19|20)\d\d([-/]?(0?[1-9]|1[0-2])|[- ]?Q[1-4])$|(Q[1-4][- /]|(0?[1-9]|1[0-2])[-/.])(18|19|20)\d\d$"
    r"|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[- ](\d\d|\d{4})$|\d{4}-[A-Z][a-z]{2}$"
    r"|[A-Za-z]{3,9} \d{1,2}, \d{4}|(18|19|20)\d{6}(T\d{4}(\d\d)?(Z|[+-]\d{2}:?\d{2})?)?$)"
)
_ZONE = r"(?::\d\d(?:\.\d+)?|T\d{4}(?:\d\d)?)(Z| ?UTC| ?GMT| ?[+-]\d{2}:?\d{2})$"  # behind a time
_SPELLED: dict[str, str] = dict(
    zip(
        ("%Y", "%y", "%q", "%m", "%d", "%b", "%B", "%H", "%I", "%M", "%S", "%.f", "%p"),
        ("YYYY", "YY", "q", "MM", "DD", "Mon", "Month", "hh", "hh", "mm", "ss", ".f", "AM"),
        strict=True,
    )
)


def spelled(form: str) -> str:
    """A form in words, such as DD.MM.YYYY."""
    return re.sub(r"%(\.f|\w)", lambda found: _SPELLED[found[0]], form)


def is_timed(form: str) -> bool:
    """Whether a form has hours."""
    return "%H" in form or "%I" in form


def part_of_year(form: str | None) -> Literal["month", "quarter"] | None:
    """What a form without days has instead, whose first day stands for it."""
    return None if not form or "%d" in form else "quarter" if "%q" in form else "month"


def looks_like_dates(cells: pl.Series) -> bool:
    """Whether at least 8 cells in 10 have the look of a date."""
    like = int(cells.str.contains(_LIKE).sum())
    return like > 0 and like >= 0.8 * len(cells)


def find_form(cells: pl.Series) -> tuple[str | None, int | None]:
    """The form in which all cells (text, none missing) are dates; else None, with a cell that is none among dates, if so.

    Where days and months can be exchanged in all cells, it is the form by which all fall on one day of the month; if there
    is none, a cell comes with the form that is another date by the other.
    """
    if not looks_like_dates(cells):
        return None, None
    some = cells.filter(cells.str.contains(_LIKE)).head(50)
    zones = sorted(some.str.extract(_ZONE).drop_nulls().unique().to_list()) or [""]
    worst, most = None, 0
    for form in (form + zone for zone in zones for form in FORMS):
        if read(some, form).null_count() * 2 > len(some):
            continue
        unread = read(cells, form).is_null().arg_true()
        if not len(unread):
            return _settled(cells, form)
        if len(cells) - len(unread) > most:
            worst, most = int(unread[0]), len(cells) - len(unread)
    return None, worst


def _settled(cells: pl.Series, form: str) -> tuple[str, int | None]:
    other = re.sub(
        "%[md](.)%[md]", lambda found: f"%d{found[1]}%m" if found[0][1] == "m" else f"%m{found[1]}%d", form
    )
    if other == form or other[:8] not in _DAYS:
        return form, None
    one, two = read(cells, form), read(cells, other)
    differs = (one != two).arg_true()
    if two.null_count() or not len(differs):
        return form, None
    monthly = [stamps.dt.day().n_unique() == 1 for stamps in (one, two)]
    return (form, int(differs[0])) if monthly[0] == monthly[1] else ((form, other)[monthly[1]], None)


def read(cells: pl.Series, form: str) -> pl.Series:
    """The cells by a form, null where it does not read them; of months and quarters the first day."""
    for quarter in range(1, 5) if "%q" in form else ():
        cells = cells.str.replace(f"Q{quarter}", f"Q{3 * quarter - 2:02d}", literal=True)
    if part_of_year(form):
        cells, form = cells + " 01", form.replace("%q", "%m") + " %d"
    return cells.str.strptime(pl.Datetime("us") if is_timed(form) else pl.Date, form, strict=False)


def written(stamps: pl.Series, form: str) -> pl.Series:
    """Dates or times in a form."""
    cells = stamps.dt.strftime(form.replace("%q", "%m"))
    for quarter in range(1, 5) if "%q" in form else ():
        cells = cells.str.replace(f"Q{3 * quarter - 2:02d}", f"Q{quarter}", literal=True)
    return cells


def first_days(days: FloatArray, form: str) -> FloatArray:
    """The first days of all months, or quarters, from the first one of `days` to the last one, by such a form."""
    months = 3 if part_of_year(form) == "quarter" else 1
    first, last = (np.datetime64(int(day), "D").astype("datetime64[M]") for day in (days.min(), days.max()))
    return np.arange(first, last + 1, months).astype("datetime64[D]").astype(np.float64)


def days_of(series: pl.Series, text: np.ndarray, missing: np.ndarray, form: str) -> FloatArray:
    """Days since 1970-01-01, NaN where there is none. Text is read by `form`, or by the form that reads all of it."""
    if series.dtype.is_temporal():
        stamps = series.cast(pl.Datetime("us"))
    elif series.dtype == pl.String or (series.dtype.is_integer() and form):
        cells = pl.Series(text.tolist(), dtype=pl.String).set(pl.Series(missing), None)
        form = form or find_form(cells.drop_nulls())[0] or FORMS[0]
        stamps = read(cells, form).cast(pl.Datetime("us"))
    else:
        return np.full(len(series), np.nan)
    return stamps.dt.timestamp("us").cast(pl.Float64).fill_null(np.nan).to_numpy() / (1e6 * SECONDS_A_DAY)
