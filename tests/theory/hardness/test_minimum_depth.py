"""The depth bound: sound for quantized families that are searched through, non-vacuous where it is said to be."""

import math
from itertools import combinations, permutations, product
from typing import Any

import numpy as np
import ot
import pytest
from scipy.spatial.distance import cdist

from shoal.theory import hardness
from shoal.theory.hardness import InstanceFamily, minimum_depth
from shoal.theory.hardness import _minimum_depth as chain

POINTS = 40  # of the base sample, the same for flows and instances
SETTINGS = [
    *(
        ("shift", d, k, depth, seed)
        for d, k, depth in (
            (3, 1, 1),
            (4, 1, 1),
            (6, 1, 1),
            (4, 2, 1),
            (6, 2, 1),
            (6, 2, 2),
            (8, 2, 2),
            (8, 3, 1),
        )
        for seed in (0, 1)
    ),
    *(("bend", d, k, 1, seed) for d, k in ((4, 2), (6, 2), (8, 2), (8, 3)) for seed in (0, 1, 2, 3)),
]


def instances(rng: np.random.Generator, d: int, k: int, radius: float) -> tuple[np.ndarray, float, float]:
    """Means (I, k, d), the angle that separates the points, and the overlap that two instances have at most."""
    angle = math.radians(70 if d < 4 else 60)
    x = rng.normal(size=(6000, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    kept = x[:1]
    for p in x[1:]:
        if np.linalg.norm(kept - p, axis=1).min() >= 2 * math.sin(angle / 2):
            kept = np.concatenate([kept, p[None]])
    overlap = {1: 0.0, 2: 0.5, 3: 0.34}[k]
    family: list[tuple[int, ...]] = []
    for subset in combinations(range(min(len(kept), 60 if k < 3 else 24)), k):
        if all(len(set(subset) & set(o)) <= overlap * k for o in family):
            family.append(subset)
    return radius * kept[np.array(family)], angle, overlap


def images(kind: str, theta: np.ndarray, z: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Layers of one parameter each: shifts along a line, or bends h + theta u tanh(<w, h>), |u| = |w| = 1."""
    h = z
    for t, (u, w) in zip(theta, fixed, strict=True):
        h = h + t * u if kind == "shift" else h + t * u * np.tanh(h @ w)[:, None]
    return h


@pytest.mark.parametrize(("kind", "d", "k", "depth", "seed"), SETTINGS)
def test_no_more_instances_are_served_than_the_bound_says(
    kind: str, d: int, k: int, depth: int, seed: int
) -> None:
    """Every parameter vector of a grid, every instance; the bound is below their number, so that it says something.

    The first layer under the family makes instance 0, towards instances 1, 2 the layers move it: some are served.
    """
    assert len(SETTINGS) >= 30
    rng = np.random.default_rng([seed, d, k, depth])
    gamma, radius = 0.1, 2.0 * math.sqrt(d)
    means, angle, overlap = instances(rng, d, k, radius)
    noise = gamma * rng.normal(size=(POINTS, d))
    targets = [m[np.arange(POINTS) % k] + noise for m in means]
    apart = chain.separation(d, radius, gamma, angle, overlap, 0.0)
    epsilon = 0.3 * apart
    ways = np.stack([means[i + 1].mean(axis=0) - means[0].mean(axis=0) for i in range(depth)])
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    fixed = np.stack([ways, np.roll(ways, 1, axis=0)], axis=1)
    size = radius / (2 * depth)
    grid = np.linspace(-size, size, 401 if depth == 1 else 61)
    log_lipschitz = 0.5 * math.log(
        depth
    )  # E |f - f'| <= sum |theta_i - theta_i'| <= sqrt(depth) |theta - theta'|
    assert depth == 1 or kind == "shift"  # of one bend too, as |tanh| <= 1
    bound = math.exp(
        chain.log_served(depth, math.log(size * math.sqrt(depth)), log_lipschitz, apart - 2 * epsilon)
    )
    assert bound < len(means), "vacuous"
    served = set()
    centres = np.stack([t.mean(axis=0) for t in targets])
    even = np.full(POINTS, 1 / POINTS)
    for theta in product(grid, repeat=depth):
        x = images(kind, np.array(theta), targets[0], fixed)
        for i in np.flatnonzero(
            np.linalg.norm(centres - x.mean(axis=0), axis=1) <= epsilon
        ):  # W1 >= |E f - E g|
            if i not in served:
                w1: Any = ot.emd2(even, even, cdist(x, targets[i]))
                if w1 <= epsilon:
                    served.add(i)
    assert 1 <= len(served) <= bound


@pytest.mark.parametrize("k", [1000, 10_000])
@pytest.mark.parametrize("d", [pytest.param(32, marks=pytest.mark.long), 64])
@pytest.mark.parametrize("build", [hardness.planar, hardness.layerwise, hardness.additive])
def test_bounds_are_not_vacuous_and_monotone(build, d: int, k: int) -> None:
    family = InstanceFamily(k, d, distance=0.5 * math.sqrt(d))
    found = minimum_depth(build(d), family, 0.5)
    if k == 10_000:
        assert not found.vacuous
    assert (
        found.depth
        >= minimum_depth(build(d), InstanceFamily(k // 2, d, distance=0.5 * math.sqrt(d)), 0.5).depth
    )
    assert found.depth >= minimum_depth(build(d), InstanceFamily(k, d, distance=math.sqrt(d)), 0.5).depth
    assert found.depth >= minimum_depth(build(d), family, 0.01).depth
    assert found.drawn >= minimum_depth(build(d), family, confidence=1 - 1e-12).drawn
    assert found.depth >= minimum_depth(build(d, radius=4.0), family, 0.5).depth
    assert found.kl_from_flow > 0


def test_the_depth_is_where_the_inequality_turns() -> None:
    family, a = InstanceFamily(10_000, 64, distance=8.0), hardness.planar(64)
    found = minimum_depth(a, family, 0.5)
    gap = chain.separation(64, family.r, 1.0, found.angle, found.overlap, family.ramps) - 2 * 8.0
    goal = found.log_instances + math.log(0.5)
    served = lambda l: chain.log_served(l * a.parameters, a.log_radius(l), a.log_lipschitz(l), gap)
    assert served(found.depth - 1) <= goal < served(found.depth)


@pytest.mark.parametrize(("d", "depth"), [(32, 15), (128, 23), (1024, 25)])
def test_a_drawn_instance_needs_the_depth_of_the_packing_here(d: int, depth: int) -> None:
    """Counted anew: (1 + 4 R L / gap)^(l p) < (1 - confidence)^2 I at the depth below, and at no angle at the depth."""
    a, family = hardness.planar(d), InstanceFamily(10_000, d, distance=math.sqrt(d))
    found = minimum_depth(a, family, 0.5, 0.99)
    assert (found.depth, found.drawn) == (depth, depth)

    def excluded(l: int) -> bool:
        for angle, overlap in product(chain.ANGLES, chain.OVERLAPS):
            gap = chain.separation(d, family.r, 1.0, angle, overlap, 1e-3) - 2 * family.epsilon
            instances = chain.log_instances(chain.log_sphere_packing(d, angle), 10_000, overlap)
            balls = (
                l
                * a.parameters
                * np.logaddexp(0.0, math.log(4) + a.log_radius(l) + a.log_lipschitz(l) - math.log(gap))
                if gap > 0
                else math.inf
            )
            if balls < instances + 2 * math.log(0.01):
                return True
        return False

    assert excluded(depth - 1)
    assert not excluded(depth)


@pytest.mark.parametrize(
    ("d", "k", "degrees", "overlap"), [(3, 1, 25, 0.0), (3, 2, 40, 0.2), (4, 2, 45, 0.4), (3, 3, 35, 0.4)]
)
def test_two_drawn_instances_are_as_rarely_near_as_claimed(
    d: int, k: int, degrees: int, overlap: float
) -> None:
    """W1 of two drawn sets of k means, by every matching, is at most (1 - overlap) chord with probability <= 1 / I."""
    rng = np.random.default_rng([d, k])
    x = rng.normal(size=(2, 200_000, k, d))
    x /= np.linalg.norm(x, axis=3, keepdims=True)
    orders = [
        np.mean(np.linalg.norm(x[0] - x[1][:, list(o)], axis=2), axis=1) for o in permutations(range(k))
    ]
    near = np.mean(np.min(orders, axis=0) <= (1 - overlap) * 2 * math.sin(math.radians(degrees) / 2))
    points = chain.log_sphere_packing(d, math.radians(degrees))
    claim = math.exp(-chain.log_instances(points, k, overlap))
    assert 0 < near <= claim + 4 * math.sqrt(claim / 200_000)
    assert claim < 1


@pytest.mark.parametrize(
    ("family", "term"),
    [
        (InstanceFamily(100, 8, distance=1e3), "separation"),
        (InstanceFamily(10_000, 3, distance=0.5), "packing"),
        (InstanceFamily(2, 64, distance=4.0), "parameters"),
    ],
)
def test_vacuous_bounds_say_what_binds(family: InstanceFamily, term: str) -> None:
    found = minimum_depth(hardness.planar(family.d), family, 0.5)
    assert (found.depth, found.vacuous, found.binding_term) == (1, True, term)


def test_printed_kl_bounds_of_the_theorem() -> None:
    """radius 10 gamma sqrt(d), W1 >= radius / sqrt(5): KL(g || f) >= 10 gamma^2 d / L^2 and KL(f || g) about 1/10."""
    family = InstanceFamily(100, 300, gamma=0.7)
    assert chain.kl_to_flow(family.epsilon, 3.0) == pytest.approx(10 * 0.7**2 * 300 / 9)
    assert chain.kl_from_flow(family.epsilon, family.r, family.gamma) == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: minimum_depth(hardness.planar(4), InstanceFamily(5, 8)), r"R\^4, the instances on R\^8"),
        (lambda: minimum_depth(hardness.planar(8), InstanceFamily(5, 8), 0.0), "`delta`"),
        (lambda: minimum_depth(hardness.planar(8), InstanceFamily(5, 8), confidence=1.0), "`confidence`"),
        (lambda: InstanceFamily(0, 8), "k >= 1"),
        (lambda: InstanceFamily(5, 8, radius=-1.0), "radius"),
        (lambda: hardness.planar(8, radius=0.0), "positive and finite"),
        (lambda: hardness.total_variation_bound(1, 1.0, 1.0), "modes >= 2"),
    ],
)
def test_refuses(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
