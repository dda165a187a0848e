"""Layers T with T T^T = Σ by continuation from any layers T_0, and layers to start from.

Any layers solve the problem for their own covariance T_0 T_0^T, so the path Σ(t) = T_0 (T_0^{-1} Σ T_0^{-T})^t T_0^T from
there to Σ needs no special start; there are more unknowns than equations for every m >= 2, and Gauss-Newton steps of
least norm follow it.
"""

import numpy as np

from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Layer, kinds, product
from shoal.theory.linear._search import Point, follow
from shoal.theory.linear.gaussians._covariance_equations import CovarianceEquations, Root, unknowns


def random_layers(p: int, q: int, count: int, generator: np.random.Generator) -> tuple[Layer, ...]:
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


def turned_pair(p: int, q: int) -> tuple[Layer, ...]:
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


def continued(covariance: FloatArray, start: tuple[Layer, ...]) -> tuple[Layer, ...] | None:
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
