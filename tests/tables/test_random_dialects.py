"""Random tables in random dialects come back as they were, or are refused: no other error, no lost row, no other number."""

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from shoal._errors import InputError
from shoal.tables import open_source

PLAIN = st.text("abcdefghkmxyzäéß_ ", min_size=1, max_size=6)
MARKED = st.text("abc,;|# \n\"'", min_size=2, max_size=7)
WORDS = st.one_of(PLAIN, MARKED).map(str.strip).filter(lambda s: sum(letter.isalpha() for letter in s) > 1)
NAMES = st.lists(st.text("bcdfghkmuvwxyz", min_size=2, max_size=5), min_size=5, max_size=5, unique=True)
GAPS = ("", "NA", "#DIV/0!", "<NA>")


@dataclass(frozen=True)
class Dialect:
    """How a table is written."""

    separator: str
    comma: bool  # decimal commas
    group: bool  # thousands separators
    quoted: bool  # all cells
    header: bool
    comments: int
    title: bool
    units: bool
    newline: str
    encoding: str
    packed: bool


DIALECTS = st.builds(
    Dialect,
    separator=st.sampled_from([",", ";", "\t", "|"]),
    comma=st.booleans(),
    group=st.booleans(),
    quoted=st.booleans(),
    header=st.booleans(),
    comments=st.integers(0, 2),
    title=st.booleans(),
    units=st.booleans(),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    packed=st.booleans(),
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows of plain cells: the first column holds fractions, others fractions, whole numbers, words or gaps."""
    width, height = draw(st.integers(1, 4)), draw(st.integers(3, 25))
    columns = []
    for i in range(width):
        kind = "fraction" if i == 0 else draw(st.sampled_from(["fraction", "whole", "word"]))
        digits = draw(st.integers(1, 4))
        number = st.integers(-(10**8), 10**8).map(lambda n, d=digits: f"{n / 10**d:.{d}f}")
        cells = {"fraction": number, "whole": st.integers(-9999, 10**6).map(str), "word": WORDS}[kind]
        gaps = st.sampled_from(GAPS) if draw(st.booleans()) and i else cells
        columns.append(draw(st.lists(st.one_of(cells, cells, cells, gaps), min_size=height, max_size=height)))
    return [list(row) for row in zip(*columns, strict=True)]


def written(cell: str, dialect: Dialect) -> str:
    """A plain number in the dialect; other cells as they are."""
    try:
        float(cell)
    except ValueError:
        return cell
    text = f"{float(cell):,.{len(cell.partition('.')[2])}f}" if dialect.group else cell
    return text.translate(str.maketrans(",.", ".,")) if dialect.comma else text


def file_bytes(rows: list[list[str]], names: list[str], dialect: Dialect) -> bytes:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if dialect.quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=dialect.separator, quoting=quoting, lineterminator=dialect.newline)
    for i in range(dialect.comments):
        text.write(f"# made by hand {i}{dialect.newline}")
    if dialect.title and dialect.header and len(names) > 1:
        writer.writerow(["Some measurements", *[""] * (len(names) - 1)])
    if dialect.header:
        writer.writerow(names)
        if dialect.units:
            writer.writerow([f"[{'mks'[i % 3]}]" for i in range(len(names))])
    for row in rows:
        writer.writerow([written(cell, dialect) for cell in row])
    data = text.getvalue().encode(dialect.encoding)
    return gzip.compress(data) if dialect.packed else data


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    derandomize=True,
    database=None,
)
@given(rows=tables(), names=NAMES, dialect=DIALECTS)
def test_a_table_comes_back_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], names: list[str], dialect: Dialect
):
    path = tmp_path_factory.getbasetemp() / "t.csv"
    names = names[: len(rows[0])]
    bare = len(names) == 1 and not dialect.header and not dialect.quoted
    assume(
        not (bare and (dialect.comma or dialect.group))
    )  # 1,5 in one column is what 1 and 5 in two columns are
    path.write_bytes(file_bytes(rows, names, dialect))
    source, refused = None, ""
    try:
        source = open_source(path)
    except InputError as error:
        refused = str(error)
    if source is None:
        assert refused.count("\n") == 0 < len(refused)
        return
    found = [["" if cell is None else cell for cell in row] for row in source.frame.rows()]
    assert source.names == (tuple(names) if dialect.header else tuple(f"c{i}" for i in range(len(names))))
    assert len(found) == len(rows)
    for have, want in zip(found, rows, strict=True):
        for a, b in zip(have, want, strict=True):
            assert a.strip() == b or float(a) == float(b)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize(("comma", "quoted"), [(False, False), (False, True), (True, True), (True, False)])
@pytest.mark.parametrize("header", [True, False], ids=["header", "no header"])
def test_none_of_the_usual_dialects_is_refused(
    tmp_path: Path, separator: str, comma: bool, quoted: bool, header: bool
):
    rows = [
        [f"{i / 7:.2f}", str(3 * i), "uv"[i % 2] * 2, "NA" if i == 5 else f"{-1000 * i:.1f}"]
        for i in range(1, 30)
    ]
    dialect = Dialect(separator, comma, False, quoted, header, 1, header, header, "\r\n", "utf-8-sig", True)
    (tmp_path / "t.csv").write_bytes(file_bytes(rows, ["aa", "bb", "cc", "dd"], dialect))
    source = open_source(tmp_path / "t.csv")
    assert source.names == (("aa", "bb", "cc", "dd") if header else ("c0", "c1", "c2", "c3"))
    assert [list(row) for row in source.frame.rows()] == rows
