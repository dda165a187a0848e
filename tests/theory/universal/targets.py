"""Two-dimensional targets for constructions, sampled by formulas."""

import numpy as np
from numpy.random import Generator


def checkerboard(rng: Generator, rows: int) -> np.ndarray:
    """The eight dark squares of a 4 x 4 board."""
    column, row = rng.integers(4, size=rows), 2 * rng.integers(2, size=rows)
    return np.c_[column + rng.random(rows), row + column % 2 + rng.random(rows)] - 2.0


def moons(rng: Generator, rows: int) -> np.ndarray:
    """Two half circles with noise 0.1."""
    t, upper = np.pi * rng.random(rows), rng.random(rows) < 0.5
    x = np.where(upper[:, None], np.c_[np.cos(t), np.sin(t)], np.c_[1 - np.cos(t), 0.5 - np.sin(t)])
    return x + 0.1 * rng.normal(size=x.shape)


def rings(rng: Generator, rows: int) -> np.ndarray:
    """Circles of radius 1 and 2, noise 0.08."""
    t, r = 2 * np.pi * rng.random(rows), rng.integers(1, 3, size=rows) + 0.08 * rng.normal(size=rows)
    return np.c_[r * np.cos(t), r * np.sin(t)]


def eight_gaussians(rng: Generator, rows: int) -> np.ndarray:
    """Deviation 0.2 around eight points of a circle of radius 2."""
    t = 2 * np.pi * rng.integers(8, size=rows) / 8
    return 2 * np.c_[np.cos(t), np.sin(t)] + 0.2 * rng.normal(size=(rows, 2))


def pinwheel(rng: Generator, rows: int) -> np.ndarray:
    """Five bent arms."""
    arm, r, side = rng.integers(5, size=rows), 1 + 0.3 * rng.normal(size=rows), 0.1 * rng.normal(size=rows)
    a = 2 * np.pi * arm / 5 + 0.25 * np.exp(r)
    return np.c_[r * np.cos(a) - side * np.sin(a), r * np.sin(a) + side * np.cos(a)]


TARGETS = {f.__name__: f for f in (checkerboard, moons, rings, eight_gaussians, pinwheel)}


def product(name: str, rng: Generator, rows: int, copies: int) -> np.ndarray:
    """Independent copies side by side, 2 * copies columns."""
    return np.concatenate([TARGETS[name](rng, rows) for _ in range(copies)], axis=1)
