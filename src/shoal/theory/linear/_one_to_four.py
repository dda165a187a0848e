"""One to four layers, where T has them: docs/dev/mathematics.md 2.4. Lower layer first; the mirror image swaps the halves.

One and two by inspection of blocks, three by a linear system for logarithms of diagonals, four by matching two spectra.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import scipy  # loads `optimize` where it is first used

from shoal._scalars import FloatArray
from shoal.theory.linear._layer import Layer

SMALL = 1e-13
STARTS = 40  # of the search for four layers
FAR = 30.0  # from 1, for K
Diagonals: TypeAlias = tuple[FloatArray, FloatArray]
Halves: TypeAlias = tuple[FloatArray, FloatArray]
Eigen: TypeAlias = tuple[Any, Any, Any]  # λ, Y, Z, real or complex


def one_layer(t: FloatArray, p: int) -> tuple[Layer, ...] | None:
    """L(A, B) with the blocks read off, if B is positive; the caller checks the product."""
    b = np.diag(t)[p:]
    return (Layer("lower", t[p:, :p].copy(), np.log(b)),) if np.all(b > 0) else None


def two_layers(t: FloatArray, p: int) -> tuple[Layer, ...] | None:
    """L(A, B) U(C, D): C = diag T11, D = T12, A = T21 C^{-1}, B = diag(T22 - A D), if C and B are positive."""
    c = np.diag(t)[:p]
    if not np.all(c > 0):
        return None
    a = t[p:, :p] / c
    b = np.diag(t[p:, p:] - a @ t[:p, p:])
    if not np.all(b > 0):
        return None
    return Layer("lower", a, np.log(b)), Layer("upper", t[:p, p:].copy(), np.log(c))


def three_layers(t: FloatArray, p: int) -> tuple[Layer, ...] | None:
    """L U L with T12 invertible: N = B T12^{-1} C with positive diagonals, linear in their logarithms."""
    if 2 * p != len(t):
        return None
    t11, t12, t21, t22 = t[:p, :p], t[:p, p:], t[p:, :p], t[p:, p:]
    if not np.linalg.cond(t12) < 1e13:
        return None
    inverse = np.linalg.inv(t12)
    n = t22 @ inverse @ t11 - t21
    used = np.abs(inverse) > SMALL * np.max(np.abs(inverse))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = n[used] / inverse[used]
    if not np.all(ratio > 0):
        return None
    rows, columns = np.nonzero(used)
    system = np.zeros((len(rows), 2 * p))
    system[np.arange(len(rows)), rows] = 1.0
    system[np.arange(len(rows)), p + columns] = 1.0
    logs = np.linalg.lstsq(system, np.log(ratio), rcond=None)[0]
    b, c = np.exp(logs[:p]), np.exp(logs[p:])
    first = (t22 - np.diag(b)) @ inverse
    last = inverse @ (t11 - np.diag(c))
    zero = np.zeros(p)
    return Layer("lower", first, logs[:p]), Layer("upper", t12.copy(), logs[p:]), Layer("lower", last, zero)


def four_layers(t: FloatArray, p: int) -> tuple[Layer, ...] | None:
    """L U L U with T11 invertible: positive diagonals B, C^{-1} that give B Q and C^{-1} T11 one spectrum, Q = (T^{-1})22.

    With B Q = Y diag(λ) Y^{-1}, C^{-1} T11 = Z diag(λ) Z^{-1}, any diagonal K, and S' = Q^{-1}, the Schur complement of T11:
    α = Y (λ - 1) K^{-1} Z^{-1}, β = Z K Y^{-1}, u = (α - T21) T11^{-1}, v = β S' - T11^{-1} T12.
    """
    if 2 * p != len(t):
        return None
    t11, t12, t21, t22 = t[:p, :p], t[:p, p:], t[p:, :p], t[p:, p:]
    if not np.linalg.cond(t11) < 1e12:
        return None
    inverse = np.linalg.inv(t11)
    schur = t22 - t21 @ inverse @ t12
    q = np.linalg.inv(schur)

    def made(halves: Halves | None) -> tuple[Layer, ...] | None:
        if halves is None:
            return None
        alpha, beta = halves
        return _from_outer(t, (alpha - t21) @ inverse, beta @ schur - inverse @ t12, p)

    if p == 2:
        return _best_of_four(q, t11, t21, made)
    pairs = (_eigen(b[:, None] * q, t11 / c[:, None]) for b, c in _by_polynomials(q, t11))
    found = (made(_halves(eigen, _fitted(eigen, inverse, t21))) for eigen in pairs if eigen is not None)
    return next(filter(None, found), None)


def _best_of_four(
    q: FloatArray, t11: FloatArray, t21: FloatArray, made: Callable[[Halves | None], tuple[Layer, ...] | None]
) -> tuple[Layer, ...] | None:
    """For p = 2: the best conditioned on a grid of diagonals, then over these and K by the simplex method.

    The method moves the logarithms of K, or modulus and angle of complex values, from `_fitted`'s.
    """
    inverse = np.linalg.inv(t11)

    def layers(
        x: FloatArray, sign: float, k: FloatArray | None = None
    ) -> tuple[tuple[Layer, ...] | None, np.ndarray | None]:
        pair = _by_traces(q, t11, x[0], x[1], sign)
        eigen = None if pair is None else _eigen(pair[0][:, None] * q, t11 / pair[1][:, None])
        if eigen is None:
            return None, None
        k = _fitted(eigen, inverse, t21) if k is None else k
        ways = np.array([1, -1]) * (1j if np.any(eigen[0].imag) else 1)
        return made(_halves(eigen, k * np.exp(x[2] + x[3] * ways))), k

    def cost(x: FloatArray, sign: float, k: FloatArray | None = None) -> float:
        found, _ = layers(x, sign, k)
        return np.inf if found is None else float(np.log(max(layer.condition() for layer in found)))

    for reach in (1.0, 3.0):
        grid = product(np.linspace(-2, 2, 5) * reach, np.linspace(-4, 4, 11) * reach, (1.0, -1.0))
        least, start, sign = min((cost(np.array([g, a, 0, 0]), s), (g, a, 0.0, 0.0), s) for g, a, s in grid)
        if least < np.inf:
            _, k = layers(np.array(start), sign)
            options = {"maxfev": 400}
            x = scipy.optimize.minimize(cost, start, (sign, k), "Nelder-Mead", options=options).x
            return layers(x, sign, k)[0]
    return None


def _fitted(eigen: Eigen, inverse: FloatArray, t21: FloatArray) -> np.ndarray:
    """The K that makes u = (Y (λ - 1) K^{-1} Z^{-1} - T21) T11^{-1} least: what matters where T11 is nearly singular."""
    values, y, z = eigen
    rows = np.linalg.inv(z) @ inverse
    system = np.stack([np.outer(y[:, i] * (x - 1), rows[i]).ravel() for i, x in enumerate(values)], axis=1)
    wanted = np.linalg.lstsq(system, (t21 @ inverse).ravel(), rcond=None)[0]
    size = np.abs(wanted)
    return np.where(size > 0, size / np.where(size > 0, wanted, 1), 1) / np.clip(
        size, 1 / FAR, FAR
    )  # v counts too


def _by_traces(q: FloatArray, t11: FloatArray, g: float, a: float, sign: float) -> Diagonals | None:
    """B and C for p = 2: 1/c = exp(g ± a), b1 b2 = det T11 / (c1 c2 det Q), the traces agree; `sign`: of the root."""
    inverse_c = np.exp([g + a, g - a])
    both = np.exp(2 * g) * np.linalg.det(t11) / np.linalg.det(q)
    trace = np.diag(t11) @ inverse_c
    inside = trace**2 - 4 * q[0, 0] * q[1, 1] * both
    if not inside >= 0:
        return None
    far = (trace + np.copysign(np.sqrt(inside), trace)) / 2  # q1 b1 and q2 b2 are this and trace - this
    b = far / q[0, 0] if sign > 0 else both * q[1, 1] / far
    return (np.array([b, both / b]), 1 / inverse_c) if b > 0 else None


def _by_polynomials(q: FloatArray, t11: FloatArray) -> Iterator[Diagonals]:
    """Pairs B, C by least squares for the coefficients of the two characteristic polynomials."""
    p, generator = len(q), np.random.default_rng(0)
    for attempt in range(STARTS):
        logs = np.zeros(2 * p) if attempt == 0 else generator.normal(size=2 * p) * (1.0 + attempt % 3)
        fit = scipy.optimize.least_squares(
            _spectra_apart,
            logs,
            args=(q, t11),
            method="trf",
            max_nfev=200,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        )
        if fit.cost <= 1e-18 and np.max(np.abs(fit.x)) <= 30:
            yield np.exp(fit.x[:p]), np.exp(-fit.x[p:])


def _from_outer(t: FloatArray, u: FloatArray, v: FloatArray, p: int) -> tuple[Layer, ...] | None:
    """T = L(-u) · M · U(-v), M = U(C, D) L(A, B): B = diag M22, A = M21, D = M12 B^{-1}, C = diag(M11 - D A)."""
    m = t.copy()
    m[p:] += u @ m[:p]
    m[:, p:] += m[:, :p] @ v
    b = np.diag(m)[p:]
    if not np.all(b > 0):
        return None
    d = m[:p, p:] / b
    c = np.diag(m[:p, :p] - d @ m[p:, :p])
    if not np.all(c > 0):
        return None
    zero = np.zeros(p)
    return (
        Layer("lower", -u, zero),
        Layer("upper", d, np.log(c)),
        Layer("lower", m[p:, :p].copy(), np.log(b)),
        Layer("upper", -v, zero),
    )


def _spectra_apart(logs: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Differences of the coefficients of the two characteristic polynomials, relative to their sizes."""
    p = len(first)
    with np.errstate(over="ignore", invalid="ignore"):
        a = np.poly(np.exp(logs[:p])[:, None] * first)[1:].real
        b = np.poly(np.exp(logs[p:])[:, None] * second)[1:].real
        off = (a - b) / (np.abs(a) + np.abs(b) + 1e-300)
    return off if np.all(np.isfinite(off)) else np.full(p, 1e3)


def _eigen(first: FloatArray, second: FloatArray) -> Eigen | None:
    """λ, Y, Z of two matrices with one spectrum of distinct values, first = Y λ Y^{-1}, second = Z λ Z^{-1}; else None."""
    one: Any = np.linalg.eig(first)
    two: Any = np.linalg.eig(second)
    (l1, y), (l2, z) = one, two
    o1, o2 = np.lexsort((l1.imag, np.round(l1.real, 9))), np.lexsort((l2.imag, np.round(l2.real, 9)))
    y, z = y[:, o1], z[:, o2]
    return (l1[o1], y, z) if np.linalg.cond(y) < 1e9 and np.linalg.cond(z) < 1e9 else None


def _halves(eigen: Eigen, k: np.ndarray) -> Halves | None:
    """α, β with αβ = first - I and βα = second - I, from what `_eigen` gives and the diagonal K."""
    values, y, z = eigen
    beta = (z * k) @ np.linalg.inv(y)
    alpha = (y * ((values - 1.0) / k)) @ np.linalg.inv(z)
    if not np.max(np.abs(beta.imag)) <= 1e-6 * np.max(np.abs(beta)):
        return None
    return alpha.real, beta.real
