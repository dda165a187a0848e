"""Lattice columns: values that repeat and lie on a grid, as when a scale rounds what it measures.

A density model can make such values arbitrarily likely. Noise that is uniform over a value's cell turns the column into one
with a density again, whose likelihood is comparable between models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray, IntArray

TIES = 0.05  # a column with a smaller share of repeated values is left as it is
TOLERANCE = 0.01  # of one step: how far a value may lie off the lattice, by rounding
STRAY, STRAYS = 0.002, 3  # the share of rows that may lie off a lattice, and how many rows in any case
MOST_DISTINCT = 5000  # values of a column in which one off their lattice is looked for
GRID_TIES = 0.9  # the share of repeated values of a grid without a step
GRID_ROWS = 2  # rows a value of it, at least


@dataclass(frozen=True)
class Lattice:
    """Column `column`, at position `index`, lies on a lattice; `ties` is the share of rows whose value repeats.

    `step`: between neighbours, from `origin` on; where the grid has no one step, the median one, and `grid` holds its
    values. `stray`: values that lie off the lattice.
    """

    column: str
    step: float
    ties: float
    index: int
    grid: tuple[float, ...] = ()
    stray: tuple[float, ...] = ()
    origin: float = 0.0

    def placed(self, values: FloatArray, uniform: FloatArray) -> FloatArray:
        """The values at places `uniform` in [0, 1) of their cells: a step long, or up to the middles between neighbours."""
        if not self.grid:
            return values + self.step * (uniform - 0.5)
        low, high = (part[self.places(values)] for part in cells(np.array(self.grid)))
        return values - low + (low + high) * uniform

    def rounded(self, values: FloatArray) -> FloatArray:
        """The lattice's values nearest to `values`, with as many decimals as step and origin have."""
        if self.grid:
            return np.array(self.grid)[self.places(values)]
        found = self.origin + np.rint((values - self.origin) / self.step) * self.step
        digits = [_decimals(number) for number in (self.step, self.origin)]
        return found if None in digits else np.round(found, max(d or 0 for d in digits))

    def places(self, values: FloatArray) -> IntArray:
        """Which value of the grid is nearest."""
        grid = np.array(self.grid)
        return np.searchsorted(0.5 * (grid[1:] + grid[:-1]), values)


def cells(grid: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far the cell of each value of an ascending grid reaches down and up: half way to its neighbours."""
    half = 0.5 * np.diff(grid)
    return np.concatenate([half[:1], half]), np.concatenate([half, half[-1:]])


def detect_lattice(values: FloatArray, names: Sequence[str]) -> tuple[Lattice, ...]:
    """Finds the lattice columns of `values`.

    A column is a lattice if more than 5 % of its rows hold a value that another row holds too, and all distinct values but
    those of a few rows (three, one row in 500, or a quarter of the root of the rows) are, up to rounding, integer multiples
    of one smallest step apart; or if 9 rows in 10 hold a value of a grid whose steps differ, such as the logarithms of
    counts. Scaling a column scales its step and changes nothing else.

    **Arguments:** `values`: of shape (rows, columns), NaN where a row has no value. `names`: one for each column.

    **Returns:** a `Lattice` for each such column, in the order of the columns.
    """
    if values.ndim != 2 or values.shape[1] != len(names):
        raise InputError(
            f"`values` of shape {values.shape} do not have one column for each of {len(names)} names."
        )
    found = (_lattice(values[:, i], name, i) for i, name in enumerate(names))
    return tuple(lattice for lattice in found if lattice is not None)


def dequantize(
    values: FloatArray, lattices: Sequence[Lattice], rng: np.random.Generator | np.random.SeedSequence | int
) -> FloatArray:
    """Returns `values` with noise that is uniform over each cell in each lattice column; the same for the same seed.

    **Arguments:** `values`: of shape (rows, columns); not changed. `lattices`: from `detect_lattice`. `rng`: a seed or
    a generator.
    """
    return in_cells(values, lattices, np.random.default_rng(rng).random((len(lattices), len(values))).T)


def in_cells(values: FloatArray, lattices: Sequence[Lattice], uniform: FloatArray) -> FloatArray:
    """Returns `values` with each lattice column at the places `uniform`, (rows, lattices) in [0, 1), of its cells."""
    placed = np.array(values, dtype=np.float64)
    for lattice, places in zip(lattices, uniform.T, strict=True):
        placed[:, lattice.index] = lattice.placed(placed[:, lattice.index], places)
    return placed


def _lattice(column: FloatArray, name: str, index: int) -> Lattice | None:
    distinct, counts = np.unique(column[np.isfinite(column)], return_counts=True)
    ties = float(counts[counts > 1].sum() / max(counts.sum(), 1))
    if ties <= TIES or distinct.size < 2:
        return None
    kept = _without_stray(distinct, counts)  # one value off the lattice of all others may fit a far finer one
    step = _step(distinct if kept is None else distinct[kept])
    if step is not None:
        stray = () if kept is None else tuple(map(float, distinct[~kept]))
        first = float(distinct[0] if kept is None else distinct[kept][0])
        return Lattice(name, step, ties, index, stray=stray, origin=first)
    if ties >= GRID_TIES and distinct.size * GRID_ROWS <= counts.sum() and distinct.size > 2:
        return Lattice(name, float(np.median(np.diff(distinct))), ties, index, tuple(map(float, distinct)))
    return None


def _snapped(step: float, count: float, rounding: float) -> float:
    """The step with the fewest decimals that reaches as far, up to the rounding of the values."""
    for digits in range(10):
        short = round(float(step), digits)
        if short > 0 and abs(step - short) * count <= 2 * rounding:
            return short
    return float(step)


def _decimals(number: float) -> int | None:
    """How many decimals a number is written with, up to its rounding; None if more than 9."""
    for digits in range(10):
        if abs(number - round(number, digits)) <= 1e-11 * abs(number):
            return digits
    return None


def off_lattice(distinct: FloatArray, counts: IntArray, least: float) -> tuple[int, ...]:
    """The place of the value, held by at least `least` rows, without which the others lie on a coarser lattice, if any."""
    if not 5 <= distinct.size <= MOST_DISTINCT:
        return ()
    fine = _step(distinct)
    for i in np.argsort(-counts):
        if counts[i] < least:
            break
        rest, held = np.delete(distinct, i), np.delete(counts, i)
        kept = _without_stray(rest, held)
        step = _step(rest if kept is None else rest[kept])
        if (
            step is not None
            and held[held > 1].sum() > TIES * held.sum()
            and (fine is None or step > 1.5 * fine)
        ):
            multiple = (distinct[i] - rest[0 if kept is None else int(np.argmax(kept))]) / step
            if abs(multiple - np.rint(multiple)) > TOLERANCE:
                return (int(i),)
    return ()


def _without_stray(distinct: FloatArray, counts: IntArray) -> np.ndarray | None:
    """Which distinct values lie on the coarsest lattice that all but a few rows are on; None where there is none.

    The lattice is that of the values that many rows hold: more than one, or than a tenth or half of the usual number.
    """
    order = np.argsort(counts)
    held = np.cumsum(counts[order])
    usual = counts[order][np.searchsorted(held, held[-1] / 2)]
    most = max(STRAYS, STRAY * held[-1], 0.25 * np.sqrt(held[-1]))
    best, coarsest = None, 0.0
    for least in (1.0, usual / 10, usual / 2):
        often = counts > least
        base = distinct[often]
        step = _step(base) if base.size > 1 else None
        if step is None or (base.size == 2 and not (base == np.rint(base)).all()):
            continue
        multiples = (distinct - base[0]) / step
        off = np.abs(multiples - np.rint(multiples))
        kept = off <= TOLERANCE
        kept &= often | ~np.isin(np.rint(multiples), np.rint(multiples[often]))  # beside a value, not on it
        kept |= off * step <= 8 * np.finfo(np.float64).eps * np.abs(distinct).max()
        if counts[~kept].sum() <= most and step > 1.5 * coarsest:
            best, coarsest = kept, step
    return best


def _step(distinct: FloatArray) -> float | None:
    """The step between sorted distinct values, or None if they lie on no lattice."""
    rounding = 8 * np.finfo(np.float64).eps * np.abs(distinct).max()
    gaps = np.diff(distinct)
    gaps = gaps[gaps > rounding]
    if not gaps.size:
        return None
    counts = np.rint(gaps / gaps.min())
    step = _snapped(
        gaps.sum() / counts.sum(), counts.sum(), rounding
    )  # better than one gap, which is rounded
    multiples = (distinct - distinct[0]) / step
    off = np.abs(multiples - np.rint(multiples)).max()
    return float(step) if off <= TOLERANCE else None
