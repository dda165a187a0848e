"""`factor`: any invertible matrix as few linear couplings, the route chosen by what the matrix is.

Closed forms where there are any (rotations, the SVD route), continuation for the rest; every result is checked
against T itself before it is returned.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.linear._bordered import border, merged
from shoal.linear._continuation import five_start, follow, six_start, target_of
from shoal.linear._factorization import Factorization, assembled
from shoal.linear._few import two_layers
from shoal.linear._gauge import Point, assemble, start
from shoal.linear._layer import Kind, Layer, identity_layer, kinds, scaled
from shoal.linear._orthogonal import rotation_layers
from shoal.linear._prepare import Problem, parts_swapped, prepare
from shoal.linear._search import Effort, lower_conditions, newton
from shoal.linear._shears import Target
from shoal.linear._svd import svd_layers

FEWEST, EVEN, ODD, MOST = 5, 6, 8, 11
DETOURS = 5  # paths tried to five layers


def factor(
    T: Any,
    layers: int | Literal["auto"] | None = None,
    *,
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    max_condition: float | None = None,
    tolerance: float = 1e-12,
    effort: Effort | None = None,
) -> Factorization:
    """T = diag(signs) @ L U L U ...: an invertible (n, n) matrix as exactly `layers` linear affine couplings.

    **Arguments:** `T`: square, real, finite, invertible. `layers`: 5 ... 11, or "auto" with `max_condition`: the fewest
    whose worst condition number is within it; None is 6 for even n, 8 for odd n. `first`: the kind of the leftmost
    layer. `kept`: the index set S of the partition, n // 2 indices; default the first ones. `tolerance`: the largest
    relative residual that is accepted. `effort`: how long conditions are improved (see `Effort`).

    **Returns:** a `Factorization`. Its `route` says how: "rotation" (Theorem A, closed form, blocks at most 3, any n),
    "polar" (a rotation in low precision: closed form, then continuation), "continuation", "five" (Theorem B's start),
    "svd" (11 layers, κ <= 49 max(1, σ1) max(1, 1/σn)), "bordered" (odd n), "extended" (more layers than needed).

    **Raises:** ValueError: T not square, not finite or singular, or a number of layers that T or its size does not
    allow; NumericalFailure: no factorization within `tolerance` was found.

    Reference: Koehler, Mehta, Risteski 2021, Theorems 2 and 3; the project's `docs/linear.md`.
    """
    if layers == "auto":
        if max_condition is None or not max_condition >= 1.0:
            raise ValueError(f'`layers="auto"` needs `max_condition` of at least 1; got {max_condition!r}.')
        return _fewest_within(prepare(T, kept, first), max_condition, tolerance, effort)
    if max_condition is not None:
        raise ValueError('`max_condition` is for `layers="auto"`.')
    problem = prepare(T, kept, first)
    low, usual = (FEWEST, EVEN) if len(problem.matrix) % 2 == 0 else (ODD, ODD)
    count = usual if layers is None else layers
    if not isinstance(count, int) or isinstance(count, bool) or not low <= count <= MOST:
        size = "even" if low == FEWEST else "odd"
        raise ValueError(f'`layers` must be {low} ... {MOST} for {size} n, or "auto"; got {layers!r}.')
    return finished(problem, *solve(problem, count, effort), tolerance)


def solve(problem: Problem, count: int, effort: Effort | None) -> tuple[tuple[Layer, ...], str]:
    """`count` layers of the prepared problem, lower first, and the route."""
    n = len(problem.matrix)
    if n == 1:
        scale = np.array([problem.shift + np.log(problem.matrix[0, 0])])
        lone = Layer("lower", np.zeros((1, 0)), scale)
        return (lone, *(identity_layer(kind, 0, 1) for kind in kinds(count)[1:])), "scalar"
    chosen = effort or default_effort(n)
    if n % 2:
        return _odd(problem, count, chosen)
    if count == MOST:
        u, s, vt = np.linalg.svd(problem.matrix)
        layers = svd_layers(u, s, vt)
        return (scaled(layers, problem.shift, 2) if problem.shift else layers), "svd"
    if count == FEWEST:
        return _five(problem, chosen), "five"
    layers, route = _six(problem, chosen)
    return (layers, route) if count == EVEN else (extended(problem, layers, count, chosen), "extended")


def default_effort(n: int) -> Effort:
    """Descent steps by size: a step costs a Cholesky factor of n^2 / 2 equations, or hundreds of products of size n."""
    return Effort(80 if n <= 38 else 60 if n <= 64 else 24 if n <= 128 else 0)


def finished(problem: Problem, layers: tuple[Layer, ...], route: str, tolerance: float) -> Factorization:
    """The factorization, once its residual is within `tolerance`. **Raises:** NumericalFailure."""
    made = assembled(problem.target, layers, problem.signs, problem.kept, route, problem.first)
    if not made.residual.float64 <= tolerance:
        raise NumericalFailure(
            f"the {len(layers)} layers found ({route}) miss T by {made.residual.float64:.2e} relative to it; "
            f"`tolerance` is {tolerance:g}. Try `layers=11`, or a larger tolerance."
        )
    return made


def _six(problem: Problem, effort: Effort) -> tuple[tuple[Layer, ...], str]:
    if problem.rotation:
        return rotation_layers(problem.matrix), "rotation"
    u, s, vt = np.linalg.svd(problem.matrix)
    layers, path = six_start(u, s, vt)
    near = bool(np.max(np.abs(np.log(s))) < 1e-3)
    _, point = follow(path, layers, problem.p, EVEN, ease=0 if near else 3)
    target = _target(problem, EVEN)
    if near:
        return _improved(target, point, Effort(0)), "polar"
    return _improved(target, point, effort), "continuation"


def _five(problem: Problem, effort: Effort) -> tuple[Layer, ...]:
    d = problem.p
    values = np.linalg.svd(problem.matrix[:d, d:], compute_uv=False)
    if values[-1] <= 1e-12 * np.linalg.norm(problem.matrix, 2):
        block, other = ("T12", "upper") if problem.first == "lower" else ("T21", "lower")
        raise ValueError(
            f"five layers that start with a {problem.first} one need an invertible block {block}; its least singular "
            f'value is {values[-1]:.3g}. Use first="{other}" or layers=6.'
        )
    return _improved(_target(problem, FEWEST), _followed_to_five(problem), effort)


def _followed_to_five(problem: Problem, detour: int = 0) -> Point:
    layers, path = five_start(problem.matrix, detour)
    try:
        return follow(path, layers, problem.p, FEWEST)[1]
    except NumericalFailure:
        if detour + 1 == DETOURS:
            raise
        return _followed_to_five(problem, detour + 1)


def extended(problem: Problem, layers: tuple[Layer, ...], count: int, effort: Effort) -> tuple[Layer, ...]:
    """More layers than given: identity layers at the right end, then better conditions."""
    target = _target(problem, count)
    return _improved(target, start(target, layers), effort)


def _odd(problem: Problem, count: int, effort: Effort) -> tuple[tuple[Layer, ...], str]:
    matrix, route = problem.matrix, "bordered" if count == ODD else "extended"
    if not np.any(matrix - np.diag(np.diag(matrix))) and np.all(np.diag(matrix) > 0):
        diagonal = two_layers(matrix, problem.p)
        assert diagonal is not None
        return extended(problem, diagonal, count, effort), "diagonal"
    try:
        layers = _bordered(problem, effort)
    except ValueError:  # c_S and r_S can not be made non-zero: n = 3, T = diag(T', 1)
        layers = _bordered_nearby(problem, effort)
    return extended(problem, layers, count, effort), route


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
    six, _ = _six(small, Effort(min(effort.steps, 20)))
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
        return _layers(target, point)
    raise NumericalFailure(f"no matrix near T led to {ODD} layers for it; try `kept` with other indices.")


def _inverted(layer: Layer) -> Layer:
    return Layer(layer.kind, -np.exp(-layer.log_scale)[:, None] * layer.block, -layer.log_scale)


def _target(problem: Problem, count: int) -> Target:
    return replace(target_of(problem.matrix, _inverse(problem.matrix), problem.p, count), shift=problem.shift)


def _inverse(matrix: FloatArray) -> FloatArray:
    """T^{-1} with one step K (2 I - T K) in extended precision: its error enters every layer."""
    rough = np.linalg.inv(matrix)
    k = rough.astype(np.longdouble)
    return (k + k @ (np.eye(len(k)) - matrix.astype(np.longdouble) @ k)).astype(np.float64)


def _improved(target: Target, point: Point, effort: Effort) -> tuple[Layer, ...]:
    found = newton(target, point) or point
    if effort.steps:
        better = lower_conditions(target, found, effort)
        found = newton(target, better) or found
    return _layers(target, found)


def _layers(target: Target, point: Point) -> tuple[Layer, ...]:
    made = assemble(target, point)
    if made is None:
        raise NumericalFailure("the search left the matrices with positive scales; try `layers=11`.")
    return made.layers


def _fewest_within(problem: Problem, budget: float, tolerance: float, effort: Effort | None) -> Factorization:
    best: Factorization | None = None
    low = FEWEST if len(problem.matrix) % 2 == 0 else ODD
    for count in range(low, MOST + 1):
        try:
            made = finished(problem, *solve(problem, count, effort), tolerance)
        except (ValueError, NumericalFailure):
            continue
        if made.conditions.largest <= budget:
            return made
        if best is None or made.conditions.largest < best.conditions.largest:
            best = made
    found = "none was found" if best is None else f"the best found has {best.conditions.largest:.4g}"
    raise NumericalFailure(
        f"no number of layers up to {MOST} meets `max_condition={budget:g}`: {found}"
        + ("." if best is None else f" with {len(best.layers)} layers.")
    )
