"""Six layers of T near a multiple of I: docs/dev/mathematics.md 2.8 (Theorem E1).

Any X gives, with 0 for the blocks not shown,

     I = L(X) U(0) L(-X) U(I) L(0) U(-I)
    -I = L(I + X) U(0) L(I - X) U(-I) L(2 I) U(-I)

and the product's Jacobian is onto exactly if only 0 commutes with X and has a zero diagonal: a diagonal X with distinct
entries. Then Newton's method goes from here to every T nearby, and an exact factorization can be certified. Theorem A's
layers, and X = 0, are singular points there for n >= 6 and n >= 4. Condition numbers: 2.62 near I, 5.83 near -I.
"""

import numpy as np

from shoal.theory.linear._closed_forms import additive
from shoal.theory.linear._inputs import FactorProblem
from shoal.theory.linear._layer import Layer, scaled

# relative to the scalar: the largest entry of the difference, and that of a rotation
NEAR, ROTATION = 1e-3, 1e-5
LARGEST = 64  # n up to which rotations start here: beyond there are no certificates, and Theorem A's layers are additive


def scalar_start(problem: FactorProblem) -> tuple[tuple[Layer, ...], bool] | None:
    """The layers of the scalar matrix c I nearest to T, and whether T is that matrix; None where T is not near one."""
    matrix, n = problem.matrix, len(problem.matrix)
    c = float(np.mean(np.diag(matrix)))
    off = float(np.max(np.abs(matrix - c * np.eye(n))))
    if off > (ROTATION if problem.rotation else NEAR) * abs(c) or (problem.rotation and off and n > LARGEST):
        return None
    scale = float(np.log(abs(c))) + problem.shift
    if not off and c > 0 and not scale:
        return additive(*np.zeros((6, n // 2, n // 2))), True
    layers = scalar_layers(n // 2, c > 0)
    return (scaled(layers, scale, 2) if scale else layers), not off


def scalar_layers(d: int, positive: bool) -> tuple[Layer, ...]:
    """The additive layers L U L U L U of I or -I of size 2d, X = diag of d evenly spaced numbers from -1 to 1."""
    one, zero, x = np.eye(d), np.zeros((d, d)), np.diag(np.linspace(-1.0, 1.0, d))
    if positive:
        return additive(x, zero, -x, one, zero, -one)
    return additive(one + x, zero, one - x, -one, 2 * one, -one)
