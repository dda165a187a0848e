"""`read_stream`: what the columns are in all rows, and the rows again, against `read_table`."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import StreamedTable, Table, read_stream, read_table
from shoal.tables._hashes import numbered_hashes

ROWS = 3000
RNG = np.random.default_rng(3)
PLAIN = pl.DataFrame(
    {"a": RNG.normal(size=ROWS), "b": RNG.gamma(2.0, 1.0, ROWS), "c": np.round(RNG.normal(size=ROWS), 1)}
)
MIXED = PLAIN.with_columns(
    soil=pl.Series(RNG.choice(["clay", "loam", "sand"], ROWS).tolist()),
    rain=pl.Series(np.where(RNG.random(ROWS) < 0.5, 0.0, 5.0 + RNG.gamma(2.0, 1.0, ROWS))),
    gap=pl.Series(np.where(RNG.random(ROWS) < 0.2, np.nan, RNG.normal(size=ROWS))).fill_nan(None),
    day=pl.Series(np.datetime64("2020-01-01") + RNG.integers(0, 900, ROWS)),
)


def folder(tmp_path: Path, frame: pl.DataFrame) -> Path:
    """The frame as two files of a folder."""
    path = tmp_path / "t"
    path.mkdir()
    cut = frame.height // 3
    frame[:cut].write_parquet(path / "a.parquet")
    frame[cut:].write_parquet(path / "b.parquet")
    return path


def joined(tables: list[Table]) -> tuple[np.ndarray, ...]:
    """Values, codes, presence, context and weights of all rows."""
    parts = [[t.values, t.codes, t.present, t.context, t.weights] for t in tables]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True) if part[0] is not None)


def check_rows(stream: StreamedTable, table: Table) -> None:
    """The blocks hold the rows of `table`, and the sample those of its numbers."""
    for found, sample, whole in zip(
        joined([*stream.tables()]), joined([stream.sample]), joined([table]), strict=True
    ):
        np.testing.assert_array_equal(found, whole)
        np.testing.assert_array_equal(sample, whole[stream.sample_rows])


@pytest.mark.parametrize("kinds", [None, {}], ids=["numbers", "whole"])
@pytest.mark.parametrize("block", [100, 1024])
def test_a_table_that_the_sample_holds_is_that_of_read_table(tmp_path: Path, kinds: dict | None, block: int):
    frame = PLAIN if kinds is None else MIXED
    path = folder(tmp_path, frame)
    frame.write_parquet(tmp_path / "t.parquet")
    given = {"context": ["a"], "drop": ["b"], "kinds": kinds}
    stream = read_stream(path, **given, block_rows=block)
    table = read_table(tmp_path / "t.parquet", **given)
    assert stream.sample.schema == table.schema
    assert (stream.sample.names, stream.sample.context_names) == (table.names, table.context_names)
    assert stream.rows == len(stream.sample_rows) == ROWS
    check_rows(stream, table)


def test_the_sample_is_uniform_and_not_of_the_blocks(tmp_path: Path):
    path = folder(tmp_path, PLAIN)
    found = [read_stream(path, sample=500, seed=5, block_rows=b) for b in (90, 700, 5000)]
    for one in found[1:]:
        np.testing.assert_array_equal(one.sample_rows, found[0].sample_rows)
        assert (one.rows, one.checksum) == (found[0].rows, found[0].checksum)
    other = read_stream(path, sample=500, seed=6)
    assert len(np.intersect1d(other.sample_rows, found[0].sample_rows)) < 200  # 83 by chance
    assert other.checksum == found[0].checksum
    for one in (found[0], other):  # five standard errors of the mean of a uniform draw
        assert len(np.unique(one.sample_rows)) == 500
        assert abs(one.sample_rows.mean() / ROWS - 0.5) < 5 / np.sqrt(12 * 500)
    frame = pl.concat([PLAIN[2000:], PLAIN[:2000]])
    frame.write_parquet(tmp_path / "turned.parquet")
    assert read_stream(tmp_path / "turned.parquet", sample=500).checksum == other.checksum
    changed = frame.with_columns(a=pl.col("a") + 1e-12)
    changed.write_parquet(tmp_path / "turned.parquet")
    assert read_stream(tmp_path / "turned.parquet", sample=500).checksum != other.checksum


RARE: dict[str, tuple[str, object]] = {
    "a word": ("soil", "peat"),
    "a gap among numbers": ("a", None),
    "below the bound": ("b", -0.5),
    "off the lattice": ("c", 0.123),
    "an early day": ("day", np.datetime64("2011-05-04").item()),
}


@pytest.mark.parametrize(("name", "cell"), RARE.values(), ids=RARE.keys())
def test_what_the_sample_lacks_is_in_the_schema(tmp_path: Path, name: str, cell: object):
    row = int(np.argmax(numbered_hashes(0, ROWS, 0)))  # which a sample has last
    cells = MIXED[name].to_list()
    cells[row] = cell
    frame = MIXED.with_columns(pl.Series(name, cells, dtype=MIXED[name].dtype))
    path = tmp_path / "rare.parquet"
    frame.write_parquet(path)
    stream, table = read_stream(path, kinds={}, sample=400, block_rows=128), read_table(path, kinds={})
    assert row not in stream.sample_rows
    assert stream.sample.schema is not None
    assert table.schema is not None
    for one, other in zip(stream.sample.schema.columns, table.schema.columns, strict=True):
        for part in ("name", "kind", "type", "levels", "step", "grid", "stray", "low", "high", "first"):
            assert getattr(one, part) == getattr(other, part), (one.name, part)
        assert (one.missing > 0) == (other.missing > 0)
    check_rows(stream, table)


def test_many_words_that_the_sample_lacks(tmp_path: Path):
    words = ["often"] * (ROWS - 40) + [f"word {i}" for i in range(40)]
    PLAIN.with_columns(w=pl.Series(words)).write_csv(tmp_path / "t.csv")
    stream = read_stream(tmp_path / "t.csv", kinds={}, sample=300, block_rows=250)
    assert stream.sample.schema == read_table(tmp_path / "t.csv", kinds={}).schema


def test_numbers_that_leave_the_lattice_in_many_rows(tmp_path: Path):
    c = PLAIN["c"].to_numpy().copy()
    c[-400:] += RNG.uniform(0.01, 0.09, 400)  # more than a lattice may have beside it
    PLAIN.with_columns(c=c).write_parquet(tmp_path / "t.parquet")
    whole = read_table(tmp_path / "t.parquet", kinds={}).schema
    stream = read_stream(tmp_path / "t.parquet", kinds={}, sample=500)
    assert whole is not None
    assert stream.sample.schema is not None
    assert [c.step for c in stream.sample.schema.columns] == [c.step for c in whole.columns] == [None] * 3


def test_numbers_of_rows_are_an_identifier(tmp_path: Path):
    shuffled = RNG.permutation(ROWS)
    frame = PLAIN.with_columns(
        row=pl.int_range(ROWS) + 5, mixed=pl.Series(shuffled), few=pl.Series(shuffled // 20)
    )
    frame.write_parquet(tmp_path / "t.parquet")
    stream = read_stream(tmp_path / "t.parquet", kinds={}, sample=500)
    table = read_table(tmp_path / "t.parquet", kinds={})
    assert stream.sample.names == table.names == ("a", "b", "c", "few")


def test_rows_of_weight_0_take_no_part(tmp_path: Path):
    weights = np.where(np.arange(ROWS) % 3 == 0, 0.0, 1.0 + np.arange(ROWS))
    frame = PLAIN.with_columns(w=weights)
    frame.write_csv(tmp_path / "t.csv")
    frame.filter(pl.col("w") > 0).write_csv(tmp_path / "some.csv")
    stream = read_stream(tmp_path / "t.csv", weights="w", sample=100, block_rows=128)
    assert stream.rows == 2000
    assert len(stream.sample_rows) == 100
    assert (stream.sample_rows % 3 != 0).all()
    table = read_table(tmp_path / "some.csv", weights="w")
    for found, whole in zip(joined([*stream.tables()]), joined([table]), strict=True):
        np.testing.assert_array_equal(found, whole)
    np.testing.assert_array_equal(stream.sample.weights, weights[stream.sample_rows])


SPOILT: dict[str, tuple[str, object, dict[str, object], str]] = {
    "text": ("a", "x", {}, "t.csv, column 'a', row 2902: found the text 'x'"),
    "a gap": ("a", "", {}, "t.csv, column 'a', row 2902: found a missing value"),
    "text in a whole table": (
        "a",
        "x",
        {"kinds": {}},
        "column 'a', row 2902: found the text 'x' among numbers",
    ),
    "infinite": ("a", "inf", {"kinds": {}}, "t.csv, column 'a', row 2902: found the infinite value 'inf'"),
    "a gap in the context": (
        "a",
        "",
        {"context": ["a"], "kinds": {}},
        "column 'a', row 2902: found a missing value",
    ),
    "a negative weight": ("b", "-1", {"weights": "b"}, "t.csv, column 'b', row 2902: found the weight -1"),
}


@pytest.mark.parametrize(("name", "cell", "given", "expected"), SPOILT.values(), ids=SPOILT.keys())
def test_cells_that_can_not_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, cell: str, given: dict, expected: str
):
    monkeypatch.chdir(tmp_path)
    cells = PLAIN[name].cast(pl.String).to_list()
    cells[2900] = cell
    PLAIN.with_columns(pl.Series(name, cells)).write_csv("t.csv")
    with pytest.raises(InputError) as raised:
        read_stream("t.csv", **given, sample=300, block_rows=500)
    assert expected in str(raised.value)


def test_few_rows(tmp_path: Path):
    PLAIN[:50].write_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match="has 50 rows; at least 100 are needed"):
        read_stream(tmp_path / "t.csv")
    PLAIN.with_columns(w=pl.int_range(ROWS) < 50).cast(pl.Float64).write_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'w': found a weight above 0 in 50 rows"):
        read_stream(tmp_path / "t.parquet", weights="w")
    PLAIN[:0].write_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match="has columns but no rows"):
        read_stream(tmp_path / "t.csv")


def test_a_table_that_changed(tmp_path: Path):
    path = tmp_path / "t.csv"
    rows = [f"{x:.4f},{y:.4f}" for x, y in RNG.normal(size=(500, 2))]
    path.write_text("\n".join(["a,b", *rows]) + "\n")
    stream, before = read_stream(path, sample=100), path.stat()
    changes = {
        "its cells are others": [rows[0].replace("1", "2").replace("0", "3"), *rows[1:]],
        "it has 499 rows where it had 500": [*rows[:-2], rows[-2] + "0" * (len(rows[-1]) + 1)],
    }
    for what, changed in changes.items():
        path.write_text("\n".join(["a,b", *changed]) + "\n")
        with pytest.raises(InputError, match="has another size or time of change"):
            next(stream.tables())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert path.stat().st_size == before.st_size
        with pytest.raises(InputError, match=f"changed while it was read: {what}"):
            list(stream.tables())
    path.write_text("\n".join(["a,b", *rows]) + "\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert sum(table.rows for table in stream.tables()) == 500
