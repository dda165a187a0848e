"""Exact Wasserstein distances between two samples of one size, and what a sample says about its population."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from shoal._errors import InputError
from shoal._scalars import FloatArray
from shoal.universal._figure import Figure

MOST = 1000  # points a side in the statistical term


def wasserstein(x: FloatArray, y: FloatArray, p: int = 2) -> float:
    r"""W_p between two samples of equal size: (min over permutations of mean |x_i - y_pi(i)|^p)^{1/p}, by assignment.

    **Arguments:** `x`, `y`: (N, n) each; `p`: 1 or 2.
    **Returns:** the exact distance between the two samples (not between their populations). Cost N^2 memory, about N^3 time.
    **Raises:** ValueError for other shapes or another p.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise InputError(f"`wasserstein` needs two samples of one shape (N, n); got {x.shape} and {y.shape}.")
    if p not in (1, 2):
        raise InputError(f"`p` must be 1 or 2; got {p!r}.")
    cost = cdist(x, y) if p == 1 else cdist(x, y, "sqeuclidean")
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].mean() ** (1 / p))


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
