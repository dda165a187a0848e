"""How a CSV text is laid out: the separator, what stands above the header, the header itself, and a row of units.

Each candidate separator is scored by the share of lines that it cuts into the same number (above 1) of fields, times the
share of those fields that are numbers, missing or words without another separator: the idea of van den Burg, Nazabal and
Sutton (2019), "Wrangling messy CSV files by detecting row and type patterns", on the first lines.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from shoal._errors import InputError
from shoal.tables._cells import MISSING
from shoal.tables._numbers import is_number, units_beside
from shoal.tables._spelling import SIGNS, is_unit

NONE = "\x1f"  # the separator of a table of one column
LINES = 200  # lines that are looked at
TITLES, UNIT_ROWS = 10, 3  # rows above the header and rows of units below it, at most
MOST_COLUMNS = 20_000
FEW = 5  # with fewer columns a first row 0, 1, 2, ... may be a row
SEPARATORS = {",": "','", ";": "';'", "\t": "tabs", "|": "'|'", " ": "spaces"}
_TWO_NUMBERS = re.compile(r"^[+-]?[\d.]+\s+[+-]?[\d.]+$")
_COMMENT = re.compile(r"\s*(#|%|//)")
_UNIT = re.compile(r"[^\W\d_][\w°%µ·*/^().²³⁻¹ -]{0,29}|[\[(].{0,30}[\])]|[%°‰$€£].{0,4}|1/\w{1,6}")


@dataclass(frozen=True)
class Layout:
    """`lines` raw lines stand above the first row of cells, which is row `first_row` of the file."""

    separator: str
    quote: str
    names: tuple[str, ...]
    first_row: int
    lines: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Preamble:
    lines: int
    comments: tuple[str, ...]
    separator: str | None


def find_layout(data: bytes, label: str, *, counted: bool) -> Layout:
    """The layout of a text.

    **Arguments:** `counted`: a first row 0, 1, 2, ... or of years is a header; else, as in a matrix, it is a row.

    **Raises:** `InputError` if the first lines can not be cut into fields.
    """
    above, start = _preamble(data)
    head = _head(data, start)
    if not head:
        raise InputError(
            f"{label} holds comment lines and nothing else: it needs a header row and one row for each point."
        )
    quote = _quote(head)
    separator = above.separator or find_separator(head, quote)
    try:
        records, ends = _records(head, separator, quote)
        if separator == "," and _is_one_column(records):
            separator = NONE
            records, ends = _records(head, separator, quote)
    except csv.Error as error:
        raise InputError(f"{label}, row {above.lines + 1}: the header can not be read ({error}).") from error
    if _width(records) > MOST_COLUMNS:
        raise InputError(
            f"{label}, row {above.lines + 1}: found {_width(records):,d} fields, more than {MOST_COLUMNS:,d}; if rows "
            "and columns are exchanged, transpose the table."
        )
    notes = (
        []
        if separator in (",", NONE)
        else [f"cells are separated by {SEPARATORS.get(separator, repr(separator))}"]
    )
    if quote != '"':
        notes.append(f"cells are quoted by {quote}")
    if above.comments:
        notes.append(f"{_counted(len(above.comments), 'comment line')} above the header skipped")
    titles = _titles(records, _width(records))
    if titles:
        filled = [cells for cells in records[:titles] if "".join(cells).strip()]
        notes.append(f"{_counted(len(filled), 'title line')} above the header skipped, {_quoted(filled[0])}")
    rest = [ends[titles - 1] if titles else 0, *ends[titles:]]
    found = Layout(separator, quote, (), above.lines + titles + 1, above.lines, tuple(notes))
    return _from_first(records[titles:], rest, above, found, label, counted=counted)


def _from_first(
    records: list[list[str]], ends: list[int], above: _Preamble, found: Layout, label: str, *, counted: bool
) -> Layout:
    """The layout where `records[0]` is the header or the first row; `ends[k]` lines stand above record k."""
    row, first = found.first_row, records[0]
    below = _numeric(records, _width(records))
    _check_comments(above, found.separator, below, label)
    names = _commented(above.comments, found.separator, len(first))
    no_words = not any(_kind(cell) == "text" for cell, low in zip(first, below, strict=False) if low)
    is_data = (no_words and (bool(names) or _repeated(records, below))) or _is_data(first, below)
    if is_data and counted:
        numbers = _numbers_over(first, below) if not _has_gaps(first, below) else []
        whole = all(
            re.fullmatch(r"[+-]?\d+", cell) for cells in records[1:] for cell in _numbers_over(cells, below)
        )
        if _counts(numbers) and whole and len(first) < FEW and len(records) > 1:
            raise InputError(
                f"{label}, row {row}: found {_quoted(first)} above whole numbers, which can be the column names or the "
                "first row; put a line of names in letters into the file, above that row or in its place."
            )
        is_data = not _counts(numbers)
    if not is_data:
        return _under_header(records, ends, below, found)
    notes = [f"row {row} holds data, so there is no header and columns are called c0, c1, ..."]
    if names:
        notes = ["the column names were read from the last comment line"]
    names = names or tuple(f"c{i}" for i in range(len(first)))
    return replace(found, names=names, lines=above.lines + ends[0], notes=(*found.notes, *notes))


def _under_header(records: list[list[str]], ends: list[int], below: list[bool], found: Layout) -> Layout:
    """The layout where `records[0]` is the header: blank lines and units under it are passed over."""
    names, notes, used = [cell.strip() for cell in records[0]], list(found.notes), 1
    if all(is_number(name) for name in names):
        notes.append(f"row {found.first_row} was taken for the header, as it counts {', '.join(names[:3])}")
    blank, units = used, 0
    while blank < len(records) and len(below) > 1 and not "".join(records[blank]).strip():
        blank += 1
        used += records[blank - 1] in ([], [""])
    while units < UNIT_ROWS and blank < len(records) and _is_units(records[blank], below):
        notes.append(f"row {found.first_row + blank} holds units and was skipped, {_quoted(records[blank])}")
        used, blank, units = blank + 1, blank + 1, units + 1
    rows = records[used:]
    if rows and len(names) == len(below) - 1:  # one name too few: that of row names, or of an empty last cell
        if not any(cells[-1].strip() for cells in rows if len(cells) == len(below)):
            names = [*names, ""]
        elif _are_row_names([cells[0].strip() for cells in rows if len(cells) == len(below)]) or [
            "".join(cells[:1]).strip() for cells in rows[:9]
        ] in ([str(i + k) for i in range(len(rows[:9]))] for k in (0, 1)):
            names = ["", *names]
    lines, row = found.lines + ends[used], found.first_row + used
    return replace(found, names=tuple(names), first_row=row, lines=lines, notes=tuple(notes))


def _are_row_names(words: Sequence[str]) -> bool:
    """Whether the cells below no name are words that do not repeat, as R writes names of rows."""
    return len(words) > 1 and len(set(words)) == len(words) and all(_kind(word) == "text" for word in words)


def _preamble(data: bytes) -> tuple[_Preamble, int]:
    """Blank lines, comments and a line `sep=;` at the start, and the place where the first other line begins."""
    start, lines, comments, separator = 0, 0, list[str](), None
    while start < len(data):
        end = data.find(b"\n", start) + 1 or len(data)
        line = data[start:end].decode().strip()
        declared = re.fullmatch(r'"?sep=(.)"?', line, re.IGNORECASE) if not separator else None
        if declared or (lines == 0 and data[start:end].strip(b"\r\n ").lower() == b"sep=\t"):
            separator = declared[1] if declared else "\t"
        elif _COMMENT.match(line):
            comments.append(line)
        elif line:
            break
        start, lines = end, lines + 1
    return _Preamble(lines, tuple(comments), separator), start


def _check_comments(above: _Preamble, separator: str, below: Sequence[bool], label: str) -> None:
    """Raises for a comment line that is a row of the table but for its mark."""
    for i, line in enumerate(above.comments):
        cells = _COMMENT.sub("", line, count=1).strip().split(separator)
        if len(cells) == len(below) > 1 and _is_data(cells, below):
            raise InputError(
                f"{label}: comment line {i + 1} at the start, {_quoted(cells)}, holds a row of the table; take its mark "
                f"{_COMMENT.match(line)[1]!r} away, or remove the line."  # pyright: ignore[reportOptionalSubscript]
            )


def _head(data: bytes, start: int) -> list[str]:
    """The first lines from `start` on; comments at the end of the file are none of them."""
    lines = list[str]()
    while start < len(data) and len(lines) < LINES:
        end = data.find(b"\n", start) + 1 or len(data)
        lines.append(data[start:end].decode())
        start = end
    while lines and start >= len(data) and (not lines[-1].strip() or _COMMENT.match(lines[-1])):
        lines.pop()
    return lines


def _quote(lines: Sequence[str]) -> str:
    """The single quote where cells stand in it and no double one is used."""
    text = "".join(lines)
    single = re.findall(r"(?:^|[,;\t|])\s*'[^'\n]*'\s*(?=[,;\t|\n]|$)", text, re.MULTILINE)
    return "'" if '"' not in text and len(single) >= max(len(lines) // 2, 2) else '"'


def find_separator(lines: Sequence[str], quote: str = '"') -> str:
    """The separator of the highest score; the comma where none cuts the lines evenly."""
    best, chosen = 0.0, ","
    for separator in SEPARATORS:
        if sum(separator in line for line in lines) * 2 < len(lines):
            continue
        try:
            records = [cells for cells in _records(lines, separator, quote)[0] if cells]
        except csv.Error:
            continue
        width = _width(records)
        even = [cells for cells in records if len(cells) == width]
        if width < 2:
            continue
        others = [mark for mark in SEPARATORS if mark not in (separator, " ")]
        kinds = [_likely(cell, others) for cells in even for cell in cells]
        score = len(even) / len(records) * sum(kinds) / len(kinds)
        if separator == " ":  # words have spaces in them
            score *= 0.7 if kinds.count(1.0) * width >= len(kinds) else 0.0
        if score > best:
            best, chosen = score, separator
    return chosen


def _is_one_column(records: Sequence[Sequence[str]]) -> bool:
    """Whether rows that are cut in two below a name that is not are numbers with decimal commas."""
    filled = [cells for cells in records if cells]
    pairs = [cells for cells in filled if len(cells) == 2]
    numbers = all(is_number(cells[0]) and cells[1].strip().isdecimal() for cells in pairs)
    return bool(pairs) and len(filled[0]) == 1 and numbers and all(len(cells) < 3 for cells in filled)


def _likely(cell: str, others: Sequence[str]) -> float:
    """How much a cell looks like one: a number or a missing one most, words with another separator least."""
    cell = cell.strip()
    if is_number(cell.strip(SIGNS).strip()) or cell.lower() in MISSING or units_beside(cell):
        return 1.0
    split = any(mark in cell for mark in others) or _TWO_NUMBERS.search(cell)
    return 0.1 if split else 0.7


def _records(lines: Sequence[str], separator: str, quote: str) -> tuple[list[list[str]], list[int]]:
    """The records, and how many lines each ends after."""
    if separator == " ":
        lines = [spaced(line) for line in lines]
    reader = csv.reader(lines, delimiter=separator, quotechar=quote, skipinitialspace=separator != "\t")
    records, ends = list[list[str]](), list[int]()
    for cells in reader:
        records.append(cells)
        ends.append(reader.line_num)
    return records, ends


def spaced(line: str) -> str:
    """A line whose fields stand apart by one space each, outside of quotes."""
    return re.sub(r'("[^"]*")|[ \t]+', lambda found: found[1] or " ", line.strip()) + "\n"


def _width(records: Sequence[Sequence[str]]) -> int:
    """The number of fields that most records have."""
    counts = Counter(len(cells) for cells in records if cells)
    return counts.most_common(1)[0][0] if counts else 0


def _kind(cell: str) -> str:
    cell = cell.strip()
    return "gap" if cell.lower() in MISSING else "number" if is_number(cell) else "text"


def _numeric(records: Sequence[Sequence[str]], width: int) -> list[bool]:
    """Which columns hold more numbers than text below the first two rows (below the first, if there are only two)."""
    rows = [cells for cells in records[2:] or records[1:] if len(cells) == width]
    if not rows:
        return [True] * width
    found = [Counter(_kind(cells[i]) for cells in rows) for i in range(width)]
    return [kinds["number"] > kinds["text"] for kinds in found]


def _titles(records: Sequence[Sequence[str]], width: int) -> int:
    """How many records are titles: few cells, or words beside gaps and numbers, above a full row of words over numbers."""
    for count, cells in enumerate(records[:TITLES]):
        if len(cells) != width or sum(bool(cell.strip()) for cell in cells) < 2:
            continue
        below = _numeric(records[count:], width)
        over = [cell for cell, is_low in zip(cells, below, strict=True) if is_low]
        if width < 2 or not any(_kind(cell) == "text" for cell in over):
            return 0
        if all(_kind(cell) == "text" for cell in over):
            above = count - 1 if count and len(records[count - 1]) == width and _are_units(over) else count
            return above + _names_come_later(records[above:], below)
    return 0


def _names_come_later(records: Sequence[Sequence[str]], below: Sequence[bool]) -> bool:
    """Whether of two rows of words above numbers the first is a title or one of units, and the second has the names."""
    if len(records) < 3 or len(records[1]) != len(below):
        return False
    first, second = ([cell for cell, low in zip(cells, below, strict=False) if low] for cells in records[:2])
    if not all(_kind(cell) == "text" for cell in second):
        return False
    if _are_units(second) or len(set(second)) < len(second):
        return False
    long = lambda cells: any(len(cell.split()) > 2 for cell in cells)
    return _are_units(first) or (long(first) and not long(second))


def _are_units(cells: Sequence[str]) -> bool:
    """Whether at least half of the cells that are not empty are known units, or stand in brackets."""
    filled = [cell.strip() for cell in cells if cell.strip()]
    return 2 * sum(is_unit(cell) or cell[0] in "[(" for cell in filled) >= len(filled) > 0


def _is_data(cells: Sequence[str], below: Sequence[bool]) -> bool:
    """Whether a row is one of numbers: where numbers stand below it, it has a fraction, or as many numbers as words."""
    over = [cell.strip() for cell, is_low in zip(cells, below, strict=False) if is_low]
    numbers = _numbers_over(cells, below)
    if not numbers:  # marks of missing cells are no names
        return bool(over) and all(_kind(cell) == "gap" for cell in over) and any(over)
    fractions = any(not re.fullmatch(r"\d{1,4}", cell) for cell in numbers)
    return fractions or 2 * len(numbers) >= sum(_kind(cell) != "gap" for cell in over)


def _numbers_over(cells: Sequence[str], below: Sequence[bool]) -> list[str]:
    """The cells that are numbers, as those below them."""
    return [cell.strip() for cell, low in zip(cells, below, strict=False) if low and _kind(cell) == "number"]


def _repeated(records: Sequence[Sequence[str]], below: Sequence[bool]) -> bool:
    """Whether words of the first record stand again in their column, as categories do, other than in equal records."""
    first = records[0]
    rest = [cells for cells in records[1:] if cells != first]
    columns = [i for i, cell in enumerate(first) if cell.strip() and not (i < len(below) and below[i])]
    return any(len(cells) > i and cells[i] == first[i] for i in columns for cells in rest)


def _has_gaps(cells: Sequence[str], below: Sequence[bool]) -> bool:
    """Whether cells over numbers are marks of missing ones, but for an empty first one, as an index has."""
    pairs = enumerate(zip(cells, below, strict=False))
    return any(low and _kind(cell) == "gap" and (cell.strip() or i) for i, (cell, low) in pairs)


def _counts(numbers: Sequence[str]) -> bool:
    """Whether numbers are 0, 1, 2, ..., or 1, 2, 3, ..., or at least two years at equal steps."""
    if not all(re.fullmatch(r"\d{1,4}", text) for text in numbers):
        return False
    values = [int(text) for text in numbers]
    if len(values) < 2:
        return values == [0]
    if values in (list(range(len(values))), list(range(1, len(values) + 1))):
        return True
    steps = {b - a for a, b in pairwise(values)}
    return len(steps) == 1 and steps.pop() > 0 and values[0] >= 1500 and values[-1] <= 2200


def _is_units(cells: Sequence[str], below: Sequence[bool]) -> bool:
    """Whether all cells above numbers are units: two at least, or one in brackets."""
    if len(cells) != len(below):
        return False
    over = [cell.strip() for cell, is_low in zip(cells, below, strict=True) if is_low]
    found = [cell for cell in over if _kind(cell) == "text"]
    known = any(is_unit(cell) for cell in found)
    if not all(_kind(cell) != "number" or (cell == "1" and known) for cell in over):
        return False
    if not all(_UNIT.fullmatch(cell) or is_unit(cell) for cell in found):
        return False
    if any(re.fullmatch(r"[OolI]?[\dOolI.,]+", cell) for cell in found):  # a number with a slip of the pen
        return False
    return len(found) > 1 or (len(found) == 1 and (known or found[0][0] in "[("))


def _commented(comments: Sequence[str], separator: str, width: int) -> tuple[str, ...]:
    """The names that the last comment line holds, if it has one for each of two columns or more."""
    if not comments or width < 2:
        return ()
    line = _COMMENT.sub("", comments[-1], count=1).strip()
    cells = _records([line], separator, '"')[0][0] if 0 < len(line) < 10_000 and "\r" not in line else []
    cells = [cell.strip() for cell in cells]
    return tuple(cells) if len(cells) == width and all(_kind(cell) == "text" for cell in cells) else ()


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _quoted(cells: Sequence[str]) -> str:
    text = ",".join(cell.strip() for cell in cells).rstrip(",")
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
