"""The split into training, validation and test parts."""

import numpy as np
import pytest

from shoal._errors import InputError
from shoal.tables import row_groups, split

ROWS = 5000
DISTINCT = np.random.default_rng(1).normal(size=(ROWS, 3))
REPEATED = np.round(DISTINCT, 0)


@pytest.mark.parametrize("values", [DISTINCT, REPEATED], ids=["distinct", "repeated"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_row_is_in_one_part_and_sizes_are_close(values: np.ndarray, seed: int):
    parts = split(values, seed)
    assert np.sort(np.concatenate(parts)).tolist() == list(range(ROWS))
    largest = np.bincount(row_groups(values)).max()
    for part, fraction in zip(parts, (0.8, 0.1, 0.1), strict=True):
        assert abs(len(part) - fraction * ROWS) <= largest + 1
        assert (np.diff(part) > 0).all()


def test_identical_rows_are_in_one_part():
    parts = [set(map(tuple, REPEATED[part])) for part in split(REPEATED, 3)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


@pytest.mark.parametrize("values", [DISTINCT, REPEATED], ids=["distinct", "repeated"])
def test_the_split_does_not_depend_on_units_or_sign(values: np.ndarray):
    for scale in ([1e6, 1, 1], [-1, 1e-6, 2.54], [1, 1, -3e9]):
        for part, scaled in zip(split(values, 7), split(values * scale, 7), strict=True):
            np.testing.assert_array_equal(part, scaled)


def test_the_seed_decides():
    same = zip(split(DISTINCT, 5), split(DISTINCT, 5), strict=True)
    assert all(np.array_equal(a, b) for a, b in same)
    assert not np.array_equal(split(DISTINCT, 5)[2], split(DISTINCT, 6)[2])


def test_parts_are_drawn_evenly_from_the_order_of_the_file():
    validation, test = split(DISTINCT, 9)[1:]
    for part in (validation, test):  # five standard errors of the mean of a uniform draw
        assert abs(part.mean() / ROWS - 0.5) < 5 / np.sqrt(12 * len(part))


def test_groups_are_counted_in_order_of_appearance():
    values = np.array([[2.0, 1], [1, 5], [2, 1], [0.0, 3], [-0.0, 3], [1, 4]])
    assert row_groups(values).tolist() == [0, 1, 0, 2, 2, 3]


def test_fractions():
    parts = split(DISTINCT, 0, (0.5, 0.3, 0.2))
    assert [len(part) for part in parts] == [2500, 1500, 1000]


def test_a_test_share_of_0_leaves_that_part_empty():
    parts = split(DISTINCT, 0, (0.9, 0.1, 0.0))
    assert [len(part) for part in parts] == [4500, 500, 0]
    assert sorted(np.concatenate(parts)) == list(range(5000))


@pytest.mark.parametrize("fractions", [(0.8, 0.0, 0.2), (1.2, 0.1, -0.3), (0.8, 0.1, 0.2), (0.5, 0.5)])
def test_bad_fractions(fractions: tuple[float, ...]):
    with pytest.raises(InputError, match="three numbers that sum to 1, the first two positive"):
        split(DISTINCT, 0, fractions)


def test_too_few_distinct_rows():
    with pytest.raises(InputError, match=r"t\.csv: only 2 of 100 rows are distinct"):
        split(np.tile([[1.0], [2.0]], (50, 1)), 0, label="t.csv")
