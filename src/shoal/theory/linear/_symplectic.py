r"""Symplectic matrices as unit triangular symplectic factors: additive couplings whose blocks are symmetric. Five, or six.

T = [[A, B], [C, D]], halves of size h, is symplectic if T^T J T = J, J = [[0, I], [-I, 0]]. L(S) = [[I, 0], [S, I]] and
U(S) = [[I, S], [0, I]] are so if S is symmetric: the flows of the Hamiltonians -q S q / 2 and p S p / 2. Five of them are
enough for every T, and not fewer (Jin, Lin and Xiao 2021, Optimal unit triangular factorization of symplectic matrices).
The proofs and the methods here are our own (docs/linear.md, Symplectic matrices); here for U L U L U, and L U L U L is the
same with the halves exchanged.

**Four, if A is invertible.** Some symmetric invertible Y has Y A = A^T Y (Taussky and Zassenhaus 1959). C A^{-1} is
symmetric, so P = C A^{-1} - Y is, and M = C - P A = Y A. The rows of L(-P) T = [[A, B], [M, N]] have M N^T = N M^T, so V =
M^{-1} (N - I) is symmetric, and L(-P) T U(-V) = [[A, Q], [M, I]], Q = B - A V. It is symplectic, so Q is symmetric, A = I +
Q M: it is U(Q) L(M).

**Five.** U(E) T has A + E C in A's place. With E = t I, det(A + t C) is a polynomial in t, and not 0 at t = i, as A^T C is
symmetric and (A + iC)^* (A + iC) = A^T A + C^T C: all but h values of t serve. If C is invertible there is more: with C = H
O (polar) and O = R1 R2, both symmetric and orthogonal, E = (O - A) C^{-1} = H^{-1} - A C^{-1} is symmetric and makes O of
A; Y = R1 serves, as Y O = R2. No eigenvector is taken, and P = H - R1, Q = R1 (I - O), M = R2 have norms of at most |C| +
1, 2, 1.

**Six, with bounds.** (A + iC) (A^T A + C^T C)^{-1/2} is unitary: F diag(e^{i theta}) G, F and G orthogonal. X = F diag(x)
F^T with x of 0, 1, -1 gives L(-X) T a C whose inverse has a norm of at most sqrt(2) |T|, as |T^{-1}| = |T|. So all blocks
are at most 2 |T|^2 + 2 |T| + 3, for every n.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.linalg

from shoal._errors import InputError, NumericalFailure
from shoal._scalars import FloatArray
from shoal.theory.linear._factorization import Factorization, assembled
from shoal.theory.linear._inputs import EPS, checked_matrix, partition
from shoal.theory.linear._layer import Kind, Layer, kinds, product

FIVE, SIX = 5, 6
TRIES = 12  # of the free first factor
DESCENT, DENSE = 40, 16  # steps of descent, and the largest h that it is made for
MIXES = (0.3, 0.9, 1.7, 2.6)  # angles
POLISH = 3  # Newton steps at the end


def symplectic(
    T: object,
    layers: int | None,
    *,
    first: Kind = "lower",
    kept: Sequence[int] | None = None,
    tolerance: float = 1e-12,
) -> Factorization:
    """What `factor(T, group="symplectic")` returns. The i-th kept coordinate is conjugate to the i-th of the rest.

    **Raises:** InputError for a T that is not symplectic; NumericalFailure where the residual exceeds `tolerance`.
    """
    target = checked_matrix(T)
    n = len(target)
    if n % 2:
        raise InputError(f"a symplectic `T` has an even size; got {n}.")
    count = FIVE if layers is None else layers
    if isinstance(count, bool) or count not in (FIVE, SIX):
        raise InputError(f"`layers` must be {FIVE} or {SIX} for a symplectic `T`; got {layers!r}.")
    chosen, order, h = partition(n, kept, first)
    inner = target[np.ix_(order, order)]
    check_symplectic(inner, tolerance)
    blocks = _blocks(inner, count)
    made = [Layer(kind, s, np.zeros(h)) for kind, s in zip(kinds(count), blocks, strict=True)]
    found = assembled(target, made, np.ones(n), chosen, "symplectic", first)
    if not found.residual.float64 <= tolerance:
        raise NumericalFailure(
            f"{count} symplectic factors reach a residual of {found.residual.float64:.2g}, not `tolerance={tolerance:g}`"
            + ("; `layers=6` has bounds." if count == FIVE else ".")
        )
    return found


def check_symplectic(matrix: FloatArray, tolerance: float) -> None:
    """**Raises:** InputError unless T^T J T = J within `tolerance` of |T|^2."""
    h = len(matrix) // 2
    away = matrix[:h].T @ matrix[h:]
    away = np.abs(away - away.T - np.eye(2 * h, k=h) + np.eye(2 * h, k=-h))
    size = max(float(np.linalg.norm(matrix, 2)) ** 2, 1.0)
    if not np.max(away) <= tolerance * size:
        raise InputError(
            f"`T` is not symplectic: T^T J T differs from J by {np.max(away):.3g} in an entry, J = [[0, I], [-I, 0]] in the "
            f"order (kept, rest)."
        )


def _blocks(matrix: FloatArray, count: int) -> Sequence[FloatArray]:
    """The blocks L U L U L (U) from left to right: of all starts the one whose largest norm is least, made smaller."""
    h = len(matrix) // 2
    if count == FIVE:
        swapped = np.r_[h : 2 * h, 0:h]  # U L U L U of this is L U L U L of the matrix
        found = _starts(matrix[np.ix_(swapped, swapped)])
    else:
        x, rest = _well_posed(matrix[:h, :h], matrix[h:, :h]), matrix.copy()
        rest[h:] -= x @ matrix[:h]
        found = [[x, *blocks] for blocks in _closed(*_quarters(rest))]
        found += [[np.zeros((h, h)), *blocks] for blocks in _starts(matrix)]
    sound = [blocks for blocks in found if all(np.isfinite(s).all() for s in blocks)]
    if not sound:
        raise NumericalFailure(
            "no start was found: a block of `T` is singular to working precision in every try."
        )
    return _descended(matrix, min(sound, key=_largest))


def _starts(matrix: FloatArray) -> list[list[FloatArray]]:
    """Blocks U L U L U."""
    parts = _quarters(matrix)
    return [*_closed(*parts), *_by_symmetrizers(*parts)]


def _largest(blocks: Sequence[FloatArray]) -> float:
    return max(float(np.linalg.norm(s, 2)) for s in blocks)


def _quarters(m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    h = len(m) // 2
    return m[:h, :h], m[:h, h:], m[h:, :h], m[h:, h:]


def _well_posed(a: FloatArray, c: FloatArray) -> FloatArray:
    """X with C - X A well conditioned (the module's last paragraph)."""
    values, vectors = np.linalg.eigh(a.T @ a + c.T @ c)
    root = (vectors / np.sqrt(values)) @ vectors.T
    cosine, sine = a @ root, c @ root
    # W W^T with W = cosine + i sine; its real and imaginary part commute, so that a mix of them has their eigenvectors
    real, imaginary = cosine @ cosine.T - sine @ sine.T, cosine @ sine.T + sine @ cosine.T
    found = []
    for angle in MIXES:
        f = np.linalg.eigh(_even(np.cos(angle) * real + np.sin(angle) * imaginary))[1]
        twice = [np.einsum("ij,ij->j", f, m @ f) for m in (imaginary, real)]
        theta = np.arctan2(*twice) / 2
        side = np.where(np.sin(theta) * np.cos(theta) > 0, -1.0, 1.0)
        x = np.where(np.abs(np.sin(theta)) >= np.abs(np.cos(theta)), 0.0, side)
        found.append(_even((f * x) @ f.T))
    return max(found, key=lambda x: np.linalg.svd(c - x @ a, compute_uv=False)[-1])


def _closed(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> Iterator[list[FloatArray]]:
    """Five blocks by the polar decomposition of C, where that is invertible."""
    u, s, vt = np.linalg.svd(c)
    if s[-1] <= len(c) * EPS * s[0]:
        return
    o = u @ vt
    y = _involution(o)
    for size in (1.0, float(s[0]) ** 0.5):  # U(E) T has this multiple of O in A's place
        e = _even((size * o - a) @ (vt.T / s) @ u.T)
        yield from _four(e, y, a + e @ c, b + e @ d, c, d)


def _involution(o: FloatArray) -> FloatArray:
    """A symmetric orthogonal R with R O symmetric: in the real Schur form a reflection for each rotation of a plane."""
    schur: Any = scipy.linalg.schur(o, output="real")
    form, v = schur
    r = np.eye(len(o))
    i = 0
    while i < len(o):
        if i + 1 < len(o) and form[i + 1, i] != 0.0:
            r[i + 1, i + 1] = -1.0  # a rotation by any angle, times diag(1, -1) from the left, is symmetric
            i += 2
        else:
            i += 1
    return _even(v @ r @ v.T)


def _by_symmetrizers(
    a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray
) -> Iterator[list[FloatArray]]:
    """Five blocks with E = 0, multiples of I and random ones, and symmetric Y with Y A = A^T Y."""
    h, rng = len(a), np.random.default_rng(0)
    for attempt in range(TRIES):
        noise = rng.normal(size=(h, h)) / h**0.5
        e = (
            (0.0, 1.0, -1.0)[attempt] * np.eye(h)
            if attempt < 3
            else (noise + noise.T) * 2.0 ** (attempt % 4 - 2)
        )
        whole = a + e @ c
        values = np.linalg.svd(whole, compute_uv=False)
        if values[-1] <= h * EPS * values[0]:
            continue
        for y in _symmetrizers(whole, rng):
            yield from _four(e, y, whole, b + e @ d, c, d)


def _symmetrizers(a: FloatArray, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Symmetric Y with Y A = A^T Y: members of the space of all, which is spanned by null vectors of a linear map."""
    h = len(a)
    rows, columns = np.triu_indices(h)
    basis = np.zeros((len(rows), h, h))
    basis[np.arange(len(rows)), rows, columns] = basis[np.arange(len(rows)), columns, rows] = 1.0
    equations = (basis @ a - a.T @ basis).reshape(len(rows), -1)
    _, values, vt = np.linalg.svd(equations.T, full_matrices=True)
    count = max(h, int(np.sum(values <= 1e3 * EPS * max(values[0], EPS))))  # it has at least h dimensions
    space = np.tensordot(vt[-count:], basis, 1)
    near = np.tensordot(np.einsum("kii->k", space), space, 1)  # the member that is nearest to I
    for y in (near, *(np.tensordot(rng.normal(size=len(space)), space, 1) for _ in range(3))):
        size = np.linalg.norm(y, 2)
        if size > 0:
            yield y / size


def _four(
    e: FloatArray, y: FloatArray, a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray
) -> Iterator[list[FloatArray]]:
    """-E and the four of U(E) T, for Y at its own size and at the one that balances the two inner blocks."""
    try:
        inverse = np.linalg.inv(a)
        inner = np.linalg.solve(y, inverse.T - np.eye(len(a)))
    except np.linalg.LinAlgError:
        return
    scale = np.sqrt(np.linalg.norm(inner, 2) / np.linalg.norm(y @ a, 2))
    for t in {1.0, float(scale) or 1.0}:
        p = _even(c @ inverse - t * y)
        m = _even(t * y @ a)
        with np.errstate(all="ignore"):
            v = _even(np.linalg.lstsq(m, d - p @ b - np.eye(len(a)))[0])
        yield [-e, p, _even(b - a @ v), m, v]


def _even(m: FloatArray) -> FloatArray:
    return (m + m.T) / 2


def _product(blocks: Sequence[FloatArray]) -> FloatArray:
    h = len(blocks[0])
    return product(tuple(Layer(k, s, np.zeros(h)) for k, s in zip(kinds(len(blocks)), blocks, strict=True)))


def _descended(target: FloatArray, start: Sequence[FloatArray]) -> Sequence[FloatArray]:
    """The blocks with smaller norms, by descent along the factorizations of T, and Newton steps to T itself."""
    if len(target) > 2 * DENSE:
        return start
    blocks, away = start, lambda b: float(np.linalg.norm(_product(b) - target))
    for _ in range(DESCENT):
        norms = np.array([np.linalg.norm(s, 2) for s in blocks])
        weights = norms / max(norms.max(), 1e-300) + 0.05
        steps = _newton(target, blocks, weights, shrink=True)
        for part in (1.0, 0.5, 0.2, 0.05):
            new = [s + part * step for s, step in zip(blocks, steps, strict=True)]
            for _ in range(2):
                new = [s + step for s, step in zip(new, _newton(target, new), strict=True)]
            if _largest(new) < 0.99 * norms.max() and away(new) <= 2 * away(start) + EPS * np.linalg.norm(
                target
            ):
                blocks = new
                break
        else:
            break
    for _ in range(POLISH):
        new = [s + step for s, step in zip(blocks, _newton(target, blocks, closest=True), strict=True)]
        blocks = min((blocks, new), key=away)
    return blocks


def _newton(
    target: FloatArray,
    blocks: Sequence[FloatArray],
    weights: FloatArray | None = None,
    *,
    shrink: bool = False,
    closest: bool = False,
) -> list[FloatArray]:
    """Changes of the blocks that bring the product to T in first order: the least ones, or those to the least blocks.

    A change dS of the factor between products X and R moves T^T J product by Q^T dS Q, Q the first h rows of R for a lower
    factor, and by -Q^T dS Q, Q the last h rows, for an upper one; these symmetric matrices are all that there is to solve
    for. `closest`: by the product itself, X dS Q, at twice the cost: the nearest one, as T is symplectic up to rounding
    only.
    """
    h, count = len(blocks[0]), len(blocks)
    half, whole = np.triu_indices(h), np.triu_indices(2 * h)
    rows, columns = np.indices((2 * h, 2 * h)).reshape(2, -1) if closest else whole
    layers = [Layer(kind, s, np.zeros(h)) for kind, s in zip(kinds(count), blocks, strict=True)]
    right, jacobian = np.eye(2 * h), []
    for i in reversed(range(count)):
        lower = layers[i].kind == "lower"
        q = right[:h] if lower else right[h:]
        before = product(tuple(layers[:i])) if i else np.eye(2 * h)
        sign = 1.0 if lower else -1.0
        p = (before[:, h:] if lower else before[:, :h]).T if closest else sign * q
        outer = p[half[0]][:, rows] * q[half[1]][:, columns] + p[half[1]][:, rows] * q[half[0]][:, columns]
        outer[half[0] == half[1]] /= 2
        jacobian.insert(0, outer.T)
        right = layers[i].matrix() @ right
    off, full = target - right, np.hstack(jacobian)
    wanted = off[rows, columns] if closest else _even(target.T @ np.vstack([off[h:], -off[:h]]))[whole]
    now = np.concatenate([s[half] for s in blocks])
    scales = np.tile(np.where(half[0] == half[1], 1.0, 2.0**0.5), count)
    scales = scales * np.repeat(np.ones(count) if weights is None else weights, len(half[0]))
    if shrink:
        wanted = wanted + full @ now
    solved = np.linalg.lstsq(full / scales, wanted)[0] if closest else _least(full / scales, wanted)
    found = solved / scales - (now if shrink else 0.0)
    changes = []
    for part in np.split(found, count):
        change = np.zeros((h, h))
        change[half] = part
        changes.append(change + np.triu(change, 1).T)
    return changes


def _least(matrix: FloatArray, wanted: FloatArray) -> FloatArray:
    """The shortest solution of a wide system, by its normal equations: quick, and good enough for a step of descent."""
    gram = matrix @ matrix.T
    gram[np.diag_indices(len(gram))] += 1e-15 * np.trace(gram)
    try:
        return matrix.T @ scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram), wanted)
    except np.linalg.LinAlgError:
        return np.linalg.lstsq(matrix, wanted)[0]
