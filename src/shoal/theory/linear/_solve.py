"""The route to a number of layers, chosen by what the matrix is; every result is checked against T itself."""

import numpy as np

from shoal._errors import NumericalFailure
from shoal.theory.linear._even import EVEN, FEWEST, MOST, extended, five_layers, six_layers
from shoal.theory.linear._factorization import Factorization, assembled
from shoal.theory.linear._layer import Layer, identity_layer, kinds, scaled
from shoal.theory.linear._odd import odd_layers
from shoal.theory.linear._prepare import Problem
from shoal.theory.linear._search import Effort
from shoal.theory.linear._svd import svd_layers


def solve(problem: Problem, count: int, effort: Effort | None) -> tuple[tuple[Layer, ...], str]:
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


def finished(problem: Problem, layers: tuple[Layer, ...], route: str, tolerance: float) -> Factorization:
    """The factorization, once its residual is within `tolerance`. **Raises:** NumericalFailure."""
    made = assembled(problem.target, layers, problem.signs, problem.kept, route, problem.first)
    if not made.residual.float64 <= tolerance:
        raise NumericalFailure(
            f"the {len(layers)} layers found ({route}) miss T by {made.residual.float64:.2e} relative to it; "
            f"`tolerance` is {tolerance:g}. Try `layers=11`, or a larger tolerance."
        )
    return made
