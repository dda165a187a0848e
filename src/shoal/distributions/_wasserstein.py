"""The exact Wasserstein distance between two samples of one size."""

import numpy as np
import scipy  # loads `optimize` and `spatial` where they are first used

from shoal._errors import InputError
from shoal._scalars import FloatArray


def wasserstein(x: FloatArray, y: FloatArray, p: int = 2) -> float:
    r"""W_p between two samples of equal size: (min over permutations of mean |x_i - y_pi(i)|^p)^{1/p}, by assignment.

    **Arguments:** `x`, `y`: (N, n) each; `p`: 1 or 2.
    **Returns:** the exact distance between the two samples (not between their populations). Cost N^2 memory, about N^3 time.
    **Raises:** `InputError` for other shapes or another p.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or x.shape != y.shape:
        raise InputError(f"`wasserstein` needs two samples of one shape (N, n); got {x.shape} and {y.shape}.")
    if p not in (1, 2):
        raise InputError(f"`p` must be 1 or 2; got {p!r}.")
    cost = scipy.spatial.distance.cdist(x, y) if p == 1 else scipy.spatial.distance.cdist(x, y, "sqeuclidean")
    rows, columns = scipy.optimize.linear_sum_assignment(cost)
    return float(cost[rows, columns].mean() ** (1 / p))
