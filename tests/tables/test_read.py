"""Files that hold a table, in every format and spelling that is allowed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shoal.tables import read_table

NAMES = ("alpha", "beta", "gamma")


@pytest.fixture
def values() -> np.ndarray:
    return np.round(np.random.default_rng(3).normal(size=(150, 3)), 4)


def csv_text(values: np.ndarray, names: tuple[str, ...] = NAMES) -> str:
    rows = [",".join(names), *(",".join(f"{value:.4f}" for value in row) for row in values)]
    return "\n".join(rows) + "\n"


SPELLINGS: dict[str, Callable[[str], bytes]] = {
    "plain": lambda text: text.encode(),
    "byte-order mark": lambda text: text.encode("utf-8-sig"),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "cr": lambda text: text.replace("\n", "\r").encode(),
    "no newline at the end": lambda text: text.rstrip("\n").encode(),
    "blank lines at the end": lambda text: (text + "\n\r\n  \n").encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "spaces around everything": lambda text: text.replace(",", " , ").encode(),
    "quotes": lambda text: "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in text.split()
    ).encode(),
    "quoted names with spaces": lambda text: text.replace("alpha,beta", '" alpha ", "beta"').encode(),
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_csv_spellings_read_alike(tmp_path: Path, values: np.ndarray, spell: Callable[[str], bytes]):
    path = tmp_path / "t.csv"
    path.write_bytes(spell(csv_text(values)))
    table = read_table(path)
    assert table.names == NAMES
    assert table.first_row == 2
    np.testing.assert_array_equal(table.values, values)


def test_rows_are_counted_as_in_the_file_when_the_header_comes_late(tmp_path: Path, values: np.ndarray):
    path = tmp_path / "t.csv"
    path.write_text("\n\n" + csv_text(values))
    table = read_table(path)
    assert table.first_row == 4
    assert table.row_numbers()[[0, -1]].tolist() == [4, 153]


@pytest.mark.parametrize("name", ["a,b", 'say "x"', "x\ny", "µ/σ", "$cost", "c0"])
def test_any_column_name(tmp_path: Path, values: np.ndarray, name: str):
    quoted = '"' + name.replace('"', '""') + '"'
    path = tmp_path / "t.csv"
    path.write_text(csv_text(values).replace("alpha", quoted), encoding="utf-8")
    table = read_table(path, columns=[name, "gamma"])
    assert table.names == (name, "gamma")
    np.testing.assert_array_equal(table.values, values[:, [0, 2]])


def test_numbers_as_a_header_if_they_count(tmp_path: Path, values: np.ndarray):
    path = tmp_path / "t.csv"
    path.write_text(csv_text(values, ("0", "1", "2")))
    assert read_table(path).names == ("0", "1", "2")


def test_parquet_keeps_types_and_counts_from_one(tmp_path: Path, values: np.ndarray):
    path = tmp_path / "t[1].parquet"  # brackets are no pattern here
    frame = pl.DataFrame(values, schema=NAMES).with_columns(
        pl.col("beta").cast(pl.Float32), n=pl.int_range(150, dtype=pl.UInt8), cut=pl.lit("Ideal")
    )
    frame.write_parquet(path)
    table = read_table(path, drop=["cut"])
    assert table.names == (*NAMES, "n")
    assert table.first_row == 1
    assert table.values.dtype == np.float64
    np.testing.assert_array_equal(table.values[:, 1], values[:, 1].astype(np.float32))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "uint8", ">f8"])
def test_npy_of_every_real_type(tmp_path: Path, values: np.ndarray, dtype: str):
    array = (np.abs(values) * 10 + 1).astype(dtype)
    np.save(tmp_path / "t.npy", array)
    table = read_table(tmp_path / "t.npy", drop=["x1"])
    assert table.names == ("x0", "x2")
    assert table.first_row == 1
    np.testing.assert_array_equal(table.values, array[:, [0, 2]].astype(np.float64))


def test_npy_in_column_order(tmp_path: Path, values: np.ndarray):
    np.save(tmp_path / "t.npy", np.asfortranarray(values))
    np.testing.assert_array_equal(read_table(tmp_path / "t.npy").values, values)


def test_npz(tmp_path: Path, values: np.ndarray):
    np.savez(tmp_path / "one.npz", anything=values, scalar=np.float64(1))
    assert read_table(tmp_path / "one.npz").names == ("x0", "x1", "x2")
    np.savez(tmp_path / "named.npz", data=values, columns=np.array(NAMES), other=values + 1)
    table = read_table(tmp_path / "named.npz")
    assert table.names == NAMES
    np.testing.assert_array_equal(table.values, values)


def test_roles(tmp_path: Path, values: np.ndarray):
    path = tmp_path / "t.csv"
    path.write_text(csv_text(np.abs(values), NAMES))
    table = read_table(path, context=["gamma"], weights="alpha")
    assert (table.names, table.context_names, table.weights_name) == (("beta",), ("gamma",), "alpha")
    assert table.context is not None
    assert table.weights is not None
    np.testing.assert_array_equal(table.values[:, 0], np.abs(values[:, 1]))
    np.testing.assert_array_equal(table.context[:, 0], np.abs(values[:, 2]))
    np.testing.assert_array_equal(table.weights, np.abs(values[:, 0]))


def test_columns_come_in_the_asked_order_and_others_are_not_looked_at(tmp_path: Path, values: np.ndarray):
    lines = csv_text(values).split()
    lines = [lines[0] + ",cut", *(line + ",Ideal" for line in lines[1:])]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    table = read_table(path, columns=["gamma", "alpha"])
    assert table.names == ("gamma", "alpha")
    np.testing.assert_array_equal(table.values, values[:, [2, 0]])


def test_equal_weights_are_no_constant_column(tmp_path: Path, values: np.ndarray):
    path = tmp_path / "t.csv"
    values[:, 2] = 2
    path.write_text(csv_text(values))
    assert read_table(path, weights="gamma").weights_name == "gamma"


def test_constant_and_identical_columns_are_read_where_no_density_is_wanted(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,c\n1,2,2\n1,3,3\n")
    table = read_table(path, minimum_rows=1, distinct=False)
    np.testing.assert_array_equal(table.values, [[1, 2, 2], [1, 3, 3]])


def test_the_shipped_table():
    table = read_table(Path(__file__).parents[2] / "data" / "diamonds.csv")
    assert table.names == ("carat", "depth", "table", "price", "x", "y", "z")
    assert table.values.shape == (53920, 7)
    assert (table.values > 0).all()
