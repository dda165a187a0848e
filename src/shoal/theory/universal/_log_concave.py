"""A log-concave density on the real line from the gradient of its potential, by quadrature: p = exp(-U) / Z, U' increasing.

U' is integrated by Simpson's rule on an even grid that reaches 45 nats below the mode on both sides (a probability of about
1e-19), so that tails keep their relative accuracy and quantiles may be taken at 6 deviations and beyond.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import log_ndtr

from shoal._errors import InputError
from shoal._scalars import FloatArray

Gradient: TypeAlias = Callable[[FloatArray], FloatArray]

DEPTH = 45.0  # nats below the mode where the grid ends
GRID = 100_001
FARTHEST = 1e12


@dataclass(frozen=True)
class LogConcave:
    """`gradient`: U'; `grid`: (M,); `log_density` there; `log_below`, `log_above`: log P(x < grid), log P(x > grid)."""

    gradient: Gradient
    grid: FloatArray
    log_density: FloatArray
    log_below: FloatArray
    log_above: FloatArray
    mean: float
    deviation: float

    def transport(self, z: FloatArray) -> FloatArray:
        """T(z), the increasing map with T#N(0, 1) = p, each side by its own tail."""
        from_left = np.interp(log_ndtr(z), self.log_below[1:], self.grid[1:])
        from_right = np.interp(-log_ndtr(-z), -self.log_above[:-1], self.grid[:-1])
        return np.where(z < 0, from_left, from_right)

    def transport_slopes(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """T, T' = N(z) / p(T) and T'' = T' (U'(T) T' - z)."""
        x = self.transport(z)
        log_p = np.interp(x, self.grid, self.log_density)
        first = np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - log_p)
        return x, first, first * (self.gradient(x) * first - z)


def targets_of(potential_gradient: Gradient | Sequence[Gradient]) -> list[LogConcave]:
    """One density a coordinate. **Raises:** InputError where there is none, and as `log_concave`."""
    name = "potential_gradient"
    if not isinstance(potential_gradient, Sequence):
        return [log_concave(potential_gradient, name)]
    if not potential_gradient:
        raise InputError(f"`{name}` must hold at least one function.")
    return [log_concave(g, f"{name}[{i}]") for i, g in enumerate(potential_gradient)]


def log_concave(gradient: Gradient, name: str = "potential_gradient") -> LogConcave:
    """The density whose potential has this gradient, a NumPy function on arrays.

    **Raises:** InputError where U' is not finite, never changes sign, or decreases; the message says where.
    """
    slope = _checked(gradient, name)
    mode = _mode(slope, name)
    grid = np.linspace(_end(slope, mode, -1.0, name), _end(slope, mode, 1.0, name), GRID)
    h = grid[1] - grid[0]
    at, middle = slope(grid), slope(grid[:-1] + h / 2)
    fine = np.stack([at[:-1], middle], axis=1).reshape(-1)
    drop = np.diff(np.append(fine, at[-1]))
    if (drop < -1e-9 * np.abs(fine).max()).any():
        i = int(np.argmin(drop))
        where = grid[0] + i * h / 2
        raise InputError(
            f"`{name}` must not decrease (log-concave targets only); it does near x = {where:.4g}."
        )
    potential = np.concatenate([[0.0], np.cumsum((at[:-1] + 4 * middle + at[1:]) * h / 6)])
    potential -= potential.min()
    half = (
        potential[:-1] + (5 * at[:-1] + 8 * middle - at[1:]) * h / 24
    )  # at the middles, by the same parabola
    p = np.exp(-potential)
    pieces = (p[:-1] + 4 * np.exp(-half) + p[1:]) * h / 6
    below, above = np.cumsum(pieces), np.cumsum(pieces[::-1])[::-1]
    total = float(below[-1])
    with np.errstate(divide="ignore"):
        log_below = np.log(np.concatenate([[0.0], below]) / total)
        log_above = np.log(np.concatenate([above, [0.0]]) / total)
    weights = np.full(len(p), h)
    weights[[0, -1]] = h / 2
    mean = float(weights @ (grid * p)) / total
    deviation = float(np.sqrt(weights @ (np.square(grid - mean) * p) / total))
    return LogConcave(slope, grid, -potential - np.log(total), log_below, log_above, mean, deviation)


def _checked(gradient: Gradient, name: str) -> Gradient:
    if not callable(gradient):
        raise InputError(f"`{name}` must be a function of an array, such as np.tanh; got {gradient!r:.40}.")

    def slope(x: FloatArray) -> FloatArray:
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(gradient(np.asarray(x, np.float64)), np.float64)
        if values.shape != np.shape(x):
            raise InputError(f"`{name}` must return an array of its argument's shape; got {values.shape}.")
        if np.isnan(values).any():
            where = float(np.asarray(x)[np.isnan(values)][0])
            raise InputError(f"`{name}` is NaN at x = {where:.4g}.")
        return values

    return slope


def _mode(slope: Gradient, name: str) -> float:
    """Where U' changes sign, by doubling and bisection."""
    one = lambda x: float(slope(np.array([x]))[0])
    low, high = -1.0, 1.0
    while one(low) > 0 and low > -FARTHEST:
        low *= 2
    while one(high) < 0 and high < FARTHEST:
        high *= 2
    if one(low) > 0 or one(high) < 0:
        raise InputError(f"`{name}` must be negative far to the left and positive far to the right.")
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if one(middle) > 0 else (middle, high)
    return (low + high) / 2


def _end(slope: Gradient, mode: float, side: float, name: str) -> float:
    """About where U is `DEPTH` above its least value."""
    part = np.linspace(0.0, 1.0, 501)
    rise = lambda w: float(np.trapezoid(np.abs(slope(mode + side * w * part)), w * part))
    width = 1.0
    while rise(width) > DEPTH and width > 1.0 / FARTHEST:
        width /= 2
    while not rise(width) > DEPTH:
        width *= 1.1
        if width > FARTHEST:
            raise InputError(f"`{name}` must be positive to the right of the mode and negative to its left.")
    return mode + side * width
