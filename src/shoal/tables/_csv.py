"""Reads a CSV file: UTF-8 text, a header row, one record a row; comma, semicolon or tab between the fields.

Cells are kept as text, so that whatever is wrong can be quoted as it stands. A byte-order mark, quotes, CRLF and
spaces around names are allowed. Rows are numbered as a spreadsheet does: the header is row 1.
"""

import csv
import io
from pathlib import Path
from typing import Any

import polars as pl

from shoal._errors import InputError
from shoal.tables._table import Source

_MAGIC = {
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy file",
    b"PK\x03\x04": "a zip archive, such as a spreadsheet or an NPZ file",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_CONTROL = bytes({*range(32), 127} - {*b"\t\n\r\f"})


def read_csv(path: Path, label: str, *, header: bool = True) -> Source:
    """Reads the CSV file at `path`.

    **Arguments:** `header`: it must have a header row; else a first row of numbers counts as one of the rows.

    **Raises:** `InputError` for an empty or binary file, text that is not UTF-8, a missing header, and rows with too
    few or too many fields.
    """
    data = _text_bytes(path.read_bytes(), label)
    separator = _separator(data)
    names, row, lines = _header(data, separator, label, needed=header)
    start = 0
    for _ in range(lines):
        start = data.find(b"\n", start) + 1 or len(data)
    body = data[start:].rstrip(b"\r\n ")
    schema = {f"c{i}": pl.String() for i in range(len(names))}
    if not body:
        return Source(label, "file", names, pl.DataFrame(schema=schema), row)
    try:
        frame = pl.read_csv(body + b"\n", has_header=False, separator=separator, schema=schema, glob=False)
    except pl.exceptions.PolarsError as error:
        _raise_ragged(data, separator, row, len(names), label)
        reason = str(error).splitlines()[0]
        raise InputError(f"{label} is not a CSV file that can be read: {reason}.") from error
    if frame.height == 0 or frame.to_series(-1).null_count():
        _raise_ragged(data, separator, row, len(names), label)
    return Source(label, "file", names, frame, row)


def _text_bytes(data: bytes, label: str) -> bytes:
    if not data.strip():
        raise InputError(
            f"{label} is empty: it needs a header row with the column names and one row for each point."
        )
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise InputError(
                f"{label} is {what}, not CSV text: rename it to its own suffix or save it as UTF-8 CSV."
            )
    if b"\0" in data:
        place = data.index(b"\0")
        raise InputError(
            f"{label} is a binary file (byte {place} is zero), not CSV text: save it as UTF-8 CSV."
        )
    if len(data[:65536].translate(None, _CONTROL)) < len(data[:65536]):
        raise InputError(
            f"{label} is a binary file (it holds control characters), not CSV text: save it as UTF-8 CSV."
        )
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            row = data.count(b"\n", 0, error.start) + 1
            raise InputError(
                f"{label}, row {row}: byte {data[error.start]:#04x} is not UTF-8 text; save the file as UTF-8, "
                f"for instance with `iconv -f latin1 -t utf-8 {label} > utf8.csv`."
            ) from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _separator(data: bytes) -> str:
    """The comma, unless the header line holds none and holds semicolons or tabs."""
    line = data.lstrip(b"\r\n ").split(b"\n", 1)[0]
    return next((mark.decode() for mark in (b",", b";", b"\t") if mark in line), ",")


def _records(data: bytes, separator: str) -> Any:
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    return csv.reader(text, delimiter=separator, skipinitialspace=True)


def _header(data: bytes, separator: str, label: str, *, needed: bool) -> tuple[tuple[str, ...], int, int]:
    """The column names, the number of the first row of cells, and how many lines stand above it."""
    reader, above, row, cells = _records(data, separator), 0, 0, list[str]()
    try:
        while not "".join(cells).strip():
            above, row, cells = reader.line_num, row + 1, next(reader)
    except (csv.Error, StopIteration) as error:
        raise InputError(
            f"{label}, row 1: the header can not be read; it must hold the column names."
        ) from error
    names = tuple(cell.strip() for cell in cells)
    if not all(_is_number(name) for name in names):
        return names, row + 1, reader.line_num
    if not needed:
        return tuple(f"x{i}" for i in range(len(names))), row, above
    counted = [str(i) for i in range(len(names) + 1)]
    if list(names) not in (counted[:-1], counted[1:]):
        example = ",".join(f"x{i}" for i in range(min(len(names), 3))) + (",..." if len(names) > 3 else "")
        raise InputError(
            f"{label}, row {row}: found only numbers where the header with the column names must stand; "
            f"put a first line such as `{example}` into the file."
        )
    return names, row + 1, reader.line_num


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _raise_ragged(data: bytes, separator: str, first: int, width: int, label: str) -> None:
    """Raises for the first row, from `first` on, with another number of fields than the header; returns if there is none."""
    row, cells = 0, list[str]()
    try:
        for row, cells in enumerate(_records(data.rstrip(b"\r\n "), separator), 1):
            if row >= first and len(cells) != width and not (width == 1 and not cells):
                raise InputError(_ragged(row, cells, width, label))
        if any("\n" in cell for cell in cells):  # an open quote takes all rows to the end into the last cell
            raise InputError(_ragged(row, cells, width, label))
    except csv.Error as error:
        raise InputError(
            f"{label}, row {row + 1}: {error}; look for a quote that is never closed."
        ) from error


def _ragged(row: int, cells: list[str], width: int, label: str) -> str:
    if not cells:
        return f"{label}, row {row} is empty: remove the line, for instance with `sed -i {row}d {label}`."
    if any("\n" in cell for cell in cells):
        return f"{label}, row {row}: a quote is opened and not closed in that row; close or remove it."
    fields = "1 field" if len(cells) == 1 else f"{len(cells)} fields"
    names = "1 column" if width == 1 else f"{width} columns"
    return f"{label}, row {row}: found {fields} where the first row has {names}; complete or remove that row."
