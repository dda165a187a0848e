"""`factor(T, group="symplectic")`: exact symplectic matrices in fractions, random and ill ones, and those that need five."""

import itertools
from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
import scipy.linalg

from shoal._errors import InputError, NumericalFailure
from shoal.theory.linear import Factorization, _symplectic, factor
from shoal.theory.linear._symplectic import _closed, _quarters, _starts, _well_posed

SIZES = (2, 4, 6, 10, 16)


def form(h: int) -> np.ndarray:
    """J."""
    return np.kron([[0.0, 1.0], [-1.0, 0.0]], np.eye(h))


def random(n: int, seed: int, size: float = 1.0) -> np.ndarray:
    """The flow of a random quadratic Hamiltonian, by SciPy."""
    m = np.random.default_rng([n, seed]).normal(size=(n, n)) * size / n**0.5
    return scipy.linalg.expm(form(n // 2) @ (m + m.T))


def stretched(n: int, top: float, seed: int) -> np.ndarray:
    """Unitary times diag(s, 1/s) times unitary, largest s = top."""
    rng, h = np.random.default_rng([n, seed, 1]), n // 2

    def unitary() -> np.ndarray:
        q = np.linalg.qr(rng.normal(size=(h, h)) + 1j * rng.normal(size=(h, h)))[0]
        return np.block([[np.real(q), np.imag(q)], [-np.imag(q), np.real(q)]])

    s = np.exp(rng.uniform(0.0, np.log(top), h))
    s[0] = top
    return unitary() @ np.diag([*s, *1 / s]) @ unitary()


def check(made: Factorization, target: np.ndarray, layers: int, tolerance: float = 1e-13) -> None:
    """Alternating additive layers with blocks that are symmetric to the last bit, and their product by plain matrices."""
    h = len(target) // 2
    kinds = [layer.kind for layer in made.layers]
    assert len(kinds) == layers
    assert all(a != b for a, b in itertools.pairwise(kinds))
    whole = np.eye(2 * h)
    for layer in made.layers:
        assert layer.additive
        assert np.array_equal(layer.block, layer.block.T)
        matrix = np.eye(2 * h)
        if layer.kind == "lower":
            matrix[h:, :h] = layer.block
        else:
            matrix[:h, h:] = layer.block
        whole = whole @ matrix
    order = made.order
    assert np.linalg.norm(whole - target[np.ix_(order, order)]) <= tolerance * np.linalg.norm(target)


@pytest.mark.parametrize(
    ("n", "layers", "first"),
    [(n, *kind) for n in SIZES for kind in ((5, "lower"), (5, "upper"), (6, "lower"))] + [(32, 5, "lower")],
)
def test_random_ones(n: int, layers: int, first: Literal["lower", "upper"]) -> None:
    target = random(n, 0)
    made = factor(target, layers, group="symplectic", first=first)
    check(made, target, layers)
    assert made.layers[0].kind == first
    assert made.conditions.largest < 300.0


@pytest.mark.parametrize("n", [2, 4, 8, 16])
@pytest.mark.parametrize("top", [1e2, 1e4])
def test_ill_ones(n: int, top: float) -> None:
    target = stretched(n, top, 3)
    for layers in (5, 6):
        made = factor(target, layers, group="symplectic")
        check(made, target, layers, 2e-13)
        assert max(np.linalg.norm(layer.block, 2) for layer in made.layers) < 3 * n * top**0.5


@pytest.mark.parametrize("top", [1.0, 1e2, 1e3])
@pytest.mark.parametrize("n", [2, 6, 16, 32, 64])
def test_the_bound_of_six_has_no_dimension_in_it(n: int, top: float) -> None:
    target = stretched(n, top, 5)
    h, size = n // 2, np.linalg.norm(target, 2)
    x, rest = _well_posed(target[:h, :h], target[h:, :h]), target.copy()
    rest[h:] -= x @ target[:h]
    assert np.linalg.norm(x, 2) <= 1 + 1e-12
    assert 1 / np.linalg.svd(rest[h:, :h], compute_uv=False)[-1] <= 2**0.5 * size * (1 + 1e-6)
    blocks = next(_closed(*_quarters(rest)))
    assert max(np.linalg.norm(b, 2) for b in (x, *blocks)) <= 2 * size**2 + 2 * size + 3


def test_the_closed_form_has_the_norms_that_are_proved() -> None:
    target = random(12, 2)
    _, p, q, m, _ = next(_closed(*_quarters(target)))
    assert np.linalg.norm(p, 2) <= np.linalg.norm(target[6:, :6], 2) + 1 + 1e-12
    assert np.linalg.norm(q, 2) <= 2 + 1e-12
    assert np.allclose(m @ m, np.eye(6), atol=1e-12)


def fractions(h: int, seed: int) -> list[list[Fraction]]:
    """A product of four integer unit triangular ones, exactly."""
    rng = np.random.default_rng(seed)
    out = [[Fraction(int(i == j)) for j in range(2 * h)] for i in range(2 * h)]
    for turn in range(4):
        s = rng.integers(-1, 2, size=(h, h))
        s = s + s.T
        factor_ = [[Fraction(int(i == j)) for j in range(2 * h)] for i in range(2 * h)]
        for i in range(h):
            for j in range(h):
                row, column = (h + i, j) if turn % 2 else (i, h + j)
                factor_[row][column] = Fraction(int(s[i, j]))
        out = [
            [sum((out[i][k] * factor_[k][j] for k in range(2 * h)), Fraction(0)) for j in range(2 * h)]
            for i in range(2 * h)
        ]
    return out


@pytest.mark.parametrize("seed", range(6))
def test_integer_matrices_against_exact_products(seed: int) -> None:
    exact = fractions(2, seed)
    made = factor(np.array(exact, float), group="symplectic")
    product = [[Fraction(int(i == j)) for j in range(4)] for i in range(4)]
    for layer in made.layers:
        matrix = layer.matrix()
        product = [
            [
                sum((product[i][k] * Fraction(float(matrix[k, j])) for k in range(4)), Fraction(0))
                for j in range(4)
            ]
            for i in range(4)
        ]
    size = max(abs(v) for row in exact for v in row)
    assert (
        max(abs(a - b) for u, v in zip(exact, product, strict=True) for a, b in zip(u, v, strict=True))
        < 1e-12 * size
    )


def jordan(h: int) -> np.ndarray:
    return np.eye(h) + np.eye(h, k=1)


@pytest.mark.parametrize("h", [1, 2, 3, 5])
def test_hard_ones(h: int) -> None:
    """I, -I, J, a shear whose block is one Jordan cell, and the matrices that no four factors make, in either order."""
    cell, zero = jordan(h), np.zeros((h, h))
    inverse = np.linalg.inv(cell)
    for target in (
        np.eye(2 * h),
        -np.eye(2 * h),
        form(h),
        np.block([[cell, zero], [zero, inverse.T]]),
        np.block([[zero, -inverse.T], [cell, zero]]),
    ):
        for first in ("lower", "upper"):
            check(factor(target, group="symplectic", first=first), target, 5)


def test_some_need_five() -> None:
    """With A = D = 0 the product of four would make C (or B) symmetric: no start leaves its first factor at zero."""
    cell = jordan(2)
    target = np.block([[np.zeros((2, 2)), -np.linalg.inv(cell).T], [cell, np.zeros((2, 2))]])
    assert all(np.linalg.norm(blocks[0]) > 0.1 for blocks in _starts(target))


def test_kept_coordinates_are_conjugate_in_order() -> None:
    target, order = random(6, 4), np.array([1, 3, 5, 0, 2, 4])
    shuffled = np.empty_like(target)
    shuffled[np.ix_(order, order)] = target
    made = factor(shuffled, group="symplectic", kept=(1, 3, 5))
    check(made, shuffled, 5)
    x = np.random.default_rng(0).normal(size=(4, 6))
    assert np.allclose(made.apply(x), x @ shuffled.T)
    assert np.allclose(made.inverse(made.apply(x)), x)


def test_a_certificate_holds() -> None:
    found = factor(random(8, 1), group="symplectic").certificate(existence=False)
    assert found.relative_residual_bound <= 1e-13


@pytest.mark.parametrize(
    ("target", "more", "words"),
    [
        (np.diag([2.0, 1.0]), {}, "`T` is not symplectic: T^T J T differs from J by 1 in an entry"),
        (np.eye(3), {}, "a symplectic `T` has an even size; got 3"),
        (np.eye(4), {"layers": 4}, "`layers` must be 5 or 6 for a symplectic `T`; got 4"),
        (np.eye(4), {"layers": "auto", "max_condition": 9.0}, "takes no `max_condition`, `effort`"),
        (np.eye(4) * (1 + 1e-9), {}, "`T` is not symplectic"),
    ],
)
def test_refusals(target: np.ndarray, more: dict, words: str) -> None:
    with pytest.raises(InputError, match=words.replace("^", r"\^")):
        factor(target, group="symplectic", **more)


def test_a_tolerance_that_is_not_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_symplectic, "_blocks", lambda matrix, count: [np.zeros((4, 4))] * count)
    with pytest.raises(
        NumericalFailure, match=r"5 symplectic factors reach a residual of .*; `layers=6` has bounds"
    ):
        factor(random(8, 0), group="symplectic")
