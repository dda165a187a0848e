"""Each inequality of the covering argument against an estimate that shares nothing with it."""

import math
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import ot
import pytest
from scipy.spatial.distance import cdist

from shoal.theory import hardness
from shoal.theory.hardness import _minimum_depth as chain

RNG = np.random.default_rng(0)


def on_sphere(rng: np.random.Generator, rows: int, d: int) -> np.ndarray:
    x = rng.normal(size=(rows, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def packed(points: np.ndarray, distance: float) -> np.ndarray:
    """A greedy packing among the points: none of the others could be added."""
    kept = points[:1]
    for p in points[1:]:
        if np.linalg.norm(kept - p, axis=1).min() >= distance:
            kept = np.concatenate([kept, p[None]])
    return kept


@pytest.mark.parametrize(("d", "degrees"), [(3, 40), (3, 70), (4, 60), (5, 65)])
def test_maximal_packings_of_the_sphere_are_as_large_as_claimed(d: int, degrees: int) -> None:
    angle = math.radians(degrees)
    found = packed(on_sphere(RNG, 20_000, d), 2 * math.sin(angle / 2))
    assert math.exp(chain.log_sphere_packing(d, angle)) <= len(found) + 0.5
    assert len(found) < 200 * math.exp(chain.log_sphere_packing(d, angle))


@pytest.mark.parametrize(("points", "k", "overlap"), [(9, 3, 0.34), (10, 2, 0.0), (8, 4, 0.5), (12, 3, 0.0)])
def test_maximal_families_of_subsets_are_as_large_as_claimed(points: int, k: int, overlap: float) -> None:
    family: list[set[int]] = []
    for subset in combinations(range(points), k):
        if all(len(set(subset) & other) <= overlap * k for other in family):
            family.append(set(subset))
    assert math.log(len(family)) >= chain.log_instances(math.log(points), k, overlap)
    assert chain.log_instances(math.log(k - 0.5), k, overlap) == -math.inf


@pytest.mark.parametrize(("d", "k", "shared"), [(4, 4, 1), (16, 6, 3), (8, 2, 0)])
def test_instances_are_as_far_apart_as_claimed(d: int, k: int, shared: int) -> None:
    """W1 by POT between samples whose noise is coupled in no way; a finite sample only overstates it."""
    gamma, radius, angle = 0.3, 3.0 * math.sqrt(d), math.radians(50)
    means = radius * packed(on_sphere(RNG, 3000, d), 2 * math.sin(angle / 2))[: 2 * k - shared]
    one, two = means[:k], means[k - shared :]
    assert len(two) == k
    claim = chain.separation(d, radius, gamma, angle, shared / k, 0.0)
    assert claim > 0
    draws = [m[np.arange(600) % k] + gamma * RNG.normal(size=(600, d)) for m in (one, two)]
    weights = np.full(600, 1 / 600)
    far: Any = ot.emd2(weights, weights, cdist(draws[0], draws[1]))
    assert far >= claim
    exact: Any = ot.emd2(np.full(k, 1 / k), np.full(k, 1 / k), cdist(one, two))
    assert exact >= claim + 2 * gamma * math.sqrt(d) - 1e-9


@pytest.mark.parametrize(("parameters", "gap"), [(1, 0.3), (2, 0.5), (3, 0.8)])
def test_no_packing_of_the_ball_is_larger_than_claimed(parameters: int, gap: float) -> None:
    x = RNG.uniform(-1, 1, size=(20_000, parameters))
    x = x[np.linalg.norm(x, axis=1) <= 1]
    assert len(packed(x, gap)) <= math.exp(chain.log_served(parameters, 0.0, 0.0, gap))


def flow_of(name: str, theta: np.ndarray, h: jax.Array) -> jax.Array:
    """One layer of each family on rows of h, its parameters unpacked from a vector."""
    d = h.shape[1]
    if name == "planar":
        u, w, b = theta[:d], theta[d : 2 * d], theta[-1]
        return h + u * jnp.tanh(h @ w + b)[:, None]
    if name == "layerwise":
        a, u, v, b = np.split(theta, 4)
        out = h * a + (h @ v)[:, None] * u + b
        return jnp.where(out > 0, out, 0.2 * out)
    half, width = d // 2, 4
    w, v = (
        theta[: width * half].reshape(width, half),
        theta[width * half : 2 * width * half].reshape(half, width),
    )
    c, b = theta[2 * width * half :][:width], theta[2 * width * half + width :]
    return jnp.concatenate([h[:, :half], h[:, half:] + jnp.tanh(h[:, :half] @ w.T + c) @ v.T + b], axis=1)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("name", ["planar", "layerwise", "additive"])
def test_lipschitz_constants_hold_for_random_parameters(name: str, depth: int) -> None:
    d, radius = 4, 1.5
    build = {"planar": hardness.planar, "layerwise": hardness.layerwise, "additive": hardness.additive}[name]
    settings = {"width": 4} if name == "additive" else {}
    a = build(d, radius=radius, **settings)
    z = jnp.asarray(RNG.normal(size=(4000, d)))
    steepest = 0.0
    for _ in range(60):
        one = RNG.normal(size=(depth, a.parameters))
        one *= radius * RNG.uniform(0.3, 1, size=(depth, 1)) / np.linalg.norm(one, axis=1, keepdims=True)
        step = RNG.normal(size=one.shape) * RNG.choice([1e-2, 1.0])
        two = one + step
        two *= np.minimum(1.0, radius / np.linalg.norm(two, axis=1, keepdims=True))
        f, g = z, z
        for p, q in zip(one, two, strict=True):
            f, g = flow_of(name, p, f), flow_of(name, q, g)
        steepest = max(steepest, float(jnp.linalg.norm(f - g, axis=1).mean()) / np.linalg.norm(one - two))
    assert math.log(steepest) <= a.log_lipschitz(depth)
    assert math.log(steepest) > a.log_lipschitz(depth) - 3 - 2 * depth  # not absurdly loose either
    assert a.log_radius(depth) == pytest.approx(math.log(radius * math.sqrt(depth)))


def test_kl_forms_hold_for_gaussians() -> None:
    """N(m, s^2) against N(0, 1): W1 >= |m|, KL in closed form, the flow z -> m + s z is s-Lipschitz."""
    for m in (0.1, 1.0, 4.0):
        for s in (0.5, 1.0, 2.0):
            kl = math.log(s) + (1 + m**2) / (2 * s**2) - 0.5  # KL(N(0, 1) || N(m, s^2))
            assert chain.kl_to_flow(m, s) <= kl + 1e-12
            back = (
                -math.log(s) + (s**2 + m**2) / 2 - 0.5
            )  # KL(N(m, s^2) || N(0, 1)), N(0, 1) as one mean at 0
            assert chain.kl_from_flow(m, 0.0, 1.0) <= back + 1e-12


def test_lipschitz_constants_grow_without_overflow() -> None:
    a = hardness.planar(64)
    values = [a.log_lipschitz(depth) for depth in (1, 10, 100, 1000)]
    assert np.all(np.isfinite(values))
    assert np.all(np.diff(values) > 0)
    assert values[3] == pytest.approx(1000 * math.log(a.lipschitz), rel=0.05)
