"""Odd n: eight layers by bordering, docs/dev/mathematics.md 2.6. S has d = (n - 1) / 2 coordinates, the rest d + 1.

T U(-E) = L(-a) U(-D) · diag(T', 1) · L(-a'') U(-D''), det T' = det T, T' of size 2d. T' is factored in the order
U L U L U L; its first layer merges with U(-D), its last with L(-a''), and U(-D'') with U(E): L U L U L U L U. The last
column of E and the part of a's last row that is orthogonal to c_S are free: they make the vectors that are divided by
as large as needed, also where T is block diagonal (for n = 3 only unless T = diag(T', 1); there two layers may do).
"""

import numpy as np

from shoal._scalars import FloatArray
from shoal.linear._layer import Layer

TRIES = 24


def border(matrix: FloatArray, seed: int = 0) -> tuple[FloatArray, list[FloatArray]]:
    """T' (2d, 2d) and the blocks (-a, -D, -a'', E - D''), of the try whose worst condition number is least.

    **Raises:** ValueError where no try gives finite numbers (T is singular to working precision).
    """
    d = len(matrix) // 2
    generator = np.random.default_rng(seed)
    found: list[tuple[float, FloatArray, list[FloatArray]]] = []
    for attempt in range(TRIES):
        size = 0.0 if attempt == 0 else 2.0 ** (attempt % 4 - 2) / d**0.5
        w, turn = size * generator.normal(size=d), size * generator.normal(size=d)
        with np.errstate(all="ignore"):
            inner, blocks = _once(matrix, w, turn)
        if np.all(np.isfinite(inner)) and all(np.all(np.isfinite(b)) for b in blocks):
            found.append((_cost(inner, blocks), inner, blocks))
    if not found:
        raise ValueError("`T` can not be bordered: it is singular to working precision.")
    _, inner, blocks = min(found, key=lambda item: item[0])
    return inner, blocks


def merged(inner: tuple[Layer, ...], blocks: list[FloatArray]) -> tuple[Layer, ...]:
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


def _once(matrix: FloatArray, w: FloatArray, turn: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
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


def _cost(inner: FloatArray, blocks: list[FloatArray]) -> float:
    return float(np.linalg.cond(inner) + sum(np.linalg.norm(b) ** 2 for b in blocks))
