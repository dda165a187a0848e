"""Layers T with T T^T = Σ: by continuation from any layers T_0, then descent of their conditions.

Any layers solve the problem for their own covariance T_0 T_0^T, so the path Σ(t) = T_0 (T_0^{-1} Σ T_0^{-T})^t T_0^T from
there to Σ needs no special start; there are more unknowns than equations for every m >= 2, and Gauss-Newton steps of
least norm follow it.

`bounded` searches nothing: Theorem C1's four layers of the correlation matrix. As starts of the search they were no better
than random layers (as good up to κ(Σ) = 1e4, worse beyond), so they are not among them.
"""

import numpy as np

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._closed_forms import covariance_layers
from shoal.theory.linear._layer import Layer, identity_layer, kinds, product
from shoal.theory.linear._search import Effort, Point, follow, lower_conditions, newton, worst_condition
from shoal.theory.linear.gaussians._covariance_equations import CovarianceEquations, Root, root_of, unknowns

FEWEST, BOUNDED = 2, 4
PAIRS = 3  # starts of a pair: its condition depends on them, that of three layers or more hardly
TRIES = 8


def solved(
    covariance: FloatArray, p: int, count: int, effort: Effort, given: tuple[Layer, ...] | None = None
) -> tuple[Layer, ...]:
    """`count` layers T, lower first, with T T^T = `covariance`; `given`: others to start from too, fewer or as many.

    The search starts on the correlation matrix; the standard deviations go into the first two layers.
    """
    q = len(covariance) - p
    if p + q == 1:
        lone = Layer("lower", np.zeros((1, 0)), 0.5 * np.log(covariance[0]))
        return (lone, *(identity_layer(kind, 0, 1) for kind in kinds(count)[1:]))
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / scale / scale[:, None]
    starts = (
        [] if given is None else [(*given, *(identity_layer(k, p, q) for k in kinds(count)[len(given) :]))]
    )
    wanted = len(starts) + (PAIRS if count == FEWEST else 1)
    for attempt in range(TRIES):
        if len(starts) == wanted:
            break
        pair = count == FEWEST and attempt == 0
        start = _turned_pair(p, q) if pair else _random_layers(p, q, count, np.random.default_rng(attempt))
        arrived = _continued(correlation, start)
        if arrived is not None:
            starts.append(_stretched(arrived, scale))
    root = root_of(covariance, p, count)
    best: tuple[float, tuple[Layer, ...]] | None = None
    for start in starts:
        here = newton(CovarianceEquations(root, unknowns(start)))
        if here is None:
            continue
        made = (newton(here.at(lower_conditions(here, effort))) or here).layers()
        if best is None or worst_condition(made) < best[0]:
            best = worst_condition(made), made
    if best is None:
        raise NumericalFailure(f"no {count} layers were found for this covariance; try more `layers`.")
    return best[1]


def bounded(covariance: FloatArray) -> tuple[Layer, ...]:
    """Four layers T in closed form, n even, with T T^T = `covariance`; conditions are bounded by the correlations' own."""
    scale = np.sqrt(np.diag(covariance))
    return _stretched(covariance_layers(covariance / scale / scale[:, None]), scale)


def _random_layers(p: int, q: int, count: int, generator: np.random.Generator) -> tuple[Layer, ...]:
    """Layers to start from: blocks of norm about one, log-scales about 0.2."""
    shapes = {"lower": (q, p), "upper": (p, q)}
    width = 0.5 / np.sqrt((p + q) / 2)
    return tuple(
        Layer(
            kind,
            width * generator.normal(size=shapes[kind]),
            0.2 * generator.normal(size=shapes[kind][0]),
        )
        for kind in kinds(count)
    )


def _turned_pair(p: int, q: int) -> tuple[Layer, ...]:
    """A pair L U to start from: rotations in the planes (i, p + i) by distinct angles θ_i.

    Each is [[1, 0], [tan θ, 1 / cos θ]] [[cos θ, -sin θ], [0, 1]]; distinct angles make the equations independent.
    """
    d = min(p, q)
    angle = np.linspace(0.2, 1.1, d)
    lower, upper = np.zeros((q, p)), np.zeros((p, q))
    grown, shrunk = np.zeros(q), np.zeros(p)
    each = np.arange(d)
    lower[each, each], upper[each, each] = np.tan(angle), -np.sin(angle)
    grown[:d], shrunk[:d] = -np.log(np.cos(angle)), np.log(np.cos(angle))
    return Layer("lower", lower, grown), Layer("upper", upper, shrunk)


def _continued(covariance: FloatArray, start: tuple[Layer, ...]) -> tuple[Layer, ...] | None:
    """From any layers to layers of `covariance`; None where the path stopped."""
    p, count = start[0].kept, len(start)
    matrix = product(start)
    inverse = np.linalg.inv(matrix)
    ratio = inverse @ covariance @ inverse.T
    values, turn = np.linalg.eigh((ratio + ratio.T) / 2)
    if not values[0] > 0:
        return None

    def path(t: float, point: Point) -> CovarianceEquations:
        grown = values ** (t / 2)
        root = Root((matrix @ turn) * grown, (turn.T @ inverse) / grown[:, None], p, count)
        return CovarianceEquations(root, point)

    found, _ = follow(path, unknowns(start), ease=1, limit=200)
    return None if found is None else found.layers()


def _stretched(layers: tuple[Layer, ...], scale: FloatArray) -> tuple[Layer, ...]:
    """diag(scale) times the product, taken up by the first two layers."""
    lower, upper, p = layers[0], layers[1], layers[0].kept
    s, r = scale[:p], scale[p:]
    one = Layer("lower", r[:, None] * lower.block / s, lower.log_scale + np.log(r))
    return (one, Layer("upper", s[:, None] * upper.block, upper.log_scale + np.log(s)), *layers[2:])
