"""What a sample says about its population."""

import numpy as np

from shoal._scalars import FloatArray
from shoal.distributions import wasserstein
from shoal.records.figures import Figure

MOST = 1000  # points a side in the statistical term


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
