"""The way to a number of layers, chosen by what the matrix is; every result is checked against T itself.

`solve`: one number of layers. `handed_on`: more and more of them, each found from the one before.
An identity layer at an end makes m layers m + 1 with the same conditions; descent then starts from there, so the worst
condition number never rises with the number of layers. Where other routes lead to m layers (continuation at six,
closed forms at nine and eleven), the best that is found is handed on.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from shoal._errors import NumericalFailure
from shoal.theory.linear._closed_forms import nine_layers, svd_layers
from shoal.theory.linear._continuation import FEWEST, MOST, USUAL, extended, five_layers, six_layers
from shoal.theory.linear._factorization import Factorization, assembled
from shoal.theory.linear._inputs import FactorProblem, parts_swapped
from shoal.theory.linear._layer import Layer, identity_layer, kinds, product, rescaled, scaled
from shoal.theory.linear._search import Effort, worst_condition

NINE, MODERATE = 9, 1e3  # no nine layers in closed form beyond that κ(T): their bound grows like κ(T)^2

Layers = tuple[Layer, ...]
Route = Callable[[Effort], tuple[Layers, str]]
Found = tuple[int, Factorization | None, str, float]  # layers, the best found, why there is none, seconds


def solve(problem: FactorProblem, count: int, effort: Effort | None) -> tuple[Layers, str]:
    """`count` layers of the prepared problem, lower first, and the route."""
    n = len(problem.matrix)
    if n == 1:
        scale = np.array([problem.shift + np.log(problem.matrix[0, 0])])
        lone = Layer("lower", np.zeros((1, 0)), scale)
        return (lone, *(identity_layer(kind, 0, 1) for kind in kinds(count)[1:])), "scalar"
    chosen = effort or default_effort(n)
    if count == FEWEST:
        return five_layers(problem, chosen), "five"
    closed = closed_form(problem, count) if count == MOST or not chosen.steps else None
    if closed is not None:
        return closed
    try:
        layers, route = six_layers(problem, chosen)
    except NumericalFailure:
        closed = closed_form(problem, count)
        if closed is None:
            raise
        return closed
    return (layers, route) if count == USUAL else (extended(problem, layers, count, chosen), "extended")


def closed_form(problem: FactorProblem, count: int) -> tuple[Layers, str] | None:
    """Theorem C1's nine layers or the SVD route's eleven, and identity layers: the better conditioned, and the route.

    None for odd n and fewer than nine.
    """
    matrix = problem.matrix
    if len(matrix) % 2 or count < NINE:
        return None
    found: list[tuple[Layers, str]] = []
    u, s, vt = np.linalg.svd(matrix)
    if s[0] <= MODERATE * s[-1]:
        found.append((_padded(problem, nine_layers(matrix), count), "nine"))
    if count == MOST:
        found.append((svd_layers(u, s, vt), "svd"))
    if not found:
        return None
    layers, route = min(found, key=lambda one: worst_condition(one[0]))
    return (scaled(layers, problem.shift, 2) if problem.shift else layers), route


def default_effort(n: int) -> Effort:
    """Descent steps by size: a step costs a Cholesky factor of n^2 / 2 equations, or hundreds of products of size n."""
    return Effort(80 if n <= 38 else 60 if n <= 64 else 24 if n <= 128 else 0)


def finished(problem: FactorProblem, layers: Layers, route: str, tolerance: float) -> Factorization:
    """The factorization, once its residual is within `tolerance`. **Raises:** NumericalFailure."""
    if problem.scales is not None:
        layers = rescaled(layers, *problem.scales)
    return accepted(problem, layers, route, tolerance)


def accepted(problem: FactorProblem, layers: Layers, route: str, tolerance: float) -> Factorization:
    """The factorization with the layers of T itself. **Raises:** NumericalFailure as `finished`."""
    made = assembled(problem.target, layers, problem.signs, problem.kept, route, problem.first)
    off = 0.0
    if problem.scales is not None:  # the largest entries say nothing of the others: in the scaled frame
        left, right = problem.scales
        inner = np.exp(problem.shift) * problem.matrix
        off = float(np.linalg.norm(inner - product(layers) / left[:, None] / right) / np.linalg.norm(inner))
    off = float(np.maximum(off, made.residual.float64))  # nan where one is
    if not off <= tolerance:
        raise NumericalFailure(
            f"the {len(layers)} layers found ({route}) miss T by {off:.2e} relative to it; "
            f"`tolerance` is {tolerance:g}. Try `layers=11`, or a larger tolerance."
        )
    return made


def handed_on(
    problem: FactorProblem,
    counts: Sequence[int],
    tolerance: float,
    effort: Effort | None,
    seconds: float | None = None,
) -> Iterator[Found]:
    """What is found for each of `counts` (ascending), as soon as it is.

    `seconds` bounds all descent together; the routes to a first solution are taken to their end.
    """
    n = len(problem.matrix)
    usual = effort or default_effort(n)
    ends = None if seconds is None else time.monotonic() + seconds
    carried: Layers | None = None
    for place, count in enumerate(counts):
        begun = time.monotonic()
        best: Factorization | None = None
        reason = ""
        for route in _routes(problem, count, carried, tolerance):
            try:
                layers, name = route(_share(usual, ends, len(counts) - place))
                made = finished(problem, layers, name, tolerance)
            except (ValueError, NumericalFailure) as error:
                reason = str(error)
                continue
            if best is None or made.conditions.largest < best.conditions.largest:
                best, carried = made, layers
        yield count, best, "" if best else reason, time.monotonic() - begun


def _routes(problem: FactorProblem, count: int, carried: Layers | None, tolerance: float) -> list[Route]:
    """The ways to `count` layers, lower first in the problem's frame."""
    routes: list[Route] = []
    if carried is not None:
        padded = _padded(problem, carried, count)
        routes += [
            lambda _: (padded, "handed on"),
            lambda effort: (_descended(problem, padded, effort), "handed on"),
        ]
    if count == FEWEST:
        routes.append(lambda effort: _five_from_either_end(problem, effort, tolerance))
    elif carried is None or count in (USUAL, MOST):
        routes.append(lambda effort: solve(problem, count, effort))
    elif count == NINE and (closed := closed_form(problem, count)):
        routes.append(lambda _: closed)
    if problem.rotation and count == USUAL and len(problem.matrix) % 2 == 0:
        rotation = lambda effort: solve(problem, USUAL, effort)[0]
        routes.append(lambda effort: (_descended(problem, rotation(effort), effort), "rotation, improved"))
    return routes


def _descended(problem: FactorProblem, layers: Layers, effort: Effort) -> Layers:
    return extended(problem, layers, len(layers), effort) if effort.steps else layers


def _padded(problem: FactorProblem, layers: Layers, count: int) -> Layers:
    """Identity layers at the ends: one in front where the first layer is an upper one, the others behind."""
    n, p = len(problem.matrix), problem.p
    front = 1 if layers[0].kind == "upper" else 0
    every = [identity_layer(kind, p, n - p) for kind in kinds(count)]
    return (*every[:front], *layers, *every[front + len(layers) :])


def _five_from_either_end(problem: FactorProblem, effort: Effort, tolerance: float) -> tuple[Layers, str]:
    """Five layers; they start with the other kind where this one fails, as for T12 singular and T21 invertible."""
    try:
        layers, route = solve(problem, FEWEST, effort)
        finished(problem, layers, route, tolerance)
    except (ValueError, NumericalFailure) as error:
        other = "upper" if problem.first == "lower" else "lower"
        turned = replace(problem, matrix=parts_swapped(problem.matrix, problem.p), first=other)
        try:
            found, route = solve(turned, FEWEST, effort)
        except (ValueError, NumericalFailure) as second:
            raise NumericalFailure(f"{error} The other kind first: {second}") from error
        layers = tuple(layer.mirrored() for layer in found)
    return layers, route


def _share(effort: Effort, ends: float | None, left: int) -> Effort:
    """The effort with an equal part of the time that is left."""
    if ends is None:
        return effort
    return replace(effort, seconds=min(effort.seconds, max(ends - time.monotonic(), 0.0) / left))
