"""`read_stream`: a checked table of any number of rows, as a sample in memory and blocks that are read again.

What the columns are is found from a uniform sample of the rows by the code that `read_table` uses, and from rows that the
sample lacks and must not: those with the least and the largest number of each column and its first missing cell (pass 1),
and then those that the columns so found have no place for: words of a category, numbers off a lattice (pass 2, where there
are such columns).
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._scalars import IntArray
from shoal.tables._checks import (
    MINIMUM_DISTINCT,
    MINIMUM_ROWS,
    build_table,
    check_distinct_rows,
    read_column,
)
from shoal.tables._column import Column
from shoal.tables._columns import Columns, Roles, choose_roles
from shoal.tables._dependents import check_density
from shoal.tables._hashes import frame_checksum
from shoal.tables._kinds import MOST_GIVEN
from shoal.tables._sample import Seen
from shoal.tables._schema import Schema, numbers_of, off_lattice
from shoal.tables._source import Source
from shoal.tables._stream import Stream, changed, open_stream
from shoal.tables._table import Table
from shoal.tables._whole import build_whole, encoded_table

SAMPLE = 300_000  # rows
ROUNDS = 4  # of pass 2: each adds rows that the columns as found before have no place for
COUNTING = 1.5  # as in `_kinds`: whole numbers that reach so far, in rows, and do not repeat number the rows


@dataclass(frozen=True, eq=False)
class StreamedTable:
    """A table of any number of rows: blocks that can be read again and again, and a sample of them in memory.

    **Arguments:**

    - `sample`: a checked `Table`, whose rows are a uniform sample without replacement; its `schema` is that of all rows.
    - `sample_rows`: the numbers of its rows in the stream, counted from 0, in ascending order.
    - `rows`: how many there are, without those of weight 0, which take no part.
    - `checksum`: of the cells of the columns that are used, whatever the order of the rows.
    - `stream`: of these columns; `roles`: what each is; `asked`: what they were chosen by.
    - `seconds`: that the first pass took; `shuffle`: where rows in random order are to lie.
    """

    sample: Table
    sample_rows: IntArray
    rows: int
    checksum: int
    stream: Stream
    roles: Roles
    asked: Columns
    seconds: float = 0.0
    shuffle: Literal["disk", "memory"] = "disk"

    @property
    def schema(self) -> Schema | None:
        """What the columns are."""
        return self.sample.schema

    def tables(self) -> Iterator[Table]:
        """All rows, block by block, as the schema of the sample has them.

        **Raises:** `InputError` where the files are not as they were in the first pass: by size and time of change before a
        row is read, by count and checksum at the end.
        """
        self.stream.check_unchanged()
        rows = checksum = 0
        for source in _used(self.stream, self.roles, self.asked):
            rows += source.frame.height
            checksum += frame_checksum(source.frame)
            yield _table(source, self.roles, self.asked, self.sample.schema)
        if (rows, checksum % 2**64) != (self.rows, self.checksum):
            what = (
                "its cells are others"
                if rows == self.rows
                else f"it has {rows} rows where it had {self.rows}"
            )
            raise InputError(changed(self.stream.label, what))


def read_stream(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    context: Sequence[str] | None = None,
    weights: str | None = None,
    kinds: Mapping[str, str] | None = None,
    seed: int = 0,
    sample: int = SAMPLE,
    block_rows: int | None = None,
    shuffle: Literal["disk", "memory"] = "disk",
) -> StreamedTable:
    """Reads a table that need not fit into memory, and checks that a flow can be trained on it.

    **Arguments:** `path`: as in `open_stream`; `columns` to `kinds`: as in `read_table`; `seed`: of the sample of
    `sample` rows, which does not depend on `block_rows`. Columns that are constant or follow from others are looked for in
    the sample.

    **Raises:** `InputError` as `open_stream` and `read_table` do.
    """
    began, listed = time.monotonic(), None if columns is None else tuple(columns)
    asked = Columns(listed, tuple(drop or ()), tuple(context or ()), weights)
    stream, roles = _chosen(open_stream(path, block_rows=block_rows), asked)
    beside = roles if kinds is None else replace(roles, values=())
    seen = Seen(stream.head(), sample, seed)
    for source in stream.sources():
        used = _of_weight(source, roles, asked)
        if used.frame.height:
            build_table(used, beside, asked, minimum_rows=1, distinct=False)  # which says what is wrong
        seen.add(source, used, roles.values)
    _check_weighted(stream, roles, seen, MINIMUM_ROWS)
    schema = None
    if kinds is None:
        source = seen.source()
        table = build_table(source, roles, asked, minimum_rows=MINIMUM_ROWS, distinct=True)
        check_distinct_rows(table, MINIMUM_DISTINCT)
        check_density(source, asked, table)
    else:
        kinds = {**_counting(seen.source(), roles, seen, kinds), **kinds}
        schema = _schema(stream, roles, asked, kinds, seen, MINIMUM_ROWS)
    found = _table(seen.source(extremes=False), roles, asked, schema)
    found = replace(found, numbers=seen.numbers + found.first_row)
    took = time.monotonic() - began
    return StreamedTable(found, seen.numbers, seen.rows, seen.checksum, stream, roles, asked, took, shuffle)


def _chosen(stream: Stream, asked: Columns) -> tuple[Stream, Roles]:
    """The columns that are used, and their places."""
    roles = choose_roles(stream.head(), asked)
    k, c = len(roles.values), len(roles.context)
    places = tuple(range(k + c + (roles.weights is not None)))
    weights = None if roles.weights is None else k + c
    return stream.only(roles.all()), Roles(places[:k], places[k : k + c], weights)


def _table(source: Source, roles: Roles, asked: Columns, schema: Schema | None) -> Table:
    if schema is not None:
        table = encoded_table(source, roles, asked, schema)
    else:
        table = build_table(source, roles, asked, minimum_rows=1, distinct=False)
    return replace(table, notes=source.notes)


def _used(stream: Stream, roles: Roles, asked: Columns) -> Iterator[Source]:
    """The blocks without rows of weight 0."""
    for source in stream.sources():
        used = _of_weight(source, roles, asked)
        if used.frame.height:
            yield used


def _of_weight(source: Source, roles: Roles, asked: Columns) -> Source:
    """The rows of a weight above 0. **Raises:** `InputError` for a weight that is none."""
    if roles.weights is None:
        return source
    weights, fault = read_column(source, roles.weights)
    if fault is not None or (weights < 0).any():
        build_table(source, Roles((), (), roles.weights), asked, minimum_rows=1, distinct=False)  # raises
    kept = weights > 0
    if kept.all():
        return source
    return replace(source, frame=source.frame.filter(pl.Series(kept)), numbers=np.flatnonzero(kept))


def _check_weighted(stream: Stream, roles: Roles, seen: Seen, minimum_rows: int) -> None:
    if roles.weights is not None and seen.rows < minimum_rows <= seen.read:
        raise InputError(
            f"{stream.label}, column {stream.names[roles.weights]!r}: found a weight above 0 in {seen.rows} rows, and rows "
            f"of weight 0 take no part; at least {minimum_rows} are needed, so give more rows a weight."
        )


def _schema(
    stream: Stream,
    roles: Roles,
    asked: Columns,
    kinds: Mapping[str, str],
    seen: Seen,
    minimum_rows: int,
) -> Schema:
    """What the columns are, in all rows."""
    for _ in range(ROUNDS):
        source = seen.source()
        found = build_whole(source, roles, asked, kinds, minimum_rows=minimum_rows, distinct=True).schema
        assert found is not None
        if seen.is_whole or not _look(stream, roles, asked, found, seen):
            return found
    raise InputError(
        f"{stream.label}: words and numbers of its columns go on to differ from those of {len(seen.numbers):,d} of the "
        "rows; give the kinds of the columns."
    )


def _look(stream: Stream, roles: Roles, asked: Columns, schema: Schema, seen: Seen) -> bool:
    """Whether some rows hold what a column as found has no place for; they are added to what is seen."""
    cells = stream.head().frame
    part = Schema(
        columns=tuple(c for c in schema.columns if _is_open(c, cells.to_series(stream.names.index(c.name))))
    )
    if not part.columns:
        return False
    count = 0
    for source in _used(stream, roles, asked):
        encoded = part.encode(source)
        for i, c in enumerate(part.discrete):
            if c.kind == "category":
                new = np.flatnonzero(encoded.codes[:, i] == c.states - 1)
                count += seen.add_new(c.name, source, new, MOST_GIVEN)
        for lattice in part.lattices():
            new = np.flatnonzero(off_lattice(lattice, encoded))
            count += seen.add_new(lattice.column, source, new, MOST_GIVEN)
        for i, c in enumerate(part.continuous):
            if c.type == "integer" and c.step is None:
                x = encoded.values[:, i]
                count += seen.add_new(c.name, source, np.flatnonzero(x != np.rint(x)), 1)
    return count > 0


def _is_open(column: Column, cells: pl.Series) -> bool:
    """Whether rows other than those of the least and the largest number may hold what the column has no place for."""
    if column.kind == "identifier":
        return False
    whole = column.type == "integer" and not cells.dtype.is_integer()
    return (
        column.kind == "category"
        or column.step is not None
        or cells.dtype == pl.String
        or column.is_time
        or whole
    )


def _counting(source: Source, roles: Roles, seen: Seen, kinds: Mapping[str, str]) -> dict[str, str]:
    """The columns whose numbers number the rows, which a sample does not show: of the kind "identifier"."""
    found = dict[str, str]()
    for i in roles.values if not seen.is_whole else ():
        name, reach = source.names[i], seen.reach(i)
        if name in kinds or reach is None or not 0 < reach < COUNTING * seen.read:
            continue
        numbers, odd = numbers_of(source.frame.to_series(i))
        whole = odd is None and bool(np.all(numbers == np.rint(numbers)))
        if whole and len(np.unique(numbers)) == len(numbers):
            found[name] = "identifier"
    return found
