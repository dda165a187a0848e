"""CSV files larger than memory: cut into pieces of whole lines, each read as `_csv` reads a file.

The layout and the way in which numbers are written are found from the head of the file; a later row that does not keep to
them is an error that names it. Text must be UTF-8. A packed file is read whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from shoal._errors import InputError
from shoal.tables._bytes import is_packed, more_text, text_bytes
from shoal.tables._csv import cut_cells, is_padded, read_csv, rows_end
from shoal.tables._dialect import Layout, find_layout
from shoal.tables._index import is_empty, without_empty_last, without_index_columns
from shoal.tables._numbers import Spelling, plain_numbers
from shoal.tables._source import Source

HEAD, TAIL = 2**20, 2**16  # bytes at the start and at the end that are looked at first
PIECE = 2**24  # bytes that are read at a time
MOST_PIECES = 8  # that one quoted cell may reach over


@dataclass(frozen=True)
class CsvFile:
    """One CSV file: where its rows begin and `end`, how they are laid out, and the columns `kept` of them.

    `spelling` None: a packed file.
    """

    path: Path
    label: str
    layout: Layout
    names: tuple[str, ...]
    kept: tuple[int, ...]
    spelling: Spelling | None
    start: int
    end: int
    notes: tuple[str, ...]

    @property
    def first_row(self) -> int:
        """The number of the first row of cells in the file."""
        return self.layout.first_row

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows in their order, as `read_csv` has them, some at a time: columns c0, c1, ...

        **Raises:** `InputError` for a row that does not fit the layout.
        """
        if self.spelling is None:
            yield read_csv(self.path, self.label).frame
            return
        row = self.layout.first_row
        for body in self._pieces():
            layout = replace(self.layout, first_row=row)
            frame = _plain_cells(more_text(body, self.label, row), layout, self.label)
            self._check_last(frame, row)
            row += frame.height
            frame = self.spelling.plain(frame, self.layout.names, self.label, layout.first_row)
            yield frame.select(pl.nth(i).alias(f"c{k}") for k, i in enumerate(self.kept))

    def _pieces(self) -> Iterator[bytes]:
        """Lines from `start` to `end`, cut where no quote is open."""
        quote, rest, many = self.layout.quote.encode(), b"", 0
        with open(self.path, "rb") as file:
            file.seek(self.start)
            while left := self.end - file.tell():
                read = file.read(min(PIECE, left))
                if not read:
                    raise InputError(
                        f"{self.label} became shorter while it was read; leave it as it is, and start again."
                    )
                data, many = rest + read, many + 1
                cut = data.rfind(b"\n") + 1
                if many < MOST_PIECES:
                    cut = _closed(data, quote)
                if cut:
                    yield data[:cut]
                    many = 0
                rest = data[cut:]
        if rest:
            yield rest if rest.endswith(b"\n") else rest + b"\n"

    def _check_last(self, frame: pl.DataFrame, row: int) -> None:
        """Raises where the last column, left out as it has neither name nor cell in the head, has a cell."""
        last = frame.width - 1
        if (
            last not in self.kept
            and not self.layout.names[last]
            and last
            and not is_empty(frame.to_series(last))
        ):
            raise InputError(
                f"{self.label}: column {last + 1} has no name, and a cell in one of {frame.height:,d} rows from row "
                f"{row} on; name it, or remove it."
            )


def open_csv(path: Path, label: str) -> CsvFile:
    """What the head of the file at `path` says, and its last lines.

    **Raises:** `InputError` as `read_csv` does, and for text that is not UTF-8.
    """
    if is_packed(path):
        source, nothing = read_csv(path, label), Layout(",", '"', (), 0, 0, ())
        layout = replace(nothing, names=source.names, first_row=source.first_row)
        kept = tuple(range(len(source.names)))
        return CsvFile(path, label, layout, source.names, kept, None, 0, 0, source.notes)
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(HEAD)
    head = head if len(head) == size else head[: head.rfind(b"\n") + 1] or head
    is_utf16, old_lines = head.startswith((b"\xff\xfe", b"\xfe\xff")), b"\r" in head and b"\n" not in head
    data, notes = (head, ()) if is_utf16 else text_bytes(head, label)
    if is_utf16 or old_lines or (notes and "minus" not in notes[0]):
        raise InputError(
            f"{label} is not UTF-8 text with lines that end in a line feed, which a table that is read in blocks must be; "
            "convert it, or pack it, which reads it whole."
        )
    layout = find_layout(data, label, counted=True)
    start = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    for _ in range(layout.lines):
        start = head.find(b"\n", start) + 1 or len(head)
    end, ended = _last_row(path, start, size, layout)
    body = head[start:end] if end <= len(head) else head[start : _closed(head, layout.quote.encode()) or None]
    frame = _plain_cells(more_text(body, label, layout.first_row), layout, label)
    commas = layout.separator != "," or layout.quote.encode() in head
    frame, numbers, spelling = plain_numbers(
        frame, layout.names, label, layout.first_row, layout.separator, commas=commas
    )
    whole = Source(label, "file", layout.names, frame, layout.first_row)
    source = without_empty_last(whole)
    kept, left = without_index_columns(source)
    said = (*notes, *layout.notes, *ended, *numbers, *source.notes, *left)
    names = tuple(source.names[i] for i in kept)
    return CsvFile(path, label, layout, names, tuple(kept), spelling, start, end, said)


def _plain_cells(body: bytes, layout: Layout, label: str) -> pl.DataFrame:
    body = body if not body or body.endswith(b"\n") else body + b"\n"
    frame = cut_cells(body, layout, label)
    return frame.with_columns(pl.all().str.strip_chars()) if is_padded(body, layout.separator) else frame


def _closed(data: bytes, quote: bytes) -> int:
    """Where the last line ends before which no quote is open; 0 where there is none."""
    cut = data.rfind(b"\n") + 1
    return data.rfind(b"\n", 0, data.rfind(quote, 0, cut)) + 1 if data.count(quote, 0, cut) % 2 else cut


def _last_row(path: Path, start: int, size: int, layout: Layout) -> tuple[int, tuple[str, ...]]:
    """Where the rows end in the file, and sentences about what stands under them."""
    begin = max(start, size - TAIL)
    with open(path, "rb") as file:
        file.seek(begin)
        tail = file.read()
    line = 0 if begin == start else tail.find(b"\n") + 1
    try:
        end, ended = rows_end(tail, line, layout)
    except UnicodeDecodeError:  # told with its row when it is read
        return size, ()
    return begin + min(end + 1, len(tail)), ended
