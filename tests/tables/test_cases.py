"""Every kind of table that people have trouble with, read for what it is, or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from shoal.tables import as_table, read_table
from tests.tables.cases import DATES, READ, TIMES, A, Case, I, N, Y
from tests.tables.cases_files import FILES
from tests.tables.cases_refused import REFUSED


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{kind}: {name}")
        for kind, cases in READ.items()
        for name, case in cases.items()
    ],
)
def test_it_is_read_for_what_it_is(tmp_path: Path, case: Case):
    (tmp_path / case.name).write_bytes(case.data)
    table = read_table(tmp_path / case.name, kinds={})
    assert table.rows == case.rows
    assert table.schema is not None
    sentences = {column.name: column.sentence() for column in table.schema.columns}
    for name, words in case.columns.items():
        assert words in sentences[name]
    assert case.notes in "; ".join(table.notes)


FRAMES = {
    "times": (pd.to_datetime(TIMES), "a date: log-density in days"),
    "times of a zone": (pd.to_datetime(TIMES, utc=True), "a date: log-density in days"),
    "days": (pd.to_datetime(DATES), "a date: log-density in days, with noise of its step 1"),
    "days with a gap": (
        pd.to_datetime(pd.Series([None, *DATES[1:]])),
        "step 1; 0.7% of the cells are missing",
    ),
    "booleans": (I % 3 > 0, "a category of 2 values (false, true)"),
    "booleans with a gap": (
        pd.array([None, *(I[1:] % 3 > 0).tolist()], dtype="boolean"),
        "2 values (false, true): log-p",
    ),
    "whole with a gap": (
        pd.array([None, *(I[1:] % 7).tolist()], dtype="Int64"),
        "step 1; 0.7% of the cells are missing",
    ),
    "categories": (pd.Categorical(["lo", "hi", "mid"] * (N // 3)), "a category of 3 values (hi, lo, mid)"),
    "19 digits": (1_582_218_195_625_938_945 + 37 * I, "an identifier, left out"),
    "objects": (pd.Series([None, *range(1, N)], dtype=object), "an identifier, left out"),
    "float32 with a sentinel": (np.where(I % 5, A, -999).astype("f4"), "20.0% of the rows hold -999,"),
}


@pytest.mark.parametrize(("cells", "words"), FRAMES.values(), ids=FRAMES.keys())
def test_a_data_frame_is_read_for_what_it_is(cells: Any, words: str):
    table = as_table(pd.DataFrame({"x": cells, "y": Y}), kinds={}, distinct=True)
    assert table.schema is not None
    assert words in table.schema.columns[0].sentence()
    assert table.rows == N


def test_there_are_three_of_each_kind():
    assert all(len(cases) > 2 for cases in (READ | FILES | REFUSED).values())
