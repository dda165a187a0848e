"""Rows of mixed tables as every arm gets them: states and numbers, the same measure for all.

A category has one state a level, a missing cell among them. A number has the state 0 where the cell holds a number with
a density; where some cells of the training rows are missing or hold an *atom*, these are further states. A row is then
its `codes`, one state for each column that has more than one, and its `values`, one number for each column of numbers,
NaN where the state is not 0. Its density is that of the codes by counting and of the numbers by length, in the column's
deviations: log p(row) = log P(codes) + log p(values that are there | codes).

**Atoms**: a value that at least 10 training rows, one in a hundred and ten times as many rows hold as nine in ten of the
other values of its column. Where more than three of a column's values are that frequent, they are heaps on a lattice,
not atoms.

**Noise**: a column of whose other training cells more than one in twenty holds a value that repeats lies on a lattice:
uniform noise as wide as its smallest gap makes it a density, in training and test rows, once and for all arms. Then its
mean and its deviation over the training rows are taken out.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .prepare import TRAIN, Rows, generator

ATOM_ROWS, ATOM_SHARE, ATOM_TIMES, ATOMS, TIES = 10, 0.01, 10.0, 3, 0.05
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """A column: `levels` of a category; of a number its `atoms`, `width` of the noise (0: none), the `grid` of its values
    where they lie on a lattice, and the `mean` and `deviation` that were taken out; `missing`: whether cells may be."""

    name: str
    levels: tuple[str, ...] = ()
    missing: bool = False
    atoms: tuple[float, ...] = ()
    width: float = 0.0
    grid: tuple[float, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def is_number(self) -> bool:
        """Whether it has numbers; else it is a category."""
        return not self.levels

    @property
    def states(self) -> int:
        """How many states it has."""
        return self.missing + (1 + len(self.atoms) if self.is_number else len(self.levels))

    def rounded(self, numbers: Rows) -> Rows:
        """Numbers, in the table's units, back on the lattice: multiples of its gap, else the nearest value of the grid."""
        if not self.width:
            return numbers
        grid = np.array(self.grid)
        places = (grid - grid[0]) / self.width
        if np.abs(places - np.rint(places)).max() < 1e-3:
            return grid[0] + self.width * np.rint((numbers - grid[0]) / self.width)
        return grid[np.searchsorted(0.5 * (grid[1:] + grid[:-1]), numbers)]


@dataclass(frozen=True)
class Columns:
    """The columns of a table, and which of them have states and numbers."""

    all: tuple[Column, ...]

    @property
    def discrete(self) -> list[Column]:
        """Those with a code."""
        return [c for c in self.all if c.states > 1]

    @property
    def numbers(self) -> list[Column]:
        """Those with a value."""
        return [c for c in self.all if c.is_number]

    @property
    def sizes(self) -> list[int]:
        """States of each code."""
        return [c.states for c in self.discrete]

    def gates(self) -> list[int]:
        """For each value the place of its code (0 where there is a number), or -1."""
        names = [c.name for c in self.discrete]
        return [names.index(c.name) if c.name in names else -1 for c in self.numbers]


@dataclass(frozen=True)
class MixedRows:
    """Rows: `codes` (rows, m) and `values` (rows, k), NaN where there is no number."""

    codes: Codes
    values: Rows

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, index: Any) -> "MixedRows":
        return MixedRows(self.codes[index], self.values[index])


@dataclass(frozen=True)
class MixedSplit:
    """Training and test rows of one split, and what their columns are."""

    columns: Columns
    train: MixedRows
    test: MixedRows


def counted(numbers: Rows) -> tuple[Rows, Codes]:
    """Distinct values and how many rows hold them; NaN is none."""
    return np.unique(numbers[np.isfinite(numbers)], return_counts=True)


def atoms(numbers: Rows) -> tuple[float, ...]:
    """The atoms of a column, by the rule above, ascending."""
    values, counts = counted(numbers)
    order, found = np.argsort(-counts, kind="stable"), 0
    for place, i in enumerate(order[: ATOMS + 1]):
        rest = counts[order[place + 1 :]]
        usual = max(float(np.quantile(rest, 0.9)), 1.0) if len(rest) else np.inf
        if counts[i] < max(ATOM_ROWS, ATOM_SHARE * counts.sum(), ATOM_TIMES * usual):
            break
        found = place + 1
    return tuple(sorted(float(v) for v in values[order[:found]])) if found <= ATOMS else ()


def width(numbers: Rows) -> float:
    """The width of the noise: the smallest gap, or 0 where few values repeat."""
    values, counts = counted(numbers)
    if counts[counts > 1].sum() <= TIES * counts.sum():
        return 0.0
    gaps = np.diff(values)
    return float(gaps[gaps > 1e-9 * np.ptp(values)].min())


def described(name: str, cells: pd.Series, train: NDArray[np.int64], rng: np.random.Generator) -> Any:
    """A column by its training rows, its codes, and its values in deviations."""
    gone = cells.isna().to_numpy()
    if not pd.api.types.is_float_dtype(cells):
        levels = tuple(sorted(set(cells[~gone])))
        place = {word: i for i, word in enumerate(levels)}
        codes = np.array([len(levels) if g else place[c] for c, g in zip(cells, gone, strict=True)])
        return Column(name, levels, bool(gone.any())), codes, None
    numbers = cells.to_numpy(float)
    several = atoms(numbers[train])
    codes = sum((i + 1) * (numbers == atom) for i, atom in enumerate(several)) + np.zeros(len(numbers), int)
    codes[gone] = 1 + len(several)
    numbers = np.where(codes == 0, numbers, np.nan)
    wide, grid = width(numbers[train]), counted(numbers[train])[0]
    numbers = numbers + wide * rng.uniform(-0.5, 0.5, len(numbers))
    mean, deviation = np.nanmean(numbers[train]), np.nanstd(numbers[train])
    column = Column(
        name,
        (),
        bool(gone.any()),
        several,
        wide,
        tuple(map(float, grid)) if wide else (),
        float(mean),
        float(deviation),
    )
    return column, codes, (numbers - mean) / deviation


def split_mixed(name: str, frame: pd.DataFrame, number: int) -> MixedSplit:
    """Split `number` of a table: text is categories, floats are numbers; four fifths train."""
    rng = generator(name, number)
    order = rng.permutation(len(frame))
    train, test = np.split(order, [int(TRAIN * len(frame))])
    made = [described(str(c), frame[c], train, rng) for c in frame]
    columns = Columns(tuple(column for column, _, _ in made))
    codes = [code for column, code, _ in made if column.states > 1]
    values = [value for _, _, value in made if value is not None]
    rows = MixedRows(stacked(codes, len(frame), np.int64), stacked(values, len(frame), np.float64))
    return MixedSplit(columns, rows[train], rows[test])


def stacked(parts: Sequence[Any], rows: int, kind: Any) -> Any:
    """Columns side by side, also where there are none."""
    return np.array(parts, kind).reshape(len(parts), rows).T


def save(split: MixedSplit, file: Path) -> None:
    """Writes a split for a process of its own."""
    text = json.dumps([asdict(c) for c in split.columns.all])
    parts = {
        f"{part}_{field}": getattr(getattr(split, part), field)
        for part in ("train", "test")
        for field in ("codes", "values")
    }
    np.savez(file, columns=np.array(text), **parts)


def load(file: Path) -> MixedSplit:
    """Reads what `save` wrote."""
    with np.load(file) as stored:
        made = json.loads(str(stored["columns"]))
        rows = {p: MixedRows(stored[f"{p}_codes"], stored[f"{p}_values"]) for p in ("train", "test")}
    listed = ("levels", "atoms", "grid")
    columns = tuple(Column(**{k: tuple(v) if k in listed else v for k, v in c.items()}) for c in made)
    return MixedSplit(Columns(columns), rows["train"], rows["test"])
