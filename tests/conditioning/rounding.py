"""How far results computed in few digits may be off: the error of each layer, carried on by the layers after it.

With states x_0 (the point), ..., x_m (its image) of m layers, x_i = f_i(x_{i-1}), a layer returns its image with an error of
a few eps |x_i| for an input that is itself off by a few eps |x_{i-1}| (mixed stability; Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 1.5). To first order entry k of the image is then off by at most

    C eps sum_i |e_k^T P_i| |x_i|,   P_i = D(f_m o ... o f_{i+1})(x_i),

and any other smooth result by its own derivative with respect to x_i, times |x_i|. The condition number of the whole map
says less: layers that stretch and shrink in turn have a mild product, and what one rounds the next may stretch.
"""

from dataclasses import dataclass

import numpy as np

from shoal.bijections import Direction
from shoal.conditioning import AbstractMap

# Twice four: two computations are compared that need not round alike, and an entry of a layer is a sum of about eight
# products (networks under test are eight wide), which rounds eight times by eps / 2. One computation against float64 was
# seen to reach 2.4 for images, 1.1 for log-dets, 3.1 for Jacobians, so that two of them stay below 8.
CONSTANT = 8.0
EPS = {"float64": 2.0**-52, "float32": 2.0**-23}
_STEP = 1e-5  # of central differences of Jacobians: good to 1e-6 or so where a bound needs one digit


@dataclass(frozen=True)
class Growth:
    """Bounds of errors of images (rows, n), log-dets (rows,) and Jacobians (rows, n, n), in units of `CONSTANT` eps."""

    images: np.ndarray
    log_dets: np.ndarray
    jacobians: np.ndarray

    def tolerance(self, precision: str) -> "Growth":
        """The same as errors."""
        unit = CONSTANT * EPS[precision]
        return Growth(unit * self.images, unit * self.log_dets, unit * self.jacobians)

    def log_dets_of(self, matrices: np.ndarray) -> np.ndarray:
        """The bound for slogdet of Jacobians that are off by `jacobians`: d log|det J| = tr(J^-1 dJ)."""
        return np.einsum("rlk,rkl->r", np.abs(np.linalg.inv(matrices)), self.jacobians)


def growth(
    found: AbstractMap, points: np.ndarray, context: np.ndarray | None, direction: Direction = "forward"
) -> Growth:
    """The bounds at each row, from the map's layers in float64.

    The log-det of one layer is a sum of logarithms, as many as it has singular values: each is off by eps, and is rounded.
    Each entry of its Jacobian J_i is off by eps |J_i|.
    """
    layers = found.layers() if direction == "forward" else found.layers()[::-1]
    states, matrices, befores = [points], [], [_identities(points)]
    for layer in layers:
        matrices.append(layer.at(direction, context=context).jacobian(states[-1]))
        befores.append(matrices[-1] @ befores[-1])
        states.append(layer.at(direction, context=context).apply(states[-1])[0])
    after = befores[0]  # P_i
    bend = np.zeros((*after.shape, found.size))  # its derivative with respect to x_i, along the last axis
    slope = np.zeros_like(points)  # that of the log-dets after layer i
    images, log_dets, jacobians = np.zeros_like(points), np.zeros(len(points)), np.zeros_like(after)
    for i in range(len(layers), -1, -1):
        size = np.linalg.norm(states[i], axis=1)
        images += np.linalg.norm(after, axis=2) * size[:, None]
        log_dets += np.linalg.norm(slope, axis=1) * size
        jacobians += (
            np.linalg.norm(np.einsum("rkad,ral->rkld", bend, befores[i]), axis=3) * size[:, None, None]
        )
        if i == 0:
            break
        matrix, turn = matrices[i - 1], _turn(layers[i - 1], states[i - 1], context, direction)
        sigma = np.linalg.svd(matrix, compute_uv=False)
        log_dets += (1 + np.abs(np.log(sigma))).sum(1)
        entries = np.linalg.norm(after, axis=2)[:, :, None] * np.linalg.norm(befores[i - 1], axis=1)[:, None]
        jacobians += sigma[:, :1, None] * entries
        bend = np.einsum("rkac,rcd,rab->rkbd", bend, matrix, matrix) + np.einsum(
            "rka,rabd->rkbd", after, turn
        )
        slope = np.einsum("rc,rcd->rd", slope, matrix) + np.einsum(
            "rba,rabd->rd", np.linalg.inv(matrix), turn
        )
        after = after @ matrix
    return Growth(images, log_dets, jacobians)


def _identities(points: np.ndarray) -> np.ndarray:
    return np.tile(np.eye(points.shape[1]), (len(points), 1, 1))


def _turn(
    layer: AbstractMap, points: np.ndarray, context: np.ndarray | None, direction: Direction
) -> np.ndarray:
    """The second derivative: that of the Jacobian's entries (rows, n, n) along each axis, the last one of the result."""
    rows, n = points.shape
    moves = _STEP * np.concatenate([np.eye(n), -np.eye(n)])
    ends = (points[None] + moves[:, None]).reshape(-1, n)
    given = None if context is None else np.tile(context, (2 * n, 1))
    found = layer.at(direction, context=given).jacobian(ends).reshape(2, n, rows, n, n)
    return np.moveaxis((found[0] - found[1]) / (2 * _STEP), 0, 3)
