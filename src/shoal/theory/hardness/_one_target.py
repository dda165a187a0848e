r"""What one given target asks of a flow, and how far a given flow is from it.

Proofs: docs/dev/mathematics-2.md 6.3 and 6.5.

**Far modes against a Lipschitz constant.** How much mass a Lipschitz flow must misplace, by the Gaussian isoperimetric
inequality, from the forward constant only (Verine et al. 2021 bound the total variation of bi-Lipschitz flows).

**Planar layers with bounded shifts**, whatever w and b are: f_i(z) = z + u_i h_i(<w_i, z> + b_i), invertible, h_i monotone
and absolutely continuous with |h_i| <= 1, or the inverse of such a layer; p has an integrable gradient. With
S(p) = sup over unit v of E_p |<v, grad log p>|,

    TV(f_l ... f_1 # q, p) >= TV(q, p) - S(p) sum_i |u_i|    for every base law q.

The idea, to follow how little a layer moves a slowly varying target, is Kong and Chaudhuri's (2020, arXiv 2006.00392, depth
bounds for local planar flows with bounded weights); the form here has its own proof and needs no bound on w.

**The distance of a given pair**: a certified lower bound and a measured upper one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.special import ndtr, ndtri

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import Key
from shoal.distributions import wasserstein
from shoal.theory.hardness._instances import HeavyTails

ROUNDING = 1e-14  # of values of Phi, and of its inverse seen through Phi

Witness = tuple[Callable[[FloatArray], FloatArray], float]


def total_variation_bound(modes: int, distance: float, lipschitz: float, mass: float = 1.0) -> float:
    r"""TV(f#N, target) is at least this, for f: latent -> data that is L-Lipschitz.

    The target has `modes` = k sets of mass m = `mass` / k each, pairwise at least `distance` = D apart. Two sets: TV >=
    mass - m - Phi(-Phi^{-1}(m) - D / L); k sets: TV >= mass - m / Phi(Phi^{-1}(m) + D / 2L). At least 0.
    **Raises:** InputError for fewer than two modes, or numbers outside their range.
    """
    if modes < 2 or not 0 < mass <= 1 or not (0 <= distance < math.inf and 0 < lipschitz < math.inf):
        raise InputError(
            "`total_variation_bound` needs modes >= 2, 0 < mass <= 1, distance >= 0, lipschitz > 0; "
            f"got {modes}, {mass}, {distance}, {lipschitz}."
        )
    s = distance / (2 * lipschitz)
    each = mass / modes
    bounds = [0.0, mass - each / float(ndtr(ndtri(each) + s))]
    if modes == 2:
        bounds.append(mass - each - float(ndtr(-ndtri(each) - 2 * s)))
    return max(0.0, max(bounds) - ROUNDING)


def least_lipschitz(modes: int, distance: float, variation: float, mass: float = 1.0) -> float:
    """The Lipschitz constant below which TV <= `variation` is impossible: solves `total_variation_bound` for L."""
    low, high = 1e-12, 1e12
    excluded = lambda lipschitz: total_variation_bound(modes, distance, lipschitz, mass) > variation
    if not excluded(low):
        return 0.0
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if excluded(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class LocalPlanarBound:
    """`depth`: fewer planar layers with |u| <= `radius` are farther than `distance` from the target in total variation.

    This is a statement about one given target, from the base N(0, I) and without other layers. `vacuous`: depth is 1 or 0.
    `from_base`: a lower bound of TV(N(0, I), target); `score`: S(target).
    """

    depth: int
    vacuous: bool
    distance: float
    radius: float
    from_base: float
    score: float


def local_planar_depth(target: HeavyTails, *, radius: float, distance: float) -> LocalPlanarBound:
    """The least l with TV(N, p) - l radius S(p) <= distance: with fewer layers the distance is not reached.

    **Arguments:** `radius`: the largest |u_i|; `distance`: total variation that is wanted, in (0, 1).
    **Raises:** InputError for numbers outside their range.
    """
    if not 0 < radius < math.inf or not 0 < distance < 1:
        raise InputError(
            f"`local_planar_depth` needs radius > 0 and 0 < distance < 1; got {radius!r}, {distance!r}."
        )
    start, score = target.from_normal(), target.score
    depth = max(math.ceil((start - distance) / (radius * score)), 0)
    return LocalPlanarBound(depth, depth <= 1, distance, radius, start, score)


def planar_gap(target: HeavyTails, shifts: Sequence[float]) -> float:
    """A lower bound of TV(f # N(0, I), target) for a flow of planar layers with |u_i| = `shifts`; at least 0.

    **Raises:** InputError for shifts that are negative or not finite.
    """
    if not all(0 <= s < math.inf for s in shifts):
        raise InputError("`planar_gap(shifts)` must be finite and at least 0.")
    return max(target.from_normal() - target.score * math.fsum(shifts), 0.0)


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
    **Raises:** InputError where there are no means to build witnesses from, or samples are not finite.
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


def _witnesses(centres: FloatArray, reach: float) -> dict[str, Witness]:
    """Name -> (function of (n, d), length of its range). Clipping to an interval keeps 1-Lipschitz functions so."""
    middle = centres.mean(axis=0)
    found: dict[str, Witness] = {}
    ranges = [share * reach for share in (0.25, 0.5, 1.0)]
    if len(centres) > 1:
        ranges.insert(0, 0.5 * float(pdist(centres).min()))
    for c in ranges:
        nearest = lambda x, c=c: np.minimum(cdist(x, centres).min(axis=1), c)
        found[f"distance to the nearest mean, up to {c:.3g}"] = nearest, c
    axes = np.linalg.svd(centres - middle, full_matrices=False)[2][:3]
    for i, v in enumerate(axes):
        position = lambda x, v=v: np.clip((x - middle) @ v, -reach, reach)
        found[f"position on axis {i}"] = position, 2 * reach
        found[f"distance from the middle of axis {i}"] = lambda x, p=position: np.abs(p(x)), reach
    far = lambda m, most: lambda x: np.minimum(np.linalg.norm(x - m, axis=1), most)
    found["distance to the centre"] = far(middle, 2 * reach), 2 * reach
    for i, m in enumerate(centres[:4]):
        found[f"distance to mean {i}"] = far(m, reach), reach
    return found
