"""One Gaussian: mean and covariance of all training rows."""

import numpy as np
from scipy.linalg import solve_triangular

from ..prepare import Rows
from ._base import Estimate


def train(arm: str, rows: Rows, budget: float, seed: int) -> Estimate:
    """The maximum-likelihood Gaussian."""
    mean, factor = rows.mean(0), np.linalg.cholesky(np.cov(rows.T, bias=True))
    constant = -np.log(np.diag(factor)).sum() - 0.5 * len(mean) * np.log(2 * np.pi)
    rng = np.random.default_rng(seed)

    def log_prob(x: Rows) -> Rows:
        z = solve_triangular(factor, (x - mean).T, lower=True)
        return constant - 0.5 * (z * z).sum(0)

    def sample(n: int) -> Rows:
        return mean + rng.standard_normal((n, len(mean))) @ factor.T

    return Estimate(log_prob, {}, sample)
