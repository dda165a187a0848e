"""Two-dimensional targets of about unit scale, sampled exactly: the shapes on which flows are usually drawn."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from shoal._scalars import FloatArray


def four_gaussians(rng: Generator, rows: int) -> FloatArray:
    """Equal parts N(c, 0.3^2 I), c the corners of the square [-1.5, 1.5]^2."""
    corners = 1.5 * np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    return corners[rng.integers(4, size=rows)] + 0.3 * rng.normal(size=(rows, 2))


def moons(rng: Generator, rows: int) -> FloatArray:
    """Two half circles of radius 1 that reach into each other, with noise of deviation 0.1."""
    t, upper = np.pi * rng.random(rows), rng.random(rows) < 0.5
    high = np.stack([np.cos(t), np.sin(t)], axis=1)
    low = np.stack([1.0 - np.cos(t), 0.5 - np.sin(t)], axis=1)
    x = np.where(upper[:, None], high, low) + 0.1 * rng.normal(size=(rows, 2))
    return (x - [0.5, 0.25]) * [1.15, 2.0]


def checkerboard(rng: Generator, rows: int) -> FloatArray:
    """Uniform on eight of the sixteen unit squares of [-2, 2]^2: log-density -log 8 on them."""
    column, pair = rng.integers(4, size=rows), rng.integers(2, size=rows)
    corner = np.stack([column, 2 * pair + column % 2], axis=1)
    return corner + rng.random((rows, 2)) - 2.0


def swiss_roll(rng: Generator, rows: int) -> FloatArray:
    """The spiral t (cos t, sin t) / 7, t = 1.5 pi (1 + 2 u), u uniform, with noise of deviation 0.1."""
    t = 1.5 * np.pi * (1.0 + 2.0 * rng.random(rows))
    spiral = np.stack([t * np.cos(t), t * np.sin(t)], axis=1) / 7.0
    return spiral + 0.1 * rng.normal(size=(rows, 2))


def rings(rng: Generator, rows: int) -> FloatArray:
    """Four circles of radius 0.5, 1, 1.5, 2 in equal parts, with noise of deviation 0.08."""
    radius, angle = 0.5 * rng.integers(1, 5, size=rows), 2 * np.pi * rng.random(rows)
    circle = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return circle + 0.08 * rng.normal(size=(rows, 2))


def pinwheel(rng: Generator, rows: int) -> FloatArray:
    """Five stretched Gaussians around the origin, turned by 0.25 exp(r) at radius r."""
    arm = rng.integers(5, size=rows)
    r, side = 1.0 + 0.3 * rng.normal(size=rows), 0.1 * rng.normal(size=rows)
    angle = 2 * np.pi * arm / 5 + 0.25 * np.exp(r)
    x = r * np.cos(angle) - side * np.sin(angle)
    y = r * np.sin(angle) + side * np.cos(angle)
    return 1.2 * np.stack([x, y], axis=1)


TARGETS: dict[str, Callable[[Generator, int], FloatArray]] = {
    "four-gaussians": four_gaussians,
    "moons": moons,
    "checkerboard": checkerboard,
    "swiss-roll": swiss_roll,
    "rings": rings,
    "pinwheel": pinwheel,
}
