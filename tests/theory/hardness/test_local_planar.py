"""Heavy tails against SciPy, and the bound on planar layers: each inequality on its own, then whole and trained flows."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import integrate, stats

from shoal import flows
from shoal.theory import hardness
from shoal.theory.hardness import HeavyTails, local_planar_depth, planar_gap
from shoal.training import Settings, fit


@pytest.mark.parametrize(
    ("d", "tail"),
    [(1, 0.5), (5, 1.5), *(pytest.param(2, t, marks=pytest.mark.long) for t in (1.0, 2.0))],
    ids=str,
)
def test_the_law_is_what_it_says(d: int, tail: float) -> None:
    """The density integrates to 1 over shells; the sampler's radii have that law; tail 2 is a normal."""
    law = HeavyTails(d, tail, 0.7)
    shell = 2 * math.pi ** (d / 2) / math.gamma(d / 2)

    r = np.geomspace(1e-9, 1e4, 20_001)
    rows = np.zeros((len(r), d), np.float32)
    rows[:, 0] = r
    density = np.exp(np.asarray(law.log_prob(rows), np.float64)) * shell * r ** (d - 1)
    within = integrate.cumulative_trapezoid(density, r, initial=0.0)
    assert within[-1] == pytest.approx(1, abs=2e-4)
    np.testing.assert_allclose(within, law.mass_within(r), atol=2e-4)
    x, log_prob = law.sample_and_log_prob(jr.key(0), 4000)
    radii = np.linalg.norm(np.asarray(x, np.float64), axis=1)
    assert stats.kstest(radii, lambda v: law.mass_within(v)).pvalue > 1e-3
    np.testing.assert_allclose(log_prob, law.log_prob(x), rtol=1e-4, atol=1e-3)
    if tail == 2.0:
        wanted = stats.norm.logpdf(np.asarray(x, np.float64), scale=0.7 / math.sqrt(2)).sum(axis=1)
        np.testing.assert_allclose(log_prob, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("d", "tail"), [(2, 0.5), pytest.param(64, 1.5, marks=pytest.mark.long), (2, 2.0)], ids=str
)
def test_the_score_is_that_of_samples(d: int, tail: float) -> None:
    law = HeavyTails(d, tail, 1.3)
    x = law.sample(jr.key(1), 40_000)
    scores = eqx.filter_jit(lambda p, z: jax.vmap(jax.grad(p.log_prob_one))(z))(law, x)
    along = np.abs(np.asarray(scores, np.float64)[:, 0])
    assert law.score == pytest.approx(along.mean(), abs=5 * along.std() / 200)


def test_the_distance_to_the_base_is_a_lower_bound_of_the_integral() -> None:
    for d, tail in ((1, 0.5), (2, 1.0), (3, 1.5), (8, 0.7)):
        law = HeavyTails(d, tail)
        shell = np.log(2) + d / 2 * np.log(np.pi) - math.lgamma(d / 2)
        r = np.geomspace(1e-6, 1e6, 400_001)
        p = np.exp(
            np.log(tail) - math.lgamma(d / tail) + (d - 1) * np.log(r) - r**tail
        )  # the density of the radius
        q = np.exp(shell - d / 2 * np.log(2 * np.pi) + (d - 1) * np.log(r) - r**2 / 2)
        exact = 0.5 * integrate.trapezoid(np.abs(p - q), r)
        assert 0.6 * exact < law.from_normal() <= exact + 1e-6


def grid_of(reach: float, points: int) -> tuple[np.ndarray, float]:
    axis = np.linspace(-reach, reach, points)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2), (axis[1] - axis[0]) ** 2


@pytest.mark.parametrize("tail", [1.5, *(pytest.param(t, marks=pytest.mark.long) for t in (1.0, 2.0))])
def test_one_layer_moves_no_more_than_claimed(tail: float) -> None:
    """TV(f^{-1} # p, p) over a grid of the plane; nearly equal for a shift of everything, which a layer with w = 0 is."""
    law, rng = HeavyTails(2, tail), np.random.default_rng(3)
    z, area = grid_of(14.0 if tail == 1.0 else 8.0, 601)

    def density(x: np.ndarray) -> np.ndarray:
        return np.exp(-(np.linalg.norm(x, axis=1) ** tail)) * tail / (2 * np.pi * math.gamma(2 / tail))

    plain, closest = density(z), 0.0
    assert plain.sum() * area == pytest.approx(1, abs=1e-3)
    for i in range(36):
        w = rng.normal(size=2) * rng.choice([0.0, 0.3, 1.0, 4.0])
        u = rng.normal(size=2) * rng.choice([0.02, 0.3, 1.0])
        u -= min(0.0, u @ w + 0.9) * -w / max(w @ w, 1e-12) if u @ w < -0.9 else 0.0
        b = 4.0 if i % 6 == 0 else rng.normal()
        a = z @ w + b
        moved = density(z + np.tanh(a)[:, None] * u) * (1 + (u @ w) / np.cosh(a) ** 2)
        found = 0.5 * np.abs(moved - plain).sum() * area
        claim = float(np.linalg.norm(u)) * law.score
        assert found <= claim + 2e-3
        closest = max(closest, found / claim)
    assert closest > 0.45  # TV of a small shift is half the score along it


def variation(log_p: np.ndarray, log_q: np.ndarray) -> tuple[float, float]:
    """TV = E_p (1 - q / p)_+ by samples of p, and its standard error."""
    share = np.maximum(0.0, -np.expm1(np.minimum(log_q - log_p, 0.0)))
    return float(share.mean()), float(share.std() / len(share) ** 0.5)


@pytest.mark.parametrize(
    "seed", [0, 1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)]
)
def test_no_drawn_flow_beats_the_bound(seed: int) -> None:
    """Planar flows with large random parameters: their own density against the target's, on samples of the target."""
    rng, d, depth = np.random.default_rng(seed), 4, 6
    law = HeavyTails(d, 0.6)
    shifts, log_det = [], np.zeros(20_000)
    x = np.asarray(law.sample(jr.key(seed), 20_000), np.float64)
    z = x
    for _ in range(depth):
        w, b = rng.normal(size=d), rng.normal()
        u = rng.normal(size=d)
        u *= rng.uniform(0.1, 1.0) / np.linalg.norm(u)
        u = u if u @ w > -0.9 else -u
        shifts.append(float(np.linalg.norm(u)))
        low = np.full(len(z), -1e6)
        high, target = -low, z @ w
        for _ in range(100):  # bisection for s + <u, w> tanh(s + b) = <w, z>
            middle = (low + high) / 2
            over = middle + (u @ w) * np.tanh(middle + b) > target
            low, high = np.where(over, low, middle), np.where(over, middle, high)
        z = z - np.tanh(low + b)[:, None] * u
        log_det -= np.log1p((u @ w) / np.cosh(np.clip(low + b, -300, 300)) ** 2)
    log_q = -0.5 * np.square(z).sum(axis=1) - d / 2 * np.log(2 * np.pi) + log_det
    found, error = variation(np.asarray(law.log_prob(x), np.float64), log_q)
    claim = planar_gap(law, shifts)
    assert claim > 0.3  # it says something
    assert found >= claim - 4 * error


@pytest.mark.long
@pytest.mark.parametrize("fast", ["density", pytest.param("samples", marks=pytest.mark.long)])
def test_no_trained_flow_beats_the_bound(fast) -> None:
    """Planar layers in either direction; |u| read off the layers' own displacements, which tend to it along w."""
    law, depth = HeavyTails(4, 0.6), 6
    flow = flows.planar(jr.key(0), 4, depth, fast=fast)
    settings = Settings(max_epochs=6, learning_rate=1e-2)
    trained = fit(flow, law.sample(jr.key(1), 1024), key=jr.key(2), settings=settings).flow
    far = 1e3 * jr.normal(jr.key(4), (256, 4))

    @eqx.filter_jit
    @eqx.filter_vmap(in_axes=eqx.if_array(0))
    def reach(layer):
        there = layer.inverse if fast == "density" else layer.forward
        return jnp.linalg.norm(jax.vmap(there)(far) - far, axis=1).max()

    shifts = [float(shift) for shift in reach(trained.bijection.unit)]
    assert len(shifts) == depth
    x = law.sample(jr.key(3), 10_000)
    found, error = variation(
        np.asarray(law.log_prob(x), np.float64), np.asarray(trained.log_prob(x), np.float64)
    )
    assert 0.5 < sum(shifts) < 50
    assert found >= planar_gap(law, shifts) - 4 * error


def test_the_depth_is_where_the_inequality_turns() -> None:
    law = HeavyTails(64, 0.5)
    found = local_planar_depth(law, radius=2.0, distance=0.25)
    assert not found.vacuous
    assert planar_gap(law, [2.0] * (found.depth - 1)) > 0.25 >= planar_gap(law, [2.0] * found.depth)
    assert found.depth > 500
    assert local_planar_depth(HeavyTails(8, 2.0), radius=2.0, distance=0.25).vacuous


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HeavyTails(3, 2.5), "0 < tail <= 2"),
        (lambda: HeavyTails(0, 1.0), "dim >= 1"),
        (lambda: local_planar_depth(HeavyTails(2, 1.0), radius=0.0, distance=0.1), "radius > 0"),
        (lambda: local_planar_depth(HeavyTails(2, 1.0), radius=1.0, distance=1.0), "0 < distance < 1"),
        (lambda: planar_gap(HeavyTails(2, 1.0), [-1.0]), "at least 0"),
        (lambda: hardness.planar_gap(HeavyTails(2, 1.0), [math.inf]), "finite"),
    ],
)
def test_refuses(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
