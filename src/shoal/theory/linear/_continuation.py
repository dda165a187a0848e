"""Five and six layers of a general T by continuation from a rotation, and what every route ends with.

docs/dev/mathematics.md 2.3.

Six: T = U diag(s) V^T is followed along U diag(s^t) V^T from Theorem A's layers of the rotation U V^T at t = 0.
Five: with N = T22 T12^{-1} T11 - T21, the matrices with T12 and N of given determinant signs are connected; the path
starts at [[0, Q], [-R, 0]], Q and R the polar factors of T12 and N, whose five layers are closed-form (Theorem B with
orthogonal A: G = Q R = V K V^T, A = A^{-1} = V F V^T, and the two involutions G A and A are similar by `half`).
More layers, and better conditions: `extended`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import scipy.linalg

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._gauge import assemble, start
from shoal.theory.linear._layer import Layer, kinds, product
from shoal.theory.linear._prepare import FactorProblem
from shoal.theory.linear._product_equations import ProductEquations
from shoal.theory.linear._rotation import additive, flip_and_half, rotation_layers
from shoal.theory.linear._search import Effort, Point, follow, lower_conditions, newton
from shoal.theory.linear._shears import Target

FEWEST, EVEN, ODD, MOST = 5, 6, 8, 11
DETOURS = 5  # paths tried where the first one leads nowhere
MISS = 1e-6  # relative; layers that miss T by more have grown so large that their product cancels

Path: TypeAlias = Callable[[float], tuple[FloatArray, FloatArray]]  # t -> a matrix and its inverse
Begin: TypeAlias = Callable[[int], tuple[tuple[Layer, ...], Path]]  # by the number of the detour


def six_layers(problem: FactorProblem, effort: Effort) -> tuple[tuple[Layer, ...], str]:
    """L U L U L U and the route: closed form for rotations, else continuation from the polar factor."""
    if problem.rotation:
        return rotation_layers(problem.matrix), "rotation"
    u, s, vt = np.linalg.svd(problem.matrix)
    near = bool(np.max(np.abs(np.log(s))) < 1e-3)
    begin = partial(six_start, u, s, vt)
    if near:
        return _by_path(problem, EVEN, begin, Effort(0), 0, 1), "polar"
    return _by_path(problem, EVEN, begin, effort, 3, 3), "continuation"


def _by_path(
    problem: FactorProblem, count: int, begin: Begin, effort: Effort, ease: int, later: int, detour: int = 0
) -> tuple[Layer, ...]:
    """`count` layers along the path `begin(detour)`; where it leads nowhere, along the next. `ease`, on detours `later`."""
    layers, path = begin(detour)
    try:
        _, point = continued(path, layers, problem.p, count, ease=later if detour else ease)
        return _improved(equations_of(problem, count), point, effort)
    except NumericalFailure:
        if detour + 1 == DETOURS:
            raise
        return _by_path(problem, count, begin, effort, ease, later, detour + 1)


def five_layers(problem: FactorProblem, effort: Effort) -> tuple[Layer, ...]:
    """L U L U L by continuation. **Raises:** ValueError where T12 is singular."""
    d = problem.p
    values = np.linalg.svd(problem.matrix[:d, d:], compute_uv=False)
    if values[-1] <= 1e-12 * np.linalg.norm(problem.matrix, 2):
        article, block, other = ("a", "T12", "upper") if problem.first == "lower" else ("an", "T21", "lower")
        raise ValueError(
            f"five layers that start with {article} {problem.first} one need an invertible block {block}; its least "
            f'singular value is {values[-1]:.3g}. Use first="{other}" or layers=6.'
        )
    return _by_path(problem, FEWEST, partial(five_start, problem.matrix), effort, 3, 1)


def extended(
    problem: FactorProblem, layers: tuple[Layer, ...], count: int, effort: Effort
) -> tuple[Layer, ...]:
    """More layers than given: identity layers at the right end, then better conditions."""
    target = equations_of(problem, count)
    return _improved(target, start(target, layers), effort)


def equations_of(problem: FactorProblem, count: int) -> Target:
    """The equations in extended precision where the machine has one: rounding in T^{-1} and M enters every layer."""
    wide = problem.matrix.astype(np.longdouble)
    return replace(target_of(wide, _inverse(problem.matrix, wide), problem.p, count), shift=problem.shift)


def _inverse(matrix: FloatArray, wide: FloatArray) -> FloatArray:
    """T^{-1} with one step K (2 I - T K) in extended precision."""
    k = np.linalg.inv(matrix).astype(np.longdouble)
    return k + k @ (np.eye(len(k)) - wide @ k)


def _improved(target: Target, point: Point, effort: Effort) -> tuple[Layer, ...]:
    """The layers at a solution near `point`, after descent. `target` is in extended precision."""
    rough = replace(
        target, matrix=target.matrix.astype(np.float64), inverse=target.inverse.astype(np.float64)
    )

    def exact(near: Point) -> Point | None:
        found = newton(ProductEquations(rough, near, target))
        return None if found is None else found.point

    found = exact(point) or point
    if effort.steps:
        found = exact(lower_conditions(ProductEquations(rough, found), effort)) or found
    return layers_at(target, found)


def layers_at(target: Target, point: Point) -> tuple[Layer, ...]:
    """The layers of a solution, in float64.

    **Raises:** NumericalFailure where a scale is not positive, or the layers are so large that their product is not T.
    """
    made = assemble(target, point)
    if made is None:
        raise NumericalFailure("the search left the matrices with positive scales; try `layers=11`.")
    layers = tuple(layer.astype(np.float64) for layer in made.layers)
    half = float(np.exp(-target.shift / 2))  # twice, so that neither overflows for the smallest T
    made_of = product(layers) * half * half
    wanted = target.matrix.astype(np.float64)
    miss = float(np.linalg.norm(made_of - wanted) / np.linalg.norm(wanted))
    if not miss <= MISS:
        raise NumericalFailure(f"the layers found miss T by {miss:.2g} relative to it; try `layers=11`.")
    return layers


def target_of(matrix: FloatArray, inverse: FloatArray, p: int, count: int) -> Target:
    """The equations for `count` layers L U L U ..., layers 2 and 3 the middle pair."""
    every = kinds(count)
    return Target(matrix, inverse, p, every[:2], every[4:])


def six_start(
    u: FloatArray, s: FloatArray, vt: FloatArray, detour: int = 0
) -> tuple[tuple[Layer, ...], Path]:
    """Theorem A's layers of U V^T, and the path t -> (U s^t V^T, its inverse).

    Detour 1, 2, ... turns the path's start: U s^t V^T exp((1 - t) K), K a random skew-symmetric matrix, for the rare T
    whose layers at t = 0 are a singular point of the equations.
    """
    logs = np.log(s)
    skew = np.random.default_rng(detour).normal(size=(len(s), len(s))) * (0.5 / len(s) ** 0.5 * (detour > 0))
    skew -= skew.T

    def path(t: float) -> tuple[FloatArray, FloatArray]:
        grown, turn = np.exp(t * logs), scipy.linalg.expm((1 - t) * skew)
        return (u * grown) @ vt @ turn, turn.T @ (vt.T / grown) @ u.T

    return rotation_layers(path(0.0)[0]), path


def five_start(matrix: FloatArray, detour: int = 0) -> tuple[tuple[Layer, ...], Path]:
    """The closed-form five layers at t = 0, and a path to T along which T12 and N stay invertible.

    T11 and T22 are free on the way: detour 1, 2, ... bends the path there by t (1 - t) times a random matrix, for the
    rare T whose straight path (detour 0) meets a point that the continuation does not pass.
    """
    d = len(matrix) // 2
    bends = np.random.default_rng(detour).normal(size=(2, d, d)) / d**0.5 * (detour > 0)
    t11, t12, t21, t22 = matrix[:d, :d], matrix[:d, d:], matrix[d:, :d], matrix[d:, d:]
    right = np.linalg.solve(t12, t11)
    u1, s1, v1 = np.linalg.svd(t12)
    u2, s2, v2 = np.linalg.svd(t22 @ right - t21)
    q, r = u1 @ v1, u2 @ v2

    def path(t: float) -> tuple[FloatArray, FloatArray]:
        b = (u1 * s1**t) @ v1
        a, e = t * t11 + t * (1 - t) * bends[0], t * t22 + t * (1 - t) * bends[1]
        c = e @ np.linalg.solve(b, a) - (u2 * s2**t) @ v2
        made = np.block([[a, b], [c, e]])
        return made, np.linalg.inv(made)

    return _five_layers(q, r), path


def _five_layers(q: FloatArray, r: FloatArray) -> tuple[Layer, ...]:
    """Theorem B's layers for T = [[0, Q], [-R, 0]]: A = flip of Q R is an involution, S = R A Q = V A V^T."""
    a, half = flip_and_half(q @ r)
    v, s = r @ half.T, r @ a @ q
    lower = v @ (a - np.eye(len(a)))
    return additive(-r @ a, q @ s.T - a @ v.T, lower, v.T, lower - q.T @ a)


def continued(
    path: Path, layers: tuple[Layer, ...], p: int, count: int, *, ease: int = 3
) -> tuple[Target, Point]:
    """Follow a path from its layers at t = 0 to t = 1, `ease` descent steps after each step.

    **Raises:** NumericalFailure where the steps get too small.
    """

    def at(t: float, point: Point) -> ProductEquations:
        return ProductEquations(target_of(*path(t), p, count), point)

    begin = start(target_of(*path(0.0), p, count), layers)
    found, t = follow(at, begin, ease=ease, limit=60, last=1e-14)
    if found is None:
        raise NumericalFailure(
            f"the continuation to {count} layers stopped at t = {t:.3g} of 1; try `layers=11`, which always succeeds."
        )
    return found.target, found.point
