"""Rotations and permutations as six additive layers, in closed form: Theorem A of docs/dev/mathematics.md, section 2.2.

Every T in SO(2d) is L U L U L U with all block norms at most 3, so that no layer's condition exceeds
((3 + sqrt 13) / 2)^2 < 10.91, whatever the size. One CS decomposition and one real Schur form.
"""

from typing import Any

import numpy as np
import scipy.linalg

from shoal._scalars import FloatArray
from shoal.linear._layer import Layer, kinds


def rotation_layers(matrix: FloatArray) -> tuple[Layer, ...]:
    """Six additive layers L U L U L U whose product is the rotation `matrix` (2d, 2d), det = 1.

    The matrix must be orthogonal up to rounding; the caller has checked that. The blocks' norms are at most
    2, 1, 3, 2, 1, 3.
    """
    d = len(matrix) // 2
    parts: Any = scipy.linalg.cossin(matrix, p=d, q=d, separate=True)
    (g, h), theta, (gp, hp) = parts
    g, h, gp, hp = polished(g), polished(h), polished(gp), polished(hp)
    y, cosine = np.tan(np.pi / 4 - theta / 2), np.cos(theta)
    q = hp @ h
    flip, half = flip_and_half((gp @ g @ q).T)
    small_phi = flip @ q.T
    phi, psi = h @ small_phi @ hp, gp.T @ small_phi @ g.T
    w = h @ half @ gp
    wpsi = w @ psi
    u, v = (h * y) @ g.T, gp.T @ (small_phi - np.diag(y)) @ hp
    lower = phi @ w + wpsi @ g @ (np.eye(d) - cosine[:, None] * small_phi) @ hp @ w
    upper = w.T - wpsi.T @ h @ gp @ w.T
    return additive(wpsi - u, -wpsi.T, lower, upper, -w, w.T - v)


def additive(*blocks: FloatArray) -> tuple[Layer, ...]:
    """Additive layers L U L U ... with these blocks."""
    return tuple(
        Layer(kind, block, np.zeros(len(block)))
        for kind, block in zip(kinds(len(blocks)), blocks, strict=True)
    )


def flip_and_half(k: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For a rotation K = V R V^T (real Schur form): F1 = V F V^T and O = V H V^T with O^T F1 O = F1 K.

    F is diag(1, -1) on every rotation block and every pair of -1's, 1 elsewhere; H rotates by half the angle there.
    LAPACK leaves an exact zero below the diagonal between real eigenvalues, so no tolerance is needed.
    """
    form: Any = scipy.linalg.schur(k, output="real")
    r, v = form[0], polished(form[1])
    n = len(r)
    f, half = np.ones(n), np.eye(n)
    minus: list[int] = []
    i = 0
    while i < n:
        if i + 1 < n and r[i + 1, i] != 0.0:
            sine, cosine = r[i + 1, i] - r[i, i + 1], r[i, i] + r[i + 1, i + 1]
            _rotate(f, half, i, i + 1, np.arctan2(sine, cosine) / 2)
            i += 2
            continue
        if r[i, i] < 0:
            minus.append(i)
        i += 1
    for a, b in zip(minus[0::2], minus[1::2], strict=True):
        _rotate(f, half, a, b, np.pi / 2)
    return (v * f) @ v.T, v @ half @ v.T


def polished(q: FloatArray) -> FloatArray:
    """Q (3 I - Q^T Q) / 2: one Newton-Schulz step to the nearest orthogonal matrix.

    LAPACK's factors are orthogonal to n eps, or less where angles are close; the layers' product would miss T by that.
    """
    return q @ (1.5 * np.eye(len(q)) - 0.5 * (q.T @ q))


def _rotate(f: FloatArray, half: FloatArray, a: int, b: int, angle: float) -> None:
    c, s = np.cos(angle), np.sin(angle)
    f[b] = -1.0
    half[a, a], half[a, b], half[b, a], half[b, b] = c, -s, s, c
