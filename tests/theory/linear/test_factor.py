"""`factor` against T itself: NumPy products of explicit layer matrices, which share no code with the search."""

import numpy as np
import pytest
from scipy.stats import special_ortho_group

from shoal.theory.linear import Effort, Factorization, _product_equations, factor, fewest_layers

QUICK = Effort(10)


def explicit(made: Factorization) -> np.ndarray:
    """diag(signs) times the layers, written out block by block."""
    n = len(made.target)
    total = np.eye(n)
    for layer in made.layers:
        m, s = np.eye(n), np.diag(np.exp(layer.log_scale))
        a, b = layer.block.shape
        if layer.kind == "lower":
            m[b:, :b], m[b:, b:] = layer.block, s
        else:
            m[:a, a:], m[:a, :a] = layer.block, s
        total = total @ m
    return np.diag(made.signs) @ total


def off(made: Factorization) -> float:
    return float(np.linalg.norm(explicit(made) - made.target) / np.linalg.norm(made.target))


def prescribed(seed: int, n: int, condition: float) -> np.ndarray:
    u, v = special_ortho_group.rvs(n, size=2, random_state=seed)
    return u * np.exp(np.linspace(-0.5, 0.5, n) * np.log(condition)) @ v


@pytest.mark.parametrize("n", [4, 16])
@pytest.mark.parametrize(("condition", "bound"), [(1e1, 6), (1e2, 7), (1e4, 14), (1e6, 50)])
def test_six_layers_of_prescribed_condition(n: int, condition: float, bound: float):
    made = factor(prescribed(n, n, condition))
    assert made.route == "continuation"
    assert len(made.layers) == 6
    assert off(made) < 1e-12
    assert max(np.linalg.cond(layer.matrix()) for layer in made.layers) < bound
    assert np.isclose(made.log_abs_det, np.linalg.slogdet(made.target)[1], atol=1e-9)


@pytest.mark.parametrize(("n", "seed"), [(4, 0), (4, 1), (8, 0), (8, 1), (16, 0)])
def test_six_layers_of_gaussian_matrices(n: int, seed: int):
    made = factor(np.random.default_rng([n, seed]).normal(size=(n, n)))
    assert made.route == "continuation"
    assert off(made) < 1e-12
    assert max(np.linalg.cond(layer.matrix()) for layer in made.layers) < 12


def test_conjugate_gradients_where_factors_are_dear(monkeypatch):
    t = prescribed(1, 8, 1e3)
    made = factor(t, effort=QUICK)
    monkeypatch.setattr(_product_equations, "EXACT", 0)
    other = factor(t, effort=QUICK)
    assert off(other) < 1e-12
    assert other.conditions.largest < 1.3 * made.conditions.largest
    monkeypatch.setattr(_product_equations, "DENSE", 0)
    assert off(factor(t, effort=QUICK)) < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_five_layers_of_gaussian_matrices(seed: int):
    t = np.random.default_rng([6, seed, 5]).normal(size=(6, 6))
    made = factor(t, 5, effort=Effort(2))
    assert len(made.layers) == 5
    assert off(made) < 1e-12


@pytest.mark.parametrize("layers", [5, 6, 7, 8, 11])
@pytest.mark.parametrize("first", ["lower", "upper"])
def test_every_number_of_layers(layers: int, first):
    t = np.random.default_rng(7).normal(size=(6, 6))
    made = factor(t, layers, first=first, effort=QUICK)
    assert len(made.layers) == layers
    assert made.layers[0].kind == first
    assert off(made) < 1e-12


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
def test_svd_route_keeps_its_bound(condition: float):
    t = prescribed(3, 12, condition)
    made = factor(t, 11, tolerance=1e-10)
    s = np.linalg.svd(t, compute_uv=False)
    assert made.conditions.largest <= 49 * max(1, s[0]) * max(1, 1 / s[-1])
    assert off(made) < 1e-10


def test_any_index_set_and_both_directions():
    t = np.random.default_rng(2).normal(size=(6, 6))
    made = factor(t, kept=(5, 0, 3), effort=QUICK)
    x = np.random.default_rng(3).normal(size=(4, 6))
    np.testing.assert_allclose(made.matrix(), t, atol=1e-12)
    np.testing.assert_allclose(made.apply(x), x @ t.T, atol=1e-11)
    np.testing.assert_allclose(made.inverse(made.apply(x)), x, atol=1e-10)


@pytest.mark.parametrize(
    "t",
    [
        1e-75 * np.random.default_rng(0).normal(size=(4, 4)),
        1e150 * np.random.default_rng(0).normal(size=(4, 4)),
        np.eye(6) + 1e-14 * np.random.default_rng(0).normal(size=(6, 6)),
        np.kron(np.eye(2), np.random.default_rng(0).normal(size=(3, 3))),
        3 * np.eye(6),
        -3 * np.eye(6),
        np.kron(np.eye(3), [[1.0, -2.0], [2.0, 1.0]]),
        np.eye(5),
    ],
    ids=[
        "det-1e-300",
        "1e150",
        "near-identity",
        "T12-zero",
        "scalar",
        "minus-scalar",
        "repeated-complex",
        "odd-identity",
    ],
)
def test_ill_cases_are_answered(t: np.ndarray):
    made = factor(t, effort=QUICK)
    assert made.residual.float64 < 1e-12
    assert all(np.all(np.isfinite(layer.block)) for layer in made.layers)


def test_low_precision_rotation_goes_by_its_polar_factor():
    t = special_ortho_group.rvs(32, random_state=0).astype(np.float32)
    made = factor(t)
    assert made.route == "polar"
    assert off(made) < 1e-12


@pytest.mark.parametrize(
    ("t", "text"),
    [
        (np.ones((4, 4)), "numerical rank 1 of 4"),
        (np.full((2, 2), np.nan), r"entry \(0, 0\) is nan"),
        (np.ones((2, 3)), r"square matrix; got shape \(2, 3\)"),
        (np.eye(2, dtype=complex), "real numbers"),
    ],
)
def test_bad_matrices(t: np.ndarray, text: str):
    with pytest.raises(ValueError, match=text):
        factor(t)


def test_a_saved_factorization_has_the_same_bits(tmp_path):
    made = factor(np.random.default_rng(1).normal(size=(4, 4)), effort=QUICK)
    made.save(tmp_path / "f.npz")
    back = Factorization.load(tmp_path / "f.npz")
    assert back.route == made.route
    assert back.kept == made.kept
    for a, b in zip(made.layers, back.layers, strict=True):
        assert a.block.tobytes() == b.block.tobytes()
        assert a.log_scale.tobytes() == b.log_scale.tobytes()
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(ValueError, match="not a factorization"):
        Factorization.load(tmp_path / "bad.npz")


def test_auto_meets_the_budget():
    t = prescribed(0, 6, 1e4)
    made = factor(t, "auto", max_condition=12.0, effort=QUICK)
    assert made.conditions.largest <= 12.0
    with pytest.raises(ValueError, match="max_condition"):
        factor(t, "auto")


def theorem_c(kind: str, d: int) -> np.ndarray:
    """diag(I, quarter turns), or diag(cyclic shift, I) with one sign flipped where its determinant is -1."""
    zero, eye = np.zeros((d, d)), np.eye(d)
    if kind == "turns":
        return np.block([[eye, zero], [zero, np.kron(np.eye(d // 2), [[0.0, -1.0], [1.0, 0.0]])]])
    cycle = np.roll(eye, 1, axis=0)
    cycle[0] *= np.sign(np.linalg.det(cycle))
    return np.block([[cycle, zero], [zero, eye]])


@pytest.mark.parametrize(
    ("kind", "d"), [*(("turns", d) for d in (2, 4, 16)), *(("cycle", d) for d in (3, 4, 16))]
)
def test_theorem_c_needs_six(kind: str, d: int):
    t = theorem_c(kind, d)
    assert np.linalg.det(t) > 0
    answer = fewest_layers(t)
    assert answer.at_least == answer.at_most == 6
    assert answer.status == "proved"
    assert answer.obstruction is not None
    assert answer.witness is not None
    assert off(answer.witness) < 1e-12


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_products_of_few_layers_need_no_more(d: int, count: int):
    rng = np.random.default_rng(10 * d + count)
    t = np.eye(2 * d)
    for i in range(count):
        m = np.eye(2 * d)
        moved, kept = (slice(d, None), slice(0, d)) if i % 2 == 0 else (slice(0, d), slice(d, None))
        m[moved, kept], m[moved, moved] = rng.normal(size=(d, d)), np.diag(np.exp(0.5 * rng.normal(size=d)))
        t = t @ m
    answer = fewest_layers(t)
    assert answer.at_most <= count
    assert answer.witness is not None
    assert answer.witness.residual.float64 < 1e-12


def test_a_path_to_layers_that_cancel_is_left_for_another():
    # The straight path from the polar factor ends where the layers' product is off by 1e12; a detour does not.
    t = np.zeros((6, 6))
    t[[0, 1, 2, 3, 4, 5], [4, 1, 3, 2, 0, 5]] = [-0.25, -2.0, 8.0, -0.125, -8.0, -0.25]
    made = factor(t, 6, first="upper", effort=Effort(0))
    assert made.residual.float64 < 1e-12
