"""Written tables: complete or not there, and the same when read back."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import append_columns, open_source, read_table, write_table

VALUES = np.random.default_rng(8).normal(size=(120, 2)) * [1, 1e-300]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "T.CSV"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_read_back_bit_for_bit(tmp_path: Path, name: str, dtype: str):
    values = (VALUES * [1, 1e300]).astype(dtype)
    write_table(tmp_path / name, ["a", 'b "x", y'], values)
    table = read_table(tmp_path / name)
    assert table.names == ("a", 'b "x", y')
    np.testing.assert_array_equal(table.values.astype(dtype), values)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_tiny_numbers_and_non_finite_ones_are_written_as_they_are(tmp_path: Path):
    values = np.array([[5e-324, 1e308], [np.nan, -np.inf]])
    write_table(tmp_path / "t.csv", ["a", "b"], values)
    assert (tmp_path / "t.csv").read_text().splitlines()[2] == "NaN,-inf"
    np.testing.assert_array_equal(pl.read_csv(tmp_path / "t.csv").to_numpy(), values)


def test_an_input_keeps_its_cells(tmp_path: Path):
    text = 'id,cut,a\n007,Ideal,1.50\n008,"Very, Good",2\n'
    (tmp_path / "in.csv").write_text(text)
    source = open_source(tmp_path / "in.csv")
    append_columns(tmp_path / "out.csv", source, [(source, {"log_prob": np.array([-1.5, 2.0])})])
    lines = text.splitlines()
    assert (tmp_path / "out.csv").read_text() == f"{lines[0]},log_prob\n{lines[1]},-1.5\n{lines[2]},2.0\n"
    append_columns(tmp_path / "out.parquet", source, [(source, {"log_prob": np.array([-1.5, 2.0])})])
    frame = pl.read_parquet(tmp_path / "out.parquet")
    assert frame.schema == {"id": pl.Int64, "cut": pl.String, "a": pl.Float64, "log_prob": pl.Float64}
    with pytest.raises(InputError, match="two columns called 'cut'"):
        append_columns(tmp_path / "out.csv", source, [(source, {"cut": np.zeros(2)})])


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "t.csv"
    write_table(path, ["a", "b"], VALUES)
    before = path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(InputError, match=r"t\.csv can not be written: No space left on device"):
        write_table(path, ["a", "b"], VALUES + 1)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_names_and_columns_differ():
    with pytest.raises(
        InputError, match=r"Values of shape \(120, 2\) do not have one column for each of the 1 names"
    ):
        write_table("t.csv", ["a"], VALUES)
