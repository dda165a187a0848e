"""Parts, samples and checksums by hashes of rows."""

import numpy as np
import polars as pl
import pytest

from shoal._errors import InputError
from shoal.tables import hashed_parts
from shoal.tables._hashes import frame_checksum, mixed, numbered_hashes, row_hashes

ROWS = 50_000
VALUES = np.random.default_rng(0).normal(size=(ROWS, 3))


def splitmix(bits: int) -> int:
    """splitmix64 in whole numbers, as in the paper."""
    bits = (bits + 0x9E3779B97F4A7C15) % 2**64
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % 2**64
    return bits ^ (bits >> 31)


def test_the_mixer_is_splitmix64():
    assert mixed(np.zeros(1, np.uint64))[0] == 0xE220A8397B1DCDAF  # its first number for the seed 0
    bits = np.random.default_rng(1).integers(0, 2**64, 100, dtype=np.uint64)
    assert mixed(bits.copy()).tolist() == [splitmix(int(b)) for b in bits]
    columns = bits.reshape(2, 50)
    found = row_hashes(columns, 7).tolist()
    assert found == [splitmix(splitmix(splitmix(7 ^ a) ^ b)) for a, b in columns.T.tolist()]


def test_parts_have_their_shares_and_are_those_of_the_rows():
    parts = hashed_parts(VALUES, 3, (0.7, 0.2, 0.1))
    for part, share in enumerate((0.7, 0.2, 0.1)):  # five standard errors
        assert abs(np.mean(parts == part) - share) < 5 * np.sqrt(share * (1 - share) / ROWS)
    order = np.random.default_rng(1).permutation(ROWS)
    np.testing.assert_array_equal(hashed_parts(VALUES[order], 3, (0.7, 0.2, 0.1)), parts[order])
    blocks = [hashed_parts(VALUES[i : i + 999], 3, (0.7, 0.2, 0.1)) for i in range(0, ROWS, 999)]
    np.testing.assert_array_equal(np.concatenate(blocks), parts)
    other = hashed_parts(VALUES, 4, (0.7, 0.2, 0.1))
    assert abs(np.mean((other == 2) & (parts == 2)) - 0.01) < 5 * np.sqrt(0.01 / ROWS)  # independent


def test_zeros_are_equal_and_a_part_may_be_empty():
    rows = np.tile([[0.0, 1.0], [-0.0, 1.0]], (500, 1)) + np.repeat(np.arange(500.0), 2)[:, None] * [[0, 1]]
    parts = hashed_parts(rows, 0)
    np.testing.assert_array_equal(parts[::2], parts[1::2])
    assert set(hashed_parts(VALUES, 0, (0.9, 0.1, 0.0)).tolist()) == {0, 1}
    assert set(hashed_parts(VALUES, 0, (1.0, 0.0, 0.0)).tolist()) == {0}
    with pytest.raises(InputError, match="three shares that sum to 1"):
        hashed_parts(VALUES, 0, (0.5, 0.1, 0.1))


def test_hashes_of_numbers_do_not_repeat():
    found = np.concatenate([numbered_hashes(0, 70, 1), numbered_hashes(70, 30, 1)])
    np.testing.assert_array_equal(found, numbered_hashes(0, 100, 1))
    assert len(np.unique(found)) == 100
    assert not np.isin(found, numbered_hashes(0, 100, 2)).any()


def test_a_checksum_sees_every_cell_in_any_order():
    frame = pl.DataFrame({"x": [1.5, None, -0.5], "n": [1, 2, None], "w": ["a", None, "b"]})
    sums = [frame_checksum(frame), frame_checksum(frame[[2, 0, 1]])]
    assert sums[0] == sums[1] == sum(frame_checksum(frame[i : i + 1]) for i in range(3)) % 2**64
    changed = [
        frame.with_columns(x=pl.Series([1.5, 0.0, -0.5])),
        frame.with_columns(x=pl.Series([1.5, None, np.nextafter(-0.5, 0)])),
        frame.with_columns(n=pl.Series([1, 2, 0])),
        frame.with_columns(w=pl.Series(["a", "", "b"])),
        frame.with_columns(w=pl.Series(["b", None, "a"])),
        frame[:2],
    ]
    assert len({sums[0], *map(frame_checksum, changed)}) == 7
