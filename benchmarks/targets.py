"""Two-dimensional targets of about unit scale, sampled by formulas, seeded: those of the studies and some more."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from studies.targets import four_gaussians, moons, pinwheel

FloatArray = np.ndarray


def checkerboard(rng: Generator, rows: int) -> FloatArray:
    """Uniform on the eight dark squares of a 4 x 4 board with side 4: log-density -log 8 on them."""
    column, row = rng.integers(4, size=rows), 2 * rng.integers(2, size=rows)
    return np.c_[column + rng.random(rows), (row + column % 2) + rng.random(rows)] - 2.0


def rings(rng: Generator, rows: int) -> FloatArray:
    """Circles of radius 1 and 2, noise 0.08."""
    t, r = 2 * np.pi * rng.random(rows), rng.integers(1, 3, size=rows) + 0.08 * rng.normal(size=rows)
    return np.c_[r * np.cos(t), r * np.sin(t)]


def eight_gaussians(rng: Generator, rows: int) -> FloatArray:
    """Eight Gaussians on a circle of radius 2, deviation 0.2."""
    t = 2 * np.pi * rng.integers(8, size=rows) / 8
    return 2 * np.c_[np.cos(t), np.sin(t)] + 0.2 * rng.normal(size=(rows, 2))


TARGETS: dict[str, Callable[[Generator, int], FloatArray]] = {
    "moons": moons,
    "four-gaussians": four_gaussians,
    "pinwheel": pinwheel,
    "checkerboard": checkerboard,
}
