"""Ill files, and damaged ones at random: one true sentence each, soon, and never another error."""

import bz2
import gzip
import io
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal._errors import InputError
from shoal.tables import open_source, read_matrix, read_table

ROWS = [f"{i / 7:.3f},{-i / 3:.3f}" for i in range(1, 40)]
GOOD = "\n".join(["a,b", *ROWS]) + "\n"


def with_row(number: int, row: str) -> bytes:
    """The good table with one row of the file (the header is 1) replaced."""
    rows = GOOD.splitlines()
    rows[number - 1] = row
    return ("\n".join(rows) + "\n").encode()


def zipped(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return file.getvalue()


def numpy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def frame_bytes(kind: str) -> bytes:
    file, frame = io.BytesIO(), pl.read_csv(io.StringIO(GOOD))
    frame.write_parquet(file) if kind == "parquet" else frame.write_csv(
        file, compression="zstd", check_extension=False
    )
    return file.getvalue()


PLACE = "t.csv, row 9: "
ILL: dict[str, tuple[bytes, str]] = {
    # nothing in it
    "empty": (b"", "t.csv is empty: it needs a header row"),
    "blank": (b"\n \n\t\n", "t.csv is empty"),
    "byte-order mark": (b"\xef\xbb\xbf\n", "t.csv is empty but for a byte-order mark"),
    "comments": (b"# a\n# b\n", "t.csv holds comment lines and nothing else"),
    "header": (b"a,b\n", "t.csv has columns but no rows"),
    "packed nothing": (gzip.compress(b""), "t.csv is empty"),
    # another kind of file
    "zero bytes": (bytes(64), "t.csv is a binary file (byte 0 is zero)"),
    "control characters": (b"a,b\n\x01,\x02\n", "t.csv is a binary file (it holds control characters)"),
    "parquet": (frame_bytes("parquet"), "t.csv is a Parquet file, not CSV text: rename it"),
    "npy": (numpy_bytes(np.eye(2)), "t.csv is a NumPy file, not CSV text"),
    "npz": (zipped(data_npy=numpy_bytes(np.eye(2))), "t.csv is an NPZ file, not CSV text"),
    "spreadsheet": (zipped(mimetype=b"application"), "t.csv is a spreadsheet, not CSV text"),
    "old spreadsheet": (b"\xd0\xcf\x11\xe0" + bytes(9), "t.csv is an old spreadsheet file"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "t.csv is an HDF5 file"),
    "SQLite": (b"SQLite format 3\0", "t.csv is a SQLite database"),
    "PDF": (b"%PDF-1.7\n", "t.csv is a PDF document"),
    "ARFF": (b"@relation r\n@attribute a real\n@data\n1\n", "t.csv is an ARFF file, not CSV text"),
    "JSON": (b'{"a": [1, 2]}\n', "t.csv is JSON"),
    "JSON rows": (b"[[1, 2], [3, 4]]\n", "t.csv is JSON"),
    "web page": (b"<!DOCTYPE html>\n<p>404</p>\n", "t.csv is HTML or XML"),
    # packed and damaged
    "torn gzip": (gzip.compress(GOOD.encode())[:60], "t.csv is a gzip archive that can not be unpacked"),
    "torn bzip2": (bz2.compress(GOOD.encode())[:60], "t.csv is a bzip2 archive that can not be unpacked"),
    "torn zstandard": (frame_bytes("zstd")[:60], "t.csv is a zstandard archive that can not be unpacked"),
    "zip of two": (zipped(a_csv=b"a\n1\n", b_csv=b"b\n1\n"), "must hold one table; found a.csv, b.csv"),
    "zip of none": (zipped(), "must hold one table; found none"),
    # text that is none
    "torn utf-16": (GOOD.encode("utf-16")[:-1], "t.csv starts as UTF-16 text, but byte"),
    "two encodings": (with_row(9, "1,µ") + b"1,\xb5\n", "t.csv, row 41: byte 0xb5 is not UTF-8 text, as"),
    # rows of another length
    "short row": (with_row(9, "1"), f"{PLACE}found 1 field where the first row has 2 columns"),
    "long row": (with_row(9, "1,2,3"), f"{PLACE}found 3 fields where the first row has 2 columns"),
    "empty row": (with_row(9, ""), "t.csv, row 9 is empty: remove the line"),
    "open quote": (with_row(9, '1,"2'), f"{PLACE}a quote is opened and not closed"),
    "open quote in a first cell": (with_row(9, '"1,2'), f"{PLACE}a quote is opened and not closed"),
    "comment inside": (with_row(9, "# a pause"), "t.csv, row 9 is a comment between the rows"),
    "decimal commas between commas": (
        "\n".join(["a,b", *(row.replace(".", ",") for row in ROWS)]).encode(),
        "t.csv, row 2: found 4 fields where the first row has 2 columns; if its commas are decimal commas",
    ),
    "one endless row": (b"1," * 30_000 + b"1", "t.csv, row 1: found 30,001 fields, more than 20,000"),
    "one endless cell": (b"a,b\n" + b"1" * 200_000 + b",1\n", "the header can not be read (field larger"),
    # numbers that are none, or two
    "two decimal marks": (b"a;b\n0,5;1\n1.5;2\n", "column 'a': found '0,5' in row 2 and '1.5' in row 3"),
    "comma or thousand": (b"a\tb\n1,234\t1\n2,345\t2\n", "row 2: found '1,234', which is 1234 with a thous"),
    "point or thousand": (b"a;b\n1.234;0,5\n2.345;2,5\n", "row 2: found '1.234', which is 1.234 with a dec"),
    "a stray comma": (with_row(9, '1,"2,5"'), "column 'b', row 9: found the text '2,5' where a number"),
    "a typed letter": (with_row(9, "1,O.5"), "column 'b', row 9: found the text 'O.5' where a number"),
    "a letter in a first row": ("\n".join(["O.5,1.5", *ROWS]).encode(), "column 'c0', row 1: found the text"),
    "missing": (with_row(9, "1,#REF!"), "column 'b', row 9: found the missing value '#REF!'"),
    "infinite": (with_row(9, "1,-inf"), "column 'b', row 9: found the infinite value '-inf'"),
    "too large": (with_row(9, "1,1e999"), "column 'b', row 9: found the infinite value '1e999'"),
    "whole beyond float64": (with_row(9, f"1,{2**53 + 1}"), "row 9: found 9007199254740993, a whole number"),
    # names
    "names or numbers": (b"0,1\n1,0\n", "t.csv, row 1: found '0,1' above whole numbers, which can be"),
    "a row in a comment": (
        b"# 1.5,2.5\n" + GOOD.encode(),
        "comment line 1 at the start, '1.5,2.5', holds a row",
    ),
    "two equal names": (with_row(1, "a,a"), "t.csv: columns 1 and 2 are both called 'a'; rename one"),
    "no name": (with_row(1, "a,"), "t.csv: column 2 has no name"),
}


@pytest.mark.parametrize(("data", "expected"), ILL.values(), ids=ILL.keys())
def test_it_is_told_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, expected: str
):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(InputError) as caught:
        read_table("t.csv", minimum_rows=1, distinct=False)
    assert time.perf_counter() - start < 2
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "?"))


PIECES = [
    *(b",", b";", b"\t", b"|", b'"', b"'", b"\n", b"\r", b"#", b" ", b"\0", b"-", b"\xff", b"\xc3\xa9"),
    *(b"1,234", b"1.234", b"NA", b"1e999", b"\xef\xbb\xbf", b"9" * 30, b"inf", b'""', b",,,", b"\n\n"),
    *(b"sep=;\n", b"\x0b", b"\x85", "\u2028\u2212\u202f".encode(), b"0,1\n"),
]
CUTS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 20), st.sampled_from(PIECES)), max_size=6)
BASES = {
    ".csv": [
        *(GOOD.encode(), GOOD.replace(",", ";").replace(".", ",").encode(), GOOD.encode("utf-16")),
        *(b"# by me\nTitle,\n" + GOOD.encode(), gzip.compress(GOOD.encode()), frame_bytes("zstd")),
        *("\n".join(ROWS).replace(",", "  ").encode(), zipped(t_csv=GOOD.encode())),
    ],
    ".npy": [numpy_bytes(np.eye(3)), numpy_bytes(np.arange(6).reshape(3, 2))],
    ".npz": [zipped(data_npy=numpy_bytes(np.eye(3)))],
    ".parquet": [frame_bytes("parquet")],
}


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(suffix=st.sampled_from([".csv"] * 4 + list(BASES)), which=st.integers(0, 7), cuts=CUTS)
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    suffix: str,
    which: int,
    cuts: list[tuple[float, int, bytes]],
):
    data = BASES[suffix][which % len(BASES[suffix])]
    for share, length, piece in cuts:
        place = int(share * len(data))
        data = data[:place] + piece + data[place + length :]
    path = tmp_path_factory.getbasetemp() / f"t{suffix}"
    path.write_bytes(data)
    for read in (open_source, read_table, read_matrix):
        told = ""
        with warnings.catch_warnings(action="ignore"):  # NumPy warns of headers of its early days
            try:
                read(path)
            except InputError as error:
                told = str(error)
        assert told.count("\n") == 0
