"""Factorizations for even n by continuation, and the steps that every route ends with: more layers, better conditions."""

from dataclasses import replace

import numpy as np

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.linear._continuation import five_start, follow, six_start, target_of
from shoal.linear._gauge import Point, assemble, start
from shoal.linear._layer import Layer, product
from shoal.linear._orthogonal import rotation_layers
from shoal.linear._prepare import Problem
from shoal.linear._search import Effort, lower_conditions, newton
from shoal.linear._shears import Target

FEWEST, EVEN, ODD, MOST = 5, 6, 8, 11
DETOURS = 5  # paths tried where the first one leads nowhere
MISS = 1e-6  # relative; layers that miss T by more have grown so large that their product cancels


def six_layers(problem: Problem, effort: Effort) -> tuple[tuple[Layer, ...], str]:
    """L U L U L U and the route: closed form for rotations, else continuation from the polar factor."""
    if problem.rotation:
        return rotation_layers(problem.matrix), "rotation"
    u, s, vt = np.linalg.svd(problem.matrix)
    near = bool(np.max(np.abs(np.log(s))) < 1e-3)
    if near:
        return _six_by(problem, (u, s, vt), Effort(0), 0, 0), "polar"
    return _six_by(problem, (u, s, vt), effort, 3, 0), "continuation"


def _six_by(
    problem: Problem,
    parts: tuple[FloatArray, FloatArray, FloatArray],
    effort: Effort,
    ease: int,
    detour: int,
) -> tuple[Layer, ...]:
    layers, path = six_start(*parts, detour)
    try:
        _, point = follow(path, layers, problem.p, EVEN, ease=ease)
        return _improved(equations_of(problem, EVEN), point, effort)
    except NumericalFailure:
        if detour + 1 == DETOURS:
            raise
        return _six_by(problem, parts, effort, max(ease, 1), detour + 1)


def five_layers(problem: Problem, effort: Effort) -> tuple[Layer, ...]:
    """L U L U L by continuation. **Raises:** ValueError where T12 is singular."""
    d = problem.p
    values = np.linalg.svd(problem.matrix[:d, d:], compute_uv=False)
    if values[-1] <= 1e-12 * np.linalg.norm(problem.matrix, 2):
        article, block, other = ("a", "T12", "upper") if problem.first == "lower" else ("an", "T21", "lower")
        raise ValueError(
            f"five layers that start with {article} {problem.first} one need an invertible block {block}; its least "
            f'singular value is {values[-1]:.3g}. Use first="{other}" or layers=6.'
        )
    return _five_by(problem, effort, 0)


def _five_by(problem: Problem, effort: Effort, detour: int) -> tuple[Layer, ...]:
    layers, path = five_start(problem.matrix, detour)
    try:
        _, point = follow(path, layers, problem.p, FEWEST, ease=1 if detour else 3)
        return _improved(equations_of(problem, FEWEST), point, effort)
    except NumericalFailure:
        if detour + 1 == DETOURS:
            raise
        return _five_by(problem, effort, detour + 1)


def extended(problem: Problem, layers: tuple[Layer, ...], count: int, effort: Effort) -> tuple[Layer, ...]:
    """More layers than given: identity layers at the right end, then better conditions."""
    target = equations_of(problem, count)
    return _improved(target, start(target, layers), effort)


def equations_of(problem: Problem, count: int) -> Target:
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
    found = newton(rough, point, measured=target) or point
    if effort.steps:
        better = lower_conditions(rough, found, effort)
        found = newton(rough, better, measured=target) or found
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
