"""The distance between a given flow and a given instance: a certified lower bound and a measured upper one."""

from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from scipy.spatial.distance import cdist, pdist

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.distributions import wasserstein


@dataclass(frozen=True)
class Gap:
    """`lower`: W1 >= lower with probability 1 - `alpha` over the samples, whatever the flow; `upper`: W1 of two samples.

    `upper` is exact for the samples, an estimate that is too large in the mean; `error`: its standard error over repeats.
    `witness`: the 1-Lipschitz function that gave `lower`.
    """

    lower: float
    upper: float
    error: float
    alpha: float
    witness: str


def wasserstein_gap(
    flow: Any,
    instance: Any,
    *,
    key: Key,
    samples: int = 20_000,
    alpha: float = 0.01,
    transported: int = 1000,
    means: FloatArray | None = None,
) -> Gap:
    r"""Bounds of W1(flow, instance) from samples of both.

    Witnesses, each 1-Lipschitz and with values in an interval of length c: clip(min_i |x - mu_i|, 0, c), c down to half the
    least distance of two means, which sees mass between neighbours, clip(<v, x>) for a
    few directions, clip(|x - mu_i|, 0, c) for single means. W1 >= |E phi(f) - E phi(g)|; each mean is off by at most
    c sqrt(log(4 W / alpha) / 2 n) (Hoeffding) with probability 1 - alpha / 2W, W the number of witnesses.
    **Arguments:** `flow`, `instance`: with `sample(key, rows)`; `samples`: n of each; `transported`: of these in each
    of at most four exact transports; `means`: (k, d), default
    the instance's.
    **Raises:** ValueError where there are no means to build witnesses from, or samples are not finite.
    """
    given = getattr(instance, "means", None) if means is None else means
    if given is None:
        raise InputError("`wasserstein_gap` needs the instance's `means` to build its witnesses.")
    centres = np.asarray(given, np.float64)
    one, two = jr.split(key)
    f = np.asarray(flow.sample(one, samples), np.float64)
    g = np.asarray(instance.sample(two, samples), np.float64)
    if not (np.isfinite(f).all() and np.isfinite(g).all()):
        raise InputError("A sample is not finite: there is no distance to measure.")
    reach = float(np.linalg.norm(centres - centres.mean(axis=0), axis=1).max()) + 1e-12
    functions = _witnesses(centres, reach)
    slack = np.sqrt(np.log(4 * len(functions) / alpha) / (2 * samples))
    bounds = {
        name: abs(float(w(f).mean() - w(g).mean())) - 2 * c * slack for name, (w, c) in functions.items()
    }
    best = max(bounds, key=lambda name: bounds[name])
    size = min(transported, samples)
    repeats = max(1, min(4, samples // size))
    distances = [
        wasserstein(f[i * size : (i + 1) * size], g[i * size : (i + 1) * size], 1) for i in range(repeats)
    ]
    error = float(np.std(distances, ddof=1) / repeats**0.5) if repeats > 1 else float("nan")
    return Gap(max(bounds[best], 0.0), float(np.mean(distances)), error, alpha, best)


def _witnesses(centres: FloatArray, reach: float) -> dict[str, tuple[Any, float]]:
    """Name -> (function of (n, d), length of its range). Clipping to an interval keeps 1-Lipschitz functions so."""
    middle = centres.mean(axis=0)
    found: dict[str, tuple[Any, float]] = {}
    ranges = [share * reach for share in (0.25, 0.5, 1.0)]
    if len(centres) > 1:
        ranges.insert(0, 0.5 * float(pdist(centres).min()))
    for c in ranges:
        found[f"distance to the nearest mean, up to {c:.3g}"] = (
            lambda x, c=c: np.minimum(cdist(x, centres).min(axis=1), c),
            c,
        )
    axes = np.linalg.svd(centres - middle, full_matrices=False)[2][:3]
    for i, v in enumerate(axes):
        found[f"position on axis {i}"] = (
            lambda x, v=v: np.clip((x - middle) @ v, -reach, reach),
            2 * reach,
        )
        found[f"distance from the middle of axis {i}"] = (
            lambda x, v=v: np.minimum(np.abs((x - middle) @ v), reach),
            reach,
        )
    found["distance to the centre"] = (
        lambda x: np.minimum(np.linalg.norm(x - middle, axis=1), 2 * reach),
        2 * reach,
    )
    for i in range(min(len(centres), 4)):
        found[f"distance to mean {i}"] = (
            lambda x, m=centres[i]: np.minimum(np.linalg.norm(x - m, axis=1), reach),
            reach,
        )
    return found
