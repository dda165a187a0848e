"""Factorizations for even n by continuation, and the steps that every route ends with: more layers, better conditions."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._continuation import Path, five_start, follow, six_start, target_of
from shoal.theory.linear._gauge import Point, assemble, start
from shoal.theory.linear._layer import Layer, product
from shoal.theory.linear._orthogonal import rotation_layers
from shoal.theory.linear._prepare import Problem
from shoal.theory.linear._search import Effort, lower_conditions, newton
from shoal.theory.linear._shears import Target

FEWEST, EVEN, ODD, MOST = 5, 6, 8, 11
DETOURS = 5  # paths tried where the first one leads nowhere
MISS = 1e-6  # relative; layers that miss T by more have grown so large that their product cancels

Begin: TypeAlias = Callable[[int], tuple[tuple[Layer, ...], Path]]  # by the number of the detour


def six_layers(problem: Problem, effort: Effort) -> tuple[tuple[Layer, ...], str]:
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
    problem: Problem, count: int, begin: Begin, effort: Effort, ease: int, later: int, detour: int = 0
) -> tuple[Layer, ...]:
    """`count` layers along the path `begin(detour)`; where it leads nowhere, along the next. `ease`, on detours `later`."""
    layers, path = begin(detour)
    try:
        _, point = follow(path, layers, problem.p, count, ease=later if detour else ease)
        return _improved(equations_of(problem, count), point, effort)
    except NumericalFailure:
        if detour + 1 == DETOURS:
            raise
        return _by_path(problem, count, begin, effort, ease, later, detour + 1)


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
    return _by_path(problem, FEWEST, partial(five_start, problem.matrix), effort, 3, 1)


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
