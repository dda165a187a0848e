"""Matrices by structure; the product of the float64 layers against T in rational arithmetic (see `oracles.py`).

The bound is C * eps * kappa, kappa the condition number of the product with respect to its layers' entries: no layers
of float64 can be trusted to come closer. Closed forms also keep `factor`'s own promise, 1e-12.
"""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shoal.theory.linear import Effort, Factorization, factor, fewest_layers
from tests.theory.linear.oracles import EPS, exact, exponential

CONSTANT = 256  # the largest seen in 1,100 matrices of n <= 8 is 109
ROUGH = Effort(0)  # conditions are not the point here


def integers(low: int, high: int, *shape: int) -> st.SearchStrategy:
    """Arrays of integers, as float64."""
    return arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda a: a.astype(np.float64))


def halves() -> st.SearchStrategy:
    return st.integers(1, 3)


@st.composite
def couplings(draw) -> np.ndarray:
    """A product of one to six layers with normal blocks and scales."""
    d, count = draw(halves()), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    total = np.eye(2 * d)
    for i in range(count):
        moved, kept = (slice(d, None), slice(0, d)) if i % 2 else (slice(0, d), slice(d, None))
        m = np.eye(2 * d)
        m[moved, kept], m[moved, moved] = rng.normal(size=(d, d)), np.diag(np.exp(0.5 * rng.normal(size=d)))
        total = total @ m
    return total


@st.composite
def orthogonal(draw) -> np.ndarray:
    """A product of Householder reflections of integer vectors, times signs: exact eigenvalues and repeated ones."""
    n = 2 * draw(halves())
    out = np.diag(draw(integers(0, 1, n)) * 2 - 1)
    for v in draw(integers(-2, 2, draw(st.integers(0, n)), n)):
        if np.any(v):
            out = out - np.outer(v, v @ out) * (2 / (v @ v))
    return out


@st.composite
def jordan(draw) -> np.ndarray:
    """Jordan blocks, real or complex, of sizes 1 ... n, in a basis of determinant one."""
    n = 2 * draw(halves())
    out, at = np.zeros((n, n)), 0
    while at < n:
        a, b = draw(st.sampled_from([(1, 0), (-1, 0), (2, 0), (0, 1), (1, 2), (-1, 1)]))
        block = np.array([[a, -b], [b, a]]) if b and at + 2 <= n else np.array([[a or 1]])
        k = len(block)
        many = draw(st.integers(1, (n - at) // k))
        made = np.kron(np.eye(many), block) + np.kron(np.eye(many, k=1), np.eye(k))
        out[at : at + many * k, at : at + many * k] = made
        at += many * k
    basis = draw(unimodular(half=n // 2, most=1))
    return basis @ out @ np.round(np.linalg.inv(basis))


@st.composite
def unimodular(draw, half: int | None = None, most: int = 2) -> np.ndarray:
    """Integers with determinant one: unit lower times unit upper triangular, rows permuted in pairs."""
    n = 2 * (half or draw(halves()))
    low, high = np.tril(draw(integers(-most, most, n, n)), -1), np.triu(draw(integers(-most, most, n, n)), 1)
    return (low + np.eye(n)) @ (high + np.eye(n))


@st.composite
def small_integers(draw) -> np.ndarray:
    return draw(integers(-3, 3, *(2 * draw(halves()),) * 2))


@st.composite
def monomial(draw) -> np.ndarray:
    """A permutation times a diagonal of signed powers of two."""
    n = 2 * draw(halves())
    order = draw(st.permutations(range(n)))
    return np.eye(n)[order] * np.ldexp(draw(integers(0, 1, n)) * 2 - 1, draw(integers(-4, 4, n)).astype(int))


@st.composite
def zero_block(draw) -> np.ndarray:
    """One of T11, T12, T21, T22 is zero, or both of a diagonal."""
    d = draw(halves())
    out = draw(integers(-2, 2, 2 * d, 2 * d)) + 5 * np.eye(2 * d)[draw(st.permutations(range(2 * d)))]
    for i, j in draw(
        st.sampled_from([[(0, 0)], [(0, 1)], [(1, 0)], [(1, 1)], [(0, 1), (1, 0)], [(0, 0), (1, 1)]])
    ):
        out[i * d : i * d + d, j * d : j * d + d] = 0
    return out


@st.composite
def companion(draw) -> np.ndarray:
    """The companion matrix of a polynomial with integer coefficients."""
    n = 2 * draw(halves())
    out = np.eye(n, k=-1)
    out[:, -1] = draw(integers(-3, 3, n))
    return out


@st.composite
def toeplitz(draw) -> np.ndarray:
    n = 2 * draw(halves())
    values = draw(integers(-3, 3, 2 * n - 1))
    return values[np.subtract.outer(np.arange(n), np.arange(n)) + n - 1]


STRUCTURES = {
    s.__name__: s
    for s in (
        couplings,
        orthogonal,
        jordan,
        unimodular,
        small_integers,
        monomial,
        zero_block,
        companion,
        toeplitz,
    )
}


ORDERS = st.sampled_from(["lower", "upper"])
PHASES = [Phase.explicit, Phase.generate]  # a matrix of n <= 6 needs no shrinking
EXAMPLES = pytest.mark.parametrize("examples", [5, pytest.param(60, marks=pytest.mark.long)])


def check(t: np.ndarray, made: Factorization) -> None:
    assert np.array_equal(made.target, t)
    found = exact(made)
    assert found.residual <= CONSTANT * EPS * found.kappa


@EXAMPLES
@pytest.mark.parametrize("name", STRUCTURES)
def test_six_layers_are_the_matrix(name: str, examples: int):
    @settings(max_examples=examples, phases=PHASES)
    @given(STRUCTURES[name](), ORDERS)
    def one(t: np.ndarray, first):
        assume(np.linalg.cond(t) < 1e6)
        made = factor(t, 6, first=first, tolerance=1e-9, effort=ROUGH)
        assert "".join(layer.kind[0] for layer in made.layers) == ("lu" if first == "lower" else "ul") * 3
        check(t, made)
        assert made.route == "continuation" or exact(made).residual <= 1e-12

    one()


@EXAMPLES
@pytest.mark.parametrize("name", STRUCTURES)
def test_eleven_layers_are_the_matrix_and_keep_their_bound(name: str, examples: int):
    @settings(max_examples=examples, phases=PHASES)
    @given(STRUCTURES[name](), ORDERS)
    def one(t: np.ndarray, first):
        assume(np.linalg.cond(t) < 1e6)
        made = factor(t, 11, first=first)
        s = np.linalg.svd(t, compute_uv=False)
        worst = max(np.linalg.cond(layer.matrix()) for layer in made.layers)
        assert worst <= 49 * max(1, s[0]) * max(1, 1 / s[-1])
        check(t, made)
        assert exact(made).residual <= 1e-12

    one()


@EXAMPLES
@pytest.mark.parametrize("name", ["couplings", "jordan", "toeplitz"])
def test_five_layers_where_an_outer_block_is_invertible(name: str, examples: int):
    @settings(max_examples=examples, phases=PHASES)
    @given(STRUCTURES[name](), ORDERS)
    def one(t: np.ndarray, first):
        d = len(t) // 2
        block = t[:d, d:] if first == "lower" else t[d:, :d]
        assume(np.linalg.cond(t) < 1e3)
        assume(np.linalg.svd(block, compute_uv=False)[-1] > 0.1)
        made = factor(t, 5, first=first, tolerance=1e-9, effort=ROUGH)
        assert len(made.layers) == 5
        check(t, made)

    one()


@settings(max_examples=6, phases=PHASES)
@given(st.sampled_from([3, 5, 7]), ORDERS, st.data())
def test_odd_integer_matrices_in_six_layers(n: int, first, data):
    t = data.draw(integers(-3, 3, n, n))
    assume(np.linalg.cond(t) < 1e3)
    made = factor(t, first=first, tolerance=1e-9, effort=ROUGH)
    assert len(made.layers) == 6
    check(t, made)


@settings(max_examples=12)
@given(halves(), st.integers(1, 2), st.data())
def test_one_and_two_integer_shears_are_read_off_without_error(d: int, count: int, data):
    t = np.eye(2 * d)
    t[d:, :d] = data.draw(integers(-9, 9, d, d))
    if count == 2:
        upper = np.eye(2 * d)
        upper[:d, d:] = data.draw(integers(-9, 9, d, d))
        t = t @ upper
    answer = fewest_layers(t)
    assert answer.at_most <= count
    assert answer.witness is not None
    assert exact(answer.witness).residual == 0.0


@given(st.floats(-4000, 4000))
def test_the_enclosure_of_exp(x: float):
    with mpmath.workdps(60):
        true, found = mpmath.exp(mpmath.mpf(x)), exponential(x)
        assert abs(mpmath.mpf(found.numerator) / found.denominator - true) <= true * mpmath.mpf(2) ** -120


@pytest.mark.parametrize("first", ["lower", "upper"])
def test_the_oracle_sees_one_wrong_entry(first):
    t = np.random.default_rng(0).normal(size=(6, 6))
    made = factor(t, first=first, kept=(4, 0, 3), effort=ROUGH)
    check(t, made)
    for i, layer in enumerate(made.layers):
        block, log_scale = layer.block.copy(), layer.log_scale.copy()
        block[0, 1] += 1e-10
        log_scale[2] += 1e-10
        for wrong in (replace(layer, block=block), replace(layer, log_scale=log_scale)):
            layers = (*made.layers[:i], wrong, *made.layers[i + 1 :])
            assert exact(replace(made, layers=layers)).residual > 5e-12
    assert exact(replace(made, signs=-made.signs)).residual > 1
