"""Training rows in blocks: of a large table in memory, and of one that is read in pieces and shuffled on the disk."""

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax.random as jr
import numpy as np

from shoal._compiling import make_room
from shoal._errors import InputError
from shoal._processes import from_first
from shoal._scalars import FloatArray
from shoal.records import read_record, write_record
from shoal.records.fit import StreamRecord
from shoal.selection._mass import filled
from shoal.selection._prepare import Part, Prepared, on_the_line, one_hot, raw_rows
from shoal.tables import StoredRows, StreamedTable, Table, hashed_parts, shuffled, shuffled_in_memory
from shoal.training import RowSource

LARGE = 2**18  # training rows from which an epoch is a block of them
HELD = 2**15  # validation rows that are looked at then, a uniform sample
# Rows of a block, at least; and for each validation row, so that looking at these is a small share of an epoch.
SHORTEST, EPOCH = 2**16, 4
ROWS, ABOUT = ".rows.bin", ".rows.json"  # hidden: no part of a run that is kept or copied elsewhere


def in_blocks(prepared: Prepared, *, seed: int, dtype: str) -> Prepared:
    """The same with its training rows in blocks, in memory, and a sample of the validation rows, where there are many."""
    part = prepared.steps
    if prepared.source is not None or len(part.x) < LARGE:
        return prepared
    prepared = _with_fewer_held(prepared, seed)
    order = np.random.default_rng([seed, 6]).permutation(len(part.x))
    weight = None
    columns = [part.x] if part.context is None else [part.x, part.context]
    if part.weights is not None:
        order = order[part.weights[order] > 0]
        columns.append(part.weights[:, None])
        weight = float(part.weights[order].mean())
    table = np.concatenate([c.astype(dtype)[order] for c in columns], axis=1)
    return replace(prepared, source=_source(table, prepared, weight, seed))


def _with_fewer_held(prepared: Prepared, seed: int) -> Prepared:
    held, table = prepared.parts["validation"], prepared.table
    if len(held.rows) <= HELD:
        return prepared
    some = np.sort(np.random.default_rng([seed, 7]).permutation(len(held.rows))[:HELD])
    taken = lambda rows: None if rows is None else rows[some]
    fewer = Part(held.x[some], taken(held.context), taken(held.weights), held.rows[some], taken(held.beside))
    note = f"validation looks at {HELD:,} of the {len(held.rows):,} rows of its part"
    table = replace(table, notes=(*table.notes, note))
    return replace(prepared, table=table, parts={**prepared.parts, "validation": fewer})


def on_disk(
    streamed: StreamedTable,
    prepared: Prepared,
    folder: Path,
    *,
    seed: int,
    parts: tuple[float, float, float],
    dtype: str,
) -> Prepared:
    """The same, a sample of a table, with the training rows of all of it in blocks of a file in `folder`.

    A file that an earlier run of the same table left there is used again.

    **Raises:** `InputError` where the table has changed since it was sampled, or the disk has no room.
    """
    began = time.monotonic()
    asked = {
        "table": f"{streamed.checksum} {streamed.rows}",
        "units": [float(v).hex() for v in (*prepared.mean, *prepared.scale)],
        "seed": seed,
        "parts": list(parts),
        "dtype": dtype,
    }
    pieces = _Pieces(streamed, prepared, seed, parts, dtype)
    if streamed.shuffle == "memory":
        stored, weight = shuffled_in_memory(pieces, **pieces.how()), pieces.mean_weight()
    else:  # written once, where several processes train together
        stored, weight = from_first(partial(_on_disk, pieces, folder, asked))
    make_room()
    stream = StreamRecord(prepared.table.rows, streamed.seconds, time.monotonic() - began)
    source = _source(stored, prepared, weight, seed)
    return replace(prepared, source=source, rows=streamed.rows, stream=stream)


def without_rows(folder: Path) -> None:
    """Removes the file of shuffled rows: the run is over."""
    (folder / ROWS).unlink(missing_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)


def _on_disk(pieces: "_Pieces", folder: Path, asked: dict[str, object]) -> tuple[StoredRows, float | None]:
    """The file of the rows and the mean of their weights, from an earlier run of the same table where it left it."""
    path, about = folder / ROWS, folder / ABOUT
    try:
        found = read_record(about)
    except InputError:
        found = {}
    if path.exists() and found.get("asked") == asked:
        return StoredRows(path, pieces.width, found["rows"], pieces.dtype), found["weight"]
    folder.mkdir(parents=True, exist_ok=True)
    about.unlink(missing_ok=True)
    stored = shuffled(pieces, path, **pieces.how())
    write_record({"asked": asked, "rows": stored.rows, "weight": pieces.mean_weight()}, about)
    return stored, pieces.mean_weight()


def _source(table: np.ndarray | StoredRows, prepared: Prepared, weight: float | None, seed: int) -> RowSource:
    part = prepared.parts["train"]
    context = 0 if part.context is None else part.context.shape[1]
    rows = max(SHORTEST, EPOCH * len(prepared.parts["validation"].rows))
    return RowSource(table, part.x.shape[1], context, weight is not None, weight or 1.0, rows, seed)


class _Pieces:
    """The training rows of a table, piece by piece, as steps take them: (rows, width); `weight` sums theirs."""

    def __init__(
        self,
        streamed: StreamedTable,
        prepared: Prepared,
        seed: int,
        parts: tuple[float, float, float],
        dtype: str,
    ):
        self.streamed, self.prepared = streamed, prepared
        self.seed, self.parts, self.dtype = seed, parts, dtype
        self.weight, self.count = 0.0, 0
        part = prepared.parts["train"]
        beside = 0 if part.context is None else part.context.shape[1]
        self.width = part.x.shape[1] + beside + (part.weights is not None)

    def __iter__(self) -> Iterator[FloatArray]:
        for number, table in enumerate(self.streamed.tables()):
            rows = self._standardised(table, number)
            self.count += len(rows)
            self.weight += 0.0 if table.weights is None else float(rows[:, -1].sum())
            yield rows.astype(self.dtype)

    def how(self) -> dict[str, Any]:
        """How they are shuffled."""
        return {"width": self.width, "seed": self.seed, "dtype": self.dtype, "rows": self.streamed.rows}

    def mean_weight(self) -> float | None:
        """The mean weight of the rows that were given out; None where they have none."""
        return None if self.prepared.table.weights is None else self.weight / max(self.count, 1)

    def _standardised(self, table: Table, number: int) -> FloatArray:
        prepared, seed = self.prepared, self.seed
        used = np.arange(table.rows) if table.weights is None else np.flatnonzero(table.weights)
        raw, whole = raw_rows(table, used, self.dtype)
        train = used[hashed_parts(raw, seed, self.parts) == 0]
        lattices = prepared.lattices if prepared.dequantized else ()
        _, whole, _ = on_the_line(whole, table, lattices, (seed, number))
        standard, k = prepared.standardised(whole), len(table.names)
        x, beside = standard[:, :k], standard[:, k:]
        if prepared.filling is not None and table.present is not None:
            key = jr.fold_in(jr.fold_in(jr.key(seed), 19), number)
            x, _ = filled(x, table.present, prepared.filling, key)
        columns = [x, beside, one_hot(table)]
        if table.weights is not None:
            columns.append(table.weights[:, None])
        return np.concatenate(columns, axis=1)[train]
