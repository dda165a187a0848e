"""Log-densities of a table's rows under a run's model, written behind its columns, here or by a worker. It loads JAX."""

import os
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from shoal._errors import InputError
from shoal._executors import Executor, check_seen, check_versions, pack, unpack, versions, work
from shoal._remote import is_url
from shoal._scalars import FloatArray
from shoal.cli import _model
from shoal.cli._data import matched_rows, read_schema
from shoal.cli._rows import Written
from shoal.cli._run_folder import ModelFolder, find_model
from shoal.cli._score import BOUND, COLUMN, ERROR, WHY
from shoal.distributions import (
    AbstractFlow,
    Conditionals,
    Mixed,
    log_prob_errors_of_cells,
    log_prob_of_cells,
)
from shoal.records.fit import read_run
from shoal.tables import Schema, SchemaRows, Source, Strange, Stream, Table, append_columns, numbers_in_text

SURPRISING, MOST_CELLS = 3.0, 5  # nats beyond what is expected of a cell that is named, and how many are


@dataclass(frozen=True)
class Scoring:
    """What is asked: the run, as the command line names it, what is wanted beside log_prob, contexts for `Conditionals`."""

    run: str
    rank: str
    errors: bool
    explain: bool
    among: FloatArray | None


def score_table(
    table: Source | Stream,
    output: Path,
    asked: Scoring,
    kinds: Mapping[int, type[int] | type[float]] | None = None,
) -> tuple[Written, list[Strange]]:
    """Writes `table` with its new columns to `output`, block by block. **Returns:** the rows, and cells new to the model.

    **Arguments:** `kinds`: as in `append_columns`.
    """
    folder = find_model(asked.run)
    schema, strange, written = read_schema(folder), list[Strange](), Written(output)
    with _model.loaded(folder) as flow:
        scores = _Scores(folder, flow, schema, asked)

        def scored() -> Iterator[tuple[Source, dict[str, Any]]]:
            for k, source in enumerate(table.sources()):
                columns = scores.of(source, matched_rows(folder, schema, source, strange), more=k > 0)
                written.add(columns[COLUMN])
                yield source, columns

        append_columns(output, table, scored(), kinds)
    return written, strange


def score_files(
    table: Stream, output: Path, asked: Scoring, executor: Executor | None
) -> tuple[Written, list[Strange]]:
    """Each file of the table by itself, on the workers of an executor where there is one; `output` is there once all are."""
    parts = table.parts()
    names = [f"{file.stem}.{table.kind}" for file in table.files]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(
            f"Two files of {table.label} would become {output / twice}; rename one, or score them apart."
        )
    asked = asked if is_url(asked.run) else replace(asked, run=str(Path(asked.run).resolve()))
    with _made(output) as folder:
        kinds = numbers_in_text(table) if table.kind == "parquet" else {}
        packed = (pack((part, folder / name, asked, kinds)) for part, name in zip(parts, names, strict=True))
        found = dict(work(score_part, ((versions(), one) for one in packed), executor))
    whole, strange = Written(output), list[Strange]()
    for k in range(len(parts)):
        written, more = found[k]
        whole.join(written)
        strange += more
    return whole, strange


@contextmanager
def _made(output: Path) -> Generator[Path, None, None]:
    """A folder that gets the name `output` when the context ends well, and is gone when it does not."""
    folder = output.resolve().with_name(f".{output.name}.{os.getpid()}.unfinished")
    try:
        folder.mkdir()
        yield folder
        folder.rename(output)
    except OSError as error:
        raise InputError(f"-o {output} can not be made: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def score_part(wanted: dict[str, str | None], packed: bytes) -> tuple[Written, list[Strange]]:
    """`score_table` as the task of a worker, of one file of a table.

    **Arguments:** the submitter's `versions`; the packed arguments of `score_table`.

    **Raises:** `InputError` where the worker has other versions, or does not see the files.
    """
    check_versions(wanted)
    table, output, asked, kinds = unpack(packed)
    for path in (*table.files, output.parent, *([] if is_url(asked.run) else [asked.run])):
        check_seen(path)
    table.check_unchanged()
    return score_table(table, output, asked, kinds)


class _Scores:
    """The new columns of each block of a table."""

    def __init__(
        self, folder: ModelFolder, flow: AbstractFlow | Mixed, schema: Schema | None, asked: Scoring
    ):
        self.folder, self.flow, self.schema, self.asked = folder, flow, schema, asked
        self.conditionals: Conditionals | None = None
        self.quantiles = _quantiles(folder)

    def of(self, source: Source, matched: tuple[Table, SchemaRows] | None, *, more: bool) -> dict[str, Any]:
        """Of one block; `more`: it is not the first one."""
        table = matched[0] if matched else _model.matched(self.folder, self.flow, source)
        rows = matched[1] if matched else SchemaRows(table.values, np.zeros(table.rows, bool))
        count = table.rows
        given, context = (_filled(part, _model.ROWS if more else 0) for part in (rows.values, table.context))
        values = log_prob_of_cells(self.flow, given, context, rows.lattices)[:count]
        values = np.where(rows.outside, -np.inf, values)
        found: dict[str, Any] = {COLUMN: values}
        if self.quantiles:
            share = np.interp(values, self.quantiles, np.linspace(0.0, 1.0, len(self.quantiles)))
            found[self.asked.rank] = np.where(np.isnan(values), np.nan, share)
        if self.asked.errors:
            bars = log_prob_errors_of_cells(self.flow, given, context, rows.lattices)
            kept = (np.where(rows.outside, np.nan, b[:count]) for b in bars)
            found |= dict(zip((ERROR, BOUND), kept, strict=True))
        if self.asked.explain:
            found[WHY] = _unlikely(table.names, self._surprises(rows.values, table.context))
        return found

    def _surprises(self, values: FloatArray, context: FloatArray | None) -> FloatArray:
        assert self.schema is not None  # the command asked for it
        if self.conditionals is None:
            self.conditionals = Conditionals(self.flow, self.schema, context=context, among=self.asked.among)
        self.conditionals.context = context
        return self.conditionals.surprises(values)


def _filled(rows: Any, least: int) -> Any:
    """At least so many rows, the last one repeated: a short last block goes through the programs of the others."""
    return (
        rows if rows is None or len(rows) >= least else np.pad(rows, ((0, least - len(rows)), (0, 0)), "edge")
    )


def _unlikely(names: tuple[str, ...], surprises: Any) -> Any:
    """Of each row the cells that are less likely than the rest of the row lets expect, the least likely first."""
    words = []
    for row in surprises:
        order = [i for i in np.argsort(-row, kind="stable") if row[i] > SURPRISING]
        words.append(", ".join(f"{names[i]} ({row[i]:.1f})" for i in order[:MOST_CELLS]))
    return pl.Series(words, dtype=pl.String)


def _quantiles(folder: ModelFolder) -> list[float]:
    """The log-densities of training rows at equal steps of their share, where the run has its record; else none."""
    try:
        record = read_run(folder.path)
    except InputError:  # the model is whole, whatever the record is
        return []
    return [] if record is None else list(record.quantiles or ())
