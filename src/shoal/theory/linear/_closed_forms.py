"""Layers in closed form: rotations as six, any T as eleven or nine, every Gaussian as four.

Theorem A (docs/dev/mathematics.md 2.2 and 2.3): every T in SO(2d) is L U L U L U with all block norms at most 3, so that
no layer's condition exceeds ((3 + sqrt 13) / 2)^2 < 10.91, whatever the size. One CS decomposition and one real Schur form.

For every T with det > 0 (the SVD route): T = O1 diag(s1, s2) O2 with the singular values ascending and
O1, O2 rotations, each six layers; the two inner layers and the singular values merge into one upper and one lower layer.
Every layer has κ <= 49 max(1, σ1) max(1, 1/σn).

Theorem C1 (2.5): every covariance of determinant one is T T^T with T = L U L U and κ < 6 κ(Σ) in every layer, whatever the
size; so every T is these four layers of T T^T times a rotation, nine layers after a merge, with κ bounded by κ(T) alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg

from shoal._errors import NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Layer, kinds


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


def svd_layers(u: FloatArray, s: FloatArray, vt: FloatArray) -> tuple[Layer, ...]:
    """L U L U L U L U L U L for U diag(s) V^T, det > 0 and n even, from its singular value decomposition."""
    u, s, vt = u[:, ::-1].copy(), s[::-1], vt[::-1].copy()
    if np.linalg.slogdet(u)[0] < 0:
        u[:, 0], vt[0] = -u[:, 0], -vt[0]
    d = len(s) // 2
    left, turned = rotation_layers(u), rotation_layers(vt.T)
    back = [layer.inverted() for layer in turned[::-1]]
    low, high = s[:d], s[d:]
    upper = Layer("upper", left[5].block + low[:, None] * back[0].block / high, np.log(low))
    lower = Layer("lower", high[:, None] * back[1].block, np.log(high))
    return (*left[:5], upper, lower, *back[2:])


def covariance_layers(covariance: FloatArray) -> tuple[Layer, ...]:
    """Theorem C1's L U L U = T with T T^T = Σ (2d, 2d); for det Σ = 1 they are additive and κ <= 5.83 κ(Σ) in each."""
    return _root_layers(np.linalg.cholesky(covariance))[0]


def nine_layers(matrix: FloatArray) -> tuple[Layer, ...]:
    """L U L U L U L U L for any T (2d, 2d), det > 0: Theorem C1's layers of T T^T, then Theorem A's, upper first.

    For det T = 1 and K = κ(T) the blocks' norms are at most (K - 1/K) / 2 + K, K + √K, √K, K + √K + 2, 1, 3, 2, 1, 3.
    T T^T is not formed: its triangular root is that of T = R Q.
    """
    q, r = np.linalg.qr(matrix.T)
    front, (first, second) = _root_layers(r.T)
    d = len(matrix) // 2
    rotation = polished(np.concatenate([first @ q.T[:d], second @ q.T[d:]]))
    order = np.roll(np.arange(2 * d), d)
    upper, *others = (layer.mirrored() for layer in rotation_layers(rotation[np.ix_(order, order)]))
    merged = front[3].block + np.exp(front[3].log_scale)[:, None] * upper.block
    return (*front[:3], Layer("upper", merged, front[3].log_scale), *others)


def _root_layers(root: FloatArray) -> tuple[tuple[Layer, ...], tuple[FloatArray, FloatArray]]:
    """L U L U and orthogonal O1, O2 with L U L U diag(O1, O2) = R, lower triangular (2d, 2d).

    With R11 = e p w^T, R22 = f s g^T and a cyclic shift C: R = L(A) diag(H1, H2) diag(O1, O2), H1 = e p C e^T and
    H2 = f s C^T f^T, H2 = V H1^{-1} V^{-1} with V = f Λ e^T, so that diag(H1, H2) is Whitehead's four layers. The largest s
    stands beside the smallest p; in a good order of these pairs Λ stays within √κ(R) of 1.
    """
    d, zero = len(root) // 2, np.zeros(len(root) // 2)
    log_scale = float(np.mean(np.log(np.abs(np.diag(root)))))
    r11, r21, r22 = (np.exp(-log_scale) * part for part in (root[:d, :d], root[d:, :d], root[d:, d:]))
    a = scipy.linalg.solve_triangular(r11.T, r21.T).T
    e, p, w = np.linalg.svd(r11)
    f, s, g = np.linalg.svd(r22)
    e, p, w, f, g = polished(e)[:, ::-1], p[::-1], polished(w)[::-1].T, polished(f), polished(g)
    rates = np.log(s) + np.log(p)
    order = _small_sums(rates)
    s, f, g = s[order], f[:, order], g[order].T
    e, w = np.roll(e[:, order], 1, axis=1), w[:, order]
    logs = -np.concatenate([[0.0], np.cumsum(rates[order])[:-1]])
    weights = np.exp(logs - (np.max(logs) + np.min(logs)) / 2)
    v, v_inverse = (f * weights) @ e.T, (e / weights) @ f.T
    turned = np.roll(f, -1, axis=1)
    h2, h2_inverse = (f * s) @ turned.T, (turned / s) @ f.T
    scale = np.full(d, log_scale)
    layers = (
        Layer("lower", a - h2 @ v, zero),
        Layer("upper", v_inverse @ (h2_inverse - np.eye(d)), zero),
        Layer("lower", v, scale),
        Layer("upper", np.exp(log_scale) * v_inverse @ (h2 - np.eye(d)), scale),
    )
    return layers, (e @ w.T, turned @ g.T)


def _small_sums(numbers: FloatArray) -> list[int]:
    """An order of numbers with sum 0 in which every partial sum lies between the least and the largest of them."""
    rises, falls = ([int(i) for i in np.flatnonzero(part)] for part in (numbers >= 0, numbers < 0))
    order: list[int] = []
    total = 0.0
    while rises or falls:
        order.append((rises if rises and (total <= 0 or not falls) else falls).pop())
        total += float(numbers[order[-1]])
    return order


def widened(layers: Sequence[Layer], basis: FloatArray, rest: bool) -> tuple[Layer, ...]:
    """Additive layers of size 2d inside a larger part: `basis` (size, d), orthonormal, of the rest, or of S if not `rest`.

    With the other vectors of that part left alone, they multiply to the old product on (S, basis) and to I on the others.
    """
    blocks = [
        basis @ layer.block if (layer.kind == "lower") == rest else layer.block @ basis.T for layer in layers
    ]
    return additive(*blocks)


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
    if len(minus) % 2:  # rounding has turned the sign of a determinant
        raise NumericalFailure("a rotation on the way has a determinant that rounding makes negative.")
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
