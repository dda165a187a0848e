"""The one search of this package: Newton's method onto the solutions, paths of solutions, descent of conditions inside them.

`newton`, `follow` and `lower_conditions` know the equations by the protocol `Equations`, which the products of a given T
(`_product_equations.py`) and those of a given covariance (`gaussians/_covariance_equations.py`) have.
A step is the one of least norm in the unknowns, J^T (J J^T)^{-1} r: J has far more columns than rows. Descent is
limited-memory BFGS with directions projected on the null space of J; a trial point is brought back to the solutions with
the solver of the last accepted point (chord steps).

Objective: log sum_i kappa_i^beta / beta with kappa_i = |M_i|_2s |M_i^{-1}|_2s (Schatten 2s-norms), a smooth upper
estimate of the worst layer's condition number that becomes it as s and beta grow.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import scipy.linalg

from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Layer

STAGES = ((2.0, 2.0), (6.0, 6.0), (16.0, 24.0))  # (Schatten exponent, sharpness) of the objective, in turn
MEMORY = 12
ROUGH = 1e-3  # to which chord steps are solved, where that is a choice
DAMPING = 1e-14  # of J J^T, relative to its mean eigenvalue
Solver: TypeAlias = Callable[[FloatArray], FloatArray]
_Self = TypeVar("_Self")


@dataclass(frozen=True)
class Effort:
    """How long to search: descent steps a stage, and seconds (a limit that is looked at after every step)."""

    steps: int = 60
    seconds: float = float("inf")
    patience: float = 1e-3  # stop a stage once ten steps gained less than this in log κ


@dataclass(frozen=True, eq=False)
class Point:
    """The unknowns of a search, or a step of them: blocks of layers and their log-scales, left ones first."""

    blocks: list[FloatArray]
    scales: list[FloatArray]

    def moved(self, step: "Point", size: float) -> "Point":
        """This point plus size * step."""
        add = lambda a, b: [x + size * y for x, y in zip(a, b, strict=True)]
        return Point(add(self.blocks, step.blocks), add(self.scales, step.scales))

    def vector(self) -> FloatArray:
        """All numbers in one vector."""
        return np.concatenate([a.ravel() for a in (*self.blocks, *self.scales)])

    def like(self, vector: FloatArray) -> "Point":
        """A vector as a point with these shapes."""
        parts = np.split(vector, np.cumsum([a.size for a in (*self.blocks, *self.scales)])[:-1])
        arrays = [v.reshape(a.shape) for v, a in zip(parts, (*self.blocks, *self.scales), strict=True)]
        return Point(arrays[: len(self.blocks)], arrays[len(self.blocks) :])


@runtime_checkable
class Slope(Protocol):
    """J, the derivative of the equations' values by the unknowns, at one point.

    `push`: J times a change of the unknowns; `pull`: J^T times a vector of multipliers of the equations; `solve`:
    (J J^T)^{-1} r, to the relative tolerance where that is a choice, None where no solver gets there; `exact`: whether
    `solve` has a factor, so that chord steps may go on using it.
    """

    @property
    def exact(self) -> bool: ...
    def push(self, step: Point, /) -> FloatArray: ...
    def pull(self, multiplier: FloatArray, /) -> Point: ...
    def solve(self, r: FloatArray, tolerance: float = ..., /) -> FloatArray | None: ...


@runtime_checkable
class Equations(Protocol):
    """Equations at one point. `values`: theirs; `size`: of these, relative; inf or nan where a number is not finite.

    `near`: a trial point of descent within this size counts as a solution (Newton's method ends every search);
    `damping`: of the solver that brings trial points back. `at`: the same equations at another point; `layers`: those of
    a solution, None where a scale is not positive; `slope`: J here; `gradient`: by the unknowns, from the derivatives with
    respect to each layer's block and log-scale; `seen_from`: the values in the units that they have at another point.
    """

    point: Point
    values: FloatArray
    size: float
    near: float
    damping: float

    def at(self: _Self, point: Point, /) -> _Self: ...
    def layers(self) -> tuple[Layer, ...] | None: ...
    def slope(self, damping: float = ..., /) -> Slope: ...
    def gradient(self, slope: Any, bars: list[Layer], /) -> Point: ...
    def seen_from(self: _Self, other: _Self, /) -> FloatArray: ...


_E = TypeVar("_E", bound=Equations)


def newton(here: _E, *, tolerance: float = 1e-14, steps: int = 10) -> _E | None:
    """The nearest solution by Gauss-Newton steps of least norm; None where they do not get there."""
    with np.errstate(all="ignore"):  # a step too far: its size is inf or nan, and it is not taken
        for _ in range(steps):
            if here.size < tolerance or not np.isfinite(here.size):
                break
            slope = here.slope(DAMPING)
            solved = slope.solve(here.values)
            if solved is None:
                return None
            trial = here.at(here.point.moved(slope.pull(solved), -1.0))
            if not trial.size < 0.9 * here.size:
                break
            here = trial
    return here if here.size < 100 * tolerance else None


def follow(
    path: Callable[[float, Point], _E], point: Point, *, ease: int, limit: int, last: float = 1e-10
) -> tuple[_E | None, float]:
    """From a solution of path(0) to one of path(1): steps halve on failure and grow by half on success.

    `ease` descent steps after each step keep the layers well conditioned on the way; `last`: the tolerance at the end.
    **Returns:** the solution, None where the steps got too small; how far they came.
    """
    t, step = 0.0, 0.25
    for _ in range(limit):
        ahead = min(1.0, t + step)
        found = newton(path(ahead, point), tolerance=1e-10 if ahead < 1.0 else last, steps=6)
        if found is None or found.layers() is None:
            step *= 0.5
            if step < 1e-7:
                break
            continue
        if ahead == 1.0:
            return found, ahead
        t, point = ahead, (lower_conditions(found, Effort(ease)) if ease else found.point)
        step *= 1.5
    return None, t


def lower_conditions(here: Equations, effort: Effort) -> Point:
    """A solution near `here` (a solution) whose worst layer is better conditioned; never a worse one."""
    deadline = time.monotonic() + effort.seconds
    point = best = here.point
    best_value = worst_condition(here.layers())
    for objective in STAGES:
        place = _place(here.at(point), objective)
        if place is None:
            break
        last = _descend(place, effort, deadline).here
        point, value = last.point, worst_condition(last.layers())
        if value < best_value:
            best, best_value = point, value
        if time.monotonic() > deadline:
            break
    return best


def worst_condition(layers: tuple[Layer, ...] | None) -> float:
    """The largest condition number; infinite where there are no layers."""
    return np.inf if layers is None else max(layer.condition() for layer in layers)


def cholesky_solver(normal: FloatArray, damping: float = DAMPING) -> Solver | None:
    """r -> (N + damping * mean diagonal * I)^{-1} r, the damping raised until there is a factor; None if there is none."""
    if not np.all(np.isfinite(normal)):
        return None
    mean = float(np.trace(normal)) / max(len(normal), 1)
    for attempt in range(6):
        shifted = normal.copy()
        shifted[np.diag_indices_from(shifted)] += damping * mean * 100.0**attempt
        try:
            factor: object = scipy.linalg.cho_factor(
                shifted, lower=True, overwrite_a=True, check_finite=False
            )
        except np.linalg.LinAlgError:
            continue
        return lambda r: scipy.linalg.cho_solve(factor, r, check_finite=False)
    return None


@dataclass(frozen=True, eq=False)
class _Place:
    """An accepted point of the descent: objective, projected gradient, and J, which brings trial points back."""

    here: Equations
    slope: Slope
    objective: tuple[float, float]
    value: float
    gradient: FloatArray

    def trial(self, direction: Point, size: float, bound: float) -> "_Place | None":
        """The place a step away, brought back to the solutions; None where its objective is above `bound`."""
        with np.errstate(all="ignore"):
            here = self._returned(self.here.at(self.here.point.moved(direction, size)))
            return None if here is None else _place(here, self.objective, bound)

    def _returned(self, here: Equations) -> Equations | None:
        """A solution near: by chord steps where J has a factor, else by Newton's."""
        slope = self.slope
        for _ in range(12):
            if here.size < here.near:
                return here
            solved = slope.solve(here.seen_from(self.here), ROUGH) if np.isfinite(here.size) else None
            if solved is None:
                return None
            back = here.at(here.point.moved(slope.pull(solved), -1.0))
            if not back.size < 0.6 * here.size:
                return None
            here = back
            if not slope.exact and here.size >= here.near:
                slope = here.slope(here.damping)
        return None


def _place(here: Equations, objective: tuple[float, float], bound: float = np.inf) -> _Place | None:
    """The place of a solution; None where its objective is above `bound` or nothing can be solved there."""
    layers = here.layers()
    if layers is None:
        return None
    value, bars = soft_condition(layers, *objective)
    if not (np.isfinite(value) and value <= bound):
        return None
    slope = here.slope(here.damping)
    gradient = _projected(slope, here.gradient(slope, bars))
    return None if gradient is None else _Place(here, slope, objective, value, gradient.vector())


def _projected(slope: Slope, step: Point) -> Point | None:
    """The part of a step that keeps the equations, to first order; None where no solver gets there."""
    solved = slope.solve(slope.push(step))
    return None if solved is None else step.moved(slope.pull(solved), -1.0)


def _descend(here: _Place, effort: Effort, deadline: float) -> _Place:
    """Limited-memory BFGS inside the solutions, from an accepted point; the last accepted one."""
    memory: list[tuple[FloatArray, FloatArray]] = []
    history: list[float] = []
    size = 0.0
    for _ in range(effort.steps):
        if time.monotonic() > deadline:
            break
        point = here.here.point
        history.append(here.value)
        if len(history) > 10 and history[-11] - history[-1] < effort.patience:
            break
        steepest = point.like(-_two_loop(here.gradient, memory))
        direction = _projected(here.slope, steepest) or steepest
        slope = float(direction.vector() @ here.gradient)
        if not slope < 0:
            memory.clear()
            direction, slope = point.like(-here.gradient), -float(here.gradient @ here.gradient)
        if memory:
            size = 1.0
        elif size == 0.0:
            size = min(1.0, 0.3 / max(np.sqrt(-slope), 1e-300))
        else:
            size = min(1.0, 4 * size)
        trial = None
        for _ in range(12):
            trial = here.trial(direction, size, here.value + 1e-4 * size * slope)
            if trial is not None:
                break
            size *= 0.4
        if trial is None:
            if not memory:
                break
            memory.clear()
            continue
        s, y = trial.here.point.vector() - point.vector(), trial.gradient - here.gradient
        if s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y):
            memory.append((s, y))
            del memory[:-MEMORY]
        here = trial
    return here


def soft_condition(layers: tuple[Layer, ...], power: float, sharpness: float) -> tuple[float, list[Layer]]:
    """log of the smooth worst condition number, and its gradient as one `Layer` of derivatives a layer."""
    stack = np.stack([layer.matrix() for layer in layers])
    if not np.all(np.isfinite(stack)):
        return np.inf, []
    u, s, vt = np.linalg.svd(stack)
    if not np.all(s > 1e-300):  # 1 / s would overflow: no descent
        return np.inf, []
    top, low = s[:, :1], s[:, -1:]
    large, small = (s / top) ** (2 * power), (low / s) ** (2 * power)
    sums = large.sum(1, keepdims=True), small.sum(1, keepdims=True)
    logs = (np.log(top) - np.log(low) + (np.log(sums[0]) + np.log(sums[1])) / (2 * power))[:, 0]
    weights = np.exp(sharpness * (logs - logs.max()))
    value = float(logs.max() + np.log(weights.sum()) / sharpness)
    rates = (large / sums[0] - small / sums[1]) / s * (weights / weights.sum())[:, None]
    gradient = (u * rates[:, None, :]) @ vt
    out: list[Layer] = []
    for layer, g in zip(layers, gradient, strict=True):
        p = layer.kept
        block, diagonal = (g[p:, :p], g[p:, p:]) if layer.kind == "lower" else (g[:p, p:], g[:p, :p])
        out.append(Layer(layer.kind, block, np.diag(diagonal) * np.exp(layer.log_scale)))
    return value, out


def _two_loop(gradient: FloatArray, memory: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """The limited-memory BFGS inverse Hessian times the gradient."""
    q, weights = gradient.copy(), []
    for s, y in reversed(memory):
        a = float(s @ q) / float(s @ y)
        q -= a * y
        weights.append(a)
    if memory:
        s, y = memory[-1]
        q *= float(s @ y) / float(y @ y)
    for (s, y), a in zip(memory, reversed(weights), strict=True):
        q += s * (a - float(y @ q) / float(s @ y))
    return q
