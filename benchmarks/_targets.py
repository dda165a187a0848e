"""Two-dimensional targets, standardised to about unit scale: sampled by formulas, seeded."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

FloatArray = np.ndarray


def moons(rng: Generator, rows: int) -> FloatArray:
    """Two half circles of radius 1, noise 0.1."""
    t, upper = np.pi * rng.random(rows), rng.random(rows) < 0.5
    x = np.where(upper[:, None], np.c_[np.cos(t), np.sin(t)], np.c_[1 - np.cos(t), 0.5 - np.sin(t)])
    return (x - [0.5, 0.25] + 0.1 * rng.normal(size=x.shape)) * [1.15, 2.0]


def four_gaussians(rng: Generator, rows: int) -> FloatArray:
    """Four Gaussians at the corners of a square of side 3, deviation 0.3."""
    corners = 1.5 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    return corners[rng.integers(4, size=rows)] + 0.3 * rng.normal(size=(rows, 2))


def pinwheel(rng: Generator, rows: int) -> FloatArray:
    """Five arms, each a stretched Gaussian, turned by the radius."""
    arm = rng.integers(5, size=rows)
    r, side = 1.0 + 0.3 * rng.normal(size=rows), 0.1 * rng.normal(size=rows)
    angle = 2 * np.pi * arm / 5 + 0.25 * np.exp(r)
    return 1.2 * np.c_[r * np.cos(angle) - side * np.sin(angle), r * np.sin(angle) + side * np.cos(angle)]


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
