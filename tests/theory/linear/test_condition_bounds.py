"""How far layers turn vectors: the lemma and the theorem on random layers, the bounds on products of known layers."""

import math
from typing import Any, Literal

import numpy as np
import pytest
import scipy.optimize
from hypothesis import strategies as st
from scipy.stats import special_ortho_group

from shoal.theory.linear import Effort, frontier
from shoal.theory.linear._condition_bounds import LIMIT, ConditionBounds
from shoal.theory.linear._inputs import prepare
from tests.searching import searched

Kind = Literal["lower", "upper"]
ORDERS: tuple[Kind, Kind] = ("lower", "upper")
EPS = float(np.finfo(float).eps)


def layer(rng: np.random.Generator, p: int, q: int, size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random lower layer: its matrix, A and the diagonal of B; some additive, some of rank one, some scales equal."""
    a, b = size * rng.normal(size=(q, p)), np.exp(size * rng.normal(size=q) * rng.choice([0, 0.5, 1]))
    if rng.random() < 0.3:
        a = size * np.outer(rng.normal(size=q), rng.normal(size=p)) / math.sqrt(p)
    if rng.random() < 0.2:
        b[:] = b[0]
    m = np.eye(p + q)
    m[p:, :p], m[p:, p:] = a, np.diag(b)
    return m, a, b


def angle(x: np.ndarray, y: np.ndarray) -> float:
    return math.acos(min(1.0, max(-1.0, x @ y / np.linalg.norm(x) / np.linalg.norm(y))))


@pytest.mark.parametrize("count", [2_000, pytest.param(40_000, marks=pytest.mark.long)])
def test_the_lemma_and_the_cayley_bound(count: int):
    rng, tight = np.random.default_rng(0), 0.0
    for _ in range(count):
        m, a, b = layer(rng, int(rng.integers(1, 5)), int(rng.integers(1, 5)), float(np.exp(rng.normal())))
        kappa = float(np.linalg.cond(m))
        if not kappa < 1e8:  # beyond, it has no digits that are right
            continue
        l = math.log(kappa)
        off = np.linalg.eigvalsh(a @ a.T + np.eye(len(b)) + np.diag(b**2) - 2 * math.cosh(l) * np.diag(b))
        # the least singular value has an error of EPS times the largest, κ one of EPS κ^2, and 2 cosh(l) b one of EPS κ^2 b
        assert off[-1] <= 20 * EPS * math.exp(2 * l) * max(1.0, b.max())
        most = math.sinh(l) * (1 + 20 * EPS * kappa)
        assert np.linalg.norm(a, 2) <= most
        assert np.linalg.norm(a.T / b, 2) <= most  # transposed layers
        cayley = np.linalg.norm((m - np.eye(len(m))) @ np.linalg.inv(m + np.eye(len(m))), 2) / math.sinh(
            l / 2
        )
        assert cayley <= 1 + 1e-9 + 20 * EPS * kappa
        tight = max(tight, float(cayley))
        if l <= LIMIT:
            x = rng.normal(size=len(m))
            for image in (m @ x, m.T @ x):
                assert angle(x, image) <= 2 * math.atan(math.sinh(l / 2)) + 1e-7
    assert tight > 0.999


def of(t: np.ndarray, first: Kind = "lower") -> ConditionBounds:
    return ConditionBounds.of(prepare(t, None, first))


@pytest.mark.parametrize(("count", "wanted"), [(4, 3.383), (6, 1.919), (8, 1.578), (10, 1.422)])
def test_minus_i_has_the_bounds_of_the_page(count: int, wanted: float):
    t = -np.eye(4)
    for first in ("lower", "upper"):
        assert of(t).bound(count, first) == pytest.approx(wanted, abs=6e-4)
        assert of(t).bound(count + 1, first) == pytest.approx(
            wanted, abs=6e-4
        )  # the odd one more does not help
    step = 2 * math.sin(math.pi / count)  # (L(t) U(-t))^(m / 2) = -I has this condition number
    known = ((step + math.sqrt(step**2 + 4)) / 2) ** 2
    assert of(t).bound(count, "lower") < known
    assert (known, of(t).bound(count, "lower")) == pytest.approx(
        {4: (3.732, 3.383), 6: (2.618, 1.919), 8: (2.113, 1.578), 10: (1.838, 1.422)}[count], abs=1e-3
    )


@pytest.mark.parametrize("count", [4, 5, 6, 9])
def test_no_product_of_known_layers_is_below_its_bound(count: int):
    """Small random layers, and steps that all turn the same plane by as much as they can."""
    for i in range(40):
        keeps_above(count + 40 * i, int(np.random.default_rng(i).integers(1, 4)), count, 0.4, i % 4 == 0)


def keeps_above(seed: int, d: int, count: int, size: float, turning: bool) -> None:
    """The worst condition number of known layers is at least the bound of their product, in either order."""
    rng, (first, other) = np.random.default_rng(seed), ORDERS[:: 1 if seed % 2 else -1]
    t, worst, same = np.eye(2 * d), 1.0, size * rng.normal(size=(d, d))
    if turning and seed % 3:
        same = size * special_ortho_group.rvs(d, random_state=seed) if d > 1 else np.array([[size]])
    for j in range(count):
        m, *_ = layer(rng, d, d, size)
        if turning:
            m = np.eye(2 * d)
            m[d:, :d] = same * (1 if j % 2 else -1)
        order = np.r_[d : 2 * d, :d]
        t = t @ (m[np.ix_(order, order)] if (j % 2 == 0) == (first == "upper") else m)
        worst = max(worst, float(np.linalg.cond(m)))
    if np.linalg.cond(t) < 1e12:
        assert of(t).bound(count, first) <= worst * (1 + 1e-9)
        assert of(t, "upper").bound(count, other) <= worst * (1 + 1e-9)


@searched(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 12), st.floats(0.01, 4.0), st.booleans())
def test_no_drawn_product_is_below_its_bound(seed, d, count, size, turning) -> None:
    keeps_above(seed, d, count, size, turning)


def test_signed_permutations_use_both_ends():
    """e_j to -e_i: two layers turn axes, and up to two do nothing, which is more than (a) and (b) know."""
    quarter = np.kron([[0, -1], [1, 0]], np.eye(2))
    bound = of(quarter).bound(6, "lower")
    assert bound == pytest.approx(
        math.exp(_solved(lambda l: 2 * _gd(l) + 4 * _gd(l / 2), math.pi / 2)), rel=1e-9
    )
    assert bound > math.exp(_solved(lambda l: _gd(l) + 8 * _gd(l / 2), math.pi / 2)) + 0.05


def _gd(y: float) -> float:
    return math.atan(math.sinh(y))


def _solved(f, value: float) -> float:
    found: Any = scipy.optimize.brentq(lambda l: f(l) - value, 0.0, LIMIT, xtol=1e-14)
    return float(found)


def test_the_largest_angle_of_a_rotation_and_of_a_negative_eigenvalue():
    turn = special_ortho_group.rvs(6, random_state=0)
    assert of(turn).largest == pytest.approx(np.max(np.abs(np.angle(np.linalg.eigvals(turn)))), abs=1e-6)
    basis = np.random.default_rng(0).normal(size=(4, 4))
    t = basis @ np.diag([-1.0, -2, 3, 4]) @ np.linalg.inv(basis)
    assert math.pi - 1e-6 < of(t).largest <= math.pi


@pytest.mark.parametrize("t", [np.diag([1e200, -1.0, -1e-200, 1.0]), -1e-300 * np.eye(4), np.array([[3.0]])])
def test_ends_of_float64_give_numbers(t: np.ndarray):
    turning = of(t)
    assert 1.0 <= turning.bound(5, "lower") < np.inf


def test_the_frontier_keeps_above():
    for t in (
        -np.eye(4),
        np.kron(np.eye(2), [[0.0, -1], [1, 0]]),
        special_ortho_group.rvs(4, random_state=1),
    ):
        for row in frontier(t, (5, 6, 7), effort=Effort(30)).rows:
            assert row.lower_bound > 1.1
            assert row.condition is None or row.condition >= row.lower_bound
