"""The W2 certificate: what each part of the construction adds to W2, each an upper bound; `Terms.total` is their sum.

docs/dev/mathematics-2.md 3: W2(flow, sample) <= quantization + push + scales + sqrt(ramps^2 + tails^2) + borders, for the
arrays as stored, rounding to the dtype included. `tails` has z = margin / (delta |v|), the margin less the rounding of u;
`borders` compares with exactly summed weights.

Measured, beside the bound, by Monte Carlo over the explicit coupling.
Each latent point is coupled with a point of the sample drawn from its cell's cluster: W2^2 <= E |g(z) - c|^2 + q^2, c the
centroid of the cell (the cross term is 0, as the point's mean given the cell is c), q^2 the clusters' inertia.
Latents are stratified in y_1, so that every cell has its share of them; the interval is of 99 %, its variance from pairs of
neighbouring strata, which can only overstate it in the mean.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from shoal._scalars import FloatArray, IntArray
from shoal.distributions import wasserstein
from shoal.records.construction import Terms
from shoal.records.figures import Figure
from shoal.theory.universal._atoms import Atoms
from shoal.theory.universal._inputs import DType
from shoal.theory.universal._staircase import Staircase, box_diameter

POINTS = 100_000  # of the measured distance
ROUNDING = 4 * float(
    np.finfo(np.float64).eps
)  # of a difference of two values of Phi, or of one and an exact quotient
TINY = float(np.finfo(np.float64).tiny)  # Phi(-z) is less where it underflows
MOST = 1000  # points a side in the statistical term


def certified_terms(made: Staircase, atoms: Atoms, extra: int, dtype: DType) -> Terms:
    """The terms of the layers as stored. Float64 sums are rounded up by 1e-9 of themselves."""
    d, w = made.a.shape[1], atoms.weights[made.order]
    n = 2 * d - extra
    placed = np.concatenate([made.a, made.b], axis=1)[:, :n]
    push = np.sqrt(w @ np.square(placed - atoms.points[made.order]).sum(axis=1))
    scales = np.sqrt(n) * made.delta
    jumps = np.diff(placed, axis=0)
    first, second = (np.square(part).sum(axis=1) for part in (jumps[:, :d], jumps[:, d:]))
    widths = made.ramps[:, 1] - made.ramps[:, 0]
    own = (
        np.maximum(made.borders - made.ramps[:, 0], made.ramps[:, 1] - made.borders) / widths
    )  # 1/2 but for rounding
    steepest = norm.pdf(np.abs(made.ramps).min(axis=1) * (np.abs(made.borders) > widths))
    masses = np.minimum(
        made.ramp_masses() + ROUNDING, widths * steepest
    )  # the second for narrow ones, which cancel
    ramps = np.sqrt(masses @ (first * own**2 + second))
    z = made.margin(dtype) / (made.delta * np.linalg.norm(made.direction))
    tails = np.sqrt(2 * max(ndtr(-z), TINY)) * box_diameter(made.b[:, : n - d])
    borders = _border_term(made, float(w.min()), np.sqrt(first + second))
    parts = (atoms.quantization, push, scales, ramps, tails, borders)
    return Terms(*(float(part) * (1 + 1e-9) for part in parts))


def displaced(made: Staircase) -> FloatArray:
    """Upper bounds of |Phi(c_i) - exact mass below border i|: what each border has too much on one side."""
    near = np.where(made.borders < 0, ndtr(made.borders) - made.below, ndtr(-made.borders) - made.above)
    return np.abs(near) + ROUNDING


def _border_term(made: Staircase, least: float, jumps: FloatArray) -> float:
    """Mass f_i too many on one side of border i moves one step: sum |f_i| jump_i^2 while no atom runs out of mass."""
    if len(jumps) == 0:
        return 0.0
    flow = displaced(made)
    if flow.max() <= least / 2:
        return float(np.sqrt(flow @ np.square(jumps)))
    return float(np.sqrt(flow) @ jumps)  # by Minkowski, one border after the other


def stratified_latents(seed: int, points: int, size: int, driver: int) -> FloatArray:
    """N(0, I) in R^size with coordinate `driver` stratified: one point in each of `points` cells of equal probability."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((points, size))
    z[:, driver] = ndtri((np.arange(points) + rng.uniform(size=points)) / points)
    return z


def measured_w2(
    forward: Callable[[FloatArray], FloatArray],
    centres: FloatArray,
    quantization: float,
    borders: FloatArray,
    *,
    size: int,
    driver: int,
    seed: int,
    points: int = POINTS,
    dtype: str = "float64",
) -> Figure:
    """sqrt(mean |g(z) - c|^2 + q^2): the estimate of an upper bound of W2 to the sample, with its interval.

    `centres`: (N, n), in the order of the cells; `forward`: latents (points, size) -> data (points, n).
    """
    z = stratified_latents(seed, points, size, driver).astype(dtype)
    cell: IntArray = np.searchsorted(borders, z[:, driver].astype(np.float64), side="right")
    x = np.asarray(forward(z), np.float64)[:, : centres.shape[1]]
    squares = np.square(x - centres[cell]).sum(axis=1)
    mean = float(squares.mean())
    even = squares[: 2 * (points // 2)].reshape(-1, 2)
    error = float(np.sqrt(np.square(even[:, 0] - even[:, 1]).sum())) / points
    reach = float(norm.ppf(0.995)) * error
    ends = np.sqrt(np.maximum([mean - reach, mean, mean + reach], 0.0) + quantization**2)
    return Figure(float(ends[1]), "estimate", float(ends[0]), float(ends[2]))


def statistical_w2(samples: FloatArray, weights: FloatArray, seed: int, repeats: int = 4) -> Figure:
    r"""W2 between the sample of M rows and its population: an estimate of an upper bound of sqrt(E W2^2).

    W2^2 is convex, so E W2^2(P_M, P) <= E W2^2(P_m, P) <= E W2^2(P_m, P'_m) for two independent samples of m <= M rows:
    the mean over random halves of m <= M / 2 rows estimates the last one without bias, with no rate assumed.
    Rows are drawn by their weights where these differ.
    """
    rng = np.random.default_rng(seed)
    m = min(len(samples) // 2, MOST)
    if m < 1:
        return Figure(float("nan"), "unresolved")
    even = bool(np.allclose(weights, weights[0]))
    squares = []
    for _ in range(repeats):
        rows = rng.choice(len(samples), 2 * m, replace=not even, p=None if even else weights)
        squares.append(wasserstein(samples[rows[:m]], samples[rows[m:]]) ** 2)
    return Figure(float(np.sqrt(np.mean(squares))), "estimate")
