"""Lattice columns: values that are repeated multiples of one step, as when a scale rounds what it measures.

A density model can make such values arbitrarily likely. Uniform noise of one step turns the column into one with a
density again, whose likelihood is comparable between models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shoal._errors import InputError
from shoal._scalars import FloatArray

TIES = 0.05  # a column with a smaller share of repeated values is left as it is
TOLERANCE = 0.01  # of one step: how far a value may lie off the lattice, by rounding


@dataclass(frozen=True)
class Lattice:
    """Column `column`, at position `index`, has the step `step`; `ties` is the share of rows whose value repeats."""

    column: str
    step: float
    ties: float
    index: int


def detect_lattice(values: FloatArray, names: Sequence[str]) -> tuple[Lattice, ...]:
    """Finds the lattice columns of `values`.

    A column is a lattice if more than 5 % of its rows hold a value that another row holds too, and all distinct values
    are, up to rounding, integer multiples of one smallest step apart. Scaling a column scales its step and changes
    nothing else.

    **Arguments:** `values`: finite, of shape (rows, columns). `names`: one for each column.

    **Returns:** a `Lattice` for each such column, in the order of the columns.
    """
    if values.ndim != 2 or values.shape[1] != len(names):
        raise InputError(
            f"`values` of shape {values.shape} do not have one column for each of {len(names)} names."
        )
    found = []
    for index, name in enumerate(names):
        distinct, counts = np.unique(values[:, index], return_counts=True)
        ties = float(counts[counts > 1].sum() / max(counts.sum(), 1))
        step = _step(distinct) if ties > TIES and distinct.size > 1 else None
        if step is not None:
            found.append(Lattice(name, step, ties, index))
    return tuple(found)


def dequantize(
    values: FloatArray, lattices: Sequence[Lattice], rng: np.random.Generator | np.random.SeedSequence | int
) -> FloatArray:
    """Returns `values` + u, with u uniform on [-step/2, step/2) in each lattice column; the same for the same seed.

    **Arguments:** `values`: of shape (rows, columns); not changed. `lattices`: from `detect_lattice`. `rng`: a seed or
    a generator.
    """
    rng = np.random.default_rng(rng)
    noisy = np.array(values, dtype=np.float64)
    for lattice in lattices:
        noisy[:, lattice.index] += lattice.step * (rng.random(noisy.shape[0]) - 0.5)
    return noisy


def _step(distinct: FloatArray) -> float | None:
    """The step between sorted distinct values, or None if they lie on no lattice."""
    rounding = 8 * np.finfo(np.float64).eps * np.abs(distinct).max()
    gaps = np.diff(distinct)
    gaps = gaps[gaps > rounding]
    if not gaps.size:
        return None
    counts = np.rint(gaps / gaps.min())
    step = gaps.sum() / counts.sum()  # the range over the steps in it: better than one gap, which is rounded
    multiples = (distinct - distinct[0]) / step
    off = np.abs(multiples - np.rint(multiples)).max()
    return float(step) if off <= TOLERANCE else None
