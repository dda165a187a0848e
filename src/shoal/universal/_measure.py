"""The distance that a constructed flow really has, by Monte Carlo over the explicit coupling.

Each latent point is coupled with a point of the sample drawn from its cell's cluster: W2^2 <= E |g(z) - c|^2 + q^2, c the
centroid of the cell (the cross term is 0, as the point's mean given the cell is c), q^2 the clusters' inertia.
Latents are stratified in y_1, so that every cell has its share of them; the interval is of 99 %, its variance from pairs of
neighbouring strata, which can only overstate it in the mean.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm

from shoal._scalars import FloatArray, IntArray
from shoal.records.figures import Figure

POINTS = 100_000


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
