"""Matrices that need six layers (four in the plane), against the solver, spectra of random diagonals and brute force."""

import numpy as np
import pytest

from shoal.theory.hardness import LinearInstance, cycle, half_turn, quarter_turns
from shoal.theory.linear import factor, fewest_layers
from shoal.theory.linear._fewest import SEARCHES
from shoal.theory.linear._inputs import prepare
from shoal.theory.linear._layer import Kind, product
from tests.theory.linear.test_fewest import least

EPS = float(np.finfo(float).eps)
INSTANCES = {
    "half turn": half_turn(),
    **{f"turns {d}": quarter_turns(d) for d in (2, 4, 6, 8)},
    **{f"cycle {d}": cycle(d) for d in range(3, 9)},
}
every = pytest.mark.parametrize("instance", INSTANCES.values(), ids=INSTANCES)
six = pytest.mark.parametrize(
    "instance",
    [i for i in INSTANCES.values() if i.at_least == 6],
    ids=[n for n in INSTANCES if n != "half turn"],
)


@every
def test_no_solver_finds_fewer_layers_and_the_stated_number_is_enough(instance: LinearInstance) -> None:
    t = instance.matrix
    found = fewest_layers(t)
    assert found.at_most == instance.at_most
    assert found.at_least <= instance.at_least <= found.at_most
    assert found.witness is not None
    layers = [layer.kind for layer in found.witness.layers]
    assert len(layers) == instance.at_most
    # the witness, multiplied out as full matrices by no code of the solver's
    made, d = np.eye(len(t)), len(t) // 2
    for layer in found.witness.layers:
        m = np.eye(len(t))
        rows, columns = (
            (slice(d, None), slice(0, d)) if layer.kind == "lower" else (slice(0, d), slice(d, None))
        )
        m[rows, columns], m[rows, rows] = layer.block, np.diag(np.exp(layer.log_scale))
        made = made @ m
    assert np.linalg.norm(made - t) / np.linalg.norm(t) < 1e-12
    np.testing.assert_allclose(t @ t.T, np.eye(len(t)), atol=EPS)
    assert np.linalg.det(t) == pytest.approx(1.0, abs=1e3 * EPS)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        pytest.param(name, first, marks=[pytest.mark.long] if (i + 2 * (first == "upper")) % 4 else [])
        for i, name in enumerate(INSTANCES)
        for first in ("lower", "upper")
    ],
)
def test_the_searches_without_the_argument_find_nothing(name: str, first: Kind) -> None:
    """`fewest_layers` stops at the certificate of Theorem C; its searches for one to four layers know nothing of it."""
    instance = INSTANCES[name]
    problem, tried = prepare(instance.matrix, None, first), 0
    for count, search in SEARCHES.items():
        if count >= instance.at_least:
            continue
        with np.errstate(all="ignore"):
            layers = search(problem.matrix, problem.p)
        off = np.inf if layers is None else np.linalg.norm(product(layers) - problem.matrix)
        assert not off < 1e-6
        tried += 1
    assert tried == min(instance.at_least - 1, 4)


@six
def test_six_layers_by_the_orthogonal_route(instance: LinearInstance) -> None:
    made = factor(instance.matrix, 6)
    assert np.linalg.norm(made.matrix() - instance.matrix) / np.linalg.norm(instance.matrix) < 1e-12


@six
def test_the_spectra_of_the_argument_stay_apart(instance: LinearInstance) -> None:
    """Scaled to |eigenvalue| = 1 they lie on rays that no positive diagonals make equal, in either order."""
    d, rng = len(instance.matrix) // 2, np.random.default_rng(0)
    x, w = instance.matrix[:d, :d], instance.matrix[d:, d:]
    for one, other in ((x, w), (w, x)):
        for _ in range(50):
            a, b = (np.diag(np.exp(rng.normal(size=d))) for _ in range(2))
            left, right = np.linalg.eigvals(np.linalg.inv(one) @ a), np.linalg.eigvals(other @ b)
            left, right = left / np.abs(left), right / np.abs(right)
            apart = np.abs(left[:, None] - right).min(axis=1)
            back = np.abs(left[:, None] - right).min(axis=0)
            assert max(apart.max(), back.max()) > 2 * np.sin(np.pi / (2 * d)) - 1e-6


@pytest.mark.parametrize(
    "instance",
    [half_turn(), quarter_turns(2), pytest.param(cycle(3), marks=pytest.mark.long)],
    ids=["half turn", "turns", "cycle"],
)
def test_brute_force_fails_with_one_layer_fewer(instance: LinearInstance) -> None:
    assert least(instance.matrix, instance.at_most, 16, seed=3) < 1e-9
    assert least(instance.matrix, instance.at_least - 1, 10, seed=3) > 1e-5


def test_a_neighbour_is_not_hard() -> None:
    """The argument is about these matrices: with a full block instead of the zero one, five layers are enough."""
    t = quarter_turns(2).matrix.copy()
    t[:2, 2:] = 0.5 * np.eye(2)
    assert fewest_layers(t).at_most <= 5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: quarter_turns(3), "even"),
        (lambda: quarter_turns(0), "even"),
        (lambda: cycle(2), "at least 3"),
    ],
    ids=["odd", "zero", "two"],
)
def test_bad_sizes(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
