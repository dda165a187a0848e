r"""The heat-flow map of a mixture of normals of one covariance, and its Lipschitz constants both ways.

Law mu = sum_i w_i N(m_i, S), gamma = N(0, I). The Ornstein-Uhlenbeck semigroup carries mu to gamma; its particles move
with velocity -grad log(rho_t / gamma), rho_t = sum_i w_i N(e^{-t} m_i, C), C = I + u (S - I), u = e^{-2t}. Read backwards
this is a map T with T#gamma = mu (Kim and Milman 2012). With p_i the shares of the components at a point,

    grad^2 log(rho_t / gamma) = I - C^{-1} + u C^{-1} Cov_p(m) C^{-1},

so that, integrating the largest and the smallest eigenvalue over time, dt = -du / 2u,

    Lip T      <= exp(1/2 int_0^1 max_{i,j} lambda_max(D C^{-1} + 1/4 C^{-1} (m_i - m_j)(m_i - m_j)' C^{-1}) du),  D = S - I,
    Lip T^{-1} <= exp(-1/2 int_0^1 lambda_min(D C^{-1}) du) = 1 / sqrt(lambda_min(S)).

The pairs: for a unit vector v, v' C^{-1} Cov_p(m) C^{-1} v is the variance of numbers in an interval no longer than
max_{i,j} |<C^{-1} v, m_i - m_j>|, so at most a quarter of that squared, whatever p is (Popoviciu). For S = I this is
Lip T <= exp(diameter^2 / 8). Mikulincer and Shenfeld (2023), for any law N(0, I) * nu with nu in a ball of radius R, have
exp(R^2 / 2), which is never smaller, as diameter <= 2 R.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from shoal._scalars import FloatArray

FLOOR = 1e-6  # added to the eigenvalues of the covariance
STEPS, GAIN = 200, 1e-5  # of EM: at most so many steps, until one gains fewer nats a row
NODES = 400  # intervals of the integral


@dataclass(frozen=True)
class TiedMixture:
    """sum_i w_i N(m_i, S): `weights` (k,), `means` (k, d), `covariance` (d, d)."""

    weights: FloatArray
    means: FloatArray
    covariance: FloatArray

    def log_terms(self, x: FloatArray) -> FloatArray:
        """log(w_i N(x; m_i, S)) of rows (rows, d): (rows, k)."""
        root = np.linalg.cholesky(self.covariance)
        white = solve_triangular(root, np.vstack([x, self.means]).T, lower=True).T
        rows, means = white[: len(x)], white[len(x) :]
        squares = (rows**2).sum(1)[:, None] - 2 * rows @ means.T + (means**2).sum(1)
        constant = 0.5 * x.shape[1] * np.log(2 * np.pi) + np.log(np.diag(root)).sum()
        with np.errstate(divide="ignore"):
            return np.log(self.weights) - 0.5 * squares - constant

    def log_density(self, x: FloatArray) -> FloatArray:
        """The log-density of rows: (rows,)."""
        return np.asarray(logsumexp(self.log_terms(x), axis=1))


def fit_tied(x: FloatArray, k: int, seed: int) -> TiedMixture:
    """k normals of one covariance by expectation-maximisation from k-means; k = 1 is the normal of the rows' moments."""
    labels = kmeans2(x, k, minit="++", seed=seed)[1] if k > 1 else np.zeros(len(x), int)  # pyright: ignore[reportCallIssue]
    shares, old, found = np.eye(k)[labels], -np.inf, None
    for _ in range(STEPS):
        counts = shares.sum(0) + 1e-9
        means = shares.T @ x / counts[:, None]
        second = x.T @ x / len(x) - (means.T * counts) @ means / len(x)
        found = TiedMixture(counts / counts.sum(), means, second + FLOOR * np.eye(x.shape[1]))
        terms = found.log_terms(x)
        logs = np.asarray(logsumexp(terms, axis=1))
        shares = np.exp(terms - logs[:, None])
        if logs.mean() - old < GAIN:
            break
        old = logs.mean()
    assert found is not None
    return found


def heat_flow_bounds(mixture: TiedMixture) -> tuple[float, float]:
    """Upper bounds of Lip T and Lip T^{-1}, T the heat-flow map from N(0, I) to the mixture; inf where they overflow.

    The integral is an upper sum. For u in [a, b], in the eigenbasis of D with entries d_j, the matrix H(u) is at most
    K H(b) K, K = diag((1 + b d_j) / (1 + u d_j)): the term of the means is equal, and (1 + u d_j) d_j <= (1 + b d_j) d_j.
    So lambda_max H(u) <= max(K)^2 lambda_max H(b) where that is positive, and min(K)^2 lambda_max H(b) otherwise.
    """
    values, vectors = np.linalg.eigh(mixture.covariance)
    inverse = 1.0 / float(np.sqrt(values[0]))
    if len(mixture.means) == 1:
        return float(np.sqrt(values[-1])), inverse
    d = values - 1.0
    turned = mixture.means @ vectors
    one, two = np.triu_indices(len(turned), 1)
    apart = turned[one] - turned[two]
    low = min(0.05 * values[0], 0.5)
    nodes = 1 - np.append(np.geomspace(1, low, NODES), 0.0)
    total = 0.0
    for a, b in pairwise(nodes):
        c = 1 + b * d
        scaled = apart / c
        matrices = 0.25 * scaled[:, :, None] * scaled[:, None, :] + np.diag(d / c)
        largest = float(np.linalg.eigvalsh(matrices)[:, -1].max())
        k = np.append(c / (1 + a * d), 1.0)  # 1 at u = b
        total += (b - a) * largest * (k.max() if largest > 0 else k.min()) ** 2
    with np.errstate(over="ignore"):
        return float(np.exp(0.5 * total)), inverse
