"""Bounds of columns: which are found, what a given one refuses, and that no cell is written outside."""

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import open_source, read_table
from shoal.tables._kinds import find_schema

N = 400
RNG = np.random.default_rng(0)
ANGLES = RNG.vonmises(0.3, 2.0, N) % (2 * np.pi)
FOUND = {
    "lognormal": (np.exp(RNG.normal(size=N)), "positive", "above 0", (0.0, np.inf)),
    "exponential": (RNG.exponential(5.0, N), "positive", "above 0", (0.0, np.inf)),
    "share": (RNG.beta(0.7, 0.8, N), "bounded", "between 0 and 1", (0.0, 1.0)),
    "far from 0": (RNG.normal(100.0, 3.0, N), "number", "a number", (-np.inf, np.inf)),
    "both signs": (RNG.normal(size=N), "number", "a number", (-np.inf, np.inf)),
    "counts": (RNG.poisson(3.0, N), "count", "a count", (-np.inf, np.inf)),
    "counts from 1": (1 + RNG.poisson(3.0, N), "count", "a count", (-np.inf, np.inf)),
    "tenths": (RNG.poisson(30.0, N) / 10, "number", "a number", (-np.inf, np.inf)),
    "rain": (np.where(RNG.random(N) < 0.6, 0, RNG.gamma(2, 3, N)), "positive", "hold 0", (0.0, np.inf)),
}


@pytest.mark.parametrize("name", FOUND)
def test_bounds_are_found(name, source):
    cells, kind, words, support = FOUND[name]
    (column,) = find_schema(source(c=cells), [0], {}).columns
    assert column.kind == kind
    assert words in column.sentence()
    assert column.support == support


@pytest.mark.parametrize(
    ("cells", "given", "support", "words"),
    [
        (RNG.normal(50, 5, N), "positive", (0.0, np.inf), "a number above 0"),
        (RNG.uniform(-3, 4, N), "bounded:-5:5", (-5.0, 5.0), "a number between -5 and 5"),
        (ANGLES, f"periodic:{2 * np.pi}", (-np.inf, np.inf), "the same after 6.28319"),
        (np.exp(RNG.normal(size=N)), "number", (-np.inf, np.inf), "a number"),
    ],
)
def test_bounds_may_be_given(cells, given, support, words, source):
    (column,) = find_schema(source(c=cells), [0], {"c": given}).columns
    assert words in column.sentence()
    assert column.support == support
    if column.period is not None:
        assert column.period == pytest.approx(2 * np.pi)
        assert abs(column.center - 0.3) < 0.2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("bounded", "write it as in 'bounded:0:100'"),
        ("bounded:5:1", "write it as in 'bounded:0:100'"),
        ("bounded:0:x", "write it as in 'bounded:0:100'"),
        ("periodic", "write it as in 'periodic:360'"),
        ("periodic:-1", "write it as in 'periodic:360'"),
        ("periodic:inf", "write it as in 'periodic:360'"),
        ("positive:3", "write it as in 'positive'"),
        ("angle", "is unknown; choose from number, count, positive, bounded, periodic, category"),
        ("positive", "row 2: -3 does not fit the kind positive"),
        ("bounded:-3:7", "Numbers at a bound itself have no density: give wider bounds"),
        ("bounded:0:1", "row 2: -3 does not fit the kind bounded .0 to 1."),
        ("count", "row 2: -3 does not fit the kind count .from 0 on."),
    ],
)
def test_what_does_not_fit_is_refused(given, words, source):
    cells = np.concatenate([[-3.0], RNG.uniform(0, 6, N)])
    with pytest.raises(InputError, match=words):
        find_schema(source(c=cells), [0], {"c": given})


def test_no_cell_is_written_outside(source):
    table = source(
        count=FOUND["counts from 1"][0],
        tenth=FOUND["tenths"][0],
        share=FOUND["share"][0],
        angle=10 + 10 * np.arange(N) % 360,
    )
    schema = find_schema(table, range(4), {"angle": "periodic:360"})
    assert [c.kind for c in schema.columns] == ["count", "number", "bounded", "periodic"]
    far = np.array(
        [[-7.0, -0.4, 0.5, -180.0], [2.2, 1.23, 0.25, 364.9], [3.0, 0.0, 0.5, 365.1], [3, 0, 0.5, 721.0]]
    )
    back = schema.decode(np.zeros((4, 0), int), far)
    assert back["count"].to_list() == [1, 2, 3, 3]
    np.testing.assert_allclose(back["tenth"], [0.0, 1.2, 0.0, 0.0], atol=1e-12)
    assert back["angle"].to_list() == [180, 360, 10, 360]


@pytest.mark.parametrize("low", [0.0, -np.pi, 20.0])
def test_angles_are_written_as_the_table_writes_them(low, source):
    cells = low + ANGLES % (2 * np.pi)
    schema = find_schema(source(c=cells), [0], {"c": f"periodic:{2 * np.pi}"})
    turned = schema.turned(cells[:, None] + 2 * np.pi * RNG.integers(-3, 4, (N, 1)))
    np.testing.assert_allclose(turned[:, 0], cells, atol=1e-9)


@pytest.mark.parametrize("period", [7, 1, 365.2425])
def test_dates_can_be_places_in_a_week_a_day_a_year(period, source):
    """What two dates a turn apart have in common: their number modulo the period; written as a date of the first turn."""
    start, minutes = np.datetime64("2021-03-01T06:00:00"), RNG.integers(0, 2_000_000, N)
    days = [start + np.timedelta64(int(i) // 1440, "D") for i in minutes]
    for cells in ([start + np.timedelta64(int(i), "m") for i in minutes], days):
        if period == 1 and cells is days:
            continue
        table = source(c=[str(cell).replace("T", " ") for cell in cells])
        (column,) = (schema := find_schema(table, [0], {"c": f"periodic:{period}"})).columns
        assert (column.kind, column.is_time) == ("periodic", True)
        assert f"a periodic date (YYYY-MM-DD hh:mm:ss), the same after {period} days" in column.sentence()
        encoded = schema.encode(table)
        (written,) = schema.decode(encoded.codes, encoded.values).values()
        back = np.array([np.datetime64(w.replace(" ", "T")) for w in written])
        assert np.ptp(back) <= np.timedelta64(round(period * 86_400), "s")
        turns = (np.array(cells) - back) / np.timedelta64(1, "D") / period
        np.testing.assert_allclose(turns, np.rint(turns), atol=2e-3)


def test_a_table_with_bounds_keeps_its_units(source, tmp_path):
    source(a=FOUND["lognormal"][0], b=FOUND["both signs"][0])
    table = read_table(tmp_path / "table.csv", kinds={})
    np.testing.assert_array_equal(table.values, read_table(tmp_path / "table.csv").values)
    assert table.codes is not None
    assert table.codes.shape == (N, 0)


def test_rows_outside_are_told_also_on_a_lattice(source, tmp_path):
    table = source(count=FOUND["counts"][0], size=FOUND["lognormal"][0], tenth=FOUND["tenths"][0])
    schema = find_schema(table, range(3), {})
    rows = pl.DataFrame(
        {"count": [0.0, -3.0, 2.0, 2.0], "size": [1.0, 1.0, 0.0, 1e-60], "tenth": [0.0, 0.1, 3.0, 3.0]}
    )
    rows.write_csv(tmp_path / "new.csv")
    encoded = schema.encode(open_source(tmp_path / "new.csv"))
    assert schema.outside(encoded).tolist() == [False, True, True, False]
    assert (schema.inside(encoded.values)[[0, 1, 3], 1].astype(np.float32) > 0).all()


def test_numbers_that_float32_can_not_tell_from_a_bound_find_none(source):
    for cells in (np.append(RNG.uniform(size=N), 1 - 1e-9), np.append(RNG.uniform(size=N), 1e-45)):
        assert find_schema(source(c=cells), [0], {}).columns[0].kind == "number"
