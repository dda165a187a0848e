"""Rows in random order on disk: dealt to buckets at random, each bucket permuted in memory (Rao 1961; Sanders 1998).

Every order is equally likely: where rows go independently of each other, and each bucket is permuted uniformly, so is the
whole. One 64-bit number of a seeded generator is used up a row, whatever blocks the rows come in.
"""

import errno
import os
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray
from shoal.records import sync_folder

BUCKET = 2**26  # bytes, of about which each bucket is
MOST_BUCKETS = 256  # files that are open at once
UNKNOWN = 64  # buckets where the number of rows is not known
PIECE = 2**20  # bytes that are written at once


def shuffled(
    blocks: Iterable[FloatArray],
    path: str | os.PathLike[str],
    *,
    width: int,
    seed: int,
    rows: int | None = None,
    dtype: str = "float32",
) -> "StoredRows":
    """Writes all rows in random order to one flat file of numbers, row after row.

    **Arguments:**

    - `blocks`: arrays (some rows, `width`); where one ends and the next begins does not matter.
    - `path`: of the file, which is written under another name, flushed and renamed. While it grows, `.NAME.shuffling` beside
        it holds at most one bucket more than the rows themselves; a call that was killed is cleaned up by the next one.
    - `seed`: the same seed, rows and `rows` give the same order.
    - `rows`: how many rows there are at most, by which the number of buckets is chosen; where it is given, the room on the
        disk is checked first. `dtype`: "float32" or "float64".

    **Raises:** `InputError` for a disk that is full or would be, and a folder that can not be written.
    """
    size, buckets = _sizes(width, rows, dtype)
    dealt = _dealt(blocks, width, seed, buckets, dtype)
    path = Path(path)
    folder = path.with_name(f".{path.name}.shuffling")
    with _told(path):
        shutil.rmtree(folder, ignore_errors=True)
        if rows is not None:
            _check_room(path, rows * size + rows * size // buckets)
        folder.mkdir()
        try:
            stored = StoredRows(path, width, _deal(dealt, folder, buckets), dtype)
            _gather(folder, path, stored, seed, buckets)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return stored


def shuffled_in_memory(
    blocks: Iterable[FloatArray], *, width: int, seed: int, rows: int | None = None, dtype: str = "float32"
) -> FloatArray:
    """The rows that `shuffled` writes, in the same order, as an array (rows, width); nothing is written."""
    buckets = _sizes(width, rows, dtype)[1]
    return _of_array(_dealt(blocks, width, seed, buckets, dtype), width, seed, buckets, dtype)


def _sizes(width: int, rows: int | None, dtype: str) -> tuple[int, int]:
    """The bytes of a row, and how many buckets there are."""
    size = width * np.dtype(dtype).itemsize
    return size, UNKNOWN if rows is None else min(max(-(-rows * size // BUCKET), 1), MOST_BUCKETS)


@dataclass(frozen=True)
class StoredRows:
    """The rows in a file that `shuffled` wrote. A slice of them is read from it, and nothing else: a map of the file would
    count as memory of the process.
    """

    path: Path
    width: int
    rows: int
    kind: str = "float32"

    @property
    def dtype(self) -> np.dtype:
        """Of the numbers."""
        return np.dtype(self.kind)

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, width)."""
        return self.rows, self.width

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(self.shape[0])
        size = self.width * self.dtype.itemsize
        count = max(last - first, 0) * self.width
        return np.fromfile(self.path, self.dtype, count, offset=first * size).reshape(-1, self.width)


def _dealt(
    blocks: Iterable[FloatArray], width: int, seed: int, buckets: int, dtype: str
) -> Iterator[tuple[FloatArray, IntArray]]:
    """The blocks, and the bucket of each row."""
    rng = np.random.default_rng([seed, 0])
    for block in blocks:
        if block.ndim != 2 or block.shape[1] != width:
            raise InputError(f"A block to shuffle must have the shape (rows, {width}); found {block.shape}.")
        yield (
            np.ascontiguousarray(block, dtype),
            (rng.random(len(block)) * buckets).astype(np.intp),
        )


def _order(seed: int, bucket: int, count: int) -> IntArray:
    return np.random.default_rng([seed, 1, bucket]).permutation(count)


def _of_array(
    dealt: Iterator[tuple[FloatArray, IntArray]], width: int, seed: int, buckets: int, dtype: str
) -> FloatArray:
    parts = [*dealt]
    if not parts:
        return np.empty((0, width), dtype)
    rows, places = (np.concatenate(part) for part in zip(*parts, strict=True))
    held = [np.flatnonzero(places == bucket) for bucket in range(buckets)]
    return rows[np.concatenate([some[_order(seed, b, len(some))] for b, some in enumerate(held)])]


def _deal(dealt: Iterator[tuple[FloatArray, IntArray]], folder: Path, buckets: int) -> int:
    """Appends each row to the file of its bucket; the number of rows."""
    count = 0
    with ExitStack() as stack:
        files = [stack.enter_context(open(folder / str(b), "wb", buffering=PIECE)) for b in range(buckets)]
        for rows, places in dealt:
            ordered = rows[np.argsort(places, kind="stable")]
            ends = np.cumsum(np.bincount(places, minlength=buckets))
            for bucket, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
                files[bucket].write(ordered[start:end].data)
            count += len(rows)
    return count


def _gather(folder: Path, path: Path, stored: StoredRows, seed: int, buckets: int) -> None:
    """Each bucket, permuted, behind the one before it; its file is removed once it is read."""
    with open(folder / "rows", "wb") as file:
        for bucket in range(buckets):
            rows = np.fromfile(folder / str(bucket), stored.dtype).reshape(-1, stored.width)
            _write(file, rows, _order(seed, bucket, len(rows)))
            (folder / str(bucket)).unlink()
        file.flush()
        os.fsync(file.fileno())
    os.replace(folder / "rows", path)
    sync_folder(path.parent)


def _write(file: BinaryIO, rows: FloatArray, order: IntArray) -> None:
    step = max(PIECE // max(rows.shape[1] * rows.itemsize, 1), 1)
    for start in range(0, len(order), step):
        file.write(rows[order[start : start + step]].data)


def _check_room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise InputError(
            f"The disk of {path.parent} has {_gigabytes(free)} free where the shuffled rows need {_gigabytes(needed)}; make "
            "room, or name a folder on another disk."
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB"


@contextmanager
def _told(path: Path) -> Generator[None, None, None]:
    """Errors of the disk as one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = "the disk is full; make room, or name a folder on another disk"
        else:
            reason = f"{error.strerror or error}; choose a folder that exists and is writable"
        raise InputError(f"The rows can not be shuffled to {path}: {reason}.") from error
