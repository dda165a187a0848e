"""Tables larger than memory: a Parquet file, a folder or glob of files, or a large CSV file, read block by block.

A block is a `Source` with the columns and cells that `open_source` gives of a file. Rows are numbered through all files.
"""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import polars as pl

from shoal._errors import InputError, one_line
from shoal._remote import file_name, is_file, is_url, kept_copy, remote_files, stamp, total_size
from shoal.tables._columns import join_names
from shoal.tables._csv import read_csv
from shoal.tables._csv_stream import CsvFile, open_csv
from shoal.tables._index import without_index_columns
from shoal.tables._read import (
    PACKED,
    READERS,
    check_parquet,
    open_source,
    read_parquet,
    suffix_of,
    without_dictionaries,
)
from shoal.tables._source import Source
from shoal.tables._source import block_rows as usual_rows

LARGE = 2**29  # bytes: of the numbers of a Parquet file, or of a CSV file; a larger one is streamed
READ = 2**25  # bytes of numbers that are read of a Parquet file at a time
HEAD = 1000  # rows by which it is seen whether a column numbers the rows
_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass(frozen=True, eq=False)
class Stream:
    """The rows of `files` in their order, in blocks of `block_rows`; `names`: of the columns that are read.

    `total`: how many rows there are, None where only reading them tells; `places`: of the columns in a file; `stamps`: size
    and time of change of each file when it was opened.
    """

    label: str
    kind: Literal["parquet", "csv"]
    names: tuple[str, ...]
    files: tuple[Path, ...]
    block_rows: int
    total: int | None
    first_row: int
    notes: tuple[str, ...]
    places: tuple[int, ...]
    stamps: tuple[tuple[int, int], ...]
    columns: tuple[str, ...] = field(repr=False)  # all, as a Parquet file names them
    heads: tuple[CsvFile, ...] = field(default=(), repr=False)

    def only(self, kept: Sequence[int]) -> "Stream":
        """The columns at the positions `kept` of `names`."""
        names, places = tuple(self.names[i] for i in kept), tuple(self.places[i] for i in kept)
        return replace(self, names=names, places=places)

    def parts(self) -> list["Stream"]:
        """One of each file, by its whole path, with the columns that all have; rows are counted in the file."""
        alone = list[Stream]()
        for k, path in enumerate(self.files):
            heads = tuple(replace(head, path=path.resolve()) for head in self.heads[k : k + 1])
            here = {"files": (path.resolve(),), "stamps": self.stamps[k : k + 1], "heads": heads}
            alone.append(replace(self, label=os.fspath(path), total=None, notes=(), **here))
        return alone

    def sources(self) -> Iterator[Source]:
        """The blocks, each of `block_rows` rows but for the last one.

        **Raises:** `InputError` for a file that is gone or damaged, and for a cell that can not be read.
        """
        row = self.first_row
        for frame in _in_blocks(self._frames(), self.block_rows):
            yield Source(self.label, "file", self.names, frame, row, self.notes)
            row += frame.height

    def head(self) -> Source:
        """No row, but names and types of the columns."""
        blank = {f"c{k}": pl.String() for k in range(len(self.names))}
        if self.kind == "parquet":
            schema, words = _scan(self.files[0]).collect_schema(), (pl.Categorical, pl.Enum)
            types = [schema[self.columns[i]] for i in self.places]
            kinds = [pl.String() if isinstance(kind, words) else kind for kind in types]
            blank = {f"c{k}": kind for k, kind in enumerate(kinds)}
        return Source(self.label, "file", self.names, pl.DataFrame(schema=blank), self.first_row, self.notes)

    def check_unchanged(self) -> None:
        """Raises `InputError` where a file is not as it was when it was opened."""
        for path, before in zip(self.files, self.stamps, strict=True):
            if not path.exists() or stamp(path) != before:
                raise InputError(changed(self.label, f"{path} has another size or time of change"))

    def _frames(self) -> Iterator[pl.DataFrame]:
        for k, path in enumerate(self.files):
            try:
                if self.kind == "csv":
                    for frame in self.heads[k].frames():
                        yield frame.select(pl.nth(i).alias(f"c{k}") for k, i in enumerate(self.places))
                else:
                    yield from self._of_parquet(path)
            except _ERRORS as error:
                raise InputError(f"{path} can not be read: {_reason(error)}.") from error

    def _of_parquet(self, path: Path) -> Iterator[pl.DataFrame]:
        """By slices, of which polars decodes little more than the slice, whatever the row groups are."""
        rows = _rows(path)
        step = max(READ // (8 * max(len(self.places), 1)), 1)
        chosen = [pl.col(self.columns[i]).alias(f"c{k}") for k, i in enumerate(self.places)]
        scan = _scan(path).select(chosen)
        for start in range(0, rows, step):
            frame = scan.slice(start, step).collect()
            yield without_dictionaries(frame)


def are_files(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a folder or a pattern of files, here or at a URL."""
    if is_url(path):
        return glob.has_magic(str(path)) or not is_file(str(path))
    return Path(path).is_dir() or _is_glob(Path(path))


def is_large(path: str | os.PathLike[str]) -> bool:
    """Whether the table at `path` is to be read block by block: a folder, a glob, or a file above `LARGE` bytes.

    False for what is no file that can be read, which its reader says.
    """
    if is_url(path):
        url, name = str(path), Path(file_name(str(path)))
        if name.suffix and not glob.has_magic(url) and suffix_of(name) not in READERS:
            return False
        return not is_file(url) or (name.suffix not in PACKED and total_size(url) > LARGE)
    if are_files(path):
        return True
    path = Path(path)
    reader = READERS.get(suffix_of(path))
    if not path.is_file() or reader not in (read_parquet, read_csv) or path.suffix.lower() in PACKED:
        return False
    try:
        if reader is read_csv:
            return path.stat().st_size > LARGE
        return 8 * _rows(path) * len(pl.read_parquet_schema(path)) > LARGE
    except _ERRORS:
        return False


def open_stream(path: str | os.PathLike[str], *, block_rows: int | None = None) -> Stream:
    """The stream of a Parquet or CSV file, a folder of Parquet files, or a glob such as data/*.parquet.

    Only names and types are read, and of CSV files the first lines, which say how they are laid out.

    **Arguments:** `path`: at a URL the files are copied once, for the length of the process; `block_rows`: rows of a block;
    without, 131,072, and fewer of more than 128 columns.

    **Raises:** `InputError` for no such file, one that can not be read, and files whose columns differ.
    """
    label, path = os.fspath(path), _fetched(str(path)) if is_url(path) else Path(path)
    files = _files(path, label)
    readers = {READERS.get(suffix_of(file)) for file in files}
    if readers == {read_parquet}:
        return _open_parquet(files, label, block_rows)
    if readers == {read_csv}:
        return _open_csv(files, label, block_rows)
    odd = next((f for f in files if READERS.get(suffix_of(f)) not in (read_parquet, read_csv)), files[-1])
    raise InputError(
        f"{label}: {odd.name} is not as the other files; name Parquet files alone, or CSV files alone."
    )


def _fetched(url: str) -> Path:
    """A copy of the files. **Raises:** `InputError` for a folder without Parquet files, before any is copied."""
    if not glob.has_magic(url) and not is_file(url):
        names = [Path(file_name(file)) for file in remote_files(url)]
        if not any(READERS.get(suffix_of(name)) is read_parquet for name in names):
            raise InputError(f"{url} is a folder: name one file in it.")
    return kept_copy(url)


def changed(label: str, what: str) -> str:
    """The sentence about a table that is not what it was."""
    return f"{label} changed while it was read: {what}; leave it as it is, and start again."


def _files(path: Path, label: str) -> tuple[Path, ...]:
    if _is_glob(path):
        found = sorted(Path(name) for name in glob.glob(os.fspath(path), recursive=True))  # noqa: PTH207  (absolute ones, too)
        found = [path for path in found if path.is_file()]
        if not found:
            raise InputError(
                f"{label} names no file; name a Parquet or CSV file, a folder, or a pattern of files."
            )
        return tuple(found)
    if not path.is_dir():
        if not path.is_file() or suffix_of(path) not in READERS:
            open_source(path)  # which says what is wrong
        return (path,)
    shown = [f for f in path.iterdir() if f.is_file() and f.name[0] not in "._"]
    found = sorted(f for f in shown if READERS.get(suffix_of(f)) is read_parquet)
    if not found:
        open_source(path)
    return tuple(found)


def _is_glob(path: Path) -> bool:
    return glob.has_magic(os.fspath(path)) and not path.exists()


def _open_parquet(files: tuple[Path, ...], label: str, block_rows: int | None) -> Stream:
    schemas, total = list[pl.Schema](), 0
    for path in files:
        check_parquet(path, os.fspath(path))
        try:
            schemas.append(_scan(path).collect_schema())
            total += _rows(path)
        except _ERRORS as error:
            raise InputError(f"{path} is not a Parquet file that can be read: {_reason(error)}.") from error
        _check_columns(path, schemas[-1].names(), files[0], schemas[0].names())
        for name, kind in schemas[0].items():
            if schemas[-1][name] != kind:
                found = f"{path}: column {name!r} is {schemas[-1][name]}, and {kind} in {files[0]}"
                raise InputError(f"{found}; write all files with the same types.")
    columns = tuple(schemas[0].names())
    stream = Stream(
        label,
        "parquet",
        columns,
        files,
        block_rows or usual_rows(len(columns)),
        total,
        1,
        (),
        tuple(range(len(columns))),
        tuple(map(stamp, files)),
        columns,
    )
    few = _scan(files[0]).slice(0, HEAD).collect()
    few.columns = [f"c{i}" for i in range(few.width)]
    kept, notes = without_index_columns(Source(label, "file", columns, few, 1))
    return replace(stream.only(kept), notes=notes)


def _open_csv(files: tuple[Path, ...], label: str, block_rows: int | None) -> Stream:
    try:
        heads = tuple(open_csv(path, label if len(files) == 1 else os.fspath(path)) for path in files)
    except OSError as error:
        raise InputError(f"{label} can not be read: {_reason(error)}.") from error
    for head in heads[1:]:
        _check_columns(head.path, head.names, heads[0].path, heads[0].names, ordered=True)
        if (head.spelling, heads[0].spelling).count(None) == 0 and head.spelling != heads[0].spelling:
            raise InputError(
                f"{head.path} writes numbers in another way than {heads[0].path}; write all files in one way."
            )
    names = heads[0].names
    return Stream(
        label,
        "csv",
        names,
        files,
        block_rows or usual_rows(len(names)),
        None,
        heads[0].first_row,
        heads[0].notes,
        tuple(range(len(names))),
        tuple(map(stamp, files)),
        names,
        heads,
    )


def _check_columns(
    path: Path, names: Sequence[str], first: Path, wanted: Sequence[str], *, ordered: bool = False
) -> None:
    if names == wanted or (not ordered and sorted(names) == sorted(wanted)):
        return
    raise InputError(
        f"{path} has the columns {join_names(names)}, and {first} has {join_names(wanted)}; "
        "give files with the same columns."
    )


def _in_blocks(frames: Iterator[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The same rows, `rows` at a time but for the last ones."""
    parts, held = list[pl.DataFrame](), 0
    for frame in frames:
        start = 0
        while held + frame.height - start >= rows:
            end = start + rows - held
            yield pl.concat([*parts, frame[start:end]]).rechunk() if parts else frame[start:end]
            parts, held, start = [], 0, end
        if start < frame.height:
            parts.append(frame[start:])
            held += frame.height - start
    if held:
        yield pl.concat(parts).rechunk()


def _scan(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _rows(path: Path) -> int:
    return int(_scan(path).select(pl.len()).collect().item())


def _reason(error: BaseException) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else None
    return said or one_line(error if isinstance(error, Exception) else RuntimeError(str(error)))
