"""What is wrong with a file is told in one sentence: file, column, row, what was found, and what to type instead."""

import ast
import io
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import Argument, Columns, ColumnsError, read_table

ROWS = 150


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def lines(names: str = "a,b,c") -> list[str]:
    """A good table: a header and 150 rows of numbers."""
    values = np.random.default_rng(1).normal(size=(ROWS, len(names.split(","))))
    return [names, *(",".join(f"{value:.4f}" for value in row) for row in values)]


def write(text: list[str] | bytes, name: str = "t.csv") -> str:
    Path(name).write_bytes(text if isinstance(text, bytes) else ("\n".join(text) + "\n").encode())
    return name


def row(number: int, text: str, names: str = "a,b,c") -> list[str]:
    """The good table with one row of the file (the header is 1) replaced."""
    table = lines(names)
    table[number - 1] = text
    return table


def last(cell: Callable[[list[str]], str]) -> list[str]:
    """The good table with the last cell of every row made from the row's cells."""
    table = lines()
    return [table[0], *(",".join([*(cells := line.split(","))[:-1], cell(cells)]) for line in table[1:])]


def message(path: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert text.rstrip(".?") != text, text
    return text


FILES: dict[str, tuple[Callable[[], list[str] | bytes], str]] = {
    "empty": (lambda: b"", "t.csv is empty: it needs a header row"),
    "blank": (lambda: b"\n\n \n", "t.csv is empty"),
    "header only": (lambda: b"a,b\n", "t.csv has columns but no rows; at least 100 are needed."),
    "binary": (lambda: bytes(range(256)) * 4, "t.csv is a binary file (byte 0 is zero)"),
    "control characters": (
        lambda: b"a,b\n\x01\x02\n",
        "t.csv is a binary file (it holds control characters)",
    ),
    "npy as csv": (lambda: b"\x93NUMPY\x01\x00", "t.csv is a NumPy file, not CSV text"),
    "parquet as csv": (lambda: b"PAR1\x00", "t.csv is a Parquet file, not CSV text"),
    "spreadsheet as csv": (lambda: b"PK\x03\x04", "t.csv is a zip archive"),
    "gzip as csv": (lambda: b"\x1f\x8b\x08", "t.csv is a gzip archive"),
    "torn utf-16": (lambda: "a,b\n1,2\n".encode("utf-16")[:-1], "t.csv starts as UTF-16 text, but byte 16"),
    "utf-8 with a torn character": (
        lambda: "\n".join(row(7, "1,2,3\xb5")).encode("latin1") + "\n1,2,µ\n".encode(),
        "t.csv, row 7: byte 0xb5 is not UTF-8 text, as the text elsewhere is; repair that row",
    ),
    "latin-1": (
        lambda: "\n".join(row(7, "1,2,3\xb5")).encode("latin1"),
        "t.csv, column 'c', row 7: found the text '3\xb5' where a number is needed",
    ),
    "text in the first row of no header": (
        lambda: ["1.5,2.5,O.5", *lines()[1:]],
        "t.csv, column 'c2', row 1: found the text 'O.5' where a number is needed",
    ),
    "short row": (lambda: row(17, "1,2"), "t.csv, row 17: found 2 fields where the first row has 3 columns"),
    "long row": (
        lambda: row(17, "1,2,3,4"),
        "t.csv, row 17: found 4 fields where the first row has 3 columns",
    ),
    "all rows long": (
        lambda: [lines()[0], *(line + ",1" for line in lines()[1:])],
        "t.csv, row 2: found 4 fields where the first row has 3 columns",
    ),
    "empty row": (
        lambda: row(17, ""),
        "t.csv, row 17 is empty: remove the line, for instance with `sed -i 17d t.csv`.",
    ),
    "open quote in the last field": (
        lambda: row(17, '1,2,"3'),
        "t.csv, row 17: a quote is opened and not closed",
    ),
    "open quote": (lambda: row(17, '1,"2,3'), "t.csv, row 17: a quote is opened and not closed"),
    "missing": (
        lambda: row(17, "1,,2"),
        "t.csv, column 'b', row 17: found a missing value; remove such rows, or use `drop=['b']`.",
    ),
    "missing at the end": (lambda: row(151, "1,2,"), "t.csv, column 'c', row 151: found a missing value"),
    "NA": (lambda: row(17, "1,NA,2"), "t.csv, column 'b', row 17: found the missing value 'NA'"),
    "nan": (lambda: row(17, "1,nan,2"), "t.csv, column 'b', row 17: found the missing value 'nan'"),
    "several missing": (
        lambda: [*row(17, "1,,2"), "1,,3"],
        "t.csv, column 'b', row 17: found a missing value (2 such rows in this column)",
    ),
    "infinite": (lambda: row(17, "1,-inf,2"), "t.csv, column 'b', row 17: found the infinite value '-inf'"),
    "overflow": (lambda: row(17, "1,1e999,2"), "t.csv, column 'b', row 17: found the infinite value '1e999'"),
    "text": (
        lambda: row(17, "1,Ideal,2"),
        "t.csv, column 'b', row 17: found the text 'Ideal' where a number is needed; use "
        "`columns=['a', 'c']`.",
    ),
    "decimal comma": (
        lambda: row(17, '1,"2,5",2'),
        "column 'b', row 17: found the text '2,5' where a number is needed",
    ),
    "truth value": (lambda: row(17, "1,true,2"), "column 'b', row 17: found the text 'true'"),
    "text is told before a gap": (lambda: [*row(17, "1,,2"), "1,Ideal,3"], "row 152: found the text 'Ideal'"),
    "constant": (
        lambda: last(lambda cells: "3"),
        "t.csv, column 'c': found 3 in every row, a constant; use `drop=['c']`.",
    ),
    "identical": (
        lambda: last(lambda cells: cells[0]),
        "t.csv: columns 'a' and 'c' are identical in every row; use `drop=['c']`.",
    ),
    "duplicate name": (
        lambda: ["a,b,a", *lines()[1:]],
        "t.csv: columns 1 and 3 are both called 'a'; rename one, or use `columns=['b']`.",
    ),
    "no name": (
        lambda: [",b,c", *lines()[1:]],
        "t.csv: column 1 has no name, as an index saved with the table; name it, or use "
        "`columns=['b', 'c']`.",
    ),
    "too few rows": (lambda: lines()[:100], "t.csv has 99 rows; at least 100 are needed"),
    "too few distinct rows": (
        lambda: ["a,b", *[f"{i % 9},{-i % 9}" for i in range(ROWS)]],
        "t.csv: only 9 rows are distinct of 150; at least 10 are needed, so give a longer table or more columns.",
    ),
}


@pytest.mark.parametrize(("content", "expected"), FILES.values(), ids=FILES.keys())
def test_csv(content: Callable[[], list[str] | bytes], expected: str):
    assert expected in message(write(content()))


@pytest.mark.parametrize(
    "case",
    [
        name
        for name in FILES
        if re.search("`(columns|drop)=", FILES[name][1]) or name in ("NA", "nan", "infinite", "overflow")
    ],
)
def test_the_columns_that_are_named_would_work(case: str):
    write(FILES[case][0]())
    call: Any = ast.parse(f"read_table({message('t.csv').split('`')[1]})", mode="eval").body
    options = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert read_table("t.csv", **options).rows == len(Path("t.csv").read_text().splitlines()) - 1


def test_every_column_at_fault_is_left_out():
    rows = [f"{line},Ideal,,7" for line in lines()[1:]]
    write(["a,b,c,cut,gap,same", *rows])
    assert message("t.csv").endswith("use `columns=['a', 'b', 'c']`.")
    assert message("t.csv", drop=["cut"]).endswith("use `drop=['cut', 'gap', 'same']`.")
    assert message("t.csv", context=["cut"], drop=["gap", "same"]).endswith("use `columns=['a', 'b', 'c']`.")
    assert message("t.csv", weights="gap", drop=["same", "cut"]).endswith(
        "use `drop=['same', 'cut', 'gap']`."
    )


def test_a_sentence_can_be_worded_as_a_command():
    def words(part: Argument | Columns) -> str:
        return f"--{part.name}" if isinstance(part, Argument) else repr(part.named())

    write(row(17, "1,Ideal,2"))
    with pytest.raises(ColumnsError) as caught:
        read_table("t.csv", context=["a"])
    assert caught.value.worded(words).endswith("use {'columns': ('c',), 'context': ('a',)}.")
    with pytest.raises(ColumnsError) as caught:
        read_table("t.csv", drop=["a"], context=["a"])
    assert (
        caught.value.worded(words) == "t.csv: column 'a' is named by --drop and by --context; name it once."
    )


def test_nothing_left_to_model():
    write(["a,b", *("x,y" for _ in range(ROWS))])
    assert message("t.csv") == (
        "t.csv, column 'a', row 2: found the text 'x' where a number is needed; "
        "no other column can be modelled in its place."
    )


OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown column": (
        {"columns": ["Alpha"]},
        "t.csv has no column 'Alpha', named by `columns`; did you mean 'alpha', as in `columns=['alpha']`?",
    ),
    "unknown drop": (
        {"drop": ["zzz"]},
        "has no column 'zzz', named by `drop`; its columns are alpha,beta,gamma.",
    ),
    "unknown context": (
        {"context": ["gama"]},
        "has no column 'gama', named by `context`; did you mean 'gamma'",
    ),
    "unknown weights": ({"weights": "bet"}, "has no column 'bet', named by `weights`; did you mean 'beta'"),
    "nothing left": (
        {"drop": ["alpha", "beta", "gamma"]},
        "no column is left to model out of alpha,beta,gamma",
    ),
    "two roles": (
        {"columns": ["alpha"], "context": ["alpha"]},
        "column 'alpha' is named by `columns` and by `context`; name it once.",
    ),
    "named twice": ({"columns": ["alpha", "alpha"]}, "column 'alpha' is named twice by `columns`"),
    "negative weight": (
        {"weights": "beta", "drop": ["gamma"]},
        "t.csv, column 'beta', row 3: found the weight -0.5; give weights of 0 or more, or use "
        "`drop=['gamma', 'beta']`.",
    ),
    "zero weights": (
        {"weights": "gamma"},
        "column 'gamma': found the weight 0 in every row; give at least one positive",
    ),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS.keys())
def test_options(options: dict[str, Any], expected: str):
    table = [line.rsplit(",", 1)[0].replace("-", "") + ",0" for line in lines()]
    table[0], table[2] = "alpha,beta,gamma", "1,-0.5,0"
    assert expected in message(write(table), **options)


def test_a_column_that_is_constant_in_all_rows_of_a_weight_is_refused():
    table = [f"{line},{7 if i % 3 else i},{i % 3}" for i, line in enumerate(lines()[1:])]
    write(["a,b,c,same,w", *table])
    assert message("t.csv", weights="w", minimum_rows=50) == (
        "t.csv, column 'same': found 7 in every row of a weight above 0, a constant; "
        "use `drop=['same'], weights='w'`."
    )
    assert read_table("t.csv").names == ("a", "b", "c", "same", "w")


def npy(array: np.ndarray) -> Callable[[], bytes]:
    def make() -> bytes:
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        return file.getvalue()

    return make


VALUES = np.random.default_rng(2).normal(size=(ROWS, 3))
HOLED = np.where(np.arange(ROWS * 3).reshape(ROWS, 3) == 22, np.nan, VALUES)

ARRAYS: dict[str, tuple[Callable[[], bytes], str]] = {
    "one-dimensional": (
        npy(VALUES[:, 0]),
        "t.npy must be two-dimensional (rows, columns); found shape (150,): use `array.reshape(-1, 1)`",
    ),
    "three-dimensional": (npy(VALUES[None]), "found shape (1, 150, 3)."),
    "no columns": (npy(VALUES[:, :0]), "t.npy has no columns; found shape (150, 0)."),
    "no rows": (npy(VALUES[:0]), "t.npy has columns but no rows"),
    "complex": (npy(VALUES + 1j), "t.npy holds complex numbers where real numbers are needed"),
    "objects": (
        npy(VALUES.astype(object)),
        "t.npy holds an array of Python objects, which is not loaded because that",
    ),
    "truth values": (npy(VALUES > 0), "t.npy holds truth values where real numbers are needed"),
    "text": (npy(VALUES.astype(str)), "t.npy holds values of type <U"),
    "missing": (npy(HOLED), "t.npy, column 'x1', row 8: found the missing value nan"),
    "torn": (lambda: npy(VALUES)()[:300], "t.npy can not be read: "),
    "empty": (lambda: b"", "t.npy is empty"),
    "pickle": (lambda: pickle.dumps(VALUES), "t.npy is not an NPY file"),
}


@pytest.mark.parametrize(("content", "expected"), ARRAYS.values(), ids=ARRAYS.keys())
def test_npy(content: Callable[[], bytes], expected: str):
    assert expected in message(write(content(), "t.npy"))


def test_a_pickle_in_a_numpy_file_is_never_run(tmp_path: Path):
    class Touch:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    np.save("t.npy", np.array([Touch()], dtype=object), allow_pickle=True)
    np.savez("t.npz", data=np.array([Touch()], dtype=object))
    for name in ("t.npy", "t.npz"):
        assert "holds an array of Python objects" in message(name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        pytest.param(
            {"a": VALUES, "b": VALUES}, "must hold one two-dimensional array, or one called 'data'", id="two"
        ),
        pytest.param({}, "found no array", id="none"),
        pytest.param(
            {"data": VALUES[0]}, "t.npz, array 'data' must be two-dimensional", id="one-dimensional"
        ),
        pytest.param(
            {"data": VALUES, "columns": np.array(["a"])}, "one name for each of the 3 columns", id="names"
        ),
    ],
)
def test_npz(arrays: dict[str, np.ndarray], expected: str):
    np.savez("t.npz", **arrays)  # pyright: ignore[reportArgumentType] (no key is `allow_pickle`)
    assert expected in message("t.npz")


def test_torn_npz_and_parquet():
    np.savez("t.npz", data=VALUES)
    write(Path("t.npz").read_bytes()[:900], "t.npz")
    assert "t.npz can not be read: " in message("t.npz")
    pl.DataFrame(VALUES, schema=["a", "b", "c"]).write_parquet("t.parquet")
    write(Path("t.parquet").read_bytes()[:-30], "t.parquet")
    assert "t.parquet is not a Parquet file that can be read" in message("t.parquet")
    write(lines(), "u.parquet")
    assert "u.parquet is not a Parquet file (it does not start with PAR1)" in message("u.parquet")


def test_parquet_columns():
    frame = pl.DataFrame(VALUES, schema=["a", "b", "c"]).with_columns(
        pl.when(pl.int_range(ROWS) == 6).then(None).otherwise("b").alias("b"),
        day=pl.lit("2024-01-02").str.to_date(),
        nothing=pl.lit(None),
    )
    frame.write_parquet("t.parquet")
    assert "t.parquet, column 'day', row 1: found 2024-01-02 where a number is needed" in message("t.parquet")
    assert "t.parquet, column 'b', row 7: found a missing value" in message("t.parquet", drop=["day"])
    assert "column 'nothing', row 1: found a missing value" in message("t.parquet", columns=["a", "nothing"])
    frame.with_columns(pair=pl.lit([1.5, 2.0])).write_parquet("t.parquet")
    assert "column 'pair', row 1: found [1.5, 2.0] where" in message("t.parquet", columns=["a", "pair"])


def test_places():
    Path("folder").mkdir()
    write(lines(), "folder/table.csv")
    assert message("folder") == "folder is a folder: name one file in it, such as folder/table.csv."
    assert message("folder/tabel.csv") == "folder/tabel.csv does not exist; did you mean folder/table.csv?"
    assert message("no/table.csv") == "no/table.csv does not exist: there is no folder no."
    assert "t.xlsx has the suffix .xlsx: the format is read off the suffix" in message(
        write(lines(), "t.xlsx")
    )
    assert "table has no suffix" in message(write(lines(), "table"))
    os.mkfifo("t.csv")
    assert "t.csv is not a file" in message("t.csv")
    write(lines(), "file.csv")
    assert "does not exist" in message("file.csv/t.csv")
