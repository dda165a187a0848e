"""Theorem A: every rotation is six additive layers with blocks of norm at most 3, whatever its size and its angles.

Products are taken block by block in NumPy here; the rational check of small ones is in `test_exact.py`.
"""

import numpy as np
import pytest
from scipy.linalg import block_diag, expm
from scipy.stats import special_ortho_group

from shoal.theory.linear import Factorization, factor
from shoal.theory.linear._closed_forms import rotation_layers
from shoal.theory.linear._factorization import assembled
from shoal.theory.linear._inputs import prepare

EPS = 2.0**-52
CONSTANT = 32  # of sqrt(n) eps
SIZES = [2, 4, 6, 8, 16, 34, 64, 256]
LARGE = [512, 1024, 2048]


def turns(angles) -> np.ndarray:
    """Block diagonal plane rotations."""
    out = np.zeros((2 * len(angles),) * 2)
    for i, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        out[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, -s], [s, c]]
    return out


def hidden(inner: np.ndarray, seed: int) -> np.ndarray:
    """V inner V^T with a random rotation V: the same angles in no special place."""
    v = special_ortho_group.rvs(len(inner), random_state=seed)
    return v @ inner @ v.T


def with_schur_angles(angles, seed: int) -> np.ndarray:
    """A rotation, n = 4 len(angles), whose K has these angles: diag(K^T, I) [[C, -S], [S, C]] is its CS decomposition.

    The angles of C are distinct, so that the decomposition is unique up to signs, which leave K's angles alone.
    """
    k = hidden(turns(angles), seed)
    theta = np.linspace(0.2, 1.3, len(k))
    c, s = np.diag(np.cos(theta)), np.diag(np.sin(theta))
    return block_diag(k.T, np.eye(len(k))) @ np.block([[c, -s], [s, c]])


def theorem_a(t: np.ndarray) -> Factorization:
    """The closed form, also near multiples of I, where `factor` has better layers."""
    problem = prepare(t, None, "lower")
    assert problem.rotation
    layers = rotation_layers(problem.matrix)
    return assembled(problem.target, layers, problem.signs, problem.kept, "rotation", "lower")


def check(made: Factorization) -> None:
    """Everything that the theorem says of the layers."""
    t, n = made.target, len(made.target)
    d, eye = n // 2, np.eye(n)
    total, norms = np.diag(made.signs), []
    single = np.diag(made.signs).astype(np.float32)
    for i, layer in enumerate(made.layers):
        assert layer.kind == ("lower", "upper")[i % 2]
        assert not np.any(layer.log_scale)
        m = eye.copy()
        m[(slice(d, n), slice(0, d)) if i % 2 == 0 else (slice(0, d), slice(d, n))] = layer.block
        total, single = total @ m, single @ m.astype(np.float32)
        norms.append(np.linalg.norm(layer.block, 2))
    assert len(made.layers) == 6
    assert made.route == "rotation"
    assert np.linalg.norm(total - t) <= CONSTANT * np.sqrt(n) * EPS * np.linalg.norm(t)  # kappa(T) = 1
    assert np.linalg.norm(single - t) < 5e-6 * np.sqrt(n)
    assert made.residual.float64 < 1e-12
    assert made.residual.float32 < 5e-6
    assert np.all(np.array(norms) <= np.array([2, 1, 3, 2, 1, 3]) + 1e-9)
    assert made.conditions.largest <= ((3 + 13**0.5) / 2) ** 2 * (1 + 1e-9)


def signed(n: int, seed: int, *, fixed: int = 0, sign: int = 1) -> np.ndarray:
    """A random permutation with at least `fixed` fixed points and the given parity."""
    rng = np.random.default_rng(seed)
    order = np.arange(n)
    moved = rng.permutation(n)[fixed:]
    order[moved] = rng.permutation(moved)
    out = np.eye(n)[order]
    if np.linalg.slogdet(out)[0] != sign:
        out[moved[:2]] = out[moved[1::-1]]
    return out


def hadamard(n: int) -> np.ndarray:
    """Sylvester's matrix of size n, or its direct sums where n is no power of two."""
    h = np.ones((1, 1))
    while n % (2 * len(h)) == 0:
        h = np.block([[h, h], [h, -h]]) / np.sqrt(2)
    return np.kron(np.eye(n // len(h)), h)


def cyclic_blocks(n: int, size: int) -> np.ndarray:
    """The shift by one block of `size` coordinates."""
    return np.roll(np.eye(n), size, axis=0)


CASES = {
    "rotation": lambda n: special_ortho_group.rvs(n, random_state=n),
    "reflected": lambda n: special_ortho_group.rvs(n, random_state=n + 1)[np.r_[1, 0, 2:n]],
    "even-permutation": lambda n: signed(n, n),
    "odd-permutation": lambda n: signed(n, n, sign=-1),
    "fixed-points": lambda n: signed(n, n, fixed=n // 3),
    "identity": np.eye,
    "minus": lambda n: -np.eye(n),
    "half-swap": lambda n: cyclic_blocks(n, n // 2),
    "shift": lambda n: cyclic_blocks(n, 1),
    "block-shift": lambda n: cyclic_blocks(n, 2),
    "reversal": lambda n: np.eye(n)[::-1],
    "hadamard": hadamard,
    "signs": lambda n: np.diag(np.where(np.arange(n) % 3 == 1, -1.0, 1.0)),
    "quarter-turns": lambda n: turns([np.pi / 2] * (n // 2)),
    "equal-angles": lambda n: hidden(turns([0.7] * (n // 2)), n),
    "near-zero": lambda n: turns([1e-9] * (n // 2)),
    "near-pi": lambda n: hidden(turns(np.pi - 1e-9 * np.arange(n // 2)), n),
    "block-diagonal": lambda n: block_diag(
        *(special_ortho_group.rvs(n // 2, size=2, random_state=1) if n > 2 else np.ones((2, 1, 1)))
    ),
}


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("kind", CASES)
def test_every_kind_of_rotation(n: int, kind: str):
    t = CASES[kind](n)
    made = theorem_a(t)
    check(made)
    assert made.signs[-1] == np.linalg.slogdet(t)[0]
    assert np.all(made.signs[:-1] == 1)


@pytest.mark.long
@pytest.mark.parametrize("n", LARGE)
@pytest.mark.parametrize(
    "kind", ["rotation", "odd-permutation", "fixed-points", "minus", "half-swap", "near-pi"]
)
def test_large_rotations(n: int, kind: str):
    check(theorem_a(CASES[kind](n)))


@pytest.mark.parametrize("spread", [0.0, 1e-15, 1e-12, 1e-9, 1e-8, 1e-4])
@pytest.mark.parametrize("centre", [0.0, 0.7, np.pi / 2, np.pi])
@pytest.mark.parametrize("count", [1, 4, 16])
def test_clusters_of_schur_angles(count: int, centre: float, spread: float):
    offsets = spread * np.random.default_rng(count).uniform(-1, 1, count)
    check(theorem_a(with_schur_angles(centre + offsets, seed=count)))


@pytest.mark.parametrize("spread", [0.0, 1e-15, 1e-12, 1e-9])
def test_schur_angles_at_zero_and_pi_together(spread: float):
    offsets = spread * np.random.default_rng(0).uniform(-1, 1, 12)
    check(theorem_a(with_schur_angles(np.repeat([0.0, np.pi, np.pi / 2], 4) + offsets, seed=1)))


@pytest.mark.parametrize("size", [1e-4, 1e-6, 1e-8, 1e-9, 1e-10, 1e-12, 1e-14, 1e-15])
@pytest.mark.parametrize("kind", [k for k in CASES if k not in ("rotation", "reflected", "equal-angles")])
@pytest.mark.parametrize("n", [4, 32])
def test_perturbed_rotations(n: int, kind: str, size: float):
    skew = np.random.default_rng(n).normal(size=(n, n))
    check(theorem_a(CASES[kind](n) @ expm(size * (skew - skew.T) / np.sqrt(n))))


@pytest.mark.parametrize("first", ["lower", "upper"])
def test_any_index_set_keeps_the_bounds(first):
    t = special_ortho_group.rvs(12, random_state=5)
    made = factor(t, kept=(11, 0, 7, 3, 4, 9), first=first)
    assert max(np.linalg.norm(layer.block, 2) for layer in made.layers) <= 3 + 1e-9
    assert made.layers[0].kind == first
    assert np.linalg.norm(made.matrix() - t) < 1e-12 * np.sqrt(12)


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_the_construction_attains_the_3_and_other_layers_do_not(d: int):
    """At -I, which the turns L(1) U(-1) by 60 degrees give in six layers of norm 1."""
    norms = [np.linalg.norm(layer.block, 2) for layer in theorem_a(-np.eye(2 * d)).layers]
    assert max(norms) == pytest.approx(3.0, abs=1e-12)
    eye, zero = np.eye(d, dtype=int), np.zeros((d, d), dtype=int)
    turn = np.block([[eye, zero], [eye, eye]]) @ np.block([[eye, -eye], [zero, eye]])
    assert np.array_equal(np.linalg.matrix_power(turn, 3), -np.eye(2 * d))


def test_a_condition_number_is_the_one_of_the_matrix():
    for layer in factor(special_ortho_group.rvs(16, random_state=2)).layers:
        assert layer.condition() == pytest.approx(np.linalg.cond(layer.matrix()), rel=1e-12)
