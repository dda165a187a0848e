"""Tables in blocks: the rows are those that are read at once, whatever blocks, files and row groups there are."""

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import Source, Stream, _csv_stream, _stream, is_large, open_source, open_stream

ROWS = 1000
RNG = np.random.default_rng(0)
WORDS = ["ja", "nein, danke", 'a "quoted" one', None]
FRAME = pl.DataFrame(
    {
        "x": RNG.normal(size=ROWS),
        "n": RNG.integers(0, 50, ROWS),
        "word": [WORDS[i] for i in RNG.integers(0, 4, ROWS)],
        "day": pl.date_range(pl.date(1999, 1, 1), pl.date(2010, 1, 1), eager=True)[:ROWS],
    }
).with_columns(pl.col("word").cast(pl.Categorical).alias("code"))


def whole(stream: Stream) -> tuple[pl.DataFrame, list[int]]:
    """All rows of a stream, by its names, and the sizes of its blocks, whose rows follow one another."""
    blocks = [*stream.sources()]
    row = stream.first_row
    for block in blocks:
        assert block.first_row == row
        assert block.names == stream.names
        row += block.frame.height
    frame = pl.concat([block.frame for block in blocks])
    return frame.rename(dict(zip(frame.columns, stream.names, strict=True))), [b.frame.height for b in blocks]


def named(source: Source) -> pl.DataFrame:
    return source.frame.rename(dict(zip(source.frame.columns, source.names, strict=True)))


@pytest.mark.parametrize("block", [7, 100, 333, 5000])
@pytest.mark.parametrize("groups", [13, 100, 5000])
def test_a_folder_of_parquet_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, groups: int):
    monkeypatch.setattr(_stream, "READ", 8 * 5 * 90)  # 90 rows
    places = [0, 1, 130, 600, ROWS]
    for i, (start, end) in enumerate(pairwise(places)):
        FRAME[start:end].write_parquet(tmp_path / f"part-{i}.parquet", row_group_size=groups)
    (tmp_path / "_SUCCESS").write_text("")
    stream = open_stream(tmp_path, block_rows=block)
    assert (stream.names, stream.total, stream.first_row) == (tuple(FRAME.columns), ROWS, 1)
    found, sizes = whole(stream)
    assert found.equals(FRAME.with_columns(pl.col("code").cast(pl.String)))
    assert sizes == [block] * (ROWS // block) + [ROWS % block] * (ROWS % block > 0)
    assert whole(open_stream(tmp_path / "part-[02].parquet"))[0].height == 1 + 470
    some, _ = whole(stream.only([3, 0]))
    assert some.equals(FRAME.select("day", "x"))


def test_the_blocks_of_a_parquet_file_are_what_is_read_at_once(tmp_path: Path):
    path = tmp_path / "t.parquet"
    frame = FRAME.with_columns(pl.int_range(ROWS).alias("__index_level_0__"))
    frame.write_parquet(path)
    stream, source = open_stream(path, block_rows=64), open_source(path)
    assert stream.notes == source.notes
    assert whole(stream)[0].equals(named(source))
    assert stream.head().frame.schema == source.frame.schema


TEXTS: dict[str, str] = {
    "plain": "a,b\n" + "".join(f"{i},{i / 8}\n" for i in range(500)),
    "decimal commas": "a;b;c\n" + "".join(f"{i},5;x{i % 3};{i}.000,25\n" for i in range(1, 400)),
    "comments and units": "# made by hand\na,b\n[m],[s]\n" + "".join(f"{i}.5,{i}\n" for i in range(300)),
    "a note under the table": "a,b\n" + "".join(f"{i}.5,{i}\n" for i in range(300)) + "\n# the end\n\n",
    "quotes": "a,b\n" + "".join(f'{i},"two\nlines, ""{i}"""\n' for i in range(200)),
    "spaces": "a b\n" + "".join(f"{i}.5   {i}\n" for i in range(300)),
    "Windows": "a,b\r\n" + "".join(f"{i}.5,{i}\r\n" for i in range(300)),
    "no last line feed": "a,b\n" + "".join(f"{i}.5,{i}\n" for i in range(300)) + "1,2",
    "money": "a,b\n" + "".join(f"${i}.50,{i}\n" for i in range(300)),
    "signs of typesetting": "\ufeffa,b\n" + "".join(f"\N{MINUS SIGN}{i},{i}\n" for i in range(1, 300)),
    "an index": ",a\n" + "".join(f"{i},{i / 8}\n" for i in range(300)),
    "separators at the end": "a,b,\n" + "".join(f"{i},{i / 8},\n" for i in range(300)),
    "no header": "".join(f"{i}.5,{i}\n" for i in range(300)),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_csv_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    monkeypatch.setattr(_csv_stream, "HEAD", 1200)
    monkeypatch.setattr(_csv_stream, "TAIL", 200)
    monkeypatch.setattr(_csv_stream, "PIECE", 150)
    stream, source = open_stream(path, block_rows=60), open_source(path)
    found, sizes = whole(stream)
    assert found.equals(named(source))
    assert set(sizes[:-1]) == {60}
    assert (stream.names, stream.first_row) == (source.names, source.first_row)
    assert set(stream.notes) == set(source.notes)


def test_several_csv_files(tmp_path: Path):
    for i in range(3):
        (tmp_path / f"part-{i}.csv").write_text("a,b\n" + "".join(f"{i},{k}\n" for k in range(10)))
    found, sizes = whole(open_stream(tmp_path / "part-*.csv", block_rows=8))
    assert found.rows() == [(str(i), str(k)) for i in range(3) for k in range(10)]
    assert sizes == [8, 8, 8, 6]


def broken(text: str, after: int = 300) -> str:
    return "a,b\n" + "".join(f"{i}.5,{i}\n" for i in range(after)) + text + "1.5,2\n" * 50


CSV_ERRORS: dict[str, tuple[bytes, str]] = {
    "too many fields": (
        broken("1,2,3\n").encode(),
        "t.csv, row 302: found 3 fields where the first row has 2",
    ),
    "an empty row": (broken("\n").encode(), "t.csv, row 302 is empty"),
    "Latin-1": (broken("\xe9,1\n").encode("latin-1"), "t.csv, row 302: byte 0xe9 is not UTF-8 text"),
    "a zero byte": (broken("\0,1\n").encode(), "t.csv, row 302: found a byte that is zero"),
    "UTF-16": (broken("").encode("utf-16"), "t.csv is not UTF-8 text"),
    "a cell under no name": (
        ("a,b,\n" + "1.5,2,\n" * 300 + "1,2,3\n" + "1.5,2,\n" * 50).encode(),
        "t.csv: column 3 has no name, and a cell in one of",
    ),
    "other numbers later": (
        ("a;b\n" + "".join(f"{i},5;{i}\n" for i in range(300)) + "1,234.5;1\n" + "0,5;1\n" * 50).encode(),
        "t.csv, column 'a', row 302: found '1,234.5' where the first rows have decimal commas",
    ),
}


@pytest.mark.parametrize(("data", "expected"), CSV_ERRORS.values(), ids=CSV_ERRORS.keys())
def test_errors_in_csv_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, expected: str):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_bytes(data)
    monkeypatch.setattr(_csv_stream, "HEAD", 400)
    monkeypatch.setattr(_csv_stream, "TAIL", 100)
    monkeypatch.setattr(_csv_stream, "PIECE", 150)
    with pytest.raises(InputError) as raised:
        whole(open_stream("t.csv"))
    assert str(raised.value).startswith(expected)


def other_names(folder: Path) -> None:
    FRAME.rename({"x": "y"}).write_parquet(folder / "b.parquet")


def other_types(folder: Path) -> None:
    FRAME.with_columns(pl.col("n").cast(pl.Float64)).write_parquet(folder / "b.parquet")


def text(folder: Path) -> None:
    (folder / "b.parquet").write_text("a,b\n")


def short(folder: Path) -> None:
    data = (folder / "a.parquet").read_bytes()
    (folder / "b.parquet").write_bytes(data[: len(data) // 2])


FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "names": (other_names, "b.parquet has the columns y,n,word,day,code, and "),
    "types": (other_types, "b.parquet: column 'n' is Float64, and Int64 in "),
    "text": (text, "b.parquet is not a Parquet file (it does not start with PAR1)"),
    "cut short": (short, "b.parquet is not a Parquet file that can be read: "),
}


@pytest.mark.parametrize(("spoil", "expected"), FOLDERS.values(), ids=FOLDERS.keys())
def test_files_that_do_not_go_together(tmp_path: Path, spoil: Callable[[Path], None], expected: str):
    FRAME.write_parquet(tmp_path / "a.parquet")
    spoil(tmp_path)
    with pytest.raises(InputError) as raised:
        open_stream(tmp_path)
    assert expected in str(raised.value)


def test_what_is_no_stream(tmp_path: Path):
    with pytest.raises(InputError, match="is a folder: name one file in it"):
        open_stream(tmp_path)
    with pytest.raises(InputError, match="names no file"):
        open_stream(tmp_path / "*.parquet")
    with pytest.raises(InputError, match="does not exist"):
        open_stream(tmp_path / "t.parquet")
    FRAME.write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"b\.csv is not as the other files"):
        open_stream(tmp_path / "*")


def test_a_file_that_vanishes_or_is_damaged_while_it_is_read(tmp_path: Path):
    for name in ("a", "b"):
        FRAME.write_parquet(tmp_path / f"{name}.parquet")
    stream = open_stream(tmp_path, block_rows=100)
    data = bytearray((tmp_path / "b.parquet").read_bytes())
    data[100:3000] = bytes(2900)
    (tmp_path / "b.parquet").write_bytes(data)
    with pytest.raises(InputError, match=r"b\.parquet can not be read: "):
        whole(stream)
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(InputError, match=r"b\.parquet can not be read: "):
        whole(stream)
    with pytest.raises(InputError, match=r"changed while it was read: .*b\.parquet has another size or time"):
        stream.check_unchanged()


def test_what_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    FRAME.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 100)
    os.link(tmp_path / "t.csv", tmp_path / "t.csv.gz")
    names = ["t.parquet", "t.csv", "t.csv.gz", "no.csv", "no.npy"]
    assert [is_large(tmp_path / name) for name in names] == [False] * 5
    assert is_large(tmp_path)
    assert is_large(tmp_path / "*.csv")
    monkeypatch.setattr(_stream, "LARGE", 5 * ROWS * 8 - 1)
    assert is_large(tmp_path / "t.parquet")
    monkeypatch.setattr(_stream, "LARGE", 403)
    assert [is_large(tmp_path / name) for name in names] == [True, True, False, False, False]


def test_files_at_a_url_are_a_stream():
    import fsspec

    system, frame = fsspec.filesystem("memory"), pl.DataFrame({"a": np.arange(7.0), "b": np.arange(7.0) ** 2})
    for name, some in (("t-1", frame.head(4)), ("t-2", frame.tail(3))):
        with system.open(f"/streams/{name}.parquet", "wb") as file:
            some.write_parquet(file)
        with system.open(f"/streams/{name}.csv", "wb") as file:
            some.write_csv(file)
    for url in ("memory://streams", "memory://streams/*.parquet", "memory://streams/t-*.csv"):
        assert is_large(url)
        found = [source.frame for source in open_stream(url, block_rows=5).sources()]
        assert [part.height for part in found] == [5, 2]
        assert np.array_equal(pl.concat(found).cast(pl.Float64).to_numpy(), frame.to_numpy())
    assert not is_large("memory://streams/t-1.parquet")
    with pytest.raises(InputError, match="names no file"):
        open_stream("memory://streams/none-*.parquet")
