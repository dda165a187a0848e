"""The shuffle on disk: a permutation that the seed decides, the same in memory, and nothing left behind."""

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from shoal._errors import InputError
from shoal.tables import StoredRows, _shuffle, shuffled, shuffled_in_memory

ROWS, WIDTH = 5000, 3
TABLE = np.arange(ROWS * WIDTH, dtype=np.float64).reshape(ROWS, WIDTH)


def blocks(size: int, table: np.ndarray = TABLE) -> Iterator[np.ndarray]:
    for start in range(0, len(table), size):
        yield table[start : start + size]


@pytest.fixture(autouse=True)
def _small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shuffle, "BUCKET", 10_000)
    monkeypatch.setattr(_shuffle, "PIECE", 1000)


@pytest.mark.parametrize("rows", [ROWS, None])
def test_the_file_and_the_array_are_one_permutation_of_the_rows(tmp_path: Path, rows: int | None):
    given: dict[str, Any] = {"width": WIDTH, "seed": 4, "rows": rows}
    found = [shuffled(blocks(size), tmp_path / f"{size}", **given) for size in (1, 130, 5000)]
    array = shuffled_in_memory(blocks(77), **given)
    for one in found:
        assert one.dtype == array.dtype == np.float32
        assert one.shape == array.shape
        np.testing.assert_array_equal(one[:], array)
        np.testing.assert_array_equal(one[1234:1300], array[1234:1300])
    np.testing.assert_array_equal(np.sort(array[:, 0]), TABLE[:, 0])
    np.testing.assert_array_equal(array[:, 1:] - array[:, :1], np.tile([1.0, 2.0], (ROWS, 1)))
    assert {path.name for path in tmp_path.iterdir()} == {"1", "130", "5000"}
    np.testing.assert_array_equal(StoredRows(tmp_path / "130", WIDTH, ROWS)[:], array)
    other = shuffled_in_memory(blocks(77), width=WIDTH, seed=5, rows=rows)
    assert np.mean(other[:, 0] == array[:, 0]) < 0.01


def test_numbers_of_64_bits_keep_them(tmp_path: Path):
    given: dict[str, Any] = {"width": WIDTH, "seed": 4, "dtype": "float64"}
    found = shuffled(blocks(130, TABLE + 1e-9), tmp_path / "rows", **given)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(np.sort(found[:][:, 0]), TABLE[:, 0] + 1e-9)


def test_every_order_is_equally_likely(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_shuffle, "UNKNOWN", 2)
    table = np.arange(4.0)[:, None]
    counts = np.zeros((24,))
    for seed in range(2400):
        order = shuffled_in_memory([table], width=1, seed=seed)[:, 0].astype(int)
        rank = 0
        for i in range(4):
            rank = rank * (4 - i) + int((order[i + 1 :] < order[i]).sum())
        counts[rank] += 1
    assert chisquare(counts).pvalue > 1e-3


def test_no_rows(tmp_path: Path):
    assert shuffled([], tmp_path / "rows", width=2, seed=0).shape == (0, 2)
    assert shuffled_in_memory([], width=2, seed=0).shape == (0, 2)


def test_the_room_is_checked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=60_000))
    with pytest.raises(InputError, match=r"has 6e-05 GB free where the shuffled rows need 7e-05 GB"):
        shuffled(blocks(100), tmp_path / "rows", width=WIDTH, seed=0, rows=ROWS)
    assert not list(tmp_path.iterdir())


def full(*given: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["_write", "_deal"])
def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str):
    monkeypatch.setattr(_shuffle, step, full)
    with pytest.raises(InputError, match=r"can not be shuffled to .*: the disk is full; make room"):
        shuffled(blocks(100), tmp_path / "rows", width=WIDTH, seed=0, rows=ROWS)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_shuffle_left_is_removed(tmp_path: Path):
    left = tmp_path / ".rows.shuffling"
    left.mkdir()
    (left / "7").write_bytes(b"1234567")
    shuffled(blocks(100), tmp_path / "rows", width=WIDTH, seed=0, rows=ROWS)
    assert [path.name for path in tmp_path.iterdir()] == ["rows"]


def test_errors_leave_nothing(tmp_path: Path):
    with pytest.raises(InputError, match=r"must have the shape \(rows, 2\); found \(100, 3\)"):
        shuffled(blocks(100), tmp_path / "rows", width=2, seed=0)

    def interrupted() -> Iterator[np.ndarray]:
        yield TABLE
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shuffled(interrupted(), tmp_path / "rows", width=WIDTH, seed=0)
    with pytest.raises(InputError, match=r"can not be shuffled to .*: No such file or directory"):
        shuffled(blocks(100), tmp_path / "no" / "rows", width=WIDTH, seed=0)
    assert not list(tmp_path.iterdir())
