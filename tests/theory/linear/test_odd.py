"""Odd sizes in five and six layers (Theorem A1), against NumPy products of explicit layer matrices and ball arithmetic."""

import numpy as np
import pytest
from scipy.stats import special_ortho_group

from shoal.theory.linear import Effort, Factorization, factor

QUICK = Effort(4)
ORDERS = pytest.mark.parametrize("first", ["lower", "upper"])


def gaussian(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng([n, seed]).normal(size=(n, n))


def positive(rng: np.random.Generator, size: int, sign: float = 1.0) -> np.ndarray:
    """A normal matrix whose determinant has this sign."""
    out = rng.normal(size=(size, size))
    out[0] *= sign * np.sign(np.linalg.det(out))
    return out


def diagonal_of(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.block([[x, np.zeros((len(x), len(w)))], [np.zeros((len(w), len(x))), w]])


def minus_one(n: int) -> np.ndarray:
    """diag(X, -I) with positive determinant: Theorem A1 (iii), no five layers in either order."""
    q = n - n // 2
    return diagonal_of(positive(np.random.default_rng(n), n // 2, (-1.0) ** q), -np.eye(q))


def check(made: Factorization, count: int, first: str) -> None:
    """Kinds, shapes, and the product of the layers written out, within 1e-12 of T."""
    n = len(made.target)
    p = n // 2
    assert [layer.kind for layer in made.layers] == (
        [first, {"lower": "upper", "upper": "lower"}[first]] * count
    )[:count]
    total = np.eye(n)
    for layer in made.layers:
        m, moved, kept = np.eye(n), slice(p, n), slice(0, p)
        if layer.kind == "upper":
            moved, kept = kept, moved
        m[moved, kept], m[moved, moved] = layer.block, np.diag(np.exp(layer.log_scale))
        total = total @ m
    total = np.diag(made.signs) @ total
    assert np.linalg.norm(total - made.target) <= 1e-12 * np.linalg.norm(made.target)


@ORDERS
@pytest.mark.parametrize(("n", "five", "six"), [(3, 8, 5), (5, 9, 7), (7, 9, 7), (15, 9, 6)])
def test_gaussian_matrices_are_well_conditioned(n: int, five: float, six: float, first):
    """The bounds are about 1.5 times what was seen, for descent that is cut short."""
    for count, bound in ((5, five), (6, six)):
        made = factor(gaussian(n, 0), count, first=first, effort=Effort(12))
        check(made, count, first)
        assert max(np.linalg.cond(layer.matrix()) for layer in made.layers) < bound


@pytest.mark.parametrize(("seed", "first"), [(7, "upper"), pytest.param(10, "lower", marks=pytest.mark.long)])
def test_three_coordinates_whose_path_is_narrow(seed: int, first):
    """For n = 3 the matrices in which T22 turns the kernel of T12 into its multiple part the others into two sets."""
    check(factor(gaussian(3, seed), 5, first=first, effort=QUICK), 5, first)


@ORDERS
@pytest.mark.parametrize("n", [3, 5, 7])
def test_minus_one_on_the_rest_has_six_and_is_refused_in_five(n: int, first):
    check(factor(minus_one(n), first=first, effort=QUICK), 6, first)
    with pytest.raises(
        ValueError, match=r"need a block T(12|21) of full rank; its least singular value is 0"
    ):
        factor(minus_one(n), 5, first=first)


def an_eigenvector(n: int) -> np.ndarray:
    """T e_n = -2 e_n: the kernel of T12 is an eigenvector of T22."""
    out = gaussian(n, 3)
    out[:, -1] = 0
    out[-1, -1] = -2
    return out


SPECIAL = {
    "identity": np.eye,
    "minus-identity": lambda n: -np.eye(n),
    "shift": lambda n: np.roll(np.eye(n), 1, axis=0),
    "eigenvector": an_eigenvector,
    "blocks": lambda n: diagonal_of(
        positive(np.random.default_rng(n), n // 2), positive(np.random.default_rng(n + 1), n - n // 2)
    ),
    "rotation": lambda n: special_ortho_group.rvs(n, random_state=n),
    # every vector of the rest goes to its opposite, so that no plane turn is shorter than another
    "turned-back": lambda n: np.diag(
        np.r_[(-1.0) ** (n - n // 2), np.ones(n // 2 - 1), -np.ones(n - n // 2)]
    ),
}


@pytest.mark.parametrize(
    ("n", "first"),
    [
        (3, "lower"),
        (7, "upper"),
        *(
            pytest.param(*x, marks=pytest.mark.long)
            for x in ((3, "upper"), (5, "lower"), (5, "upper"), (7, "lower"))
        ),
    ],
)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_matrices_in_six_layers(name: str, n: int, first):
    made = factor(SPECIAL[name](n), first=first, effort=QUICK)
    check(made, 6, first)
    assert made.conditions.largest < 40


def test_one_coordinate_has_any_number():
    for count in (5, 6, 9):
        made = factor([[3.0]], count)
        assert made.route == "scalar"
        assert len(made.layers) == count


@pytest.mark.parametrize("seeds", [1, pytest.param(5, marks=pytest.mark.long)])
def test_exact_five_layers_exist(seeds: int):
    """Proved in ball arithmetic; at least 14 of 15."""
    proved = 0
    for n in (3, 5, 7):
        for seed in range(seeds):
            proved += factor(gaussian(n, seed), 5, effort=QUICK).certificate().proved
    assert proved >= 3 * seeds - (seeds == 5)


@pytest.mark.parametrize("first", ["lower", pytest.param("upper", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    "n", [3, pytest.param(5, marks=pytest.mark.long), pytest.param(7, marks=pytest.mark.long)]
)
def test_exact_six_layers_of_minus_one_on_the_rest_exist(n: int, first):
    assert factor(minus_one(n), first=first).certificate().proved
