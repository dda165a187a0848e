"""Layers T with T T^T = Σ by continuation from any layers T_0, and descent of the worst condition number among them.

Any layers solve the problem for their own covariance T_0 T_0^T, so the path Σ(t) = T_0 (T_0^{-1} Σ T_0^{-T})^t T_0^T from
there to Σ needs no special start; there are more unknowns than equations for every m >= 2, and Gauss-Newton steps of
least norm follow it. Descent on the way keeps the layers well conditioned.
"""

import time

import numpy as np
import scipy.linalg

from shoal._scalars import FloatArray
from shoal.theory.linear._gauge import Point, soft_condition
from shoal.theory.linear._gaussian_pair import Root, Slope, Whitened, unknowns
from shoal.theory.linear._layer import Layer, kinds, product
from shoal.theory.linear._search import STAGES, Effort, descend

EASE = Effort(1)
ON = 1e-9  # a trial point within this of the equations counts as on them; Newton's method ends every search


def root_of(covariance: FloatArray, p: int, count: int) -> Root:
    """Cholesky's factor and its inverse, with the columns' scales taken out first."""
    scale = np.sqrt(np.diag(covariance))
    lower = np.linalg.cholesky(covariance / scale / scale[:, None])
    inverse = scipy.linalg.solve_triangular(lower, np.eye(len(lower)), lower=True)
    return Root(scale[:, None] * lower, inverse / scale, p, count)


def random_layers(p: int, q: int, count: int, generator: np.random.Generator) -> tuple[Layer, ...]:
    """Layers to start from: blocks of norm about one, log-scales about 0.2."""
    shapes = {"lower": (q, p), "upper": (p, q)}
    width = 0.5 / np.sqrt((p + q) / 2)
    return tuple(
        Layer(
            kind,
            width * generator.normal(size=shapes[kind]),
            0.2 * generator.normal(size=shapes[kind][0]),
        )
        for kind in kinds(count)
    )


def turned_pair(p: int, q: int) -> tuple[Layer, ...]:
    """A pair L U to start from: rotations in the planes (i, p + i) by distinct angles θ_i.

    Each is [[1, 0], [tan θ, 1 / cos θ]] [[cos θ, -sin θ], [0, 1]]; distinct angles make the equations independent.
    """
    d = min(p, q)
    angle = np.linspace(0.2, 1.1, d)
    lower, upper = np.zeros((q, p)), np.zeros((p, q))
    grown, shrunk = np.zeros(q), np.zeros(p)
    each = np.arange(d)
    lower[each, each], upper[each, each] = np.tan(angle), -np.sin(angle)
    grown[:d], shrunk[:d] = -np.log(np.cos(angle)), np.log(np.cos(angle))
    return Layer("lower", lower, grown), Layer("upper", upper, shrunk)


def follow(covariance: FloatArray, start: tuple[Layer, ...], *, limit: int = 200) -> tuple[Layer, ...] | None:
    """From layers to layers of `covariance`; steps halve on failure and grow by half on success. None: they stopped."""
    p, count = start[0].kept, len(start)
    matrix = product(start)
    inverse = np.linalg.inv(matrix)
    ratio = inverse @ covariance @ inverse.T
    values, turn = np.linalg.eigh((ratio + ratio.T) / 2)
    if not values[0] > 0:
        return None
    point, t, step = unknowns(start), 0.0, 0.25
    for _ in range(limit):
        ahead = min(1.0, t + step)
        grown = values ** (ahead / 2)
        root = Root((matrix @ turn) * grown, (turn.T @ inverse) / grown[:, None], p, count)
        here = newton(root, point, tolerance=1e-10, steps=6)
        if here is None:
            step *= 0.5
            if step < 1e-7:
                return None
            continue
        if ahead == 1.0:
            return here.layers()
        t, point, step = ahead, lower_conditions(root, here.point, EASE), 1.5 * step
    return None


def newton(root: Root, point: Point, *, tolerance: float = 1e-14, steps: int = 10) -> Whitened | None:
    """The nearest solution by Gauss-Newton steps of least norm; None where they do not get there."""
    with np.errstate(all="ignore"):  # a step too far: its size is inf, and it is not taken
        here = Whitened(root, point)
        for _ in range(steps):
            if here.size < tolerance or not np.isfinite(here.size):
                break
            slope = Slope(here)
            solve = slope.solver()
            if solve is None:
                return None
            trial = Whitened(root, here.point.moved(slope.pull(solve(here.values)), -1.0))
            if not trial.size < 0.9 * here.size:
                break
            here = trial
    return here if here.size < 100 * tolerance else None


def lower_conditions(root: Root, point: Point, effort: Effort) -> Point:
    """A solution near `point` (a solution) whose worst layer is better conditioned; never a worse one."""
    deadline = time.monotonic() + effort.seconds
    best, best_value = point, worst(Whitened(root, point).layers())
    for objective in STAGES:
        here = _place(Whitened(root, point), objective, np.inf)
        if here is None:
            break
        point = descend(here, effort, deadline).point
        value = worst(Whitened(root, point).layers())
        if value < best_value:
            best, best_value = point, value
        if time.monotonic() > deadline:
            break
    return best


def worst(layers: tuple[Layer, ...]) -> float:
    """The largest condition number."""
    return max(layer.condition() for layer in layers)


class _Place:
    """An accepted point: objective, projected gradient, and the factor that brings trial points back."""

    def __init__(
        self, here: Whitened, slope: Slope, soft: tuple[float, list[Layer]], objective: tuple[float, float]
    ):
        self.here, self.slope, self.objective = here, slope, objective
        self.point, self.value = here.point, soft[0]
        solve = slope.solver(1e-13)
        self.fits = solve is not None
        self.solve = solve or (lambda r: r)
        self.gradient = self.project(_gradient(here, slope, soft[1])).vector()

    def project(self, step: Point) -> Point:
        """The part of a step that keeps the equations, to first order."""
        return step.moved(self.slope.pull(self.solve(self.slope.push(step))), -1.0)

    def trial(self, direction: Point, size: float, bound: float) -> "_Place | None":
        """The place a step away, brought back by chord steps; None where its objective is above `bound`."""
        with np.errstate(all="ignore"):
            here = Whitened(self.here.root, self.point.moved(direction, size))
            for _ in range(12):
                if here.size < ON:
                    return _place(here, self.objective, bound)
                if not np.isfinite(here.size):
                    return None
                off = here.weighed(self.here, here.x[here.b, here.b], here.k[here.a, here.a])
                back = Whitened(here.root, here.point.moved(self.slope.pull(self.solve(off)), -1.0))
                if not back.size < 0.6 * here.size:
                    return None
                here = back
        return None


def _place(here: Whitened, objective: tuple[float, float], bound: float) -> _Place | None:
    soft = soft_condition(here.layers(), *objective)
    if not (np.isfinite(soft[0]) and soft[0] <= bound):
        return None
    place = _Place(here, Slope(here), soft, objective)
    return place if place.fits else None


def _gradient(here: Whitened, slope: Slope, bars: list[Layer]) -> Point:
    """The gradient, from the derivatives with respect to each layer's block and log-scale."""
    x_bar, k_bar = np.zeros_like(here.x), np.zeros_like(here.x)
    last, block = bars[-1], here.x[here.a, here.b] / here.beta
    x_bar[here.a, here.b] = last.block / here.beta
    beta_bar = (bars[-2].log_scale - np.sum(last.block * block, axis=0)) / here.beta
    x_bar[here.b, here.b] = np.diag(beta_bar / (2 * here.beta))
    k_bar[here.a, here.a] = np.diag(-last.log_scale / (2 * here.rate**2))
    chain = slope.adjoint(x_bar, k_bar)
    own = Point([bar.block for bar in bars[:-1]], [bar.log_scale for bar in bars[:-2]])
    return own.moved(chain, 1.0)
