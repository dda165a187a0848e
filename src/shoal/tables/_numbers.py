"""Numbers as people write them: decimal commas and thousands separators are brought to the plain form, `3012.5`.

A column is rewritten only if one way to read it fits all its numbers and no other way gives other values; what decides
between ways is stated in `_chosen`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from shoal._errors import InputError
from shoal.tables._cells import MISSING
from shoal.tables._spelling import MONEY, SIGNS, are_codes, is_unit

STRAY = 0.05  # a smaller share of cells that are written otherwise is left for the reader of numbers to name
_BESIDE = re.compile(r"([^\W\d_][^\d]*?)?\s*[+-]?[\d.,'\s]*\d\s*([^\W\d_°][^+]*|°\w?)?")
_EXPONENT = r"(?:[eE][+-]?\d+)?"
_PLAIN = rf"^[+-]?(?:\d+\.?\d*|\.\d+){_EXPONENT}$"


@dataclass(frozen=True)
class Style:
    """A way to write numbers: the decimal mark, the characters between groups of three digits, and words for both."""

    decimal: str
    group: str
    words: str

    @property
    def pattern(self) -> str:
        """A regular expression of the numbers in this style."""
        groups = "|".join([r"\d+", *(rf"[1-9]\d{{0,2}}(?:{re.escape(mark)}\d{{3}})+" for mark in self.group)])
        mark = re.escape(self.decimal)
        return rf"^[+-]?(?:(?:{groups})(?:{mark}\d+)?|{mark}\d+){_EXPONENT}$"

    def plain(self, cells: pl.Series) -> pl.Series:
        """The cells with a decimal point and without groups."""
        for mark in self.group:
            cells = cells.str.replace_all(mark, "", literal=True)
        return cells.str.replace(self.decimal, ".", literal=True)


POINT = Style(".", ",", "thousands separators ','")
COMMA = Style(",", ".", "decimal commas")
SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
STYLES = (
    POINT,
    COMMA,
    Style(".", "'\N{RIGHT SINGLE QUOTATION MARK}", 'thousands separators "\'"'),
    Style(",", "'\N{RIGHT SINGLE QUOTATION MARK}", 'decimal commas and thousands separators "\'"'),
    Style(".", SPACES, "spaces between thousands"),
    Style(",", SPACES, "decimal commas and spaces between thousands"),
)
_ANY = [re.compile(style.pattern, re.ASCII) for style in STYLES]
_EITHER = "|".join(f"(?:{style.pattern})" for style in STYLES)


def is_number(text: str) -> bool:
    """Whether a cell is a number in any of the ways that are read."""
    try:
        float(text)
    except ValueError:
        return any(pattern.match(text) for pattern in _ANY)
    return "_" not in text


def plain_numbers(
    frame: pl.DataFrame, names: Sequence[str], label: str, first_row: int, separator: str, *, commas: bool
) -> tuple[pl.DataFrame, tuple[str, ...], "Spelling"]:
    """The frame of text with its numbers in the plain form, sentences about the columns that were rewritten, and how.

    **Arguments:** `commas`: cells may hold commas.

    **Raises:** `InputError` naming the first cell of a column that can be read in two ways.
    """
    frame, said, units = _without_units(frame, names)
    suspects = [i for i in range(frame.width) if _is_suspect(frame.to_series(i), commas=commas)]
    easy = {i: _from_commas(frame.to_series(i)) for i in suspects} if commas else {}
    done = {i: column for i, column in easy.items() if column is not None}
    cells = {i: _Cells(frame.to_series(i)) for i in suspects if i not in done}
    ways = {i: found.ways() for i, found in cells.items() if found.is_numeric() and not found.is_plain()}
    sure = {way[0].decimal for i, way in ways.items() if len(way) == 1 or cells[i].agree(way)}
    sure |= {","} if done else set()
    others = [i for i in range(frame.width) if i not in ways and i not in done]
    german = separator == ";"
    points = (bool(ways or done) or german) and any(_has_points(frame.to_series(i)) for i in others)
    if ("," in sure or german) and not points:
        for i in others:  # beside decimal commas, 1.234 may be 1234
            more = _Cells(frame.to_series(i))
            if more.is_grouped() and more.is_numeric():
                if "," in sure or more.small():
                    cells[i], ways[i] = more, [Style(".", "", ""), COMMA]
                else:
                    said += (
                        f"numbers of column {names[i]!r} have three digits behind each point, taken for decimals",
                    )
    grouped = any(way == [COMMA] and cells[i].has_both() for i, way in ways.items())
    chosen: dict[int, Style] = dict.fromkeys(done, COMMA)
    for i, way in sorted(ways.items()):
        style = _chosen(cells[i], way, sure, separator, points=points, grouped=grouped)
        if style is None and (way or not cells[i].is_stray()):
            raise InputError(cells[i].refusal(f"{label}, column {names[i]!r}", first_row, way))
        if style is not None:
            chosen[i] = style
            done[i] = cells[i].rewritten(style)
    columns = [column.alias(f"c{i}") for i, column in done.items()]
    notes = _notes(dict(sorted(chosen.items())), frame, done, names)
    return frame.with_columns(columns) if columns else frame, (*said, *notes), Spelling(units, chosen)


@dataclass(frozen=True)
class Spelling:
    """How the numbers of some columns are written: the `units` that stand at each, and the `styles` of those not plain."""

    units: dict[int, str]
    styles: dict[int, Style]

    def plain(self, frame: pl.DataFrame, names: Sequence[str], label: str, first_row: int) -> pl.DataFrame:
        """Further rows of the same table with their numbers in the plain form.

        **Raises:** `InputError` naming the first number that is written otherwise.
        """
        for i, mark in self.units.items():
            bare = _without_unit(frame.to_series(i), mark)  # None: the reader of numbers names the cell
            frame = frame if bare is None else frame.with_columns(bare.alias(f"c{i}"))
        for i, style in self.styles.items():
            column = frame.to_series(i)
            easy = _from_commas(column) if style is COMMA else None
            if easy is None:
                cells = _Cells(column)
                odd = cells.numeric & ~cells.text.str.contains(style.pattern).fill_null(value=False)
                if odd.any():
                    row = odd.arg_max() or 0
                    raise InputError(
                        f"{label}, column {names[i]!r}, row {first_row + row}: found {column[row]!r} where the first rows "
                        f"have {style.words}; write the numbers of that column in one way."
                    )
                easy = cells.rewritten(style)
            frame = frame.with_columns(easy.alias(f"c{i}"))
        return frame


def _without_units(
    frame: pl.DataFrame, names: Sequence[str]
) -> tuple[pl.DataFrame, tuple[str, ...], dict[int, str]]:
    """The frame without the sign or the unit that stands at every number of a column, and the units by their columns."""
    notes, units = list[str](), dict[int, str]()
    for i in range(frame.width):
        looked = _looked_at(frame.to_series(i)).drop_nulls()
        for mark in (*SIGNS, *_words_beside(looked)):
            if not looked.str.contains(mark, literal=True).any():
                continue
            bare = _without_unit(frame.to_series(i), mark)
            if bare is not None:
                frame, units[i] = frame.with_columns(bare.alias(f"c{i}")), mark
                notes.append(f"every number of column {names[i]!r} has {mark!r}, which was left out")
                break
    return frame, tuple(notes), units


def _without_unit(column: pl.Series, mark: str) -> pl.Series | None:
    """The cells without the unit `mark`; None unless it stands at all that are not missing."""
    cells, sign = _Cells(column), re.escape(mark)
    bare = cells.text.str.replace(mark, "", literal=True).str.strip_chars()
    marked = cells.text.str.contains(rf"^[+-]?{sign}\s*[\d.]|[\d.]\s*{sign}$") & bare.str.contains(
        f"{_EITHER}|{_PLAIN}"
    )
    given = cells.text.filter(cells.given)
    if not len(given) or not marked.filter(cells.given).all() or are_codes(given, mark):
        return None
    kept = pl.DataFrame({"old": column, "new": bare, "given": cells.given})
    return kept.select(pl.when("given").then("new").otherwise("old")).to_series()


def _words_beside(cells: pl.Series) -> tuple[str, ...]:
    """The unit that stands before or behind the first number, such as kg or EUR."""
    given = (cell for cell in cells.head(100).to_list() if cell and cell.lower() not in MISSING)
    return units_beside(next(given, ""))


def units_beside(cell: str) -> tuple[str, ...]:
    """The units before and behind a number, if the cell is one with such."""
    found = _BESIDE.fullmatch(cell)
    before, behind = found.groups() if found else (None, None)
    before = before if before and before.strip() in MONEY else None
    return tuple(word for word in (before, behind) if word and is_unit(word))


def _looked_at(column: pl.Series) -> pl.Series:
    """Some 500 cells, evenly over the column."""
    return column.gather_every(max(len(column) // 500, 1)).str.strip_chars()


def _from_commas(column: pl.Series) -> pl.Series | None:
    """A column whose cells are all numbers or empty, some of them plainly with decimal commas; None for any other.

    The long way gives the same: this is for tables of many rows.
    """
    head = column.head(1000).str.strip_chars()
    if not (head.str.contains(",", literal=True) & ~head.str.contains(r"^[+-]?[1-9]\d{0,2},\d{3}$")).any():
        return None
    if column.str.contains(".", literal=True).any():
        return None
    plain = column.str.replace(",", ".", literal=True)
    return plain if plain.cast(pl.Float64, strict=False).null_count() == column.null_count() else None


class _Cells:
    """The cells of a column without the missing ones, and how they are written."""

    def __init__(self, column: pl.Series):
        self.column = column
        text = column.str.strip_chars()
        self.text = text
        self.given = text.is_not_null() & ~text.str.to_lowercase().is_in(list(MISSING))
        self.numeric = (text.str.contains(_EITHER) | text.str.contains(_PLAIN)).fill_null(
            value=False
        ) & self.given
        self.numbers = text.filter(self.numeric)

    def is_numeric(self) -> bool:
        """Whether at least half of the cells that are not missing are numbers in some way."""
        return bool(self.numeric.any()) and int(self.numeric.sum()) * 2 >= int(self.given.sum())

    def is_plain(self) -> bool:
        """Whether all numbers are plain already."""
        return bool(self.numbers.str.contains(_PLAIN).all())

    def is_grouped(self) -> bool:
        """Whether some cells have a point, and all of those points stand between groups of three digits."""
        dotted = self.numbers.filter(self.numbers.str.contains(".", literal=True))
        return len(dotted) > 0 and bool(dotted.str.contains(r"^[+-]?[1-9]\d{0,2}(?:\.\d{3})+$").all())

    def has_both(self) -> bool:
        """Whether some number has a point and a comma."""
        return bool((self.numbers.str.contains(".", literal=True) & self.numbers.str.contains(",")).any())

    def is_stray(self) -> bool:
        """Whether nearly all numbers are plain."""
        return 1 - float(self.numbers.str.contains(_PLAIN).mean() or 0) < STRAY  # pyright: ignore[reportArgumentType]

    def ways(self) -> list[Style]:
        """The styles that all numbers can be read in."""
        return [style for style in STYLES if self.numbers.str.contains(style.pattern).all()]

    def agree(self, ways: Sequence[Style]) -> bool:
        """Whether all styles give the same numbers."""
        first, *rest = [style.plain(self.numbers) for style in ways] or [self.numbers]
        return bool(ways) and all((first == other).all() for other in rest)

    def small(self) -> bool:
        """Whether whole numbers below 1000 stand among the numbers, as they do among groups of thousands."""
        return bool(self.numbers.str.contains(r"^[+-]?\d{1,3}$").any())

    def rewritten(self, style: Style) -> pl.Series:
        """The column in plain form; what is no number stays as it is."""
        kept = pl.DataFrame({"old": self.column, "new": style.plain(self.text), "number": self.numeric})
        return kept.select(pl.when("number").then("new").otherwise("old")).to_series()

    def refusal(self, place: str, first_row: int, ways: Sequence[Style]) -> str:
        """The sentence about a column that can not be read in one way."""
        odd = self.numeric & ~self.text.str.contains(_PLAIN).fill_null(value=False)
        row = (
            odd if odd.any() else self.numeric & self.text.str.contains(r"\.\d{3}").fill_null(value=False)
        ).arg_max() or 0
        cell = self.text[row]
        cure = "write the numbers of that column with a decimal point and without thousands separators"
        if ways:
            kinds = {
                ".": "a thousands separator" if ways[0].group else "a decimal point",
                ",": "a decimal comma",
            }
            if not ways[0].group:
                kinds[","] = "a thousands separator"
            forms = [
                f"{way.plain(pl.Series([cell]))[0]} with {kinds[way.decimal]}" for way in (ways[0], ways[-1])
            ]
            return (
                f"{place}, row {first_row + row}: found {cell!r}, which is {forms[0]} or {forms[1]}; {cure}."
            )
        other = self.numeric & (~odd if (~odd & self.numeric).any() else self.text != cell).fill_null(
            value=False
        )
        for k in other.arg_true().to_list()[:1000]:
            if not any(
                re.match(style.pattern, cell) and re.match(style.pattern, self.text[k]) for style in STYLES
            ):
                return (
                    f"{place}: found {cell!r} in row {first_row + row} and {self.text[k]!r} in row {first_row + k}, so "
                    f"decimal commas, points or thousands separators are mixed; {cure}."
                )
        return f"{place}, row {first_row + row}: found {cell!r} among numbers that are written otherwise; {cure}."


def _chosen(
    cells: _Cells, ways: Sequence[Style], sure: set[str], separator: str, *, points: bool, grouped: bool
) -> Style | None:
    """The style of a column; None where it stays open.

    1. One way, or ways that agree. 2. `1,234` beside whole numbers below 1000 in cells that are quoted against commas:
    thousands. 3. The decimal mark of the other columns, if they have one and no whole numbers below 1000 speak against
    it; `1.234` is a group beside such numbers, and where another column has groups. 4. Semicolons between cells: decimal
    commas, which are why semicolons are used.
    """
    if not ways or cells.agree(ways):
        return ways[0] if ways else None
    marks = {style.decimal: style for style in reversed(ways)}  # of styles with one mark, the first
    if "." in marks and not marks["."].group:  # 1.234 beside decimal commas
        several = cells.numbers.str.contains(r"\.\d{3}\.").any()
        return COMMA if several or grouped or cells.small() else None
    if cells.small():
        return marks["."] if separator == "," or sure == {"."} or points else None
    if points:
        return marks["."] if "," not in sure else None
    if len(sure) == 1:
        return marks[next(iter(sure))]
    return marks[","] if separator == ";" and not sure else None


def _is_suspect(column: pl.Series, *, commas: bool) -> bool:
    """Whether cells hold commas, or some of those that are looked at are numbers in groups."""
    if commas and column.str.contains(",", literal=True).any():
        return True
    looked = _looked_at(column)
    return bool((looked.str.contains(_EITHER) & ~looked.str.contains(_PLAIN)).any())


def _has_points(column: pl.Series) -> bool:
    """Whether the cells that are looked at hold decimal points that separate no thousands."""
    looked = _looked_at(column)
    return bool(
        (looked.str.contains(r"^[+-]?\d*\.\d*$") & ~looked.str.contains(r"^[+-]?[1-9]\d{0,2}\.\d{3}$")).any()
    )


def _notes(
    chosen: dict[int, Style], frame: pl.DataFrame, done: dict[int, pl.Series], names: Sequence[str]
) -> tuple[str, ...]:
    """A sentence a style, with the first cell that was rewritten."""
    notes = []
    for style in dict.fromkeys(chosen.values()):
        columns = [i for i, other in chosen.items() if other == style]
        old, new = frame.to_series(columns[0]), done[columns[0]]
        row = (old != new).arg_max()
        if row is None or old[row] == new[row]:
            continue
        named = ", ".join(repr(names[i]) for i in columns[:4]) + (", ..." if len(columns) > 4 else "")
        where = f"column {named}" if len(columns) == 1 else f"columns {named}"
        dots = style is COMMA and "," not in old[row]
        words = "thousands separators '.'" if dots else style.words
        notes.append(f"numbers of {where} have {words}: {old[row]!r} was read as {new[row]}")
    return tuple(notes)
