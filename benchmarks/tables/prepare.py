"""A table as every arm gets it: dequantized, split and standardised by one seed, in float64.

A column whose values repeat (fewer than 95 % distinct) lies on a lattice: uniform noise as wide as its smallest step makes
it a density. Rows are permuted, four fifths train; both parts are standardised by the training rows' mean and deviation.
Noise and permutation depend on the table's name and the number of the split alone.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
TRAIN, DISTINCT = 0.8, 0.95


@dataclass(frozen=True)
class Split:
    """Training and test rows of one split, in units of the training rows' deviations."""

    train: Rows
    test: Rows


def generator(name: str, *numbers: int) -> np.random.Generator:
    """The random numbers that belong to a name and some numbers."""
    return np.random.default_rng([zlib.crc32(name.encode()), *numbers])


def step(column: Rows) -> float:
    """The width of the noise that makes a column a density: its smallest step, or 0 where its values do not repeat."""
    values = np.unique(column)
    if len(values) >= DISTINCT * len(column):
        return 0.0
    gaps = np.diff(values)
    return float(gaps[gaps > 1e-9 * np.ptp(values)].min())


def dequantized(rows: Rows, rng: np.random.Generator) -> Rows:
    """The rows with uniform noise of one step, centred, in the columns whose values repeat."""
    steps = np.array([step(column) for column in rows.T])
    return rows + rng.uniform(-0.5, 0.5, rows.shape) * steps


def split(name: str, rows: Rows, number: int) -> Split:
    """Split `number` of the rows of the table `name`."""
    rng = generator(name, number)
    made = dequantized(rows, rng)
    made = made[rng.permutation(len(made))]
    cut = int(TRAIN * len(made))
    mean, deviation = made[:cut].mean(0), made[:cut].std(0)
    return Split((made[:cut] - mean) / deviation, (made[cut:] - mean) / deviation)
