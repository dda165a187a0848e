"""A uniform sample of the rows of a stream, with the rows that a sample may lack and a schema must not."""

from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from shoal._scalars import IntArray
from shoal.tables._hashes import frame_checksum, numbered_hashes
from shoal.tables._schema import missing_of
from shoal.tables._source import Source
from shoal.tables._stream import Stream


@dataclass
class Seen:
    """What one pass over a stream keeps: the `size` rows with the least hash of their number, and some more.

    `blank`: a block without rows; `rows`: that are used; `read`: all; `kept`: the sample so far, with `numbers` and
    `hashes`; `ends`: of each column the number of the row, and the value, of its least and its largest number and its first
    missing cell; `more`: single rows beside the sample, by their numbers; `new`: cells that were added, by their columns.
    """

    blank: Source
    size: int
    seed: int
    rows: int = 0
    read: int = 0
    checksum: int = 0
    kept: list[pl.DataFrame] = field(default_factory=list)
    numbers: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    hashes: IntArray = field(default_factory=lambda: np.empty(0, np.uint64))
    ends: dict[tuple[int, str], tuple[int, float]] = field(default_factory=dict)
    more: dict[int, pl.DataFrame] = field(default_factory=dict)
    new: dict[str, set[object]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether the sample is all rows."""
        return len(self.numbers) == self.rows

    def add(self, source: Source, used: Source, columns: tuple[int, ...]) -> None:
        """Takes a block, and the rows of it that are used. `columns`: whose least and largest numbers are kept."""
        first, height = self.read, used.frame.height
        self.rows, self.read = self.rows + height, self.read + source.frame.height
        self.checksum = (self.checksum + frame_checksum(used.frame)) % 2**64
        inside = np.arange(height) if used.numbers is None else used.numbers
        hashes = numbered_hashes(first, source.frame.height, self.seed)[inside]
        if len(self.numbers) >= self.size:
            chosen = hashes < self.hashes.max()
            self._keep(_own(used.frame.filter(pl.Series(chosen))), first + inside[chosen], hashes[chosen])
        else:
            self._keep(used.frame, first + inside, hashes)
        for i in columns if height else ():
            self._ends(i, used, first + inside)

    def add_new(self, name: str, source: Source, rows: IntArray, most: int) -> int:
        """Takes, of the rows at places `rows` of a block, the first one of each cell of column `name`; `most` in all."""
        if not len(rows):
            return 0
        seen, count = self.new.setdefault(name, set()), 0
        cells = source.frame.to_series(source.names.index(name)).gather(rows)
        for place in np.sort(cells.arg_unique().to_numpy()):
            cell, row = cells[int(place)], int(rows[place])
            if len(seen) >= most or cell in seen:
                continue
            seen.add(cell)
            inside = row if source.numbers is None else int(source.numbers[row])
            self.more[source.first_row - self.blank.first_row + inside] = _own(source.frame[[row]])
            count += 1
        return count

    def reach(self, column: int) -> float | None:
        """How far the numbers of a column reach; None where it holds none, or lacks some."""
        ends = [self.ends.get((column, what)) for what in ("least", "most", "missing")]
        low, high, missing = ends
        return None if low is None or high is None or missing is not None else high[1] - low[1]

    def source(self, *, extremes: bool = True) -> Source:
        """The sample in the order of its rows; `extremes`: with the rows beside it."""
        self._prune(self.size)
        beside = set(self.more) - set(self.numbers.tolist()) if extremes else set[int]()
        frame = pl.concat([self.blank.frame, *self.kept, *(self.more[n] for n in beside)])
        numbers = np.concatenate([self.numbers, np.array([*beside], np.int64)])
        order = np.argsort(numbers)
        return replace(self.blank, frame=frame[order], numbers=numbers[order])

    def _keep(self, frame: pl.DataFrame, numbers: IntArray, hashes: IntArray) -> None:
        self.kept.append(frame)
        self.numbers = np.concatenate([self.numbers, numbers])
        self.hashes = np.concatenate([self.hashes, hashes])
        if len(self.numbers) > 1.5 * self.size:
            self._prune(self.size)

    def _prune(self, size: int) -> None:
        """Keeps the `size` rows of the least hashes, in the order of their numbers."""
        frame = pl.concat([self.blank.frame, *self.kept])
        if len(self.numbers) > size:
            order = np.sort(np.argpartition(self.hashes, size)[:size])
            frame, self.numbers, self.hashes = _own(frame[order]), self.numbers[order], self.hashes[order]
        self.kept = [frame.rechunk()]

    def _ends(self, i: int, used: Source, numbers: IntArray) -> None:
        series = used.frame.to_series(i)
        found = _extremes(series, want_missing=(i, "missing") not in self.ends)
        for what, (row, value) in found.items():
            old = self.ends.get((i, what))
            better = old is None or (value < old[1] if what == "least" else value > old[1])
            if better and not (what == "missing" and old is not None):
                self.ends[i, what] = int(numbers[row]), value
                self.more[int(numbers[row])] = _own(used.frame[[row]])
                if old is not None and old[0] not in (place for place, _ in self.ends.values()):
                    self.more.pop(old[0], None)


def sampled(source: Source | Stream, count: int, seed: int = 0) -> Source:
    """A uniform sample of at most `count` rows of a stream, in their order; a table in memory as it is."""
    if isinstance(source, Source):
        return source
    seen = Seen(source.head(), count, seed)
    for block in source.sources():
        seen.add(block, block, ())
    return seen.source()


def _own(rows: pl.DataFrame) -> pl.DataFrame:
    """A copy: some rows of a block would keep the text of all of it in memory."""
    return rows.with_columns(pl.col(pl.String) + "")


def _extremes(series: pl.Series, *, want_missing: bool) -> dict[str, tuple[int, float]]:
    """The rows of the least and the largest number, with the numbers, and of the first missing cell."""
    found = dict[str, tuple[int, float]]()
    numeric = series.dtype.is_numeric() or series.dtype.is_temporal() or series.dtype == pl.String
    if numeric:
        numbers = (
            series.cast(pl.Float64, strict=False) if not series.dtype.is_temporal() else series.to_physical()
        )
        numbers = numbers.fill_nan(None) if numbers.dtype.is_float() else numbers
        low, high = numbers.arg_min(), numbers.arg_max()
        if low is not None and high is not None:
            found = {"least": (low, float(numbers[low])), "most": (high, float(numbers[high]))}
        want_missing = want_missing and numbers.null_count() > 0
    if want_missing:
        missing = missing_of(series)
        if missing.any():
            found["missing"] = int(np.argmax(missing)), 0.0
    return found
