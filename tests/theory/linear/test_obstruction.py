"""What excludes four layers, against rational inverses, the trace equation itself, and products of four layers."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import strategies as st

from shoal._errors import InputError
from shoal.theory.linear import fewest_layers
from shoal.theory.linear._inputs import prepare
from shoal.theory.linear._obstruction import determinant, excludes_four, whole_numbers
from tests.searching import searched
from tests.theory.linear.oracles import characteristic, inverse, rational

ORDERS = ("lower", "upper")


def gaussian(rng: np.random.Generator, n: int) -> np.ndarray:
    """A Gaussian matrix, its last row's sign chosen for det > 0."""
    t = rng.normal(size=(n, n))
    t[-1] *= np.sign(np.linalg.det(t))
    return t


def excluded(t: np.ndarray) -> list[bool]:
    return [excludes_four(prepare(t, None, first)) is not None for first in ORDERS]


def one_sided(t: np.ndarray, first: str) -> bool:
    """The certificate's condition by fractions: all principal minors of some size, of both blocks."""
    d, exact = len(t) // 2, rational(t)
    other = inverse(exact)
    blocks = (exact[:d, :d], other[d:, d:]) if first == "lower" else (exact[d:, d:], other[:d, :d])
    for k in range(1, d):
        signs = [
            {np.sign(characteristic(b[np.ix_(i, i)])[-1] * (-1) ** k) for i in combinations(range(d), k)}
            for b in blocks
        ]
        if any(-w not in signs[0] and w not in signs[1] and signs[0] | signs[1] != {0} for w in (1, -1)):
            return True
    return False


def traces_meet(t: np.ndarray, first: str) -> bool:
    """n = 4: whether p . (1/c) = q . b has a positive solution with b1 b2 = det T / (c1 c2), by a grid of c2 / c1."""
    p, q = np.diag(t)[:2], np.diag(np.linalg.inv(t))[2:]
    if first == "upper":
        p, q = np.diag(t)[2:], np.diag(np.linalg.inv(t))[:2]
    a = np.linspace(-25, 25, 501)
    trace, last = p[0] * np.exp(a) + p[1] * np.exp(-a), q[1] * np.linalg.det(t)
    root = np.sqrt(np.maximum(trace**2 - 4 * q[0] * last, 0)) * np.array([[1], [-1]])
    b = (trace + root) / (2 * q[0])
    return bool(np.any((trace**2 >= 4 * q[0] * last) & (b > 0)))


@pytest.mark.parametrize("d", [2, 3, 4])
def test_the_certificate_is_the_one_of_fractions(d: int):
    rng, seen = np.random.default_rng(d), set()
    for _ in range(12 if d == 4 else 25):
        t = np.round(4 * gaussian(rng, 2 * d)) / 4 + 0.5 * np.eye(2 * d)  # minors that are 0 too
        t[-1] *= np.sign(np.linalg.det(t))
        if np.linalg.matrix_rank(t) < 2 * d:
            continue
        found = excluded(t)
        assert found == [one_sided(t, first) for first in ORDERS]
        seen.update(found)
    assert d == 4 or seen == {False, True}


def test_of_four_by_four_it_decides():
    rng, seen = np.random.default_rng(17), set()
    for _ in range(150):
        t = gaussian(rng, 4)
        found = excluded(t)
        assert found == [not traces_meet(t, first) for first in ORDERS]
        seen.add(tuple(found))
    assert len(seen) == 4


@pytest.mark.parametrize("d", [2, 3, 4])
def test_products_of_four_layers_are_not_excluded(d: int):
    rng = np.random.default_rng(d)
    for i in range(60):
        t = np.eye(2 * d)
        for j in range(4):
            m, moved, kept = np.eye(2 * d), slice(d, None), slice(0, d)
            if (i + j) % 2:
                moved, kept = kept, moved
            m[moved, kept], m[moved, moved] = rng.normal(size=(d, d)), np.diag(np.exp(rng.normal(size=d)))
            t = t @ m
        assert not excluded(t)[i % 2]


def test_five_is_exact_on_an_open_set():
    rng, three = np.random.default_rng(0), np.eye(6)
    three[3:, 3:] = np.ones((3, 3)) - 1.5 * np.eye(3)
    for t, count in ((three, 60), (np.diag([1.0, 1, -1, -1]), 20), (np.diag([1.0] * 4 + [-1] * 4), 5)):
        for _ in range(count):
            assert excluded(t + 0.02 * rng.uniform(-1, 1, t.shape)) == [True, True]
    answer = fewest_layers(np.diag([1.0, 1, -1, -1]) + 0.2 * np.eye(4)[[2, 3, 1, 0]])
    assert (answer.at_least, answer.at_most, answer.status) == (5, 5, "proved")
    assert answer.obstruction is not None
    assert answer.obstruction.layers == 4
    assert "all diagonal entries of T11 are >= 0, all of (T^-1)22 <= 0" in answer.obstruction.lower_first


@pytest.mark.parametrize("n", [3, 5, 7])
def test_odd_sizes_near_minus_one_on_the_rest_need_five(n: int):
    """Around diag(X, -I), the rest larger, and around its mirror image, by fractions; products of four are not excluded."""
    rng, p = np.random.default_rng(n), n // 2
    for turn in range(34):
        t = -np.eye(n)
        t[:p, :p] = np.diag([(-1.0) ** (n - p), *np.ones(p - 1)])
        t += 0.02 * rng.uniform(-1, 1, t.shape)
        assert excluded(t) == [True, True]
        q, size = inverse(rational(t))[p:, p:], n - p
        sets = [np.ix_(i, i) for k in range(1, size + 1) for i in combinations(range(size), k)]
        assert all(characteristic(q[i])[-1] >= 0 for i in sets)  # det(-Q[I])
        m = np.eye(n)
        for j in range(4):
            layer, moved, kept = np.eye(n), slice(p, None), slice(0, p)
            if (turn + j) % 2:
                moved, kept = kept, moved
            layer[moved, kept] = rng.normal(size=layer[moved, kept].shape)
            layer[moved, moved] = np.diag(np.exp(rng.normal(size=len(layer[moved, moved]))))
            m = m @ layer
        assert not excluded(m)[turn % 2]
    answer = fewest_layers(np.diag([2.0, -1, -1]))
    assert (answer.at_least, answer.at_most) == (5, 6)


def test_signs_that_no_rounding_shows():
    """-5e-324 beside numbers of 1e300 decides, and so does a determinant that float64 makes 0."""
    t = np.diag([0.0, 1, -1, -1]) * 1e300
    t[[0, 1], [1, 0]] = 1e300, -1e300
    for tiny, answer in ((5e-324, True), (0.0, True), (-5e-324, False)):
        t[0, 0] = tiny
        assert (excludes_four(prepare(t, None, "lower")) is not None) == answer
    whole = whole_numbers(np.array([[1.0, 1.0], [1.0, 1.0 + 2.0**-52]]))
    assert determinant(whole) > 0
    assert determinant([[0, 2], [3, 4]]) == -6
    assert determinant([[0, 0], [3, 4]]) == 0


@pytest.mark.parametrize("n", [1, 3, 6])
def test_determinants_of_whole_numbers(n: int):
    rng = np.random.default_rng(n)
    for _ in range(5):
        t = rng.normal(size=(n, n)) * 10.0 ** rng.integers(-200, 200, (n, 1))
        got, wanted = determinant(whole_numbers(t)), characteristic(rational(t))[-1] * (-1) ** n
        assert np.sign(got) == np.sign(wanted)
    rows = rng.integers(-9, 10, (n, n)).tolist()
    assert determinant(rows) == Fraction(characteristic(rational(np.array(rows)))[-1] * (-1) ** n)


@pytest.mark.parametrize(("draw", "layers"), [(3, 5), (20, 5), (50, 4), (56, 4)])
def test_four_or_five_is_decided_for_four_by_four(draw: int, layers: int):
    rng = np.random.default_rng(5)
    t = [gaussian(rng, 4) for _ in range(draw + 1)][-1]
    answer = fewest_layers(t)
    assert (answer.at_least, answer.at_most, answer.status) == (layers, layers, "proved")
    assert answer.witness is not None
    assert answer.witness.residual.float64 < 1e-13
    assert (answer.obstruction is not None) == (layers == 5)
    assert layers == 5 or answer.witness.conditions.largest < 25  # 44 and 134 without descent


@searched(st.integers(0, 2**31), st.integers(1, 4), st.integers(-3, 3), st.integers(0, 60))
def test_no_drawn_product_of_four_is_excluded(seed, d, size, spread) -> None:
    """Exact products of four layers: blocks of small whole numbers, scales powers of two, in both orders."""
    rng, first = np.random.default_rng(seed), seed % 2
    exact = rational(np.eye(2 * d))
    for j in range(4):
        m, moved, kept = np.eye(2 * d), slice(d, None), slice(0, d)
        if (first + j) % 2:
            moved, kept = kept, moved
        m[moved, kept] = rng.integers(-2, 3, (d, d)) * 2.0**size * rng.choice([0, 1, 1], (d, 1))
        m[moved, moved] = np.diag(2.0 ** rng.integers(-spread // 4, spread // 4 + 1, d))
        exact = exact @ rational(m)
    t = exact.astype(float)
    if not (rational(t) == exact).all():
        return
    try:
        found = excluded(t)
    except InputError:  # of numerical rank below n: nothing is claimed
        return
    assert not found[first]
