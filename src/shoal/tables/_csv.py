"""Reads a CSV file as people write it: `_bytes` unpacks and decodes, `_dialect` finds the layout, `_numbers` the numbers.

Cells are kept as text, so that whatever is wrong can be quoted as it stands; only numbers are brought to the plain form.
Rows are numbered as a spreadsheet does: without lines above it, the header is row 1. polars cuts the rows; where its count
of rows or cells is not sure to be right, `csv` of the standard library cuts them again and decides.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from shoal._errors import InputError
from shoal.tables._bytes import text_bytes
from shoal.tables._cells import MISSING
from shoal.tables._dialect import Layout, find_layout, spaced
from shoal.tables._index import without_empty_last, without_index
from shoal.tables._numbers import is_number, plain_numbers
from shoal.tables._source import Source

PLURAL = {"comment line": "comment lines", "empty row": "empty rows", "line of words": "lines of words"}
NEAR = 1000  # characters before a last line in which a blank one sets it apart


def read_csv(path: Path, label: str, *, counted: bool = True) -> Source:
    """Reads the CSV file at `path`, packed or not.

    **Arguments:** `counted`: a first row 0, 1, 2, ... or of years is a header; else, as in a matrix, it is a row.

    **Raises:** `InputError` for an empty or binary file, rows with too few or too many fields, and columns of numbers
    that can be read in two ways.
    """
    data, notes = text_bytes(path.read_bytes(), label)
    layout = find_layout(data, label, counted=counted)
    start = 0
    for _ in range(layout.lines):
        start = data.find(b"\n", start) + 1 or len(data)
    end, ended = rows_end(data, start, layout)
    body = data[start : end + 1] if data[end : end + 1] == b"\n" else data[start:end] + b"\n" * (end > start)
    frame = cut_cells(body, layout, label)
    if is_padded(body, layout.separator):
        frame = frame.with_columns(pl.all().str.strip_chars())
    commas = layout.separator != "," or layout.quote.encode() in body
    frame, numbers, _ = plain_numbers(
        frame, layout.names, label, layout.first_row, layout.separator, commas=commas
    )
    notes = (*notes, *layout.notes, *ended, *numbers)
    source = Source(label, "file", layout.names, frame, layout.first_row, notes)
    return without_index(without_empty_last(source))


def rows_end(data: bytes, start: int, layout: Layout) -> tuple[int, tuple[str, ...]]:
    """Where the rows end: before blank lines, comments, rows of empty cells and words that stand under the table."""
    end, skipped = len(data), {"comment line": 0, "empty row": 0, "line of words": 0}
    head = data[start : data.find(b"\n", start) + 1 or len(data)].decode().split(layout.separator)
    while end > start:
        while end > start and data[end - 1] in b"\r\n ":
            end -= 1
        line = max(data.rfind(b"\n", start, end) + 1, start)
        cells = [cell.strip(' "') for cell in data[line:end].decode().split(layout.separator)]
        apart = is_number(head[0].strip(' "')) or b"\n\n" in data[max(line - NEAR, start) : line]
        what = _under(cells, len(layout.names), apart=apart)
        if what is None or (line == start and what != "comment line"):
            break
        end, skipped[what] = line, skipped[what] + 1
    counted = (f"{n} {what if n == 1 else PLURAL[what]}" for what, n in skipped.items() if n)
    return end, tuple(f"{found} at the end skipped" for found in counted)


def _under(cells: list[str], width: int, *, apart: bool) -> str | None:
    """What a last line is, other than a row; `apart`: words in its first cell are not those of a row that is cut short."""
    filled = [cell for cell in cells if cell]
    if cells[0].startswith("#") and len(cells) != width:
        return "comment line"
    if width == 1:
        return None
    if not filled:
        return "empty row"
    words = [not is_number(cell) and cell.lower() not in MISSING for cell in filled]
    short = len(cells) < width or (len(filled) < width and all(words))
    return "line of words" if apart and short and cells[0] and words[0] else None


def is_padded(body: bytes, separator: str) -> bool:
    """Whether spaces may stand around cells."""
    mark = separator.encode()
    return (
        separator != " "
        and b" " in body
        and any(found in body for found in (mark + b" ", b" " + mark, b" \n", b"\n "))
    )


def cut_cells(body: bytes, layout: Layout, label: str) -> pl.DataFrame:
    """The rows, cut into as many cells as there are names."""
    width = len(layout.names)
    schema = {f"c{i}": pl.String() for i in range(width)}
    if not body:
        return pl.DataFrame(schema=schema)
    if layout.separator == " ":
        body = "".join(map(spaced, body.decode().splitlines())).encode()
    mark, quote = layout.separator.encode(), layout.quote.encode()
    quoted = quote in body
    if not (quoted and (mark + b" " + quote in body or body.count(quote) % 2)):
        frame = _fast(body, layout, quoted=quoted)
        if frame is not None:
            return frame
    rows = list(_rows(body, layout, label))
    columns = zip(*rows, strict=True)
    made = {name: pl.Series(column, dtype=pl.String()) for name, column in zip(schema, columns, strict=True)}
    return pl.DataFrame(made).with_columns(pl.all().replace("", None))


def _fast(body: bytes, layout: Layout, *, quoted: bool) -> pl.DataFrame | None:
    """The rows as polars cuts them; None where some may be cut wrongly.

    Rows that are too long are an error of polars, and short ones are filled with null, so a last column without null has
    seen no short row; with null, the separators are counted.
    """
    width = len(layout.names)
    try:
        frame = pl.read_csv(
            body,
            has_header=False,
            separator=layout.separator,
            quote_char=layout.quote if quoted else None,
            schema={f"c{i}": pl.String() for i in range(width)},
            glob=False,
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    filled = not frame.to_series(-1).null_count()
    if filled and not quoted:
        return frame
    lines = body.count(b"\n")
    if frame.height != lines or (quoted and not filled) or (width == 1 and b"\n\n" in body):
        return None
    even = quoted or body.count(layout.separator.encode()) == lines * (width - 1)
    return frame if even else None


def _rows(body: bytes, layout: Layout, label: str) -> Iterator[list[str]]:
    """The rows as `csv` cuts them. **Raises:** `InputError` for the first that has another number of cells than names."""
    width, row = len(layout.names), layout.first_row
    text = io.TextIOWrapper(io.BytesIO(body), encoding="utf-8", newline="")
    reader = csv.reader(
        text,
        delimiter=layout.separator,
        quotechar=layout.quote,
        skipinitialspace=layout.separator != "\t",
        strict=False,
    )
    cells = list[str]()
    try:
        for cells in reader:
            if width == 1 and not cells:
                cells = [""]
            if len(cells) != width:
                raise InputError(_ragged(row, cells, layout, label))
            yield cells
            row += 1
    except csv.Error as error:
        raise InputError(f"{label}, row {row}: {error}; look for a quote that is never closed.") from error
    if any("\n" in cell for cell in cells) and body.count(layout.quote.encode()) % 2:
        raise InputError(_ragged(row - 1, cells, layout, label))  # the open quote took all rows to the end


def _ragged(row: int, cells: list[str], layout: Layout, label: str) -> str:
    width = len(layout.names)
    if not "".join(cells).strip():
        return f"{label}, row {row} is empty: remove the line, for instance with `sed -i {row}d {label}`."
    if any("\n" in cell for cell in cells):
        return f"{label}, row {row}: a quote is opened and not closed in that row; close or remove it."
    if cells[0].lstrip().startswith(("#", "//")):
        return f"{label}, row {row} is a comment between the rows of the table: remove it."
    fields = "1 field" if len(cells) == 1 else f"{len(cells)} fields"
    names = "1 column" if width == 1 else f"{width} columns"
    if (
        layout.separator == ","
        and len(cells) == 2 * width
        and all(cell.strip().isdecimal() for cell in cells[1::2])
    ):
        return (
            f"{label}, row {row}: found {fields} where the first row has {names}; if its commas are decimal commas, "
            "separate the cells by semicolons, or write decimal points."
        )
    return f"{label}, row {row}: found {fields} where the first row has {names}; complete or remove that row."
