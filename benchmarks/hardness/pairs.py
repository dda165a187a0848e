"""Pairs of a trained flow and an instance: how `given_pairs.py` makes and compares them."""

import math
from typing import Any

import jax.random as jr
import numpy as np
import ot
from scipy.spatial.distance import cdist
from scipy.stats import chi2

from shoal.flows import layerwise, nice, planar, realnvp, spline
from shoal.theory.hardness import (
    AbstractEqualNormals,
    FreeMeansMixture,
    GaussianMixtureOnSphere,
    measured,
    ring,
    total_variation_bound,
    wasserstein_gap,
)
from shoal.training import Settings, fit_many

HIDDEN, SEED, SEEDS = (16,), 0, 4
FAMILIES: dict[str, Any] = {
    "planar": planar,
    "layerwise": layerwise,
    "nice": lambda key, d, depth: nice(key, d, depth, hidden=HIDDEN),
    "realnvp": lambda key, d, depth: realnvp(key, d, depth, hidden=HIDDEN),
    "spline": lambda key, d, depth: spline(key, d, depth, hidden=HIDDEN),
}
BOUNDED = ("planar", "layerwise", "nice")  # families that `measured` takes
INSTANCES = ("pair", "ring", "free", "sphere", "code")
DEPTHS = (1, 2, 4, 6, 8)  # each family meets each depth once, and so does each instance
SEPARATION = 14.0  # least distance of two means in deviations
MASS = 0.999  # of a mode in its ball
TRAINING = {"rows": 2000, "batch_size": 200, "max_epochs": 80, "learning_rate": 1e-2}
SIZES = {"samples": 20_000, "transported": 2000, "shares": 100_000, "alpha": 1e-3}


def instance_of(name: str) -> AbstractEqualNormals:
    """Two, four or eight far normals in 2, 4 or 8 dimensions, standardised in size, not in shape."""
    key = jr.key(SEED)
    if name == "ring":
        return _scaled(lambda gamma: ring(8, radius=math.sqrt(2), gamma=gamma))
    if name == "sphere":
        return _scaled(lambda gamma: GaussianMixtureOnSphere(key, 4, 4, gamma, 2.0))
    if name == "code":
        return _scaled(lambda gamma: GaussianMixtureOnSphere(key, 8, 8, gamma, math.sqrt(8)))
    means = np.array([[-1.0, -1.0], [1.0, 1.0]])
    if name == "free":
        means = np.random.default_rng(SEED).normal(size=(4, 4))
    return _scaled(lambda gamma: FreeMeansMixture(means, gamma))


def _scaled(build: Any) -> AbstractEqualNormals:
    return build(build(1.0).distance / SEPARATION)


def trained(family: str, name: str, depth: int, seeds: int = SEEDS, **changes: Any) -> list[Any]:
    """Results of training on the same rows, one a seed."""
    instance, settings = instance_of(name), {**TRAINING, **changes}
    rows = instance.sample(jr.key(SEED + 1), settings.pop("rows"))
    flows = [
        FAMILIES[family](jr.fold_in(jr.key(SEED + 2), s), instance.shape[0], depth) for s in range(seeds)
    ]
    keys = [jr.fold_in(jr.key(SEED + 3), s) for s in range(seeds)]
    return fit_many(flows, rows, keys=keys, workers=1, settings=Settings(patience=None, **settings))


def transported(flow: Any, instance: AbstractEqualNormals, key: Any, rows: int) -> float:
    """W1 of two samples by the network simplex of POT."""
    one, two = jr.split(key)
    x, y = (np.asarray(p.sample(k, rows), np.float64) for p, k in ((flow, one), (instance, two)))
    even = np.full(rows, 1 / rows)
    return float(ot.emd2(even, even, cdist(x, y), numItermax=10_000_000))  # pyright: ignore[reportArgumentType]


def misplaced(flow: Any, instance: AbstractEqualNormals, key: Any, rows: int) -> dict[str, float]:
    """sum_i max(m - a_i, 0), m the target's mass in the ball of mode i and a_i the flow's, with its standard error.

    TV is at least that. An estimate that is too large in the mean (a convex function of means).
    """
    means = np.asarray(instance.means, np.float64)
    x = np.asarray(flow.sample(key, rows), np.float64)
    away = cdist(x, means)
    near, m = away.argmin(axis=1), MASS / len(means)
    inside = away.min(axis=1) <= ball(instance)
    shares = np.bincount(near[inside], minlength=len(means)) / rows
    return {
        "misplaced": float(np.maximum(m - shares, 0.0).sum()),
        "misplaced_error": float(np.sqrt(shares * (1 - shares) / rows).sum()),
    }


def ball(instance: AbstractEqualNormals) -> float:
    """The radius of the ball that has `MASS` of a mode."""
    return instance.gamma * math.sqrt(chi2.ppf(MASS, instance.shape[0]))


def variation(flow: Any, family: str, instance: AbstractEqualNormals, key: Any, rows: int) -> dict[str, Any]:
    """The bound by the flow's own Lipschitz constant beside what is misplaced."""
    found = misplaced(flow, instance, key, rows)
    if family not in BOUNDED:
        return {**found, "lipschitz": None, "variation_bound": None, "variation_violated": None}
    constant = measured(flow).lipschitz
    apart = instance.distance - 2 * ball(instance)
    bound = total_variation_bound(len(instance.means), apart, constant, MASS)
    return {
        **found,
        "lipschitz": constant,
        "variation_bound": bound,
        "variation_violated": found["misplaced"] + 4 * found["misplaced_error"] < bound,
    }


def compared(
    result: Any, family: str, instance: AbstractEqualNormals, key: Any, sizes: dict[str, Any]
) -> dict[str, Any]:
    """The figures of one pair."""
    k_gap, k_transport, k_shares = jr.split(key, 3)
    gap = wasserstein_gap(
        result.flow,
        instance,
        key=k_gap,
        samples=sizes["samples"],
        alpha=sizes["alpha"],
        transported=sizes["transported"] // 2,
    )
    other = transported(result.flow, instance, k_transport, sizes["transported"])
    return {
        "training": str(result.status),
        "epochs": len(result.history),
        "lower": gap.lower,
        "witness": gap.witness,
        "upper": gap.upper,
        "transported": other,
        "violated": gap.lower > other,
        **variation(result.flow, family, instance, k_shares, sizes["shares"]),
    }
