"""An exact factorization near a computed one: the Newton-Kantorovich theorem with a right inverse, in rigorous bounds.

docs/dev/mathematics.md 2.8 has the proofs. Unknowns x: the blocks A_i of all layers and their scales b_i + w_i σ_i. F(x0)
is the layers' product and J = F'(x0), which takes (dA_i, dσ_i) to sum_i P_i [dA_i, diag(w_i dσ_i)] S_i, P_i and S_i the
products of the layers before and after i, w_i the units in which the scales are measured: powers of two. Let

    |F(x0) - T| <= ε,   |J^+| <= β = 1 / σmin(J), J onto,   |F''(x)| <= K wherever |x - x0| <= 2 β ε.

If h = K β^2 ε < 1/2, F(x) = T has a solution with |x - x0| <= r = 2 β ε / (1 + sqrt(1 - 2 h)); in blocks and log-scales it
lies within r / (1 - r). The bound on J: L L^T is positive semidefinite for *every* matrix L, so λmin(N) >=
c - |N - c I - L L^T| for symmetric N, and only that product has to be enclosed, in ball arithmetic (`by_balls`) or in
float64 with a bound on its rounding errors (`by_rounding`). Compare Rump 2006, which trusts the Cholesky routine.

References: Deuflhard 2011, Newton Methods for Nonlinear Problems, section 4.4; Collatz 1942 for |Q|.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from shoal._scalars import FloatArray
from shoal.theory.linear.certify._balls import (
    Ball,
    BallLayer,
    BallMatrix,
    balls,
    centres,
    frobenius,
    load_flint,
    spectral,
)

BALLS_LIMIT, LIMIT = 24, 64
UNIT = 2.0**-53  # a float64 operation's relative error
UNDERFLOW = 2.0**-800  # more than all underflows together, for entries within LARGE
LARGE = 2.0**60
CHUNK = 64  # columns of L a product: its sums are that short, which keeps the error bound small
SHIFT = 0.9
FAR = 8  # binary digits from which a scalar is taken out of T


@dataclass(frozen=True)
class Kantorovich:
    """A lower bound of σmin(J) = 1 / β, and K, h = K β^2 ε and r / (1 - r), None where not reached; `failure` says why.

    All are balls, for 2^-exponent T, whose layers have `block` (an index) divided by 2^exponent.
    """

    least_singular: Ball
    curvature: Ball | None
    h: Ball | None
    radius: Ball | None
    failure: str
    block: int
    exponent: int


def kantorovich(layers: Sequence[BallLayer], residual: Ball) -> Kantorovich:
    """The theorem for layers whose product is within `residual` of T."""
    layers, block, exponent = balanced(layers)
    flint, m, n = load_flint(), len(layers), layers[0].n
    residual = residual * flint.arb(2) ** -exponent
    chain = _partial_products(layers)
    around = [Around(layer, chain[0, i], chain[i + 1, m]) for i, layer in enumerate(layers)]
    least = by_balls(around) if n <= BALLS_LIMIT else by_rounding(around)
    answer = Kantorovich(least, None, None, None, "", block, exponent)
    if not least > 0:
        return replace(answer, failure="J is not onto, as far as can be verified")
    norms = {(a, b): spectral(x) if b > a else flint.arb(1) for (a, b), x in chain.items()}
    bound = curvature(norms, m, (2 * residual / least).upper())
    h = (bound * residual / least**2).upper()
    answer = replace(answer, curvature=bound, h=h)
    if not 2 * h < 1:
        return replace(answer, failure="h is not below 1/2")
    radius = 2 * residual / least / (1 + (1 - 2 * h).sqrt())
    if not radius < 1:
        return replace(answer, failure="a scale may reach zero")
    return replace(answer, radius=(radius / (1 - radius)).upper())


def curvature(norms: dict[tuple[int, int], Ball], m: int, reach: Ball) -> Ball:
    """K: a bound of |F''| wherever |x - x0| <= reach; `norms[a, b]` bounds |M_(a+1) ... M_b| at x0, 1 for a = b."""
    wide: dict[tuple[int, int], Ball] = {(a, a): norms[a, a] for a in range(m + 1)}
    for length in range(1, m + 1):
        for a in range(m + 1 - length):
            b = a + length
            terms = [norms[a, k] * wide[k + 1, b] for k in range(a, b)]
            wide[a, b] = norms[a, b] + reach * sum(terms[1:], terms[0])
    flint = load_flint()
    q = [[flint.arb(0)] * m for _ in range(m)]
    for i in range(m):
        for j in range(i + 1, m):
            q[i][j] = q[j][i] = wide[0, i] * wide[i + 1, j] * wide[j + 1, m]
    if m == 1:
        return flint.arb(0)
    top = max(x.upper() for row in q for x in row)
    rounded, v = np.array([[float(x / top) for x in row] for row in q]), np.ones(m)
    for _ in range(50):
        v = rounded @ v + v  # Q + I has the same positive vector, and no second eigenvalue of the same size
        v /= np.max(v)
    weights = [flint.arb(max(float(w), 1e-12)) for w in v]
    sums = [sum((x * w for x, w in zip(row, weights, strict=True)), flint.arb(0)) for row in q]
    return max((x / w).upper() for x, w in zip(sums, weights, strict=True))


def balanced(layers: Sequence[BallLayer]) -> tuple[list[BallLayer], int, int]:
    """Layers of 2^-k T with scales nearer to one, k near log2 |det T|^(1/n); the block divided by 2^k, and k.

    M N of different kinds is 2^k M' N' with the scales of both and the block of N divided by 2^k: an exact change of
    variables, without which a T of size 1e150 has unknowns of very different sizes. k = 0 where it does not help.
    """
    out, n = list(layers), layers[0].n
    logs = [[float(s.log()) / np.log(2.0) for s in layer.scales] for layer in layers]
    k = round(sum(map(sum, logs)) / n)
    pairs = [i for i in range(len(out) - 1) if out[i].kind != out[i + 1].kind]
    if abs(k) < FAR or not pairs:
        return out, 0, 0
    gain = [sum(x**2 - (x - k) ** 2 for x in row) for row in logs]
    at = max(pairs, key=lambda i: gain[i] + gain[i + 1])
    if gain[at] + gain[at + 1] <= 0:
        return out, 0, 0
    less = load_flint().arb(2) ** -k
    first, second = out[at], out[at + 1]
    out[at] = replace(first, scales=tuple(s * less for s in first.scales))
    out[at + 1] = replace(second, block=second.block * less, scales=tuple(s * less for s in second.scales))
    return out, at + 1, k


def _partial_products(layers: Sequence[BallLayer]) -> dict[tuple[int, int], BallMatrix]:
    """(a, b) -> M_(a+1) ... M_b for 0 <= a <= b <= m; the identity for a = b."""
    flint, m, n = load_flint(), len(layers), layers[0].n
    eye = flint.arb_mat(n, n)
    for i in range(n):
        eye[i, i] = 1
    out = {(a, a): eye for a in range(m + 1)}
    for a in range(m):
        for b in range(a + 1, m + 1):
            out[a, b] = out[a, b - 1] * layers[b - 1].matrix()
    return out


@dataclass(frozen=True, eq=False)
class Around:
    """A layer with P and S, the (n, n) products of the layers before and after it, in balls."""

    layer: BallLayer
    before: BallMatrix
    after: BallMatrix


def by_balls(around: Sequence[Around]) -> Ball:
    """A lower bound of σmin(J), 0 where none is found; N = J J^T in balls. For n <= 24: N is (n^2, n^2)."""
    flint, n = load_flint(), around[0].layer.n
    unknowns: list[Ball] = []
    count = 0
    for item in around:
        before, after = item.before.transpose().tolist(), item.after.tolist()
        for a, unit in zip(item.layer.moved, item.layer.units, strict=True):
            after[a] = [unit * y for y in after[a]]
            for b in (*item.layer.kept, a):
                unknowns.extend(x * y for x in before[a] for y in after[b])
                count += 1
    jacobian = flint.arb_mat(count, n * n, unknowns)
    normal = jacobian.transpose() * jacobian
    rounded = centres(normal)
    if not np.all(np.isfinite(rounded)):
        return flint.arb(0)
    shift = SHIFT * float(scipy.linalg.eigvalsh(rounded, subset_by_index=[0, 0])[0])
    lower = _cholesky(rounded, shift)
    if lower is None:
        return flint.arb(0)
    root = balls(lower)
    for i in range(n * n):
        normal[i, i] = normal[i, i] - shift
    return _root(shift - frobenius(normal - root * root.transpose()))


def by_rounding(around: Sequence[Around]) -> Ball:
    """A lower bound of σmin(J), 0 where none is found; N in float64 with all rounding errors bounded. For n <= 64.

    P and S are rounded to float64: a Jacobian J' with |J - J'|_2^2 <= sum_i (|P - P'| |S| + |P'| |S - S'|)^2.
    Each entry of N' = J' J'^T is a sum of products of four floats; with at most k roundings on any of them its error is
    at most γ_k = k u / (1 - k u) times the same sum of absolute values, in any order of summation (Higham 2002, 3.1).
    The sum of absolute values is an entry of |J'| |J'|^T, whose 2-norm is at most |J'|_F^2: for the blocks that is the sum
    of |P'|_F^2 |S'|_F^2 over the columns and rows in use.
    """
    arb = load_flint().arb
    n, m = around[0].layer.n, len(around)
    apart, error, grams, others, diagonals = arb(0), arb(UNDERFLOW), [], [], []
    for item in around:
        p, s = centres(item.before), centres(item.after)
        if not max(np.max(np.abs(p)), np.max(np.abs(s))) <= LARGE:
            return arb(0)
        apart += (
            frobenius(item.before - balls(p)) * frobenius(item.after)
            + frobenius(balls(p)) * frobenius(item.after - balls(s))
        ) ** 2
        moved, kept = item.layer.moved, item.layer.kept
        left, right, own = p[:, moved], s[kept], np.array(item.layer.units)[:, None] * s[moved]
        grams.append((left @ left.T).ravel())
        others.append((right.T @ right).ravel())
        diagonals.append((left[:, None, :] * own.T[None, :, :]).reshape(n * n, len(moved)))
        error += _gamma(2 * n + m + 2) * (frobenius(balls(left)) * frobenius(balls(right))) ** 2
        error += _gamma(m * n + 8) * frobenius(balls(diagonals[-1])) ** 2
    product = (np.stack(grams).T @ np.stack(others)).reshape(n, n, n, n)
    normal = product.transpose(0, 2, 1, 3).reshape(n * n, n * n).T  # columns first, for LAPACK
    del product
    columns = np.concatenate(diagonals, axis=1)
    normal += columns @ columns.T
    least = _least_eigenvalue(normal)
    lower = _cholesky(normal, SHIFT * least)
    if lower is None:
        return arb(0)
    shift = SHIFT * least
    bound = arb(shift) - error - _distance(normal, shift, lower)
    return _root(bound, apart.sqrt())


def _distance(normal: FloatArray, shift: float, lower: FloatArray) -> Ball:
    """An upper bound of |N - c I - L L^T|_F, N the symmetric matrix with this lower triangle. Overwrites N.

    N - c I is reduced by CHUNK columns of L at a time: an entry sees at most CHUNK + size / CHUNK + 2 roundings, each
    relative to a partial sum within |N| + c + |L| |L|^T.
    """
    size = len(normal)
    balanced = np.sqrt(2.0) * np.linalg.norm(np.tril(normal)) + shift * size**0.5 + np.linalg.norm(lower) ** 2
    normal[np.diag_indices(size)] -= shift
    (syrk,) = scipy.linalg.get_blas_funcs(("syrk",), (normal,))
    for start in range(0, size, CHUNK):
        part = lower[:, start : start + CHUNK]
        normal = syrk(-1.0, part, beta=1.0, c=normal, lower=1, overwrite_c=1)
    off = np.sqrt(2.0) * np.linalg.norm(np.tril(normal))
    steps = CHUNK + size // CHUNK + 3
    inflate = 1.0 + (4.0 * size * size + 64.0) * UNIT  # the norms' own rounding errors
    arb = load_flint().arb
    return (arb(float(off)) + _gamma(steps) * arb(float(balanced))) * arb(inflate) + arb(UNDERFLOW)


def _least_eigenvalue(normal: FloatArray) -> float:
    """An estimate, by inverse iteration; it needs not be right. 0 where N is not positive definite."""
    factor = _cholesky(normal, 0.0)
    if factor is None:
        return 0.0
    vector = np.random.default_rng(0).normal(size=len(normal))
    size = 1.0
    for _ in range(12):
        vector /= np.linalg.norm(vector)
        vector = scipy.linalg.cho_solve((factor, True), vector, check_finite=False)
        size = float(np.linalg.norm(vector))
    return 1.0 / size


def _cholesky(matrix: FloatArray, shift: float) -> FloatArray | None:
    """L with L L^T near matrix - shift I, or None."""
    moved = matrix.copy(order="F")
    moved[np.diag_indices(len(moved))] -= shift
    try:
        return scipy.linalg.cholesky(moved, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return None


def _gamma(k: int) -> Ball:
    ku = load_flint().arb(k) * UNIT
    return ku / (1 - ku)


def _root(square: Ball, less: Ball = 0) -> Ball:
    """sqrt(square) - less, from below, or 0."""
    if not square > 0:
        return load_flint().arb(0)
    root = (square.sqrt() - less).lower()
    return root if root > 0 else load_flint().arb(0)
