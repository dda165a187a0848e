"""A table that a test writes as CSV and opens as it is."""

import polars as pl
import pytest

from shoal.tables import open_source


@pytest.fixture
def source(tmp_path):
    def made(**columns):
        path = tmp_path / "table.csv"
        pl.DataFrame({name: list(cells) for name, cells in columns.items()}, strict=False).write_csv(path)
        return open_source(path)

    return made
