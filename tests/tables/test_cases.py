"""Every kind of table that people have trouble with, read for what it is, or refused."""

from pathlib import Path

import pytest

from shoal.tables import read_table
from tests.tables.cases import READ, Case
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


def test_there_are_three_of_each_kind():
    assert all(len(cases) > 2 for cases in (READ | FILES | REFUSED).values())
