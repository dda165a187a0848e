"""Five and six layers of a general T by continuation from a rotation, eight of an odd one, and what every route ends with.

docs/dev/mathematics.md 2.3 and 2.6.

Six: T = U diag(s) V^T is followed along U diag(s^t) V^T from Theorem A's layers of the rotation U V^T at t = 0.
Five: with N = T22 T12^{-1} T11 - T21, the matrices with T12 and N of given determinant signs are connected; the path
starts at [[0, Q], [-R, 0]], Q and R the polar factors of T12 and N, whose five layers are closed-form (`involution_layers`).
Eight for odd n: T's border and six layers; where the border divides by zero, a matrix nearby is factored and followed to T.
More layers, and better conditions: `extended`.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import scipy.linalg

from shoal._errors import InputError, NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._closed_forms import border, involution_layers, merged, rotation_layers
from shoal.theory.linear._inputs import FactorProblem, parts_swapped
from shoal.theory.linear._layer import Layer, product
from shoal.theory.linear._one_to_four import two_layers
from shoal.theory.linear._product_equations import ProductEquations, Target, assemble, point_of
from shoal.theory.linear._search import Effort, Point, follow, lower_conditions, newton

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
    begin = partial(_six_start, u, s, vt)
    if np.max(np.abs(np.log(s))) < 1e-3:
        return _by_path(problem, EVEN, begin, Effort(0), ease=0, later=1), "polar"
    return _by_path(problem, EVEN, begin, effort), "continuation"


def five_layers(problem: FactorProblem, effort: Effort) -> tuple[Layer, ...]:
    """L U L U L by continuation. **Raises:** InputError where T12 is singular."""
    d = problem.p
    values = np.linalg.svd(problem.matrix[:d, d:], compute_uv=False)
    if values[-1] <= 1e-12 * np.linalg.norm(problem.matrix, 2):
        article, block, other = ("a", "T12", "upper") if problem.first == "lower" else ("an", "T21", "lower")
        raise InputError(
            f"five layers that start with {article} {problem.first} one need an invertible block {block}; its least "
            f'singular value is {values[-1]:.3g}. Use first="{other}" or layers=6.'
        )
    return _by_path(problem, FEWEST, partial(_five_start, problem.matrix), effort, later=1)


def odd_layers(problem: FactorProblem, count: int, effort: Effort) -> tuple[tuple[Layer, ...], str]:
    """`count` >= 8 layers, lower first, and the route."""
    matrix, route = problem.matrix, "bordered" if count == ODD else "extended"
    if not np.any(matrix - np.diag(np.diag(matrix))) and np.all(np.diag(matrix) > 0):
        diagonal = two_layers(matrix, problem.p)
        assert diagonal is not None
        return extended(problem, diagonal, count, effort), "diagonal"
    layers = _by_own_border(problem, count, effort)
    if layers is None:
        nearby = _by_path(problem, ODD, partial(_odd_start, problem, effort), Effort(0))
        layers = extended(problem, nearby, count, effort)
    return layers, route


def extended(
    problem: FactorProblem, layers: tuple[Layer, ...], count: int, effort: Effort
) -> tuple[Layer, ...]:
    """More layers than given: identity layers at the right end, then better conditions."""
    target = _equations_of(problem, count)
    return _improved(target, point_of(target, layers), effort)


def _by_path(
    problem: FactorProblem, count: int, begin: Begin, effort: Effort, ease: int = 3, later: int = 3
) -> tuple[Layer, ...]:
    """`count` layers along the path `begin(detour)`; where it leads nowhere, along the next. `ease`, on detours `later`.

    **Raises:** NumericalFailure, that of the last path, where none gets there.
    """
    failure: Exception | None = None
    for detour in range(DETOURS):
        try:
            layers, path = begin(detour)
            point = _continued(path, layers, problem.p, count, later if detour else ease)
            return _improved(_equations_of(problem, count), point, effort)
        except (ValueError, NumericalFailure) as error:
            failure = error
    raise NumericalFailure(str(failure)) from failure


def _continued(path: Path, layers: tuple[Layer, ...], p: int, count: int, ease: int) -> Point:
    """Follow a path from its layers at t = 0 to t = 1, `ease` descent steps after each step.

    **Raises:** NumericalFailure where the steps get too small.
    """

    def at(t: float, point: Point) -> ProductEquations:
        return ProductEquations(Target(*path(t), p, count), point)

    begin = point_of(Target(*path(0.0), p, count), layers)
    found, t = follow(at, begin, ease=ease, limit=60, last=1e-14)
    if found is None:
        always = "" if count == ODD else ", which always succeeds"
        raise NumericalFailure(
            f"the continuation to {count} layers stopped at t = {t:.3g} of 1; try `layers=11`{always}."
        )
    return found.point


def _equations_of(problem: FactorProblem, count: int) -> Target:
    """The equations in extended precision where the machine has one: rounding in T^{-1} and M enters every layer."""
    wide = problem.matrix.astype(np.longdouble)
    k = np.linalg.inv(problem.matrix).astype(np.longdouble)
    inverse = k + k @ (np.eye(len(k)) - wide @ k)  # one step K (2 I - T K)
    return Target(wide, inverse, problem.p, count, problem.shift)


def _improved(target: Target, point: Point, effort: Effort) -> tuple[Layer, ...]:
    """The layers at a solution near `point`, after descent. `target` is in extended precision.

    **Raises:** NumericalFailure where a scale is not positive, or the layers are so large that their product is not T.
    """
    rough = replace(
        target, matrix=target.matrix.astype(np.float64), inverse=target.inverse.astype(np.float64)
    )

    def exact(near: Point) -> Point | None:
        found = newton(ProductEquations(rough, near, target))
        return None if found is None else found.point

    found = exact(point) or point
    if effort.steps:
        found = exact(lower_conditions(ProductEquations(rough, found), effort)) or found
    made = assemble(target, found)
    if made is None:
        raise NumericalFailure("the search left the matrices with positive scales; try `layers=11`.")
    layers = tuple(layer.astype(np.float64) for layer in made.layers)
    half = float(np.exp(-target.shift / 2))  # twice, so that neither overflows for the smallest T
    off = product(layers) * half * half - rough.matrix
    miss = float(np.linalg.norm(off) / np.linalg.norm(rough.matrix))
    if not miss <= MISS:
        raise NumericalFailure(f"the layers found miss T by {miss:.2g} relative to it; try `layers=11`.")
    return layers


def _six_start(u: FloatArray, s: FloatArray, vt: FloatArray, detour: int) -> tuple[tuple[Layer, ...], Path]:
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


def _five_start(matrix: FloatArray, detour: int) -> tuple[tuple[Layer, ...], Path]:
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

    def path(t: float) -> tuple[FloatArray, FloatArray]:
        b = (u1 * s1**t) @ v1
        a, e = t * t11 + t * (1 - t) * bends[0], t * t22 + t * (1 - t) * bends[1]
        c = e @ np.linalg.solve(b, a) - (u2 * s2**t) @ v2
        made = np.block([[a, b], [c, e]])
        return made, np.linalg.inv(made)

    return involution_layers(u1 @ v1, u2 @ v2), path


def _odd_start(problem: FactorProblem, effort: Effort, detour: int) -> tuple[tuple[Layer, ...], Path]:
    """Eight layers of a matrix near T, and the straight path from there to T."""
    n = len(problem.matrix)
    away = np.random.default_rng(detour).normal(size=(n, n)) * (0.1 * np.linalg.norm(problem.matrix) / n)

    def path(t: float) -> tuple[FloatArray, FloatArray]:
        matrix = problem.matrix + (1 - t) * away
        return matrix, np.linalg.inv(matrix)

    return _bordered(replace(problem, matrix=path(0.0)[0]), effort), path


def _by_own_border(problem: FactorProblem, count: int, effort: Effort) -> tuple[Layer, ...] | None:
    """`count` layers by way of T's own border; None where its vectors are too small, as for n = 3, T = diag(T', 1)."""
    try:
        layers = extended(problem, _bordered(problem, effort), count, effort)
    except (ValueError, NumericalFailure):
        return None
    off = np.exp(-problem.shift) * product(layers) - problem.matrix
    return layers if np.linalg.norm(off) < 1e-8 * np.linalg.norm(problem.matrix) else None


def _bordered(problem: FactorProblem, effort: Effort) -> tuple[Layer, ...]:
    """Eight layers by bordering. **Raises:** InputError where the vectors that it divides by are zero."""
    matrix, p = problem.matrix, problem.p
    if problem.first == "upper":  # the layers of the inverse, inverted and mirrored
        matrix = parts_swapped(np.linalg.inv(matrix), p)
    inner, blocks = border(matrix)
    turned = parts_swapped(inner, len(inner) // 2)
    small = FactorProblem(inner, turned, np.ones(len(inner)), (), "upper", 0.0, np.inf)
    six, _ = six_layers(small, Effort(min(effort.steps, 20)))
    layers = merged([layer.mirrored() for layer in six], blocks)
    return (
        tuple(layer.inverted().mirrored() for layer in layers[::-1]) if problem.first == "upper" else layers
    )
