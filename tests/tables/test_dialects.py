"""CSV files as people write them: each kind of spelling with the table that it means, and what is said about it."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import open_source, read_matrix, read_table

X = np.round(np.random.default_rng(7).normal([5, 20, -3], 1, (40, 3)), 3)
NAMES = ("a", "b", "c")
HEADLESS = ("c0", "c1", "c2")
GERMAN = str.maketrans(",.", ".,")


def lines(
    separator: str = ",", form: str = "{:.3f}", values: np.ndarray = X, comma: bool = False
) -> list[str]:
    cells = [[form.format(value) for value in row] for row in values]
    return [separator.join(cell.translate(GERMAN) if comma else cell for cell in row) for row in cells]


def text(*above: str, body: list[str] | None = None) -> bytes:
    return ("\n".join([*above, *(lines() if body is None else body)]) + "\n").encode()


def quoted(rows: list[str], separator: str = ";") -> list[str]:
    """Rows whose cells, parted by `separator`, are quoted and parted by commas."""
    return [",".join(f'"{cell}"' for cell in row.split(separator)) for row in rows]


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.csv", data)
    return file.getvalue()


def zstandard() -> bytes:
    file = io.BytesIO()
    pl.DataFrame(X, schema=list(NAMES)).write_csv(file, compression="zstd", check_extension=False)
    return file.getvalue()


X2 = np.array([[float(f"{value:.2f}") for value in row] for row in X])
BIG = np.abs(X) * 1000
READ: dict[str, tuple[bytes, tuple[str, ...], np.ndarray, int, str]] = {
    # decimal commas
    "semicolons": (
        text("a;b;c", body=lines(";", comma=True)),
        NAMES,
        X,
        2,
        "numbers of columns 'a', 'b', 'c' have decimal commas",
    ),
    "tabs": (text("a\tb\tc", body=lines("\t", "{:.2f}", comma=True)), NAMES, X2, 2, "have decimal commas: '"),
    "spaces": (
        text("a b c", body=lines(" ", "{:.2f}", comma=True)),
        NAMES,
        X2,
        2,
        "cells are separated by spaces",
    ),
    "in quotes": (
        text("a,b,c", body=quoted(lines(";", "{:.2f}", comma=True))),
        NAMES,
        X2,
        2,
        "have decimal commas",
    ),
    "with points between thousands": (
        text("a;b;c", body=lines(";", "{:,.3f}", BIG, comma=True)),
        NAMES,
        BIG,
        2,
        "was read as",
    ),
    "in one column": (
        text("a", body=[line.split(";")[0] for line in lines(";", "{:.2f}", comma=True)]),
        ("a",),
        X2[:, :1],
        2,
        "commas",
    ),
    "declared separator": (
        text("sep=;", "a;b;c", body=lines(";", comma=True)),
        NAMES,
        X,
        3,
        "separated by ';'",
    ),
    # separators
    "header with a comma": (
        text('a;"b, m/s";c', body=lines(";")),
        ("a", "b, m/s", "c"),
        X,
        2,
        "separated by ';'",
    ),
    "bars": (text("a|b|c", body=lines("|")), NAMES, X, 2, "separated by '|'"),
    "aligned": (
        text("  a      b     c", body=["  " + line for line in lines("    ")]),
        NAMES,
        X,
        2,
        "separated by spaces",
    ),
    "a header with bars": (text("a;b|1;c", body=lines(";")), ("a", "b|1", "c"), X, 2, "separated by ';'"),
    # comments and titles
    "comments": (
        text("# Licence: mine", "# Source: own, numbers", "a,b,c"),
        NAMES,
        X,
        4,
        "2 comment lines above the header skipped",
    ),
    "percent signs": (text("% made by hand", "a,b,c"), NAMES, X, 3, "1 comment line above"),
    "a comment of two lines, one blank": (text("// one", "", "a,b,c"), NAMES, X, 4, "1 comment line"),
    "title": (
        text("My measurements,,", "a,b,c"),
        NAMES,
        X,
        3,
        "1 title line above the header skipped, 'My measurements'",
    ),
    "titles without separators": (text("Station 7", "", "a,b,c"), NAMES, X, 4, "1 title line"),
    "two titles": (text("Berlin, 2020", "own work,", "a,b,c"), NAMES, X, 4, "2 title lines"),
    "a carriage return in a comment": (text("# x\ry,z,w"), HEADLESS, X, 2, "row 2 holds data"),
    "a comment without end": (text("# " + "z," * 100_000), HEADLESS, X, 2, "1 comment line"),
    "names in a comment": (text("# a,b,c"), NAMES, X, 2, "read from the last comment line"),
    "comments at the end": (
        text("a,b,c", body=[*lines(), "# end", "#"]),
        NAMES,
        X,
        2,
        "2 comment lines at the end skipped",
    ),
    # thousands
    "thousands": (
        text("a,b,c", body=quoted(lines(";", "{:,.3f}", BIG))),
        NAMES,
        BIG,
        2,
        "have thousands separators ','",
    ),
    "apostrophes": (
        text("a,b,c", body=[row.replace("_", "'") for row in lines(",", "{:_.2f}", BIG)]),
        NAMES,
        np.round(BIG, 2),
        2,
        'thousands separators "\'"',
    ),
    "narrow spaces": (
        text("a;b;c", body=[row.replace("_", "\u202f") for row in lines(";", "{:_.2f}", BIG)]),
        NAMES,
        np.round(BIG, 2),
        2,
        "spaces between thousands",
    ),
    # signs at numbers
    "percent": (
        text("a,b,c", body=lines(",", "{:.2f}%")),
        NAMES,
        X2,
        2,
        "every number of column 'a' has '%', which was left",
    ),
    "dollars": (
        text("a,b,c", body=quoted(lines(";", "${:,.2f}", BIG))),
        NAMES,
        np.round(BIG, 2),
        2,
        "has '$'",
    ),
    "euros": (
        text("a;b;c", body=lines(";", "{:,.2f} €", BIG, comma=True)),
        NAMES,
        np.round(BIG, 2),
        2,
        "has '€'",
    ),
    # no header
    "no header": (
        text(),
        HEADLESS,
        X,
        1,
        "row 1 holds data, so there is no header and columns are called c0, c1, ...",
    ),
    "no header, semicolons": (text(body=lines(";", comma=True)), HEADLESS, X, 1, "row 1 holds data"),
    "no header, whole numbers": (
        text(body=lines(",", "{:.0f}")),
        HEADLESS,
        np.round(X),
        1,
        "row 1 holds data",
    ),
    "names that count": (text("0,1,2"), ("0", "1", "2"), X, 2, "taken for the header, as it counts 0, 1, 2"),
    "years as names": (text("2017,2018,2019"), ("2017", "2018", "2019"), X, 2, "as it counts 2017"),
    # units
    "units": (text("a,b,c", "s,m/s,mg/m3"), NAMES, X, 3, "row 2 holds units and was skipped, 's,m/s,mg/m3'"),
    "units in brackets": (text("a,b,c", "[s],[m s-1],[1]"), NAMES, X, 3, "row 2 holds units"),
    "units with a gap": (text("a,b,c", "°C,,µg/m³"), NAMES, X, 3, "row 2 holds units"),
    # encodings
    "utf-16": (text("a,b,c").decode().encode("utf-16"), NAMES, X, 2, "the text is UTF-16"),
    "utf-16 big-endian": (b"\xfe\xff" + text("a,b,c").decode().encode("utf-16-be"), NAMES, X, 2, "UTF-16"),
    "latin-1": (
        text("größe,b,c").decode().encode("latin1"),
        ("größe", "b", "c"),
        X,
        2,
        "not UTF-8 (byte 0xf6 in row 1) and was read as Windows-1252",
    ),
    "control characters of latin-1": (
        text("\x81,b,c").decode().encode("latin1"),
        ("\x81", "b", "c"),
        X,
        2,
        "read as Latin-1",
    ),
    "minus signs": (text("a,b,c").decode().replace("-", "\u2212").encode(), NAMES, X, 2, "minus signs"),
    # packed
    "gzip": (gzip.compress(text("a,b,c")), NAMES, X, 2, "the file is a gzip archive and was unpacked"),
    "bzip2": (bz2.compress(text("a,b,c")), NAMES, X, 2, "a bzip2 archive"),
    "xz": (lzma.compress(text("a;b;c", body=lines(";", comma=True))), NAMES, X, 2, "an xz archive"),
    "zip": (zipped(text("a,b,c")), NAMES, X, 2, "a zip archive"),
    "zstandard": (zstandard(), NAMES, X, 2, "a zstandard archive"),
    # indices
    "an index": (
        pd.DataFrame(X, columns=list(NAMES)).to_csv().encode(),
        NAMES,
        X,
        2,
        "column 1 has no name and numbers the rows",
    ),
    "an index of chosen rows": (
        pd.DataFrame(X, columns=list(NAMES)).iloc[::-3].to_csv().encode(),
        NAMES,
        X[::-3],
        2,
        "numbers the rows",
    ),
    "row names of R": (
        text('"a" "b" "c"', body=[f'"{i}" {row}' for i, row in enumerate(lines(" "), 1)]),
        NAMES,
        X,
        2,
        "numbers the rows",
    ),
    "separators at the ends": (
        text("a,b,c", body=[row + "," for row in lines()]),
        NAMES,
        X,
        2,
        "every row ends in a separator",
    ),
}


@pytest.mark.parametrize(("data", "names", "values", "first_row", "note"), READ.values(), ids=READ.keys())
def test_it_is_read(
    tmp_path: Path, data: bytes, names: tuple[str, ...], values: np.ndarray, first_row: int, note: str
):
    path = tmp_path / "t.csv"
    path.write_bytes(data)
    table = read_table(path, minimum_rows=1)
    assert (table.names, table.first_row) == (names, first_row)
    assert note in "; ".join(table.notes)
    np.testing.assert_allclose(table.values, values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("suffix", [".csv.gz", ".gz", ".tsv", ".tab", ".txt", ".dat", ".csv.zip", ".CSV"])
def test_it_is_known_by_its_suffix(tmp_path: Path, suffix: str):
    path = tmp_path / f"t{suffix}"
    path.write_bytes(text("a,b,c"))
    np.testing.assert_array_equal(read_table(path, minimum_rows=1).values, X)


def test_a_plain_file_has_no_notes(tmp_path: Path):
    (tmp_path / "t.csv").write_bytes(text("a,b,c"))
    assert read_table(tmp_path / "t.csv", minimum_rows=1).notes == ()


@pytest.mark.parametrize(
    "mark", ["?", "NA", "<NA>", "#DIV/0!", "#N/A", "NULL", "\\N", "NaT", "#WERT!", "..", ""]
)
@pytest.mark.parametrize("where", [0, 7])
def test_missing_cells_are_told_as_such_and_row_1_is_kept(tmp_path: Path, mark: str, where: int):
    rows = lines()
    rows[where] = f"5.5,20.1,{mark}"
    (tmp_path / "t.csv").write_bytes(text(body=rows))
    source = open_source(tmp_path / "t.csv")
    assert source.names == HEADLESS
    assert source.frame.height == 40
    assert (source.frame.item(where, 2) or "") == mark
    found = "a missing value" if not mark else "the missing value"
    with pytest.raises(InputError, match=f"column 'c2', row {where + 1}: found {found}"):
        read_table(tmp_path / "t.csv", minimum_rows=1)


def test_labels_in_a_first_row_of_data_are_no_names(tmp_path: Path):
    rows = [f"{row},{'MF'[i % 2]}" for i, row in enumerate(lines())]
    (tmp_path / "t.csv").write_bytes(text(body=rows))
    source = open_source(tmp_path / "t.csv")
    assert source.names == ("c0", "c1", "c2", "c3")
    assert source.frame.height == 40
    assert source.frame.item(0, 3) == "M"


@pytest.mark.parametrize(
    ("rows", "is_header"),
    [
        (["M,red", "F,blue", "M,blue"], False),
        (["n1,M", "n2,F", "n3,M"], False),
        (["M,?", "F,2.5", "M,3.5"], False),
        (["M,", "F,2.5", "M,3.5"], False),
        (["?,NA", "1.5,2.5", "2.5,3.5"], False),
        (["name,kind", "n1,M", "n2,F"], True),
        (["kind,", "M,2.5", "F,3.5"], True),
        (["kind,size", "M,2.5", "F,3.5", "kind,size", "F,1.5"], True),
    ],
)
def test_a_first_row_of_words_and_gaps(tmp_path: Path, rows: list[str], is_header: bool):
    (tmp_path / "t.csv").write_bytes(text(body=rows))
    source = open_source(tmp_path / "t.csv")
    assert source.names == (tuple(rows[0].split(",")) if is_header else ("c0", "c1"))
    assert source.frame.height == len(rows) - is_header


def test_cells_of_text_stay_as_they_are(tmp_path: Path):
    rows = ['1;"Main St 5, Berlin";1,2,3;2021-03-01', '2;"x; ""y""";;01.03.2021', "3; z ;1,234 or so;12:30"]
    (tmp_path / "t.csv").write_bytes(text("n;place;list;day", body=rows))
    frame = open_source(tmp_path / "t.csv").frame
    assert frame.row(0)[1:] == ("Main St 5, Berlin", "1,2,3", "2021-03-01")
    assert frame.row(1)[1:] == ('x; "y"', None, "01.03.2021")
    assert frame.row(2)[1:] == ("z", "1,234 or so", "12:30")


IDS = "column 'id', row 3: found 1582218195625938947, a whole number that float64 can not hold"
WHOLE = [1582218195625938944 + i for i in (0, 3, 5, 8) * 10]
EXACT = [n // 256 * 256 + 256 * (n % 256) for n in WHOLE]  # float64 is spaced by 256 there


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".npy"])
def test_whole_numbers_are_never_rounded(tmp_path: Path, suffix: str):
    path = tmp_path / f"t{suffix}"
    frame = pl.DataFrame({"id": WHOLE, "a": X[:, 0]})
    exact = pl.DataFrame({"id": EXACT, "a": X[:, 0]})
    for table, fits in ((frame, False), (exact, True)):
        if suffix == ".csv":
            table.write_csv(path)
        elif suffix == ".parquet":
            table.write_parquet(path)
        else:
            array = np.stack([table["id"].to_numpy(), np.arange(40)], axis=1)  # whole numbers
            np.save(path, array) if suffix == ".npy" else np.savez(path, data=array, columns=["id", "a"])
        if fits:
            assert read_table(path, minimum_rows=1).values[:, 0].astype(int).tolist() == EXACT
            continue
        row = 3 if suffix == ".csv" else 2
        name = "x0" if suffix == ".npy" else "id"
        with pytest.raises(InputError) as caught:
            read_table(path, minimum_rows=1)
        assert IDS.replace("row 3", f"row {row}").replace("'id'", repr(name)) in str(caught.value)


def test_decimals_dictionaries_and_nullable_columns_of_parquet(tmp_path: Path):
    frame = pl.DataFrame(
        {
            "price": pl.Series(["1.25", "3.50", "2.00"]).cast(pl.Decimal(12, 2)),
            "whole": pl.Series(["9007199254740993", "2", "3"]).cast(pl.Decimal(20, 0)),
            "cut": pl.Series(["1", "0", "1"]).cast(pl.Categorical),
            "count": pl.Series([1, None, 3], dtype=pl.Int64),
            "__index_level_0__": [7, 8, 9],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    source = open_source(tmp_path / "t.parquet")
    assert source.names == ("price", "whole", "cut", "count")
    assert source.notes == ("column '__index_level_0__' is a pandas index and was left out",)
    assert source.frame.to_series(2).to_list() == ["1", "0", "1"]
    values = read_table(tmp_path / "t.parquet", columns=["price"], minimum_rows=1).values
    assert values[:, 0].tolist() == [1.25, 3.5, 2.0]
    with pytest.raises(InputError, match="found 9007199254740993, a whole number"):
        read_table(tmp_path / "t.parquet", columns=["whole"], minimum_rows=1)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("1,1e12\n0,1\n", [[1, 1e12], [0, 1]]),
        ("0,1\n1,0\n", [[0, 1], [1, 0]]),
        ("a,b\n1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("1,5;2\n0,5;1\n", [[1.5, 2], [0.5, 1]]),
        ("# by hand\n1 2\n3 4\n", [[1, 2], [3, 4]]),
    ],
)
def test_matrices(tmp_path: Path, content: str, expected: list[list[float]]):
    (tmp_path / "m.csv").write_text(content)
    assert read_matrix(tmp_path / "m.csv").tolist() == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("1.0,O.5\n0.5,2\n0.1,1\n", "column 'c1', row 1: found the text 'O.5'"),
        ("1,l\n0,1\n", "column 'c1', row 1: found the text 'l'"),
        ("0.5,1\n1,2x\n", "column 'c1', row 2: found the text '2x'"),
    ],
)
def test_the_cell_of_a_matrix_that_is_no_number_is_named(tmp_path: Path, content: str, expected: str):
    (tmp_path / "m.csv").write_text(content)
    with pytest.raises(InputError, match=expected):
        read_matrix(tmp_path / "m.csv")


def test_ways_to_read_that_differ_are_refused_with_both_numbers(tmp_path: Path):
    cases: dict[str, Callable[[], bytes]] = {
        "found '1,001', which is 1001 with a thousands separator or 1.001 with a decimal comma": lambda: text(
            "a\tb", body=[f"1,{i:03d}\t{i}" for i in range(1, 9)]
        ),
        "found '1.001', which is 1.001 with a decimal point or 1001 with a thousands separator": lambda: text(
            "a;b", body=[f"1.{i:03d};0,{i}" for i in range(1, 9)]
        ),
        "found '0,5' in row 2 and '1.5' in row 3": lambda: text("a;b", body=["0,5;1", "1.5;2", "2,5;3"]),
    }
    for expected, content in cases.items():
        (tmp_path / "t.csv").write_bytes(content())
        with pytest.raises(InputError) as caught:
            open_source(tmp_path / "t.csv")
        assert f"column 'a'{', row 2' * ('which is' in expected)}: {expected}" in str(caught.value)
        assert "write the numbers of that column with a decimal point" in str(caught.value)
