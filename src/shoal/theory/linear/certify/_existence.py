"""An exact factorization near a computed one: the Newton-Kantorovich theorem with a right inverse, in rigorous bounds.

Unknowns x: the blocks A_i of all layers and their scales b_i + w_i σ_i, b_i = exp(log_scale_i), 0 <= w_i <= min(b_i, 1).
The product F(x) = M_1 ... M_m is multilinear and a change of layer i is a matrix Delta_i with |Delta_i|_F <= |dx_i|. F maps
into R^(n x n) with the Frobenius norm. Let

    |F(x0) - T| <= ε,   |J^+| <= β = 1 / σmin(J), J = F'(x0) onto,   |F''(x)| <= K wherever |x - x0| <= 2 β ε.

**If h = K β^2 ε < 1/2, F(x) = T has a solution with |x - x0| <= r = 2 β ε / (1 + sqrt(1 - 2 h)).** Proof: let
G(z) = z - (F(x0 + J^+ z) - T) on the ball |z| <= ρ = r / β. As J J^+ = I, G'(z) = (J - F'(x0 + J^+ z)) J^+, so
|G'(z)| <= K β^2 |z| and |G(z)| <= ε + K β^2 |z|^2 / 2 <= ρ: ρ is the smaller root of ε + K β^2 ρ^2 / 2 = ρ. G maps the ball
into itself and contracts there, by K β^2 ρ = 1 - sqrt(1 - 2 h) < 1; z = G(z) is F(x0 + J^+ z) = T. (r <= 2 β ε.)

**K.** F''(x)[η, ζ] = sum over i != j of the product with M_i, M_j replaced by the changes η, ζ of those layers, so
|F''| <= |Q|_2, Q_ij = N(1, i-1) N(i+1, j-1) N(j+1, m) for i < j, symmetric, 0 on the diagonal, where N(a, b) bounds
|M_a ... M_b|_2 on the ball: M_a' ... M_b' = M_a ... M_b + sum_k (M_a ... M_(k-1)) Delta_k (M_(k+1)' ... M_b') gives it
from the norms at x0. For Q >= 0 and any v > 0, |Q|_2 <= max_i (Q v)_i / v_i.

For r < 1 the scales stay positive and |d log b_i| <= |w_i σ_i| / (b_i - w_i r) <= |σ_i| / (1 - r): in blocks and log-scales
the solution is within r / (1 - r).

Reference: Deuflhard 2011, Newton Methods for Nonlinear Problems, section 4.4; Collatz 1942 for |Q|.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shoal.theory.linear.certify._balls import BallLayer, load_flint, spectral
from shoal.theory.linear.certify._singular import Around, by_balls, by_rounding

BALLS_LIMIT, LIMIT = 24, 64
FAR = 8  # binary digits from which a scalar is taken out of T


@dataclass(frozen=True)
class Kantorovich:
    """A lower bound of σmin(J) = 1 / β, and K, h = K β^2 ε and r / (1 - r), None where not reached; `failure` says why.

    All are balls, for 2^-exponent T, whose layers have `block` (an index) divided by 2^exponent.
    """

    least_singular: Any
    curvature: Any
    h: Any
    radius: Any
    failure: str
    block: int
    exponent: int


def kantorovich(layers: Sequence[BallLayer], residual: Any) -> Kantorovich:
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


def curvature(norms: dict[tuple[int, int], Any], m: int, reach: Any) -> Any:
    """K: a bound of |F''| wherever |x - x0| <= reach; `norms[a, b]` bounds |M_(a+1) ... M_b| at x0, 1 for a = b."""
    wide: dict[tuple[int, int], Any] = {(a, a): norms[a, a] for a in range(m + 1)}
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


def _partial_products(layers: Sequence[BallLayer]) -> dict[tuple[int, int], Any]:
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
