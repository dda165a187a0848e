"""Columns that are functions of another one, and those that are not: noise however small, steps, counts, series."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.tables import as_table, read_table
from shoal.tables._functions import find_functions

digits = np.vectorize(lambda v: float(f"{v:.6g}"))
FUNCTIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "exp": np.exp,
    "square": np.square,
    "magnitude": np.abs,
    "reciprocal": lambda y: 1 / y,
    "cube root": np.cbrt,
    "logistic": lambda y: 1 / (1 + np.exp(-y)),
    "sine": lambda y: np.sin(5 * y),
    "polynomial": lambda y: y**4 - 3 * y**2 + y,
    "saw": lambda y: np.mod(y, 1.0),
    "far values": lambda y: np.exp(3 * y),
}
WRITTEN: dict[str, Callable[[FloatArray], Any]] = {
    "in full": lambda x: x,
    "in float32": lambda x: x.astype(np.float32).astype(float),
    "in six digits": digits,
}
RNG = np.random.default_rng(1)
N, E, UNIFORM = RNG.normal(size=2000), RNG.normal(size=2000), RNG.random(2000)
AGE, COUNT = np.rint(45 + 10 * N), RNG.poisson(np.exp(N + 3)).astype(float)
OTHERS = {
    "independent": (N, E),
    "far values": (np.exp(4 * E), np.exp(4 * N)),
    "a circle": (np.cos(6 * UNIFORM), np.sin(6 * UNIFORM)),
    "counts": (RNG.poisson(np.exp(N + 3)), N),
    "lattices": (np.rint(3 * N), np.rint(3 * N + E)),
    "cents": (np.round(N, 2), np.round(N + 0.02 * E, 2)),
    "whole numbers with noise of two": (
        np.rint(1e3 * np.exp(0.3 * N)),
        np.rint(1e3 * np.exp(0.3 * N) + 2 * E),
    ),
    "years of birth": (AGE, 2020 - AGE + (UNIFORM < 0.5)),
    "decades of ages": (np.floor(AGE / 10) * 10, AGE),
    "middles of brackets": (np.floor(N / 0.2) * 0.2, N),
    "a sum over time": (np.arange(2000) / 7, np.cumsum(UNIFORM)),
}


def found(*columns: FloatArray, first: int = 0) -> dict[int, int]:
    values = np.column_stack(columns).astype(float)
    return find_functions(values, np.isfinite(values), first)


@pytest.mark.parametrize("rows", [100, 2000])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("written", WRITTEN)
def test_functions_are_found(name: str, written: str, rows: int):
    y = WRITTEN[written](N[:rows])
    a = WRITTEN[written](FUNCTIONS[name](y))
    assert len(found(a, E[:rows], y)) == 1
    one_way = name in ("square", "magnitude", "sine", "polynomial", "saw")
    for columns, wanted in (((a, y), {0: 1}), ((y, a), {1: 0})):
        assert found(*columns) == wanted or (not one_way and len(found(*columns)) == 1)


@pytest.mark.parametrize("size", 10.0 ** np.arange(-9, 0))
@pytest.mark.parametrize("rows", [100, 2000])
def test_noise_is_no_function_however_small(size: float, rows: int):
    assert found(np.exp(N[:rows]) + size * E[:rows], N[:rows]) == {}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("rows", [100, 2000])
def test_nor_are_columns_that_have_a_density_or_probabilities(name: str, rows: int):
    one, other = (part[:rows] for part in OTHERS[name])
    assert found(one, other) == found(other, one) == {}


def test_functions_of_values_that_repeat():
    assert found(COUNT, np.log1p(COUNT)) == {1: 0}
    assert found(np.log1p(COUNT), COUNT) == {0: 1}
    assert found((AGE - 45) ** 2, AGE) == {0: 1}


def test_a_coarse_one_follows_from_a_fine_one():
    price = 100 * np.exp(N)
    for cents, root in (
        (np.round(price, 2), np.round(np.sqrt(price), 2)),
        (price, np.round(np.sqrt(price), 2)),
    ):
        assert found(cents, root) == {1: 0}
        assert found(root, cents) == {0: 1}


@pytest.mark.parametrize("coarse", [np.rint(10 * N), np.round(N / 2.54, 1), np.round(2 - 3 * N, 2)])
def test_of_two_that_are_a_multiple_but_for_rounding_the_finer_one_stays(coarse: FloatArray):
    for names in (["coarse", "e", "fine"], ["fine", "e", "coarse"]):
        frame = pl.DataFrame({"coarse": coarse, "fine": N, "e": E}).select(names)
        with pytest.raises(InputError, match=r"column 'coarse' is .*fine, up to rounding in every row"):
            as_table(frame, kinds={}, distinct=True)


def test_dates_that_follow_from_dates_are_told_by_their_days():
    days = np.datetime64("2020-01-01") + np.random.default_rng(0).integers(0, 700, 400).astype(
        "timedelta64[D]"
    )
    frame = pl.DataFrame({"sent": days, "due": days + 30, "e": E[:400]})
    with pytest.raises(InputError, match=r"column 'due' is 30 \+ sent in every row"):
        as_table(frame, kinds={}, distinct=True)


def test_the_column_is_named_and_left_out_in_the_cure(tmp_path: Path):
    gaps = np.where(UNIFORM < 0.4, np.nan, np.exp(N))
    frame = pl.DataFrame({"a": gaps, "b": N, "e": E, "c": np.tanh(E)}).with_columns(
        pl.col("a").fill_nan(None)
    )
    frame.write_csv(tmp_path / "t.csv")
    with pytest.raises(
        InputError, match=r"column 'a' follows from 'b', as a function of it, so that there is no joint"
    ):
        read_table(tmp_path / "t.csv", kinds={})
    table = read_table(tmp_path / "t.csv", kinds={}, drop=["a", "c"])
    assert table.names == ("b", "e")


@pytest.mark.parametrize(("x", "c"), [(N**2, N), (N, N**2)])
def test_no_column_is_modelled_given_a_function_of_it(x: FloatArray, c: FloatArray):
    frame = pl.DataFrame({"x": x, "e": E, "c": c})
    with pytest.raises(
        InputError, match="one of column 'x' and context column 'c' is a function of the other"
    ):
        as_table(frame, context=["c"], kinds={}, distinct=True)
