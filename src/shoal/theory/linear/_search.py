"""Newton's method onto the solutions, and descent of the worst condition number inside them.

A step is the one of least norm in the shears' blocks, J^T (J J^T)^{-1} r: J has far more columns than rows. Descent is
limited-memory BFGS with directions projected on the null space of J; a trial point is brought back to the solutions
with the factor of the last accepted point (chord steps), or without factors where these are dear: `_normal.py`.
"""

import time
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from shoal._scalars import FloatArray
from shoal.theory.linear._gauge import Point, assemble, pulled_back, soft_condition
from shoal.theory.linear._normal import Normal
from shoal.theory.linear._shears import Linearization, Target, equations, middle

STAGES = ((2.0, 2.0), (6.0, 6.0), (16.0, 24.0))  # (Schatten exponent, sharpness) of the objective, in turn
MEMORY = 12
ON = 1e-7  # a trial point within this of the equations counts as on them; Newton's method ends every search
ROUGH = 1e-3  # to which its steps are solved, where that is a choice


@dataclass(frozen=True)
class Effort:
    """How long to search: descent steps a stage, and seconds (a limit that is looked at after every step)."""

    steps: int = 60
    seconds: float = float("inf")
    patience: float = 1e-3  # stop a stage once ten steps gained less than this in log κ


def off_by(target: Target, blocks: list[FloatArray]) -> tuple[FloatArray, float]:
    """The equations' values and their size relative to M and M^{-1}."""
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # a step too far: its size is inf or nan, and it is not taken
        return _off_by(target, blocks)


def _off_by(target: Target, blocks: list[FloatArray]) -> tuple[FloatArray, float]:
    m, g = middle(target, blocks)
    f = equations(target, m, g).astype(np.float64)
    m, g = m.astype(np.float64), g.astype(np.float64)
    count = target.p * target.p - target.p
    scale = (np.linalg.norm(m[: target.p, : target.p]), np.linalg.norm(g))
    parts = (
        np.linalg.norm(f[:count]) / max(scale[0], 1e-300),
        np.linalg.norm(f[count:]) / max(scale[1], 1e-300),
    )
    return f, float(max(parts))


def newton(
    target: Target,
    point: Point,
    *,
    tolerance: float = 1e-14,
    steps: int = 10,
    measured: Target | None = None,
) -> Point | None:
    """The nearest solution by Gauss-Newton steps of least norm; None where they do not get there.

    `measured`: the same target in extended precision, in which the equations are then evaluated.
    """
    f, size = off_by(measured or target, point.blocks)
    for _ in range(steps):
        if size < tolerance:
            return point
        if not np.isfinite(size):
            return None
        line = Linearization(target, point.blocks)
        solved = Normal(line).solve(f)
        if solved is None:
            return None
        step = line.pull(solved)
        trial = Point([b - s for b, s in zip(point.blocks, step, strict=True)], point.scales)
        f_new, new = off_by(measured or target, trial.blocks)
        if not new < 0.9 * size:
            return point if size < 100 * tolerance else None
        point, f, size = trial, f_new, new
    return point if size < 100 * tolerance else None


def lower_conditions(target: Target, point: Point, effort: Effort) -> Point:
    """A solution near `point` (a solution) whose worst layer is better conditioned; never a worse one."""
    deadline = time.monotonic() + effort.seconds
    best, best_value = point, _worst(target, point)
    for objective in STAGES:
        here = _here(target, point, objective)
        if here is None:
            break
        point = descend(here, effort, deadline).point
        value = _worst(target, point)
        if value < best_value:
            best, best_value = point, value
        if time.monotonic() > deadline:
            break
    return best


def _worst(target: Target, point: Point) -> float:
    made = assemble(target, point)
    return np.inf if made is None else max(layer.condition() for layer in made.layers)


@runtime_checkable
class Place(Protocol):
    """An accepted point as `descend` sees it; `point` has `vector()` and `like(vector)`."""

    point: Any
    value: float
    gradient: FloatArray

    def project(self, step: Any) -> Any:
        """The part of a step that keeps the equations, to first order."""
        ...

    def trial(self, direction: Any, size: float, bound: float) -> "Place | None":
        """The place a step away, brought back to the solutions; None where its objective is above `bound`."""
        ...


class _Here:
    """An accepted point: objective, projected gradient, and the solver that brings trial points back."""

    def __init__(
        self, target: Target, point: Point, value: float, objective: tuple[float, float], normal: Normal
    ):
        self.target, self.point, self.value, self.objective = target, point, value, objective
        self.normal = normal
        self.gradient: FloatArray = np.zeros(0)

    def project(self, step: Point) -> Point:
        """The part of a step that keeps the equations, to first order (the whole step where no solver gets there)."""
        line = self.normal.line
        solved = self.normal.solve(line.push(step.blocks))
        if solved is None:
            return step
        back = line.pull(solved)
        return Point([s - b for s, b in zip(step.blocks, back, strict=True)], step.scales)

    def trial(self, direction: Point, size: float, bound: float) -> "_Here | None":
        """The place a step away, brought back to the solutions; None where its objective is above `bound`."""
        point = self._returned(self.point.moved(direction, size))
        return None if point is None else _here(self.target, point, self.objective, bound)

    def _returned(self, point: Point) -> Point | None:
        """`point` brought back to the solutions: by chord steps where there is a factor, else by Newton's."""
        normal = self.normal
        f, size = off_by(self.target, point.blocks)
        for _ in range(12):
            if size < ON:
                return point
            solved = normal.solve(f, ROUGH)
            if solved is None:
                return None
            step = normal.line.pull(solved)
            point = Point([b - s for b, s in zip(point.blocks, step, strict=True)], point.scales)
            f, new = off_by(self.target, point.blocks)
            if not new < 0.6 * size:
                return None
            size = new
            if not normal.factored and size >= ON:
                normal = Normal(Linearization(self.target, point.blocks))
        return None


def descend(here: Place, effort: Effort, deadline: float) -> Place:
    """Limited-memory BFGS inside the solutions, from an accepted point; the last accepted one."""
    memory: list[tuple[FloatArray, FloatArray]] = []
    history: list[float] = []
    size = 0.0
    for _ in range(effort.steps):
        if time.monotonic() > deadline:
            break
        point = here.point
        history.append(here.value)
        if len(history) > 10 and history[-11] - history[-1] < effort.patience:
            break
        direction = here.project(point.like(-_two_loop(here.gradient, memory)))
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
        s, y = trial.point.vector() - point.vector(), trial.gradient - here.gradient
        if s @ y > 1e-10 * np.linalg.norm(s) * np.linalg.norm(y):
            memory.append((s, y))
            del memory[:-MEMORY]
        here = trial
    return here


def _here(
    target: Target,
    point: Point,
    objective: tuple[float, float],
    bound: float = np.inf,
) -> _Here | None:
    """The place at a point of the solutions; None where its objective is above `bound` or nothing can be solved there."""
    made = assemble(target, point)
    if made is None:
        return None
    value, bars = soft_condition(made.layers, *objective)
    if not (np.isfinite(value) and value <= bound):
        return None
    here = _Here(target, point, value, objective, Normal(Linearization(target, point.blocks)))
    raw = pulled_back(target, here.normal.line, made, bars)
    projected = here.project(raw)
    if projected is raw:
        return None
    here.gradient = projected.vector()
    return here


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
