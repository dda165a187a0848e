"""`fewest_layers` against brute force: many starts of least squares over all parameters of m layers, by no other means.

The brute force shares no code with `shoal.linear`: it multiplies full matrices and knows nothing of shears or spectra.
"""

import functools

import numpy as np
import pytest
import scipy.optimize

from shoal.theory.linear import fewest_layers
from tests.theory.linear.test_factor import off, theorem_c

BOUND = 30.0  # on every parameter: an infimum that is reached only at infinity does not count


def matrices(v: np.ndarray, d: int, count: int, lower_first: bool) -> list[tuple[np.ndarray, slice, slice]]:
    """Each layer's matrix for parameters v, block (d, d) and log-scales (d,) a layer; the rows and columns of its block."""
    out = []
    for i, part in enumerate(np.split(v, count)):
        rows, columns = (slice(d, 2 * d), slice(0, d))[:: 1 if (i % 2 == 0) == lower_first else -1]
        m = np.eye(2 * d)
        m[rows, columns], m[rows, rows] = part[: d * d].reshape(d, d), np.diag(np.exp(part[d * d :]))
        out.append((m, rows, columns))
    return out


def product(v: np.ndarray, d: int, count: int, lower_first: bool) -> np.ndarray:
    """The product of `count` layers with parameters v."""
    return functools.reduce(np.matmul, [m for m, _, _ in matrices(v, d, count, lower_first)])


def jacobian(v: np.ndarray, d: int, count: int, lower_first: bool) -> np.ndarray:
    """Its derivative, (n^2, parameters)."""
    layers, n = matrices(v, d, count, lower_first), 2 * d
    before, after = [np.eye(n)], [np.eye(n)]
    for m, _, _ in layers[:-1]:
        before.append(before[-1] @ m)
    for m, _, _ in layers[:0:-1]:
        after.append(m @ after[-1])
    parts = []
    for (m, rows, columns), left, right in zip(layers, before, after[::-1], strict=True):
        block = np.einsum("ar,cb->abrc", left[:, rows], right[columns])
        scale = np.einsum("ar,rb->abr", left[:, rows] * np.diag(m)[rows], right[rows])
        parts += [block.reshape(n * n, d * d), scale.reshape(n * n, d)]
    return np.concatenate(parts, axis=1)


def least(t: np.ndarray, count: int, starts: int, seed: int = 0, enough: float = 1e-9) -> float:
    """The least relative residual that `starts` random starts reach with bounded parameters, both orders."""
    d, rng, best = len(t) // 2, np.random.default_rng(seed), np.inf
    for start in range(starts):
        fit = scipy.optimize.least_squares(
            lambda v, order=start % 2 == 0: (product(v, d, count, order) - t).ravel(),
            rng.normal(size=count * (d * d + d)) * (0.5 + 0.5 * (start % 3)),
            jac=lambda v, order=start % 2 == 0: jacobian(v, d, count, order),  # pyright: ignore[reportArgumentType]
            bounds=(-BOUND, BOUND),
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=400,
        )
        best = min(best, float(np.sqrt(2 * fit.cost)) / float(np.linalg.norm(t)))
        if best < enough:
            break
    return best


@pytest.mark.parametrize(("kind", "d"), [("turns", 2), pytest.param("cycle", 3, marks=pytest.mark.long)])
def test_brute_force_finds_six_layers_and_not_five(kind: str, d: int):
    t = theorem_c(kind, d)
    assert least(t, 6, 12) < 1e-9
    assert least(t, 5, 8) > 1e-5


@pytest.mark.parametrize(("d", "seed"), [(2, 0), (2, 3), pytest.param(3, 1, marks=pytest.mark.long)])
def test_brute_force_agrees_on_gaussians(d: int, seed: int):
    t = np.random.default_rng([d, seed]).normal(size=(2 * d, 2 * d))
    t[0] *= np.sign(np.linalg.det(t))
    found = fewest_layers(t)
    assert found.witness is not None
    assert found.at_most <= 5
    assert off(found.witness) < 1e-12
    assert least(t, found.at_most, 40) < 1e-9
    assert (
        least(t, found.at_least - 1, 12) > 1e-6
    )  # fewer than `at_most` may do: for (3, 1) some searches find four


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("d", [2, 3])
def test_brute_force_finds_no_fewer_layers(d: int, seed: int):
    t = np.random.default_rng([d, seed, 1]).normal(size=(2 * d, 2 * d))
    t[0] *= np.sign(np.linalg.det(t))
    found = fewest_layers(t)
    assert found.at_most <= 5
    assert least(t, found.at_most - 1, 60) > 1e-6


@pytest.mark.parametrize(
    ("d", "count"), [(1, 3), (2, 5), (3, 5), pytest.param(5, 5, marks=pytest.mark.long), (8, 2), (8, 3)]
)
def test_products_of_random_couplings(d: int, count: int):
    rng = np.random.default_rng([d, count])
    parameters = [np.concatenate([rng.normal(size=d * d), 0.5 * rng.normal(size=d)]) for _ in range(count)]
    t = product(np.concatenate(parameters), d, count, lower_first=False)
    found = fewest_layers(t)
    assert found.at_most <= count
    assert found.witness is not None
    assert off(found.witness) < 1e-12


@pytest.mark.parametrize(("d", "seed"), [(2, 10), (3, 12), pytest.param(8, 14, marks=pytest.mark.long)])
def test_gaussians_need_five_at_most(d: int, seed: int):
    t = np.random.default_rng(seed).normal(size=(2 * d, 2 * d))
    t[0] *= np.sign(np.linalg.det(t))
    found = fewest_layers(t)
    assert found.at_most <= 5
    assert found.status != "undecided"
    assert found.witness is not None
    assert found.witness.residual.float64 < 1e-12
