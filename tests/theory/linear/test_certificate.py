"""Certificates against mpmath: its products, its exponentials and its own Newton iteration, and NumPy's singular values.

Nothing here uses the code under test as its own judge; `explicit` writes the layers out once more.
"""

import ast
import dataclasses
import functools
import importlib.util
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.stats import special_ortho_group

from shoal.theory.linear import Effort, Factorization, FactorizationCertificate, Layer, certify, factor
from shoal.theory.linear._closed_forms import rotation_layers
from shoal.theory.linear.certify import _existence
from shoal.theory.linear.certify._balls import ball_layer, down, frobenius, load_flint, shown, spectral, up
from shoal.theory.linear.certify._existence import Around, by_balls, by_rounding, curvature
from tests.searching import searched
from tests.theory.linear.oracles import characteristic, rational

QUICK = Effort(10)


def gaussian(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, n))


def prescribed(n: int, condition: float) -> np.ndarray:
    u, v = special_ortho_group.rvs(n, size=2, random_state=n)
    return u * np.exp(np.linspace(-0.5, 0.5, n) * np.log(condition)) @ v


def negative(n: int) -> np.ndarray:
    t = gaussian(n)
    t[0] *= -np.sign(np.linalg.det(t))
    return t


@functools.cache
def case(name: str) -> Factorization:
    return {
        "rotation": lambda: factor(special_ortho_group.rvs(4, random_state=1)),
        "permutation": lambda: factor(np.eye(6)[[3, 0, 5, 1, 4, 2]]),
        "six": lambda: factor(gaussian(4), effort=QUICK),
        "six-1e4": lambda: factor(prescribed(4, 1e4), effort=QUICK),
        "five": lambda: factor(gaussian(4), 5, effort=QUICK),
        "eight": lambda: factor(gaussian(4), 8, effort=QUICK),
        "eleven": lambda: factor(gaussian(4), 11),
        "eleven-1e4": lambda: factor(prescribed(4, 1e4), 11),
        "negative": lambda: factor(negative(4), effort=QUICK),
        "kept": lambda: factor(gaussian(6), kept=(5, 0, 3), effort=QUICK),
        "upper": lambda: factor(gaussian(4, 3), first="upper", effort=QUICK),
        "odd": lambda: factor(gaussian(5), effort=QUICK),
        "odd-upper": lambda: factor(gaussian(3), first="upper", effort=QUICK),
        "one": lambda: factor(np.array([[0.3]])),
        "large": lambda: factor(1e20 * gaussian(4), effort=QUICK),
        "small": lambda: factor(1e-75 * gaussian(4), effort=QUICK),
    }[name]()


CASES = (
    *(
        "rotation",
        "permutation",
        "six",
        "six-1e4",
        "five",
        "eight",
        "eleven",
        "eleven-1e4",
        "negative",
        "kept",
    ),
    *("upper", "odd", "odd-upper", "one", "large", "small"),
)


def explicit(kind: str, block: Any, scales: Any) -> Any:
    """A layer written out, in the type of its block: NumPy's or, with dtype object, mpmath's."""
    a, b = block.shape
    m = np.eye(a + b, dtype=block.dtype) * block.dtype.type(1) if block.dtype != object else mp_eye(a + b)
    at = range(b, a + b) if kind == "lower" else range(a)
    other = range(b) if kind == "lower" else range(a, a + b)
    for i, row in enumerate(at):
        m[row, row] = scales[i]
        for j, column in enumerate(other):
            m[row, column] = block[i, j]
    return m


def mp(x: Any) -> np.ndarray:
    out = np.empty(np.shape(x), dtype=object)
    for index, v in np.ndenumerate(np.asarray(x)):
        out[index] = mpmath.mpf(float(v))
    return out


def mp_eye(n: int) -> np.ndarray:
    return mp(np.eye(n))


def inner_target(made: Factorization) -> np.ndarray:
    order = [*made.kept, *(i for i in range(len(made.target)) if i not in made.kept)]
    return (made.signs[:, None] * made.target)[np.ix_(order, order)]


def true_product(made: Factorization) -> np.ndarray:
    total = mp_eye(len(made.target))
    for layer in made.layers:
        scales = [mpmath.exp(mpmath.mpf(float(s))) for s in layer.log_scale]
        total = total.dot(explicit(layer.kind, mp(layer.block), scales))
    return total


def size(x: Any) -> Any:
    return mpmath.sqrt(sum((v * v for v in np.ravel(x)), mpmath.mpf(0)))


def moved(made: Factorization, at: int, amount: float, scale: bool = False) -> Factorization:
    """One entry of a block, or one log-scale, of a layer changed."""
    layer = made.layers[at]
    block, log_scale = layer.block.copy(), layer.log_scale.copy()
    if scale:
        log_scale[0] += amount
    else:
        block[0, -1] += amount
    layers = list(made.layers)
    layers[at] = Layer(layer.kind, block, log_scale)
    return dataclasses.replace(made, layers=tuple(layers))


@pytest.mark.parametrize("name", CASES)
def test_the_bound_is_above_the_true_residual_and_close_to_it(name: str):
    made = case(name)
    certificate = made.certificate()
    with mpmath.workprec(600):
        apart = mp(inner_target(made)) - true_product(made)
        truth, largest = size(apart), max(abs(v) for v in np.ravel(apart))
        relative = truth / size(mp(made.target))
        assert truth <= certificate.residual_bound <= 1.001 * truth
        assert largest <= certificate.entry_bound <= 1.001 * largest
        assert relative <= certificate.relative_residual_bound <= 1.001 * relative
    assert certificate.existence == "proved", certificate
    assert certificate.proved
    assert certificate.holds()
    assert not certificate.holds(tolerance=0.0)
    if name not in ("large", "small"):  # whose figures are those of 2^-k T
        assert certificate.least_singular
        assert certificate.curvature
        newton_number = certificate.curvature * certificate.residual_bound / certificate.least_singular**2
        assert certificate.h == pytest.approx(newton_number, rel=1e-9)


def newton(made: Factorization) -> tuple[Any, Any]:
    """mpmath's minimum-norm Newton in blocks and log-scales: the distance gone, and the residual left."""
    target = mp(inner_target(made))
    blocks = [mp(layer.block) for layer in made.layers]
    logs = [mp(layer.log_scale) for layer in made.layers]
    start = [np.concatenate([b.ravel(), s]) for b, s in zip(blocks, logs, strict=True)]
    n, off = len(target), target
    for _ in range(9):
        scales = [[mpmath.exp(s) for s in row] for row in logs]
        layers = [explicit(x.kind, b, s) for x, b, s in zip(made.layers, blocks, scales, strict=True)]
        columns, owner = [], []
        for i, layer in enumerate(made.layers):
            before, after = mp_eye(n), mp_eye(n)
            for m in layers[:i]:
                before = before.dot(m)
            for m in layers[i + 1 :]:
                after = after.dot(m)
            a, b = layer.block.shape
            rows, kept = (range(b, n), range(b)) if layer.kind == "lower" else (range(a), range(a, n))
            for row in rows:
                columns += [np.outer(before[:, row], after[k]).ravel() for k in kept]
            columns += [
                scales[i][j] * np.outer(before[:, row], after[row]).ravel() for j, row in enumerate(rows)
            ]
            owner.append(a * b + a)
        total = mp_eye(n)
        for m in layers:
            total = total.dot(m)
        off = (total - target).ravel()
        if size(off) < mpmath.mpf(10) ** -50:
            break
        jacobian = np.array(columns).T
        normal = jacobian.dot(jacobian.T)
        multiplier = mpmath.lu_solve(mpmath.matrix(normal.tolist()), mpmath.matrix(off.tolist()))
        step = jacobian.T.dot(np.array(list(multiplier), dtype=object))
        for i, part in enumerate(np.split(step, np.cumsum(owner)[:-1])):
            shape = blocks[i].shape
            blocks[i] = blocks[i] - part[: blocks[i].size].reshape(shape)
            logs[i] = logs[i] - part[blocks[i].size :]
    now = [np.concatenate([b.ravel(), s]) for b, s in zip(blocks, logs, strict=True)]
    return size(np.concatenate(now) - np.concatenate(start)), size(off)


@pytest.mark.parametrize(
    "name", ["rotation", "six", "six-1e4", "five", "eleven", "negative", "odd-upper", "one"]
)
@pytest.mark.parametrize("amount", [0.0, 1e-9])
def test_an_independent_newton_finds_an_exact_factorization_within_the_radius(name: str, amount: float):
    made = moved(case(name), 2, amount, scale=name == "one")
    certificate = made.certificate()
    assert certificate.radius is not None
    with mpmath.workdps(70):
        gone, left = newton(made)
        assert left < mpmath.mpf(10) ** -50
        assert 0 < gone <= certificate.radius


@pytest.mark.parametrize("name", ["rotation", "six", "five", "eleven", "negative", "odd", "kept"])
@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize("scale", [False, True], ids=["block", "log-scale"])
def test_a_factor_off_by_a_millionth_fails(name: str, at: int, scale: bool):
    made = moved(case(name), at, 1e-6, scale)
    certificate = made.certificate()
    with mpmath.workprec(300):
        truth = size(mp(inner_target(made)) - true_product(made))
        assert truth <= certificate.residual_bound <= 1.001 * truth
    assert 1e-8 < certificate.relative_residual_bound < 1e-4
    assert certificate.existence == "not proved"
    assert not certificate.holds()
    assert certificate.radius is None or certificate.radius > 1e-7


def jacobian(layers: list[tuple[str, np.ndarray, np.ndarray]], units: bool) -> np.ndarray:
    """dF by blocks and scales, by the product rule on explicit matrices; scales in units of 2^floor(log2 min(b, 1))."""
    matrices = [explicit(*layer) for layer in layers]
    n = len(matrices[0])
    columns = []
    for i, (kind, block, scales) in enumerate(layers):
        before = np.linalg.multi_dot([np.eye(n), np.eye(n), *matrices[:i]])
        after = np.linalg.multi_dot([np.eye(n), np.eye(n), *matrices[i + 1 :]])
        ones = explicit(kind, np.ones_like(block), np.full(len(scales), 2.0)) - np.eye(n)
        for row, column in np.argwhere(ones):
            unit = 1.0
            if units and row == column:
                b = scales[row - (n - len(scales) if kind == "lower" else 0)]
                unit = 2.0 ** np.floor(np.log2(min(b, 1.0)))
            columns.append(unit * np.outer(before[:, row], after[column]).ravel())
    return np.array(columns).T


def random_layers(n: int, m: int, seed: int = 0) -> list[tuple[str, np.ndarray, np.ndarray]]:
    rng, p = np.random.default_rng(seed), n // 2
    shapes = {"lower": (n - p, p), "upper": (p, n - p)}
    kinds = ["lower", "upper"] * m
    return [
        (k, 0.6 * rng.normal(size=shapes[k]), np.exp(0.5 * rng.normal(size=shapes[k][0]))) for k in kinds[:m]
    ]


def around(layers: list[tuple[str, np.ndarray, np.ndarray]]) -> list[Around]:
    balls = [ball_layer(kind, block, np.log(scales)) for kind, block, scales in layers]
    eye = load_flint().arb_mat(balls[0].n, balls[0].n, np.eye(balls[0].n).ravel().tolist())
    out = []
    for i, layer in enumerate(balls):
        before, after = eye, eye
        for x in balls[:i]:
            before = before * x.matrix()
        for x in balls[i + 1 :]:
            after = after * x.matrix()
        out.append(Around(layer, before, after))
    return out


@pytest.mark.parametrize("bound", [by_balls, by_rounding])
@pytest.mark.parametrize(("n", "m"), [(2, 4), (4, 5), (5, 8), (8, 6), (8, 11)])
def test_the_least_singular_value_of_the_jacobian(bound: Any, n: int, m: int):
    layers = random_layers(n, m)
    truth = np.linalg.svd(jacobian(layers, True), compute_uv=False)[-1]
    assert 0.9 * truth < float(bound(around(layers))) < truth


@pytest.mark.parametrize("bound", [by_balls, by_rounding])
@pytest.mark.parametrize("factor_of", [lambda m: m, lambda m: 1.01 * m, lambda m: 0 * m])
def test_no_cholesky_routine_is_trusted(monkeypatch: pytest.MonkeyPatch, bound: Any, factor_of: Any):
    """A shift that is too large, beside L of the matrix without any shift: only the enclosure of L L^T can object."""
    monkeypatch.setattr(_existence, "SHIFT", 4.0)
    monkeypatch.setattr(_existence, "_cholesky", lambda matrix, shift: factor_of(np.linalg.cholesky(matrix)))
    monkeypatch.setattr(_existence, "_least_eigenvalue", lambda matrix: float(np.linalg.eigvalsh(matrix)[0]))
    layers = random_layers(2, 4)
    truth = np.linalg.svd(jacobian(layers, True), compute_uv=False)[-1]
    assert float(bound(around(layers))) <= truth


@pytest.mark.parametrize("bound", [by_balls, by_rounding])
@pytest.mark.parametrize("seed", range(5))
def test_a_jacobian_that_is_not_onto_has_the_bound_zero(bound: Any, seed: int):
    """Three layers have too few unknowns; additive layers of the identity have enough, and J has rank < n^2."""
    assert float(bound(around(random_layers(6, 3, seed)))) == 0.0
    made = factor(np.eye(6))
    layers = [(x.kind, (1 + seed) * x.block, np.exp(x.log_scale)) for x in made.layers]
    singular = np.linalg.svd(jacobian(layers, True), compute_uv=False)
    if singular[-1] < 1e-14 * singular[0]:
        assert float(bound(around(layers))) < 1e-12
    assert float(bound(around(layers))) <= singular[-1] + 1e-14 * singular[0]


@pytest.mark.parametrize("m", [2, 3, 4, 6, 11])
@pytest.mark.parametrize("reach", [0.0, 0.25])
def test_the_curvature_of_unit_norms_in_closed_form(m: int, reach: float):
    """All norms 1: N(a, b) = (1 + r)^(b - a), so Q = (1 + r)^(m - 2) (ones - I), of norm (m - 1)(1 + r)^(m - 2)."""
    arb = load_flint().arb
    norms = {(a, b): arb(1) for a in range(m + 1) for b in range(a, m + 1)}
    assert np.isclose(float(curvature(norms, m, arb(reach))), (m - 1) * (1 + reach) ** (m - 2), rtol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (4, 2), (2, 4), (4, 5), (5, 3)])
@pytest.mark.parametrize("reach", [1e-3, 0.3])
def test_the_curvature_bounds_every_change_of_the_jacobian(n: int, m: int, reach: float):
    layers = random_layers(n, m, seed=n + m)
    matrices = [explicit(*layer) for layer in layers]
    norms = {
        (a, b): load_flint().arb(
            float(np.linalg.norm(np.linalg.multi_dot([np.eye(n), np.eye(n), *matrices[a:b]]), 2))
        )
        for a in range(m + 1)
        for b in range(a, m + 1)
    }
    bound = float(curvature(norms, m, load_flint().arb(reach)))
    rng, worst = np.random.default_rng(0), 0.0
    base = jacobian(layers, False)
    for _ in range(40):
        change = [
            (rng.normal(size=b.shape) * k, rng.normal(size=s.shape) * k)
            for (_, b, s), k in zip(layers, rng.exponential(size=m) ** 2, strict=True)
        ]
        length = np.sqrt(sum(np.sum(b**2) + np.sum(s**2) for b, s in change))
        there = [
            (k, b + reach / length * db, s + reach / length * ds)
            for (k, b, s), (db, ds) in zip(layers, change, strict=True)
        ]
        worst = max(worst, np.linalg.norm(jacobian(there, False) - base, 2) / reach)
    assert worst <= bound * (1 + 1e-9)
    if m == 2:
        assert bound == 1.0
        assert worst > 0.6


@pytest.mark.parametrize("seed", range(3))
def test_spectral_norms_from_above(seed: int):
    x = gaussian(12, seed)
    truth = np.linalg.norm(x, 2)
    flint = load_flint()
    assert (
        truth
        <= float(spectral(flint.arb_mat(12, 12, x.ravel().tolist())))
        <= 12 ** (1 / 64) * truth * (1 + 1e-12)
    )


def test_bounds_are_taken_over_whole_balls_and_rounded_outward():
    flint = load_flint()
    wide = flint.arb_mat(1, 2, [flint.arb(0, 3), flint.arb(0, 4)])
    assert 5 <= float(frobenius(wide)) < 5.001
    third = flint.arb(1) / 3
    assert down(third) < Fraction(1, 3) < up(third)
    assert up(third) - down(third) < 1e-15
    assert (up(flint.arb(0)), down(flint.arb(0))) == (0.0, 0.0)
    assert [shown(x) for x in (1.2301e-9, 1.23e-9, 0.0)] == ["1.24e-09", "1.24e-09", "0.00e+00"]
    assert shown(0.125) == "1.25e-01"


def few(kinds: str, seed: int = 0) -> Factorization:
    """Integer shears, whose product is exact."""
    rng = np.random.default_rng(seed)
    layers = tuple(
        Layer("lower" if k == "L" else "upper", rng.integers(-3, 4, size=(2, 2)).astype(float), np.zeros(2))
        for k in kinds
    )
    made = Factorization(np.eye(4), layers, np.ones(4), (0, 1), "by hand")
    return dataclasses.replace(made, target=np.round(made.matrix()))


@pytest.mark.parametrize("kinds", ["L", "U", "LU", "LL", "LULULULULULULUL"])
def test_an_exact_product_needs_no_theorem(kinds: str):
    certificate = few(kinds).certificate()
    assert certificate.residual_bound == certificate.entry_bound == 0.0
    assert certificate.proved
    assert certificate.radius == 0.0


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("scale", [1e-6, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("t", [-1e-9, -1.0])
def test_what_does_not_exist_is_not_proved(m: int, scale: float, t: float):
    """A product of positive scales is not negative, however near zero it is."""
    layers = (Layer("lower", np.zeros((1, 0)), np.log([scale])),) * m
    made = Factorization(np.array([[t]]), layers, np.ones(1), (), "by hand")
    certificate = made.certificate()
    assert certificate.existence == "not proved"
    assert certificate.radius is None


@pytest.mark.parametrize("kinds", ["L", "LU", "LUL"])
def test_too_few_unknowns_prove_nothing(kinds: str):
    made = few(kinds)
    certificate = dataclasses.replace(made, target=made.target + 2.0**-45 * gaussian(4)).certificate()
    assert certificate.existence == "not proved"
    assert (
        "unknowns can not be shown to solve 16 equations" in certificate.reason
        or "not onto" in certificate.reason
    )
    assert not certificate.holds()


def test_cancellation_gets_more_bits():
    """Blocks of 1e30 whose product is near the identity: 128 bits leave nothing of the residual."""
    big = np.array([[1e30, 2.0], [3.0, -1e30]])
    layers = (
        *(
            Layer("upper", 1e30 * big, np.zeros(2)),
            Layer("lower", big, np.zeros(2)),
            Layer("lower", -big, np.zeros(2)),
        ),
        *(Layer("upper", -1e30 * big, np.zeros(2)), Layer("lower", np.full((2, 2), 1e-20), np.zeros(2))),
    )
    made = Factorization(np.eye(4), layers, np.ones(4), (0, 1), "by hand")
    certificate = made.certificate(existence=False)
    assert 2e-20 <= certificate.residual_bound <= 2.0001e-20
    assert certificate.existence == "not attempted"
    assert certificate.reason == "it was not asked for"


@pytest.mark.parametrize("size", [1e150, 1e-200])
def test_squares_that_overflow_do_not_reach_the_bounds(size: float):
    layers = (
        Layer("lower", np.zeros((1, 1)), np.log([size])),
        Layer("upper", np.zeros((1, 1)), np.log([size])),
    )
    certificate = Factorization(size * np.eye(2), layers, np.ones(2), (0,), "by hand").certificate()
    with mpmath.workprec(300):
        apart = abs(mpmath.exp(mpmath.mpf(float(np.log(size)))) - mpmath.mpf(size))
        assert apart <= certificate.entry_bound <= 1.001 * apart
        assert mpmath.sqrt(2) * apart <= certificate.residual_bound <= 1.001 * mpmath.sqrt(2) * apart


def test_a_singular_point_is_not_proved_and_says_why():
    """Theorem A's layers of I with one rounding error: near Theorem E1's there is a proof (`test_near_scalar.py`)."""
    t = np.eye(6)
    t[0, 0] += 2.0**-52
    made = Factorization(t, rotation_layers(np.eye(6)), np.ones(6), (0, 1, 2), "by hand")
    certificate = made.certificate()
    assert certificate.holds() is certificate.proved is False
    assert certificate.relative_residual_bound < 1e-15
    assert "not onto" in certificate.reason


def test_beyond_its_size_existence_is_not_attempted():
    made = factor(special_ortho_group.rvs(66, random_state=0))
    certificate = made.certificate()
    assert certificate.existence == "not attempted"
    assert "up to n = 64" in certificate.reason
    assert certificate.holds()
    assert certificate.relative_residual_bound < 1e-13


def test_no_seconds_leave_the_enclosure():
    certificate = case("six").certificate(seconds=0.0)
    assert certificate.existence == "not attempted"
    assert "0 s allowed" in certificate.reason
    assert 0 < certificate.relative_residual_bound < 1e-14


@pytest.mark.parametrize("n", [12, 26])
def test_existence_by_balls_and_beyond_them(n: int):
    certificate = factor(gaussian(n), 11).certificate()
    assert certificate.proved, certificate
    assert certificate.radius is not None
    assert certificate.radius < 1e-9


def test_what_a_certificate_says():
    certificate = case("six").certificate()
    assert isinstance(certificate, FactorizationCertificate)
    record = json.loads(json.dumps(dataclasses.asdict(certificate), allow_nan=False))
    assert record["existence"] == "proved"
    assert str(certificate).startswith("4x4, 6 layers: |T - product| <= ")
    assert "existence proved: within " in str(certificate)


def test_bad_input(monkeypatch: pytest.MonkeyPatch):
    made = case("rotation")
    bad = moved(made, 0, np.nan)
    with pytest.raises(ValueError, match="needs finite numbers"):
        bad.certificate()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'needs python-flint: pip install "shoal\[certify\]"'):
        made.certificate()


def test_it_shares_no_code_with_the_factorization():
    folder = Path(certify.__file__).parent
    files = sorted(path.stem for path in folder.glob("_[!_]*.py"))
    assert files == ["_balls", "_certificate", "_existence"]
    for name in files:
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        used = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        own = {module for module in used if module.startswith("shoal")}
        assert own <= {
            "shoal._errors",
            "shoal._scalars",
            *(f"shoal.theory.linear.certify.{x}" for x in files),
        }


def drawn(seed: int, p: int, q: int, count: int, size: float, scale: float, off: float) -> Factorization:
    """Layers of any sizes, some zero, some one of the others again, with a target about so far from their product."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for i in range(count):
        rows, columns = (q, p) if (i + seed) % 2 else (p, q)
        block = 10**size * rng.normal(size=(rows, columns)) * rng.choice([0.0, 1.0, 1.0], (rows, 1))
        if i > 1 and rng.random() < 0.3:
            block = -layers[i - 2].block
        logs = scale * rng.normal(size=rows) * rng.choice([0.0, 1.0])
        layers.append(Layer("lower" if (i + seed) % 2 else "upper", block, logs))
    signs, order = rng.choice([-1.0, 1.0], p + q), rng.permutation(p + q)
    made = Factorization(np.eye(p + q), tuple(layers), signs, tuple(int(i) for i in order[:p]), "drawn")
    change = 10**off * rng.normal(size=(p + q, p + q))
    return dataclasses.replace(made, target=made.matrix() * (1 + change * rng.choice([0, 1]) + 0.1 * change))


@searched(
    st.integers(0, 2**31),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 7),
    st.floats(-8, 3),
    st.floats(0, 12),
    st.floats(-18, 0),
)
def test_no_drawn_layers_break_their_certificate(seed, p, q, count, size_of, scale, off) -> None:
    """The residual in 600 bits; where existence is proved, det T > 0 in fractions, and Newton's way is within the radius."""
    made = drawn(seed, p, q, count, size_of, scale, off)
    certificate = made.certificate()
    with mpmath.workprec(600):
        apart = mp(inner_target(made)) - true_product(made)
        assert size(apart) <= certificate.residual_bound
        assert max(abs(v) for v in np.ravel(apart)) <= certificate.entry_bound
    if certificate.existence == "proved":
        coefficients = characteristic(rational(inner_target(made)))
        assert coefficients[-1] * (-1) ** (p + q) > 0
        assert certificate.radius is not None
        with mpmath.workdps(90):
            gone, left = newton(made)
            assert left < mpmath.mpf(10) ** -40 * size(mp(made.target))
            assert gone <= certificate.radius


@pytest.mark.long
@pytest.mark.parametrize(("n", "existence"), [(24, "proved"), (64, "proved"), (512, "not attempted")])
def test_a_minute_is_enough(n: int, existence: str):
    certificate = factor(special_ortho_group.rvs(n, random_state=0)).certificate()
    assert certificate.existence == existence
    assert certificate.seconds < 60
    assert certificate.relative_residual_bound < 1e-12
