"""The identities in the proofs of `docs/dev/mathematics.md`, in rational arithmetic: equal means equal.

Uses nothing of `shoal` but `fewest_layers`, whose answer to one matrix is a theorem.
"""

from fractions import Fraction

import numpy as np
import pytest

from shoal.theory.linear import fewest_layers
from tests.theory.linear.oracles import characteristic, inverse, rational

CASES = [(d, seed) for d in (1, 2, 3, 4) for seed in range(2)]


class Draw:
    """Random matrices of small integers, as Fractions, of size d."""

    def __init__(self, d: int, seed: int):
        self.d, self.rng = d, np.random.default_rng([d, seed])
        self.eye, self.zero = rational(np.eye(d)), rational(np.zeros((d, d)))

    def block(self) -> np.ndarray:
        return rational(self.rng.integers(-3, 4, (self.d, self.d)))

    def invertible(self) -> np.ndarray:
        """Dominant diagonal."""
        return self.block() + rational(np.diag(self.rng.choice([-1, 1], self.d) * (3 * self.d + 1)))

    def diagonal(self) -> np.ndarray:
        """Positive diagonal of quarters."""
        return rational(np.diag(self.rng.integers(1, 9, self.d) / 4))

    def lower(self, a: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        return np.block([[self.eye, self.zero], [a, self.eye if b is None else b]])

    def upper(self, d: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
        return np.block([[self.eye if c is None else c, d], [self.zero, self.eye]])

    def blocks(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return t[: self.d, : self.d], t[: self.d, self.d :], t[self.d :, : self.d], t[self.d :, self.d :]


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(a == b))


@pytest.mark.parametrize(("d", "seed"), CASES)
def test_normal_form(d: int, seed: int):
    r = Draw(d, seed)
    x, w, y, z, a, right, b, c = (
        r.invertible(),
        r.invertible(),
        r.block(),
        r.block(),
        r.block(),
        r.block(),
        r.diagonal(),
        r.diagonal(),
    )
    six = (r.lower(-y), r.upper(-x), r.lower(a, b), r.upper(right, c), r.lower(-w), r.upper(-z))
    t = six[0] @ six[1] @ six[2] @ six[3] @ six[4] @ six[5]
    u, v = y + inverse(x), z + inverse(w)
    between = r.lower(u) @ t @ r.upper(v)
    phi, psi = r.blocks(between)[3], r.blocks(inverse(between))[0]
    p, q, s, rest = r.blocks(t)
    assert equal(phi, u @ p @ v + u @ q + s @ v + rest)
    assert equal(x @ phi @ w, c)
    assert equal(w @ psi @ x, inverse(b))
    d1, d2 = c, inverse(b)
    assert equal(inverse(w) @ d2 @ phi @ w, psi @ d1)
    made = inverse(psi) @ inverse(w) @ d2
    m = r.upper(made) @ r.lower(u - inverse(made)) @ t @ r.upper(v - inverse(w)) @ r.lower(w)
    m11, m12, m21, m22 = r.blocks(m)
    assert equal(m11, d1)
    assert equal(m22 - m21 @ inverse(d1) @ m12, inverse(d2))
    assert equal(m, r.lower(m21 @ inverse(d1), inverse(d2)) @ r.upper(m12, d1))


@pytest.mark.parametrize(("d", "seed"), CASES)
def test_phi_and_psi_with_an_invertible_corner(d: int, seed: int):
    r = Draw(d, seed)
    p, q, s, rest, u, v = r.invertible(), r.block(), r.block(), r.invertible() * 5, r.block(), r.block()
    t = np.block([[p, q], [s, rest]])
    a, b, schur = s @ inverse(p), inverse(p) @ q, rest - s @ inverse(p) @ q
    between = r.lower(u) @ t @ r.upper(v)
    assert equal(r.blocks(between)[3], (u + a) @ p @ (v + b) + schur)
    assert equal(r.blocks(inverse(between))[0], inverse(p) + (v + b) @ inverse(schur) @ (u + a))


@pytest.mark.parametrize(("d", "seed"), CASES)
def test_theorem_b_five_layers(d: int, seed: int):
    """T is built so that its G / c A^{-1} is similar to A^{-1}; everything else is computed from T as in the proof."""
    r = Draw(d, seed)
    c, a, basis, t12 = Fraction(3, 2), r.invertible(), r.invertible(), r.invertible()
    scaled = basis @ inverse(a) @ inverse(basis)
    t = r.lower(r.block()) @ np.block([[a, t12], [r.zero, c * scaled]]) @ r.lower(r.block())
    t11, t12, t21, t22 = r.blocks(t)
    n = t22 @ inverse(t12) @ t11 - t21
    g = t12 @ n
    assert characteristic(g)[-1] * (-1) ** d == characteristic(t)[-1]
    k = inverse(t12) @ (a - t11)
    m = (t21 + t22 @ k) @ inverse(a)
    s = n @ inverse(a) @ t12
    assert equal(t, r.lower(m) @ np.block([[a, t12], [r.zero, s]]) @ r.lower(-k))
    assert equal(s, c * scaled)
    assert equal(inverse(t12) @ (g / c @ inverse(a)) @ t12, s / c)
    v, vi = basis, inverse(basis)
    whitehead = r.upper(-a @ vi) @ r.lower(v @ (inverse(a) - r.eye)) @ r.upper(vi) @ r.lower(v @ (a - r.eye))
    assert equal(whitehead, np.block([[a, r.zero], [r.zero, scaled]]))
    five = (
        r.lower(m)
        @ r.upper(t12 @ inverse(s) - a @ vi)
        @ r.lower(v @ (inverse(a) - r.eye))
        @ r.upper(vi)
        @ r.lower(v @ (a - r.eye) - c * k, c * r.eye)
    )
    assert equal(five, t)


@pytest.mark.parametrize(("d", "seed"), CASES)
def test_theorem_c_one_spectrum(d: int, seed: int):
    r = Draw(d, seed)
    a2, d1, c1, c2, b1, b2, b3 = r.block(), r.block(), *(r.diagonal() for _ in range(5))
    c1 = c1 * 40  # C1 + D1 A2 is invertible
    d2 = -inverse(c1 + d1 @ a2) @ d1 @ b2
    inner = r.upper(d1, c1) @ r.lower(a2, b2) @ r.upper(d2, c2)
    assert equal(r.blocks(inner)[1], r.zero)
    x = r.blocks(inner)[0]
    t = r.lower(-b1 @ r.blocks(inner)[2] @ inverse(x), b1) @ inner @ r.lower(r.zero, b3)
    assert equal(r.blocks(t)[1], r.zero)
    assert equal(r.blocks(t)[2], r.zero)
    w = r.blocks(t)[3]
    p, q = inverse(b2) @ a2, d2
    assert equal(c2 @ inverse(x) @ c1, r.eye + q @ p)
    assert equal(inverse(b1 @ b2) @ w @ inverse(b3), r.eye + p @ q)
    assert characteristic(inverse(x) @ c1 @ c2) == characteristic(w @ inverse(b1 @ b2 @ b3))


@pytest.mark.parametrize("d", [2, 4, 6])
def test_theorem_c_quarter_turns_have_an_imaginary_spectrum(d: int):
    turns = rational(np.kron(np.eye(d // 2), [[0.0, -1.0], [1.0, 0.0]]))
    for seed in range(3):
        found = characteristic(turns @ Draw(d, seed).diagonal())
        assert all(x == 0 for x in found[1::2])
        assert all(x > 0 for x in found[0::2])  # a polynomial in x^2 with positive coefficients: no real root


@pytest.mark.parametrize("planes", [1, 2])
def test_with_signs_quarter_turns_need_four(planes: int):
    """W F = V F V^T with V = diag(1, 1) rotated by 45 degrees has roots of two; a multiple of it, slid, has none."""
    d = 2 * planes
    turns, f = rational(np.kron(np.eye(planes), [[0, -1], [1, 0]])), rational(np.diag([1, -1] * planes))
    v = rational(np.kron(np.eye(planes), [[1, -1], [1, 1]]))  # sqrt(2) times the rotation: V^{-1} for V^T
    vi, r = inverse(v), Draw(d, 0)
    assert equal(turns @ f, v @ f @ vi)
    made = r.upper(-f @ vi) @ r.lower(v @ (f - r.eye)) @ r.upper(vi, f) @ r.lower(v @ (f - r.eye) @ f, f)
    assert equal(made, np.block([[r.eye, r.zero], [r.zero, turns]]))


@pytest.mark.parametrize("d", [3, 4, 5])
def test_theorem_c_a_weighted_cycle_has_the_roots_of_one_number(d: int):
    for seed in range(3):
        found = characteristic(rational(np.roll(np.eye(d), 1, axis=0)) @ Draw(d, seed).diagonal())
        assert all(x == 0 for x in found[1:-1])
        assert found[-1] != 0


@pytest.mark.parametrize(("d", "seed"), CASES)
def test_the_middle_of_the_svd_route(d: int, seed: int):
    r = Draw(d, seed)
    e, f, a, s1, s2 = r.block(), r.block(), r.block(), r.diagonal(), r.diagonal()
    sigma = np.block([[s1, r.zero], [r.zero, s2]])
    merged = r.upper(e + s1 @ f @ inverse(s2), s1) @ r.lower(s2 @ a, s2)
    assert equal(r.upper(e) @ sigma @ r.upper(f) @ r.lower(a), merged)


@pytest.mark.parametrize(("d", "seed"), CASES)
def test_three_and_four_layers(d: int, seed: int):
    r = Draw(d, seed)
    a1, a3, d2, b, c, v = r.block(), r.block(), r.invertible(), r.diagonal(), r.diagonal(), r.block()
    t11, t12, t21, t22 = r.blocks(r.lower(a1, b) @ r.upper(d2, c) @ r.lower(a3))
    assert equal(t22 @ inverse(t12) @ t11 - t21, b @ inverse(t12) @ c)
    t = r.lower(-a1) @ r.upper(d2, c) @ r.lower(a3, b) @ r.upper(-v)
    between = r.lower(a1) @ t @ r.upper(v)
    assert equal(r.blocks(between)[3], b)
    assert equal(r.blocks(inverse(between))[0], inverse(c))


@pytest.mark.parametrize(("d", "seed"), CASES)
def test_one_pair_and_one_layer_of_a_gaussian(d: int, seed: int):
    r = Draw(d, seed)
    a, b, c, right = r.block(), r.diagonal(), r.diagonal(), r.block()
    t = r.lower(a, b) @ r.upper(right, c)
    s11, _, s21, s22 = r.blocks(t @ t.T)
    conditional = s22 - s21 @ inverse(s11) @ s21.T
    assert equal(s11, c @ c + right @ right.T)
    assert equal(a, (s21 - b @ right.T) @ inverse(s11))
    assert equal(r.eye - right.T @ inverse(s11) @ right, inverse(b) @ conditional @ inverse(b))
    assert characteristic(inverse(s11) @ c @ c) == characteristic(conditional @ inverse(b @ b))
    assert equal(r.blocks(r.lower(a, b) @ r.lower(a, b).T)[0], r.eye)  # one layer: one half stays N(0, I)
    assert equal(r.blocks(r.upper(right, c) @ r.upper(right, c).T)[3], r.eye)


def test_minus_the_identity_of_two_needs_four():
    answer = fewest_layers(-np.eye(2))
    assert answer.at_most == 4
    assert answer.witness is not None
