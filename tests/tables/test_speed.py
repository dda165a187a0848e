"""A large table is read at a speed that is set by its size, not by its checks."""

import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shoal.tables import read_table, split

ROWS = 200_000


@pytest.mark.long
def test_a_large_table_is_read_and_split_in_seconds(tmp_path: Path):
    path = tmp_path / "t.csv"
    pl.DataFrame(np.random.default_rng(0).normal(size=(ROWS, 7))).write_csv(path)
    start = time.perf_counter()
    table = read_table(path)
    parts = split(table.values, 0)
    seconds = time.perf_counter() - start
    print(f"{path.stat().st_size / 1e6:.0f} MB read, checked and split in {seconds:.2f} s")
    assert sum(map(len, parts)) == ROWS
    assert seconds < 10  # about 1 s on two free cores; a loop over rows in Python takes minutes
