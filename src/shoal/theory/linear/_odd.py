"""Odd n: eight layers by bordering, docs/dev/mathematics.md 2.6. S has d = (n - 1) / 2 coordinates, the rest d + 1.

T U(-E) = L(-a) U(-D) · diag(T', 1) · L(-a'') U(-D''), det T' = det T, T' of size 2d. T' is factored in the order
U L U L U L; its first layer merges with U(-D), its last with L(-a''), and U(-D'') with U(E): L U L U L U L U. The last
column of E and the part of a's last row that is orthogonal to c_S are free: they make the vectors that are divided by
as large as needed, also where T is block diagonal (for n = 3 only unless T = diag(T', 1); there two layers may do).
Where the border divides by zero, a matrix nearby is factored and followed to T.
"""

from dataclasses import replace

import numpy as np

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._continuation import DETOURS, ODD, continued, extended, layers_at, six_layers
from shoal.theory.linear._few import two_layers
from shoal.theory.linear._layer import Layer, product
from shoal.theory.linear._prepare import FactorProblem, parts_swapped
from shoal.theory.linear._search import Effort

TRIES = 24


def odd_layers(problem: FactorProblem, count: int, effort: Effort) -> tuple[tuple[Layer, ...], str]:
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


def _extended_border(problem: FactorProblem, count: int, effort: Effort) -> tuple[Layer, ...] | None:
    """`count` layers by way of T's own border; None where its vectors are too small, as for n = 3, T = diag(T', 1)."""
    try:
        layers = extended(problem, _bordered(problem, effort), count, effort)
    except (ValueError, NumericalFailure):
        return None
    off = np.exp(-problem.shift) * product(layers) - problem.matrix
    return layers if np.linalg.norm(off) < 1e-8 * np.linalg.norm(problem.matrix) else None


def _bordered(problem: FactorProblem, effort: Effort) -> tuple[Layer, ...]:
    """Eight layers by bordering. **Raises:** ValueError where the vectors that it divides by are zero."""
    mirrored = problem.first == "upper"
    matrix = problem.matrix
    if mirrored:
        matrix = parts_swapped(np.linalg.inv(matrix), problem.p)
    inner, blocks = border(matrix)
    small = FactorProblem(
        inner, parts_swapped(inner, len(inner) // 2), np.ones(len(inner)), (), "upper", 0.0, np.inf
    )
    six, _ = six_layers(small, Effort(min(effort.steps, 20)))
    layers = merged(tuple(layer.mirrored() for layer in six), blocks)
    return tuple(_inverted(layer).mirrored() for layer in layers[::-1]) if mirrored else layers


def _bordered_nearby(problem: FactorProblem, effort: Effort) -> tuple[Layer, ...]:
    """Eight layers of a matrix near T, followed to T. **Raises:** NumericalFailure where no neighbour leads there."""
    n = len(problem.matrix)
    for seed in range(DETOURS):
        away = np.random.default_rng(seed).normal(size=(n, n)) * (0.1 * np.linalg.norm(problem.matrix) / n)

        def path(t: float, away: FloatArray = away) -> tuple[FloatArray, FloatArray]:
            matrix = problem.matrix + (1 - t) * away
            return matrix, np.linalg.inv(matrix)

        try:
            layers = _bordered(replace(problem, matrix=path(0.0)[0]), effort)
            target, point = continued(path, layers, problem.p, ODD)
        except (ValueError, NumericalFailure):
            continue
        return layers_at(target, point)
    raise NumericalFailure(f"no matrix near T led to {ODD} layers for it; try `kept` with other indices.")


def _inverted(layer: Layer) -> Layer:
    return Layer(layer.kind, -np.exp(-layer.log_scale)[:, None] * layer.block, -layer.log_scale)


def border(matrix: FloatArray, seed: int = 0) -> tuple[FloatArray, list[FloatArray]]:
    """T' (2d, 2d) and the blocks (-a, -D, -a'', E - D''), of the try whose worst condition number is least.

    **Raises:** ValueError where no try gives finite numbers (T is singular to working precision).
    """
    d = len(matrix) // 2
    generator = np.random.default_rng(seed)
    found: list[tuple[float, FloatArray, list[FloatArray]]] = []
    for attempt in range(TRIES):
        size = 0.0 if attempt == 0 else 2.0 ** (attempt % 4 - 2) / d**0.5
        w, turn = size * generator.normal(size=d), size * generator.normal(size=d)
        with np.errstate(all="ignore"):
            inner, blocks = _once(matrix, w, turn)
        if np.all(np.isfinite(inner)) and all(np.all(np.isfinite(b)) for b in blocks):
            found.append((_cost(inner, blocks), inner, blocks))
    if not found:
        raise ValueError("`T` can not be bordered: it is singular to working precision.")
    _, inner, blocks = min(found, key=lambda item: item[0])
    return inner, blocks


def merged(inner: tuple[Layer, ...], blocks: list[FloatArray]) -> tuple[Layer, ...]:
    """Eight layers, from the six of T' (upper first) and the border's blocks."""
    a, big, second, last = blocks
    d = len(big)
    wide = [
        Layer("upper", np.pad(layer.block, ((0, 0), (0, 1))), layer.log_scale)
        if layer.kind == "upper"
        else Layer("lower", np.pad(layer.block, ((0, 1), (0, 0))), np.pad(layer.log_scale, (0, 1)))
        for layer in inner
    ]
    first = Layer("upper", wide[0].block + big, wide[0].log_scale)
    end = Layer("lower", wide[5].block + np.exp(wide[5].log_scale)[:, None] * second, wide[5].log_scale)
    return (
        Layer("lower", a, np.zeros(d + 1)),
        first,
        *wide[1:5],
        end,
        Layer("upper", last, np.zeros(d)),
    )


def _once(matrix: FloatArray, w: FloatArray, turn: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    d = len(w)
    e = np.zeros((d, d + 1))
    e[:, d] = w
    t = matrix.copy()
    t[:, d:] -= matrix[:, :d] @ e
    c_s, c_rest = t[:d, -1], t[d:, -1]
    unit = np.zeros(d + 1)
    unit[d] = 1.0
    a = np.outer(unit - c_rest, c_s) / (c_s @ c_s)
    a[d] += turn - c_s * (turn @ c_s) / (c_s @ c_s)
    t[d:] += a @ t[:d]
    big = np.zeros((d, d + 1))
    big[:, d] = -c_s
    t[:d] += big @ t[d:]
    r_s, r_rest = t[-1, :d].copy(), t[-1, d:].copy()
    tail = np.zeros((d, d + 1))
    tail[:, :d] = -np.outer(r_s, r_rest[:d]) / (r_s @ r_s)
    t[:, d:] += t[:, :d] @ tail
    second = np.zeros((d + 1, d))
    second[d] = -r_s
    t[:, :d] += t[:, d:] @ second
    return t[:-1, :-1], [-a, -big, -second, e - tail]


def _cost(inner: FloatArray, blocks: list[FloatArray]) -> float:
    return float(np.linalg.cond(inner) + sum(np.linalg.norm(b) ** 2 for b in blocks))
