"""Writes tables as CSV or Parquet, block by block, complete or not at all."""

import os
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from shoal._errors import InputError, one_line
from shoal.records import sync_folder
from shoal.tables._source import Source
from shoal.tables._stream import Stream

WAIT = 0.2  # seconds after which it is seen that the writing thread has ended


def write_table(path: str | os.PathLike[str], names: Sequence[str], values: np.ndarray) -> None:
    """Writes the columns of `values`, of shape (rows, columns), called `names`, to a .csv or .parquet file.

    **Raises:** `InputError` if the file can not be written, a name repeats, or names and columns differ in number.
    """
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] != len(names):
        raise InputError(
            f"Values of shape {values.shape} do not have one column for each of the {len(names)} names."
        )
    write_columns(path, names, [pl.Series(np.ascontiguousarray(values[:, i])) for i in range(len(names))])


def append_columns(
    path: str | os.PathLike[str],
    table: Source | Stream,
    blocks: Iterable[tuple[Source, Mapping[str, np.ndarray | pl.Series]]],
    kinds: Mapping[int, type[int] | type[float]] | None = None,
) -> None:
    """Writes the `blocks` of `table` as they were read, and behind their columns, name by name, those that come with them.

    In a CSV file the cells that were read from CSV stay as they stood; in a Parquet file text that is a number
    throughout becomes numbers: `kinds` says which, as `numbers_in_text` of a table that this one is a part of does;
    without, it is found here.
    """
    parquet = Path(path).suffix.lower() == ".parquet"
    types = (numbers_in_text(table) if kinds is None else kinds) if parquet else {}

    def appended() -> Iterator[dict[str, pl.Series]]:
        for source, values in blocks:
            cells = [c.cast(types.get(i, c.dtype)) for i, c in enumerate(source.frame.get_columns())]
            yield named_columns(path, (*source.names, *values), [*cells, *map(pl.Series, values.values())])

    write_blocks(path, appended())


def write_columns(path: str | os.PathLike[str], names: Sequence[str], columns: Sequence[pl.Series]) -> None:
    """Writes `columns`, called `names`, to a .csv or .parquet file."""
    write_blocks(path, [named_columns(path, names, columns)])


def named_columns(
    path: str | os.PathLike[str], names: Sequence[str], columns: Sequence[pl.Series]
) -> dict[str, pl.Series]:
    """The columns by their names. **Raises:** `InputError` for a name that repeats."""
    repeated = [name for i, name in enumerate(names) if name in names[:i]]
    if repeated:
        raise InputError(
            f"{path} would have two columns called {repeated[0]!r}; rename the one in the input."
        )
    return dict(zip(names, columns, strict=True))


def write_blocks(path: str | os.PathLike[str], blocks: Iterable[Mapping[str, pl.Series]]) -> None:
    """Writes rows with the same columns, block behind block, to a .csv or .parquet file, few at a time in memory.

    It is written under a temporary name beside its place, flushed to the disk, and renamed.

    **Raises:** `InputError` if it can not be written; what `blocks` raises. Then there is no new file.
    """
    frames = (pl.DataFrame([column.alias(name) for name, column in block.items()]) for block in blocks)
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    write = _write_csv if path.suffix.lower() == ".csv" else _write_parquet
    try:
        write(temporary, frames)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        said = error.strerror if isinstance(error, OSError) else None
        raise InputError(
            f"{path} can not be written: {said or one_line(error)}; choose a folder that exists and is writable, on a disk "
            "with room."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _write_csv(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    with open(path, "wb") as file:
        for k, frame in enumerate(frames):
            frame.write_csv(file, include_header=k == 0)


def _write_parquet(path: Path, frames: Iterator[pl.DataFrame]) -> None:
    """One frame as it is; several by a thread that polars writes in, while the next frame is made in this one."""
    first, second = next(frames, pl.DataFrame()), next(frames, None)
    if second is None:
        first.write_parquet(path)
        return
    waiting, failed = queue.Queue[pl.DataFrame | None](maxsize=1), list[Exception]()
    ended = threading.Event()

    def pulled(*asked: object) -> Iterator[pl.DataFrame]:
        del asked  # polars asks for all columns and rows
        while (frame := waiting.get()) is not None:
            yield frame
        if not ended.is_set():
            raise InterruptedError

    def run() -> None:
        try:
            register_io_source(pulled, schema=first.schema).sink_parquet(path)
        except Exception as error:  # noqa: BLE001  (raised by the thread that waits)
            failed.append(error)

    def put(frame: pl.DataFrame | None) -> None:
        given = False
        while not given and thread.is_alive():
            with suppress(queue.Full):
                waiting.put(frame, timeout=WAIT)
                given = True

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        for frame in chain([first, second], frames):
            put(frame.cast(first.schema))
            if failed:
                break
        ended.set()
    finally:
        put(None)
        thread.join()
    if failed:
        raise failed[0]


def numbers_in_text(table: Source | Stream) -> dict[int, type[int] | type[float]]:
    """The columns of text that hold whole numbers throughout, or numbers."""
    head = table.head() if isinstance(table, Stream) else table
    text = [i for i, kind in enumerate(head.frame.dtypes) if kind == pl.String]
    if not text:
        return {}
    found: dict[int, list[type[int] | type[float]]] = {i: [int, float] for i in text}
    for source in table.only(text).sources():
        for k, i in enumerate(text):
            cells = source.frame.to_series(k)
            fits = [cells.cast(kind, strict=False).null_count() == cells.null_count() for kind in found[i]]
            found[i] = [kind for kind, fit in zip(found[i], fits, strict=True) if fit]
    return {i: kinds[0] for i, kinds in found.items() if kinds}
