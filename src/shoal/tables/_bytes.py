"""The text of a file as UTF-8 bytes with lines that end in a line feed: unpacked, decoded, and what was done about it.

Packed files are known by their first bytes, whatever they are called: gzip, bzip2, xz, zstandard, and zip with one member.
Text is UTF-8, or UTF-16 with a byte-order mark, or, if it is neither, Windows-1252 or Latin-1.
"""

import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl

from shoal._errors import InputError

_FOREIGN = {
    b"PAR1": "a Parquet file",
    b"\x93NUMPY": "a NumPy file",
    b"\x89HDF": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet file",
    b"%PDF": "a PDF document",
    b"SQLite format 3": "a SQLite database",
    b"ARROW1": "an Arrow file",
}
_MARKUP = {
    (b"<",): "HTML or XML",
    (b"@relation", b"@RELATION"): "an ARFF file",
    (b"{", b"[{", b"[["): "JSON or a list of Python",
}
_MINUS = re.compile(rb"(?<![\w.])\xe2\x88\x92(?=[\d.])")  # in UTF-8
_CONTROL = bytes({*range(32), 127} - {*b"\t\n\r\f"})
_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)


def text_bytes(data: bytes, label: str) -> tuple[bytes, tuple[str, ...]]:
    """The text of the bytes of a file, and sentences about how it was unpacked and decoded.

    **Raises:** `InputError` for an empty or binary file, a damaged archive or one of several files, and for text that is
    partly UTF-8 and partly not.
    """
    data, packed = _unpacked(data, label)
    if not data or data.isspace():
        raise InputError(
            f"{label} is empty: it needs a header row with the column names and one row for each point."
        )
    data, decoded = _decoded(data, label)
    if len(data[:65536].translate(None, _CONTROL)) < len(data[:65536]) or b"\0" in data:
        raise InputError(
            f"{label} is a binary file (it holds control characters), not CSV text: save it as UTF-8 CSV."
        )
    data = data.removeprefix(b"\xef\xbb\xbf")
    start = data[:1024].lstrip()
    for marks, what in _MARKUP.items():
        if start.startswith(marks):
            raise InputError(f"{label} is {what}, not CSV text: write the table in it as CSV.")
    if not data.isascii() and _MINUS.search(data):
        data, decoded = _MINUS.sub(b"-", data), (*decoded, "minus signs of typesetting were read as '-'")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n") if b"\n" in data else data.replace(b"\r", b"\n")
    if not data or data.isspace():
        raise InputError(f"{label} is empty but for a byte-order mark: it needs a header row and data.")
    return data, (*packed, *decoded)


def is_packed(path: Path) -> bool:
    """Whether the file at `path` begins as a packed one."""
    with open(path, "rb") as file:
        start = file.read(8)
    return any(start.startswith(magic) for magic in _PACKED)


def more_text(data: bytes, label: str, row: int) -> bytes:
    """Further lines of a file whose first ones `text_bytes` took as they were; they begin with row `row`.

    **Raises:** `InputError` for what is not UTF-8 text.
    """
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            row += data.count(b"\n", 0, error.start)
            raise InputError(
                f"{label}, row {row}: byte {data[error.start]:#04x} is not UTF-8 text, which a table that is read in "
                f"blocks must be; convert it, for instance with `iconv -f cp1252 -t utf-8 {label} > utf8.csv`."
            ) from None
        data = _MINUS.sub(b"-", data)
    if b"\0" in data:
        row += data.count(b"\n", 0, data.index(b"\0"))
        raise InputError(
            f"{label}, row {row}: found a byte that is zero; the file is damaged, fetch it again."
        )
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data


def _unpacked(data: bytes, label: str) -> tuple[bytes, tuple[str, ...]]:
    for magic, what in _FOREIGN.items():
        if data.startswith(magic):
            raise InputError(
                f"{label} is {what}, not CSV text: rename it to its own suffix or save it as UTF-8 CSV."
            )
    for magic, (what, unpack) in _PACKED.items():
        if data.startswith(magic):
            try:
                return unpack(data, label), (f"the file is {what} and was unpacked",)
            except InputError:
                raise
            except (*_BROKEN, pl.exceptions.PolarsError) as error:
                reason = (str(error).splitlines() or ["it is damaged"])[0].rstrip(".")
                raise InputError(
                    f"{label} is {what} that can not be unpacked ({reason}): unpack it by hand, "
                    "or fetch it again if it is damaged."
                ) from error
    return data, ()


def _unzip(data: bytes, label: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [
            item.filename
            for item in archive.infolist()
            if not item.filename.endswith("/") and "__MACOSX" not in item.filename
        ]
        if "[Content_Types].xml" in members or "mimetype" in members:
            raise InputError(f"{label} is a spreadsheet, not CSV text: save its sheet as UTF-8 CSV.")
        if members and all(name.endswith(".npy") for name in members):
            raise InputError(f"{label} is an NPZ file, not CSV text: rename it to the suffix .npz.")
        if len(members) != 1:
            found = ", ".join(members[:3]) + (", ..." if len(members) > 3 else "") if members else "none"
            raise InputError(
                f"{label} is a zip archive that must hold one table; found {found}: unpack it and name one file."
            )
        return archive.read(members[0])


def _unzstd(data: bytes, label: str) -> bytes:
    """The lines as polars reads them, which unpacks zstandard; the standard library does not in Python 3.11."""
    lines = pl.read_csv(
        data,
        has_header=False,
        separator="\x1f",
        quote_char=None,
        schema={"line": pl.String()},
        glob=False,
        truncate_ragged_lines=False,
    )
    return "\n".join(lines.to_series().fill_null("").to_list()).encode()


_PACKED: dict[bytes, tuple[str, Callable[[bytes, str], bytes]]] = {
    b"\x1f\x8b": ("a gzip archive", lambda data, label: gzip.decompress(data)),
    b"BZh": ("a bzip2 archive", lambda data, label: bz2.decompress(data)),
    b"\xfd7zXZ\0": ("an xz archive", lambda data, label: lzma.decompress(data)),
    b"\x28\xb5\x2f\xfd": ("a zstandard archive", _unzstd),
    b"PK\x03\x04": ("a zip archive", _unzip),
    b"PK\x05\x06": ("a zip archive", _unzip),
}


def _decoded(data: bytes, label: str) -> tuple[bytes, tuple[str, ...]]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return data.decode("utf-16").encode(), ("the text is UTF-16",)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{label} starts as UTF-16 text, but byte {error.start} is not: save the file as UTF-8."
            ) from error
    if b"\0" in data:
        place = data.index(b"\0")
        raise InputError(
            f"{label} is a binary file (byte {place} is zero), not CSV text: save it as UTF-8 CSV."
        )
    if data.isascii():
        return data, ()
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        rest = data.decode("utf-8", "ignore")
        if not rest.isascii():
            raise InputError(
                f"{label}, row {row}: byte {data[error.start]:#04x} is not UTF-8 text, as the text elsewhere is; repair "
                f"that row, or drop such bytes with `iconv -c -f utf-8 -t utf-8 {label} > utf8.csv`."
            ) from None
        try:
            text, name = data.decode("cp1252"), "Windows-1252"
        except UnicodeDecodeError:
            text, name = data.decode("latin-1"), "Latin-1"
        return text.encode(), (
            f"the text is not UTF-8 (byte {data[error.start]:#04x} in row {row}) and was read as {name}",
        )
    return data, ()
