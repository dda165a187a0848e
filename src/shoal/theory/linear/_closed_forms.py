"""Layers in closed form: rotations as six, any T as eleven, two involutions as five, odd sizes by bordering.

Theorem A (docs/dev/mathematics.md 2.2 and 2.3): every T in SO(2d) is L U L U L U with all block norms at most 3, so that
no layer's condition exceeds ((3 + sqrt 13) / 2)^2 < 10.91, whatever the size. One CS decomposition and one real Schur form.

For every T with det > 0 (the SVD route): T = O1 diag(s1, s2) O2 with the singular values ascending and
O1, O2 rotations, each six layers; the two inner layers and the singular values merge into one upper and one lower layer.
Every layer has κ <= 49 max(1, σ1) max(1, 1/σn).

Odd n by bordering (2.6): S has d = (n - 1) / 2 coordinates, the rest d + 1,

    T U(-E) = L(-a) U(-D) · diag(T', 1) · L(-a'') U(-D''), det T' = det T, T' of size 2d.

T' is factored in the order U L U L U L; its first layer merges with U(-D), its last with L(-a''), and U(-D'') with U(E).
The last column of E and a part of a's last row are free: they make the vectors that are divided by as large as needed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg

from shoal._errors import InputError, NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Layer, kinds

BORDERS = 24  # free vectors of a border that are tried


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


def involution_layers(q: FloatArray, r: FloatArray) -> tuple[Layer, ...]:
    """Theorem B's layers L U L U L for T = [[0, Q], [-R, 0]], Q and R rotations or reflections.

    A = A^{-1} = V F V^T is the flip of G = Q R = V K V^T, S = R A Q; the two involutions G A and A are similar by `half`.
    """
    a, half = flip_and_half(q @ r)
    v, s = r @ half.T, r @ a @ q
    lower = v @ (a - np.eye(len(a)))
    return additive(-r @ a, q @ s.T - a @ v.T, lower, v.T, lower - q.T @ a)


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


def border(matrix: FloatArray, seed: int = 0) -> tuple[FloatArray, list[FloatArray]]:
    """T' (2d, 2d) and the blocks (-a, -D, -a'', E - D''), of the try whose worst condition number is least.

    **Raises:** InputError where no try gives finite numbers (T is singular to working precision).
    """
    d = len(matrix) // 2
    generator = np.random.default_rng(seed)
    found: list[tuple[float, FloatArray, list[FloatArray]]] = []
    for attempt in range(BORDERS):
        size = 0.0 if attempt == 0 else 2.0 ** (attempt % 4 - 2) / d**0.5
        w, turn = size * generator.normal(size=d), size * generator.normal(size=d)
        with np.errstate(all="ignore"):
            inner, blocks = _bordered(matrix, w, turn)
        if all(np.all(np.isfinite(x)) for x in (inner, *blocks)):
            cost = float(np.linalg.cond(inner) + sum(np.linalg.norm(b) ** 2 for b in blocks))
            found.append((cost, inner, blocks))
    if not found:
        raise InputError("`T` can not be bordered: it is singular to working precision.")
    _, inner, blocks = min(found, key=lambda item: item[0])
    return inner, blocks


def merged(inner: Sequence[Layer], blocks: list[FloatArray]) -> tuple[Layer, ...]:
    """Eight layers, from the six of T' (upper first) and the border's blocks."""
    a, big, second, last = blocks
    d = len(big)
    wide = [
        Layer("upper", np.pad(layer.block, ((0, 0), (0, 1))), layer.log_scale)
        if layer.kind == "upper"
        else Layer("lower", np.pad(layer.block, ((0, 1), (0, 0))), np.pad(layer.log_scale, (0, 1)))
        for layer in inner
    ]
    first = Layer("upper", wide[0].block + big, wide[0].log_scale)
    end = Layer("lower", wide[5].block + np.exp(wide[5].log_scale)[:, None] * second, wide[5].log_scale)
    return (
        Layer("lower", a, np.zeros(d + 1)),
        first,
        *wide[1:5],
        end,
        Layer("upper", last, np.zeros(d)),
    )


def _bordered(matrix: FloatArray, w: FloatArray, turn: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
    d = len(w)
    e = np.zeros((d, d + 1))
    e[:, d] = w
    t = matrix.copy()
    t[:, d:] -= matrix[:, :d] @ e
    c_s, c_rest = t[:d, -1], t[d:, -1]
    unit = np.zeros(d + 1)
    unit[d] = 1.0
    a = np.outer(unit - c_rest, c_s) / (c_s @ c_s)
    a[d] += turn - c_s * (turn @ c_s) / (c_s @ c_s)
    t[d:] += a @ t[:d]
    big = np.zeros((d, d + 1))
    big[:, d] = -c_s
    t[:d] += big @ t[d:]
    r_s, r_rest = t[-1, :d].copy(), t[-1, d:].copy()
    tail = np.zeros((d, d + 1))
    tail[:, :d] = -np.outer(r_s, r_rest[:d]) / (r_s @ r_s)
    t[:, d:] += t[:, :d] @ tail
    second = np.zeros((d + 1, d))
    second[d] = -r_s
    t[:, :d] += t[:, d:] @ second
    return t[:-1, :-1], [-a, -big, -second, e - tail]
