"""Odd n: eight layers by bordering (`_bordered.py`), or, where that divides by zero, from a matrix nearby."""

from dataclasses import replace

import numpy as np

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._bordered import border, merged
from shoal.theory.linear._continuation import follow
from shoal.theory.linear._even import DETOURS, ODD, extended, layers_at, six_layers
from shoal.theory.linear._few import two_layers
from shoal.theory.linear._layer import Layer, product
from shoal.theory.linear._prepare import Problem, parts_swapped
from shoal.theory.linear._search import Effort


def odd_layers(problem: Problem, count: int, effort: Effort) -> tuple[tuple[Layer, ...], str]:
    """`count` >= 8 layers, lower first, and the route."""
    matrix, route = problem.matrix, "bordered" if count == ODD else "extended"
    if not np.any(matrix - np.diag(np.diag(matrix))) and np.all(np.diag(matrix) > 0):
        diagonal = two_layers(matrix, problem.p)
        assert diagonal is not None
        return extended(problem, diagonal, count, effort), "diagonal"
    layers = _extended_border(problem, count, effort)
    if layers is None:
        layers = extended(problem, _bordered_nearby(problem, effort), count, effort)
    return layers, route


def _extended_border(problem: Problem, count: int, effort: Effort) -> tuple[Layer, ...] | None:
    """`count` layers by way of T's own border; None where its vectors are too small, as for n = 3, T = diag(T', 1)."""
    try:
        layers = extended(problem, _bordered(problem, effort), count, effort)
    except (ValueError, NumericalFailure):
        return None
    off = np.exp(-problem.shift) * product(layers) - problem.matrix
    return layers if np.linalg.norm(off) < 1e-8 * np.linalg.norm(problem.matrix) else None


def _bordered(problem: Problem, effort: Effort) -> tuple[Layer, ...]:
    """Eight layers by bordering. **Raises:** ValueError where the vectors that it divides by are zero."""
    mirrored = problem.first == "upper"
    matrix = problem.matrix
    if mirrored:
        matrix = parts_swapped(np.linalg.inv(matrix), problem.p)
    inner, blocks = border(matrix)
    small = Problem(
        inner, parts_swapped(inner, len(inner) // 2), np.ones(len(inner)), (), "upper", 0.0, np.inf
    )
    six, _ = six_layers(small, Effort(min(effort.steps, 20)))
    layers = merged(tuple(layer.mirrored() for layer in six), blocks)
    return tuple(_inverted(layer).mirrored() for layer in layers[::-1]) if mirrored else layers


def _bordered_nearby(problem: Problem, effort: Effort) -> tuple[Layer, ...]:
    """Eight layers of a matrix near T, followed to T. **Raises:** NumericalFailure where no neighbour leads there."""
    n = len(problem.matrix)
    for seed in range(DETOURS):
        away = np.random.default_rng(seed).normal(size=(n, n)) * (0.1 * np.linalg.norm(problem.matrix) / n)

        def path(t: float, away: FloatArray = away) -> tuple[FloatArray, FloatArray]:
            matrix = problem.matrix + (1 - t) * away
            return matrix, np.linalg.inv(matrix)

        try:
            layers = _bordered(replace(problem, matrix=path(0.0)[0]), effort)
            target, point = follow(path, layers, problem.p, ODD)
        except (ValueError, NumericalFailure):
            continue
        return layers_at(target, point)
    raise NumericalFailure(f"no matrix near T led to {ODD} layers for it; try `kept` with other indices.")


def _inverted(layer: Layer) -> Layer:
    return Layer(layer.kind, -np.exp(-layer.log_scale)[:, None] * layer.block, -layer.log_scale)
