"""Arrays and data frames as tables."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import Table, as_table, match_columns

VALUES = np.random.default_rng(5).normal(size=(120, 3))
NAMES = ("a", "b", "c")


class Arraylike:
    """Has `__array__`, as a JAX array has."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return VALUES.astype(np.float32)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(VALUES, VALUES, id="numpy"),
        pytest.param(VALUES.tolist(), VALUES, id="lists"),
        pytest.param(Arraylike(), VALUES.astype(np.float32), id="array-like"),
    ],
)
def test_arrays(data: Any, expected: np.ndarray):
    table = as_table(data)
    assert table.names == ("x0", "x1", "x2")
    assert table.values.dtype == np.float64
    assert table.first_row == 0
    np.testing.assert_array_equal(table.values, expected)
    assert as_table(data, NAMES).names == NAMES


def test_jax_arrays():
    import jax.numpy as jnp

    table = as_table(jnp.asarray(VALUES, dtype="float32"), NAMES)
    np.testing.assert_array_equal(table.values, VALUES.astype(np.float32))


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame], ids=["polars", "pandas"])
def test_frames_by_name(make: Any):
    frame = make(dict(zip(NAMES, VALUES.T, strict=True)) | {"cut": ["Ideal"] * 120})
    table = as_table(frame, ["c", "a"])
    assert table.names == ("c", "a")
    np.testing.assert_array_equal(table.values, VALUES[:, [2, 0]])
    table = as_table(frame, ["c"], context=["a"])
    assert table.context_names == ("a",)
    assert table.context is not None
    np.testing.assert_array_equal(table.context[:, 0], VALUES[:, 0])
    with pytest.raises(InputError, match=r"column 'cut', row 0 \(counted from 0\): found the text 'Ideal'"):
        as_table(frame)
    with pytest.raises(InputError, match=r"use `columns=\['a', 'b', 'c'\]`"):
        as_table(frame, distinct=True)
    with pytest.raises(InputError, match="has no column 'A', named by `columns`; did you mean 'a'"):
        as_table(frame, ["A"])


def test_pandas_types():
    frame = pd.DataFrame(
        {
            "nullable": pd.array([1, 2, None], dtype="Int64"),
            "float32": np.array([1, 2, 3], dtype=np.float32),
            "text": ["1", "2", "3"],
            "category": pd.Categorical(["u", "v", "u"]),
            "flag": [True, False, True],
            1: [1, 2, 3],
        }
    )
    assert as_table(frame, ["float32", "1"]).values.tolist() == [[1, 1], [2, 2], [3, 3]]
    for name, found in {"category": "the text 'u'", "flag": "True"}.items():
        with pytest.raises(InputError, match=f"column '{name}', row 0 .*found {found}"):
            as_table(frame, [name])
    with pytest.raises(
        InputError, match=r"column 'nullable', row 2 \(counted from 0\): found a missing value"
    ):
        as_table(frame, ["nullable"])


@pytest.mark.parametrize(
    "labels", [range(3), np.arange(3), [2019, 2020, 2021]], ids=["range", "numpy", "years"]
)
def test_whole_numbers_as_column_labels(labels: Any):
    frame = pd.DataFrame(VALUES, columns=labels)
    first, middle, last = frame.columns
    assert as_table(frame).names == tuple(str(label) for label in labels)
    table = as_table(frame, [last, first], context=[middle])
    assert (table.names, table.context_names) == ((str(last), str(first)), (str(middle),))
    np.testing.assert_array_equal(table.values, VALUES[:, [2, 0]])
    weighted = as_table(frame.abs(), [first], weights=middle)
    assert weighted.weights is not None
    np.testing.assert_array_equal(weighted.weights, np.abs(VALUES[:, 1]))


@pytest.mark.parametrize("name", ["Unnamed: 0", ""])
@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame], ids=["polars", "pandas"])
def test_an_index_saved_with_a_frame_is_left_out(make: Any, name: str):
    frame = make({name: np.arange(120)[::-1]} | dict(zip(NAMES, VALUES.T, strict=True)))
    table = as_table(frame)
    assert table.names == NAMES
    assert len(table.notes) == 1
    kept = make({name or "n": np.arange(120) * 0.5} | dict(zip(NAMES, VALUES.T, strict=True)))
    assert as_table(kept).names == (name or "n", *NAMES)


@pytest.mark.parametrize(
    "column",
    [
        pd.array([2**60 + 1, None, 3], dtype="Int64"),
        pd.Series([2**60 + 1, 2, 3], dtype="uint64"),
        pl.Series([2**60 + 1, 2, 3]),
    ],
    ids=["nullable", "unsigned", "polars"],
)
def test_whole_numbers_beyond_float64_are_refused(column: Any):
    frame = (pl.DataFrame if isinstance(column, pl.Series) else pd.DataFrame)(
        {"id": column, "a": [1.0, 2, 4]}
    )
    with pytest.raises(
        InputError, match=r"column 'id', row 0 \(counted from 0\): found 1152921504606846977, a whole"
    ):
        as_table(frame)
    assert as_table(frame, ["a"]).rows == 3
    with pytest.raises(InputError, match=r"column 'x0', row 1 .*found 9007199254740993, a whole number"):
        as_table(np.array([[1], [2**53 + 1]]))


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "one-dimensional": (VALUES[0], {}, r"two-dimensional \(rows, columns\); found shape \(3,\)"),
    "no columns": (VALUES[:, :0], {}, r"has no columns; found shape \(120, 0\)"),
    "no rows": (VALUES[:0], {}, "has columns but no rows"),
    "complex": (VALUES + 1j, {}, "holds complex numbers"),
    "objects": (VALUES.astype(object), {}, "holds Python objects"),
    "ragged": ([[1.0, 2.0], [3.0]], {}, "rows of unequal length"),
    "number": (3.0, {}, "The data are a float"),
    "lazy": (pl.DataFrame({"a": [1]}).lazy(), {}, r"give `data\.collect\(\)`"),
    "no columns at all": (pl.DataFrame(), {}, "no columns"),
    "names": (VALUES, {"columns": ["a"]}, "has 3 columns where 1 names are given"),
    "nan": (np.where(VALUES[7, 1] == VALUES, np.nan, VALUES), {}, r"column 'x1', row 7 \(counted from 0\)"),
    "constant": (VALUES * [1, 0, 1], {"distinct": True}, "column 'x1': found 0 in every row"),
    "few": (VALUES[:9], {"minimum_rows": 10}, "has 9 rows; at least 10 are needed"),
    "context rows": (VALUES, {"context": VALUES[:5]}, "has 5 rows where the data have 120"),
    "weights shape": (
        VALUES,
        {"weights": VALUES},
        r"one real number for each of the 120 rows; found shape \(120, 3\)",
    ),
    "weights nan": (VALUES, {"weights": np.full(120, np.nan)}, "`weights`, row 0 .*found nan"),
    "weights negative": (
        VALUES,
        {"weights": -np.arange(120)},
        r"row 1 \(counted from 0\): found the weight -1",
    ),
    "weights zero": (VALUES, {"weights": np.zeros(120)}, "found the weight 0 in every row"),
    "weights few": (
        VALUES,
        {"weights": (np.arange(120) < 9) * 2.0, "minimum_rows": 10},
        "`weights`: found a weight above 0 in 9 rows, and rows of weight 0 take no part; at least 10 are needed",
    ),
}


@pytest.mark.parametrize(("data", "options", "expected"), BAD.values(), ids=BAD.keys())
def test_bad_data(data: Any, options: dict[str, Any], expected: str):
    with pytest.raises(InputError, match=expected):
        as_table(data, **options)


def test_context_and_weights_beside_an_array():
    table = as_table(VALUES[:, :2], context=VALUES[:, 2:], weights=np.arange(120))
    assert table.context_names == ("x0",)
    assert table.context is not None
    assert table.weights is not None
    np.testing.assert_array_equal(table.context, VALUES[:, 2:])
    np.testing.assert_array_equal(table.weights, np.arange(120.0))


def test_a_table_stays_and_is_reordered():
    table = as_table(VALUES, NAMES)
    assert as_table(table) is table
    turned = as_table(table, ["c", "b"])
    assert turned.names == ("c", "b")
    np.testing.assert_array_equal(turned.values, VALUES[:, [2, 1]])
    with pytest.raises(InputError, match="has no column 'd'"):
        as_table(table, ["d"])


@pytest.mark.parametrize("more", [{"context": VALUES}, {"weights": np.ones(120)}], ids=["context", "weights"])
def test_a_table_takes_no_second_context_or_weights(more: dict[str, Any]):
    with pytest.raises(InputError, match="a `Table`, which has its own context and weights: leave out"):
        as_table(as_table(VALUES), **more)


def test_the_caller_can_not_change_a_table():
    array = VALUES.copy()
    table = as_table(array)
    array[0, 0] = 99
    assert table.values[0, 0] == VALUES[0, 0]


def test_match_columns_by_name(tmp_path: Any):
    path = tmp_path / "t.csv"
    path.write_text("cut,c,a,b\nIdeal,3,1,2\nGood,6,4,5\n")
    table = match_columns(path, ("a", "c"), ("b",))
    assert isinstance(table, Table)
    assert (table.names, table.context_names) == (("a", "c"), ("b",))
    assert table.values.tolist() == [[1, 3], [4, 6]]
    assert table.context is not None
    assert table.context.tolist() == [[2], [5]]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["a", "B"], "t.csv has no column 'B', named by the model; did you mean 'b'?", id="one"),
        pytest.param(
            ["p", "q"], "t.csv has no columns p,q, which the model needs; its columns are a,b.", id="two"
        ),
        pytest.param(
            ["a", "b"], "t.csv, column 'b', row 3: found a missing value; remove such rows.", id="gap"
        ),
    ],
)
def test_match_columns_errors(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, names: list[str], expected: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,\n")
    with pytest.raises(InputError) as caught:
        match_columns("t.csv", names)
    assert str(caught.value) == expected
