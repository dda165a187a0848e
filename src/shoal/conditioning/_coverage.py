r"""`expected_coverage`: whether the regions of highest density of a law hold as many fresh draws as they should.

Let q(. | c) be the law of a conditional flow, and (x_i, c_i) held-out draws: for a posterior, parameters of the prior and
what was simulated from them. The region of highest density that holds x_i and all that is more probable has the probability

    u_i = P[ q(X | c_i) > q(x_i | c_i) ],   X ~ q(. | c_i).

If q is right, u_i is uniform on (0, 1), so that a share a of the rows has u_i < a, for every a (Hermans, Delaunoy, Rozet,
Wehenkel, Begy and Louppe 2022, A trust crisis in simulation-based inference? Your posterior approximations can be
unfaithful). Laws that are too narrow have fewer. With k of m draws of q above q(x_i | c_i), (k + U) / (m + 1) with a uniform
U of its own is uniform on (0, 1) too, exactly and for any m, as all orders of m + 1 draws are equally likely; so the counts
below are binomial, and their intervals (Clopper and Pearson 1934) exact.

Why this and not TARP (Lemos, Coogan, Hezaveh and Perreault-Levasseur 2023, Sampling-based accuracy testing of posterior
estimators for general inference), which asks for the same share in balls around random points: TARP needs samples alone, and
so a metric of the parameters and a law of the points; a flow has its density, and highest density says "too narrow" without
either. Both are necessary conditions; the prior itself, as posterior of everything, passes both.

The width of a normal law in n dimensions that is s times as wide as the right one and whose region of level a holds the
share p: chi^2_n(p) = s^2 chi^2_n(a) with the quantiles chi^2_n. It is the figure for "too narrow", exact for normal laws.
"""

import numpy as np
import scipy  # loads `stats` where it is first used

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal._types import ArrayLike
from shoal.conditioning._inputs import as_map, as_points
from shoal.conditioning._map import AbstractMap
from shoal.records.figures import Coverage, Figure

LEVELS, WIDTH_LEVEL = (0.5, 0.8, 0.95), 0.8
RISK = 0.01  # that an interval misses
FEWEST_ROWS = 50


def expected_coverage(
    map: object, x: ArrayLike, *, context: ArrayLike | None = None, samples: int = 100, seed: int = 0
) -> Coverage:
    """The share of rows within the regions of highest density of 50, 80 and 95 %, with exact intervals.

    **Arguments:** `map`: as `audit` takes it, with its own log-det and a standard normal latent; `x`, `context`: rows that
    the flow was not trained on, (rows, n) and (rows, c), 50 or more: of a posterior, parameters drawn from the prior and
    what was simulated from each; `samples`: draws of each row's law; of a posterior those count that lie inside the prior.

    **Returns:** the shares; `verdict`; `str()` is one sentence. A verdict of "not refuted" is no proof: a posterior that is
    the prior is covered right.

    **Raises:** InputError for few rows, another latent, a map without log-dets, or a posterior without its simulations.

    **Reference:** J. Hermans, A. Delaunoy, F. Rozet, A. Wehenkel, V. Begy, G. Louppe, A trust crisis in simulation-based
    inference?, TMLR 2022.
    """
    whole, _ = as_map(map, None, None, np.shape(x))
    points, given = as_points(x, context, whole.size)
    if len(points) < FEWEST_ROWS:
        raise InputError(f"Expected coverage needs {FEWEST_ROWS} rows or more; got {len(points)}.")
    if samples < 1:
        raise InputError(f"`samples` must be at least 1; got {samples}.")
    if whole.latent != "StandardNormal":
        raise InputError(f"Expected coverage needs a standard normal latent; this one is {whole.latent}.")
    if whole.posterior is not None and whole.posterior.observed and given is None:
        raise InputError(
            "Expected coverage of a posterior needs simulations: rows of parameters, and as their context what was "
            "simulated from each."
        )
    ranks = _ranks(whole, points, given, samples, seed)
    hits = [int((ranks < level).sum()) for level in LEVELS]
    shares = [share(k, len(ranks), RISK / len(LEVELS)) for k in hits]
    at = LEVELS.index(WIDTH_LEVEL)
    return Coverage(list(LEVELS), shares, _width(shares[at], whole.size), WIDTH_LEVEL, len(ranks), samples)


def share(hits: int, rows: int, risk: float = RISK) -> Figure:
    """A probability of which `hits` of `rows` tell, with the interval that misses it at most with `risk`."""
    low = float(scipy.stats.beta.ppf(risk / 2, hits, rows - hits + 1)) if hits else 0.0
    high = float(scipy.stats.beta.ppf(1 - risk / 2, hits + 1, rows - hits)) if hits < rows else 1.0
    return Figure(hits / rows, "estimate", low, high)


def _ranks(
    whole: AbstractMap, points: FloatArray, context: FloatArray | None, samples: int, seed: int
) -> FloatArray:
    """u_i (rows,). A density that is NaN counts as zero."""
    rng = np.random.default_rng(seed)
    z, log_dets = whole.at("inverse", context=context).apply(points)
    if log_dets is None:
        raise InputError(f"Expected coverage needs log-dets, which {whole.name} does not report.")
    own = _log_normal(z) + log_dets
    above, drawn = np.zeros(len(points)), np.zeros(len(points))
    inside = None if whole.posterior is None else whole.posterior.inside
    for _ in range(samples):
        z = rng.normal(size=points.shape)
        x, log_dets = whole.at(context=context).apply(z)
        assert log_dets is not None  # as it is in the other direction
        kept = np.ones(len(x), bool) if inside is None else inside(x)
        drawn += kept
        above += kept & ~(_log_normal(z) - log_dets <= np.nan_to_num(own, nan=-np.inf))
    return (above + rng.uniform(size=len(points))) / (drawn + 1)


def _log_normal(z: FloatArray) -> FloatArray:
    """log of the standard normal density, up to its constant."""
    return -0.5 * (z.astype(np.float64) ** 2).sum(axis=1)


def _width(found: Figure, size: int) -> Figure:
    """s of the module's text; the share's interval goes with it, for s grows with the share."""
    ends = scipy.stats.chi2.ppf(
        [found.value, found.low or 0.0, 1.0 if found.high is None else found.high], size
    )
    value, low, high = np.sqrt(ends / scipy.stats.chi2.ppf(WIDTH_LEVEL, size)).tolist()
    return Figure(value, "estimate", low, high)
