"""The parts of the construction against oracles of their own."""

import sys
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.cluster import k_means

from shoal.bijections import (
    Affine,
    Coupling,
    ExponentialScale,
    KnotConditioner,
    Partition,
)
from shoal.distributions import wasserstein
from shoal.theory.universal._atoms import distinct, quantize
from shoal.theory.universal._staircase import Staircase, cell_borders, conditions, levels, pushed, widest_gap
from shoal.theory.universal._w2_certificate import statistical_w2


def staircase(d: int, seed: int, delta: float = 0.2) -> Staircase:
    """A mild one, whose condition numbers a dense float64 SVD can resolve."""
    rng = np.random.default_rng(seed)
    below, above = levels([2, 3, 5])
    v = rng.normal(size=d)
    v /= np.linalg.norm(v)
    a = rng.normal(size=(3, d))
    a = a[np.argsort(a @ v)]
    plateau, borders = np.diff(a @ v).min() / 4, cell_borders(below, above)
    ramps = borders[:, None] + np.array([[-0.1, 0.1], [-0.15, 0.15]])
    steps = np.stack([(a @ v)[:-1] + plateau, (a @ v)[1:] - plateau], axis=1)
    b = rng.normal(size=(3, d))
    return Staircase(a, b, below, above, np.arange(3), v, borders, ramps, a @ v, steps, plateau, delta)


def _net(direction, steps, logs) -> KnotConditioner:
    knots, values = (jnp.asarray(a) for a in steps)
    return KnotConditioner(direction, knots, values, logs)


jacobian = eqx.filter_jit(lambda layer, z: jax.jacfwd(layer.forward)(z))


@pytest.mark.parametrize("d", [1, 3])
def test_condition_numbers_against_autodiff(d: int, x64) -> None:
    made = staircase(d, d)
    logs = jnp.full(d, np.log(made.delta))
    first = Coupling(
        Partition(2 * d, range(d, 2 * d)),
        Affine(ExponentialScale()),
        _net(jnp.eye(d)[0], made.knots_of_first(), logs),
    )
    second = Coupling(
        Partition(2 * d, range(d)),
        Affine(ExponentialScale()),
        _net(jnp.asarray(made.direction), made.knots_of_second(), logs),
    )
    found = conditions(made)
    seen = {"layer 1": [], "layer 2": [], "composition": []}
    for i in range(
        2
    ):  # at the middle of each ramp x' is half way between two atoms, so that t3 is on its ramp too
        z = jnp.zeros(2 * d).at[d].set(made.borders[i])
        middle = first.forward(z)
        one, two = jacobian(first, z), jacobian(second, middle)
        for name, matrix in (("layer 1", one), ("layer 2", two), ("composition", two @ one)):
            seen[name].append(float(jnp.linalg.cond(matrix)))
    for name, values in seen.items():
        assert found[name].largest.value >= max(values) * (1 - 1e-9)
    assert found["layer 1"].largest.value == pytest.approx(max(seen["layer 1"]), rel=1e-9)
    assert found["layer 2"].largest.value == pytest.approx(max(seen["layer 2"]), rel=1e-9)
    cell = jnp.zeros(2 * d).at[d].set(3.0)
    assert found["layer 1"].cells.value == pytest.approx(float(jnp.linalg.cond(jacobian(first, cell))))
    assert found["composition"].cells.value == pytest.approx(1.0)


def test_ramp_masses_keep_their_digits() -> None:
    made = staircase(1, 0)
    ramps = np.array([[-7.0 - 1e-6, -7.0 + 1e-6], [6.0 - 1e-9, 6.0 + 1e-9]])
    far = replace(made, borders=np.array([-7.0, 6.0]), ramps=ramps)
    with mpmath.workdps(40):
        exact = [float(mpmath.ncdf(high) - mpmath.ncdf(low)) for low, high in ramps.tolist()]
    np.testing.assert_allclose(far.ramp_masses(), exact, rtol=1e-6)


def test_the_push_is_the_least_one() -> None:
    rng = np.random.default_rng(0)
    u, w, gap = np.sort(rng.normal(size=7)), rng.uniform(0.5, 2, size=7), 0.4
    ours = pushed(u, w, gap)
    assert (np.diff(ours) >= gap - 1e-12).all()
    bound = [{"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i] - gap} for i in range(6)]
    best = minimize(lambda x: w @ (x - u) ** 2, np.arange(7.0), constraints=bound, method="SLSQP", tol=1e-14)
    np.testing.assert_allclose(ours, best.x, atol=1e-5)
    assert w @ (ours - u) ** 2 <= best.fun * (1 + 1e-7)
    width = widest_gap(u, w / w.sum(), 0.05)
    cost = np.sqrt(w / w.sum() @ (pushed(u, w / w.sum(), width) - u) ** 2)
    assert 0.04 < cost <= 0.05


@pytest.mark.parametrize("count", [1, 5, 40, 1500])
def test_quantization_is_the_distance_of_the_clusters(count: int) -> None:
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(4000, 3)), rng.uniform(size=4000)
    w /= w.sum()
    atoms = quantize(distinct(x, w), count, 0)
    assert 0.6 * count <= len(atoms) <= 1.2 * count
    error = np.sqrt(w @ np.square(x - atoms.points[atoms.labels]).sum(axis=1))
    assert atoms.quantization == pytest.approx(error, rel=1e-9)
    for i in (0, len(atoms) - 1):
        mine = atoms.labels == i
        assert atoms.weights[i] == pytest.approx(w[mine].sum())
        np.testing.assert_allclose(atoms.points[i], w[mine] @ x[mine] / w[mine].sum(), rtol=1e-9, atol=1e-12)
    random = rng.choice(4000, len(atoms), replace=False)
    nearest = np.square(x[:, None] - x[None, random[:50]]).sum(axis=2).min(axis=1) if count < 50 else None
    assert nearest is None or error < np.sqrt(w @ nearest)


@pytest.mark.parametrize("columns", [2, 9], ids=["by a tree", "by products"])
def test_k_means_is_as_good_as_that_of_scikit_learn(columns: int) -> None:
    rng = np.random.default_rng(3)
    x, w = rng.standard_t(4, size=(3000, columns)), rng.uniform(0.1, 1, size=3000)
    w /= w.sum()
    errors = [quantize(distinct(x, w), 60, seed).quantization for seed in range(4)]
    settings: Any = {"sample_weight": w, "init": "random", "n_init": 1}
    oracle: Any = k_means
    theirs = [float(oracle(x, 60, random_state=seed, **settings)[2]) ** 0.5 for seed in range(4)]
    assert np.mean(errors) < 1.03 * np.mean(theirs)


def test_construction_does_not_load_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    x = np.random.default_rng(4).normal(size=(900, 2))
    assert 0 < quantize(distinct(x, np.full(900, 1 / 900)), 50, 0).quantization < 0.5


def test_wasserstein_in_one_dimension() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 1)), 2 * rng.normal(size=(60, 1)) + 1
    gaps = np.abs(np.sort(x, axis=0) - np.sort(y, axis=0))
    assert wasserstein(x, y) == pytest.approx(np.sqrt((gaps**2).mean()))
    assert wasserstein(x, y, 1) == pytest.approx(gaps.mean())
    with pytest.raises(ValueError, match="one shape"):
        wasserstein(x, y[1:])
    with pytest.raises(ValueError, match="`p` must be 1 or 2"):
        wasserstein(x, y, 3)


def test_the_statistical_term_bounds_the_distance_to_the_population() -> None:
    """In one dimension the population's quantiles are known; an average over 20 samples has little noise."""
    from scipy.special import ndtri

    rng = np.random.default_rng(0)
    fine = ndtri((np.arange(20_000) + 0.5) / 20_000)
    real, estimated = [], []
    for i in range(20):
        x = rng.normal(size=(200, 1))
        real.append(np.mean((np.repeat(np.sort(x[:, 0]), 100) - fine) ** 2))
        estimated.append(statistical_w2(x, np.full(200, 1 / 200), i).value ** 2)
    assert np.mean(real) < np.mean(estimated) < 8 * np.mean(real)


@pytest.mark.usefixtures("unchecked")
def test_knots_outside_between_and_at() -> None:
    knots, values = jnp.array([-1.0, 0.0, 2.0]), jnp.array([[1.0], [3.0], [3.0]])
    net = KnotConditioner(jnp.array([2.0, 0.0]), knots, values, jnp.array([7.0]))
    at = jnp.array([-9.0, -0.5, -0.25, 0.0, 0.5, 1.0, 9.0])
    seen = jax.jit(jax.vmap(lambda u: net(jnp.stack([u, jnp.zeros(())]))))(at)
    np.testing.assert_allclose(seen[:, 1], [1.0, 1.0, 2.0, 3.0, 3.0, 3.0, 3.0], rtol=1e-6)
    np.testing.assert_array_equal(seen[:, 0], 7.0)
    assert bool(jnp.isnan(net(jnp.array([jnp.nan, 0.0]))[1]))
    for knots, values in ((jnp.array([0.0, 0.0]), jnp.zeros((2, 1))), (jnp.array([0.0]), jnp.zeros((2, 1)))):
        with pytest.raises(ValueError, match="KnotConditioner"):
            KnotConditioner(jnp.ones(1), knots, values)
    with pytest.raises(ValueError, match="2 outputs; got"):
        Coupling(Partition(2, [0]), Affine(ExponentialScale()), net)
    assert isinstance(Coupling(Partition(3, [0, 1]), Affine(ExponentialScale()), net), Coupling)
