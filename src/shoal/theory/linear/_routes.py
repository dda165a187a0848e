"""The way to a number of layers, chosen by what the matrix is; every result is checked against T itself.

`solve`: one number of layers. `handed_on`: more and more of them, each found from the one before.
An identity layer at an end makes m layers m + 1 with the same conditions; descent then starts from there, so the worst
condition number never rises with the number of layers. Where other routes lead to m layers (closed forms, continuation
at six, the SVD route at eleven), the best that is found is handed on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shoal._errors import NumericalFailure
from shoal.theory.linear._continuation import EVEN, FEWEST, MOST, ODD, extended, five_layers, six_layers
from shoal.theory.linear._factorization import Factorization, assembled
from shoal.theory.linear._layer import Layer, identity_layer, kinds, scaled
from shoal.theory.linear._odd import odd_layers
from shoal.theory.linear._prepare import FactorProblem, parts_swapped
from shoal.theory.linear._rotation import svd_layers
from shoal.theory.linear._search import Effort

Layers = tuple[Layer, ...]
Route = Callable[[Effort], tuple[Layers, str]]


def solve(problem: FactorProblem, count: int, effort: Effort | None) -> tuple[tuple[Layer, ...], str]:
    """`count` layers of the prepared problem, lower first, and the route."""
    n = len(problem.matrix)
    if n == 1:
        scale = np.array([problem.shift + np.log(problem.matrix[0, 0])])
        lone = Layer("lower", np.zeros((1, 0)), scale)
        return (lone, *(identity_layer(kind, 0, 1) for kind in kinds(count)[1:])), "scalar"
    chosen = effort or default_effort(n)
    if n % 2:
        return odd_layers(problem, count, chosen)
    if count == MOST:
        u, s, vt = np.linalg.svd(problem.matrix)
        layers = svd_layers(u, s, vt)
        return (scaled(layers, problem.shift, 2) if problem.shift else layers), "svd"
    if count == FEWEST:
        return five_layers(problem, chosen), "five"
    layers, route = six_layers(problem, chosen)
    return (layers, route) if count == EVEN else (extended(problem, layers, count, chosen), "extended")


def default_effort(n: int) -> Effort:
    """Descent steps by size: a step costs a Cholesky factor of n^2 / 2 equations, or hundreds of products of size n."""
    return Effort(80 if n <= 38 else 60 if n <= 64 else 24 if n <= 128 else 0)


def finished(
    problem: FactorProblem, layers: tuple[Layer, ...], route: str, tolerance: float
) -> Factorization:
    """The factorization, once its residual is within `tolerance`. **Raises:** NumericalFailure."""
    made = assembled(problem.target, layers, problem.signs, problem.kept, route, problem.first)
    if not made.residual.float64 <= tolerance:
        raise NumericalFailure(
            f"the {len(layers)} layers found ({route}) miss T by {made.residual.float64:.2e} relative to it; "
            f"`tolerance` is {tolerance:g}. Try `layers=11`, or a larger tolerance."
        )
    return made


@dataclass(frozen=True, eq=False)
class Step:
    """The best found for one number of layers; where nothing was found, `factors` is None and `reason` says why."""

    count: int
    factors: Factorization | None
    reason: str
    seconds: float


def handed_on(
    problem: FactorProblem,
    counts: Sequence[int],
    *,
    effort: Effort | None = None,
    seconds: float | None = None,
    tolerance: float = 1e-12,
) -> Iterator[Step]:
    """A `Step` for each of `counts` (ascending), as soon as it is found.

    `seconds` bounds all descent together; the routes to a first solution are taken to their end.
    """
    low = FEWEST if len(problem.matrix) % 2 == 0 else ODD
    usual = effort or default_effort(len(problem.matrix))
    ends = None if seconds is None else time.monotonic() + seconds
    carried: Layers | None = None
    for place, count in enumerate(counts):
        begun = time.monotonic()
        best, reason = None, f"n is odd: at least {ODD} layers."
        for route in _routes(problem, count, carried) if count >= low else ():
            try:
                layers, name = route(_share(usual, ends, len(counts) - place))
                made = finished(problem, layers, name, tolerance)
            except (ValueError, NumericalFailure) as error:
                reason = str(error)
                continue
            if best is None or made.conditions.largest < best[0].conditions.largest:
                best = made, layers
        if best is None and count == FEWEST and count >= low:
            try:
                best = _from_other_end(problem, _share(usual, ends, len(counts) - place), tolerance)
            except (ValueError, NumericalFailure) as error:
                reason = f"{reason} The other kind first: {error}"
        if best is not None:
            carried = best[1]
        spent = time.monotonic() - begun
        yield Step(count, None, reason, spent) if best is None else Step(count, best[0], "", spent)


def _routes(problem: FactorProblem, count: int, carried: Layers | None) -> list[Route]:
    """The ways to `count` layers, lower first in the problem's frame."""
    routes: list[Route] = []
    if carried is not None:
        padded = _padded(problem, carried, count)
        routes += [
            lambda _: (padded, "handed on"),
            lambda effort: (_descended(problem, padded, effort), "handed on"),
        ]
    if carried is None or count in (EVEN, MOST):
        routes.append(lambda effort: solve(problem, count, effort))
    if problem.rotation and count == EVEN:
        routes.append(
            lambda effort: (
                _descended(problem, solve(problem, EVEN, effort)[0], effort),
                "rotation, improved",
            )
        )
    return routes


def _descended(problem: FactorProblem, layers: Layers, effort: Effort) -> Layers:
    return extended(problem, layers, len(layers), effort) if effort.steps else layers


def _padded(problem: FactorProblem, layers: Layers, count: int) -> Layers:
    """Identity layers at the ends: one in front where the first layer is an upper one, the others behind."""
    n, p = len(problem.matrix), problem.p
    front = 1 if layers[0].kind == "upper" else 0
    every = [identity_layer(kind, p, n - p) for kind in kinds(count)]
    return (*every[:front], *layers, *every[front + len(layers) :])


def _from_other_end(problem: FactorProblem, effort: Effort, tolerance: float) -> tuple[Factorization, Layers]:
    """Five layers that start with the other kind, for T12 singular and T21 invertible (or the reverse)."""
    other = "upper" if problem.first == "lower" else "lower"
    turned = replace(problem, matrix=parts_swapped(problem.matrix, problem.p), first=other)
    found, route = solve(turned, FEWEST, effort)
    layers = tuple(layer.mirrored() for layer in found)
    return finished(problem, layers, route, tolerance), layers


def _share(effort: Effort, ends: float | None, left: int) -> Effort:
    """The effort with an equal part of the time that is left."""
    if ends is None:
        return effort
    return replace(effort, seconds=min(effort.seconds, max(ends - time.monotonic(), 0.0) / left))
