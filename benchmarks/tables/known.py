"""Targets of known density: two of the literature by their formulas, three mixtures of Gaussians of this benchmark.

twonorm (Breiman 1996, 20 columns): N(m, 1) and N(-m, 1) with m = 2 / sqrt(20) in every column, halves. ring (the same,
"ringnorm"): N(0, 4) and N(m, 1), halves. mixture-2, -8, -32: eight Gaussians of weights from a flat Dirichlet, means
N(0, 9 / sqrt(n)), covariances with axes turned at random and deviations log-uniform between 0.1 and 1, by the name's seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from .prepare import Rows, Split, generator

NAMES = ("twonorm", "ring", "mixture-2", "mixture-8", "mixture-32")
TRAIN_ROWS, TEST_ROWS, PARTS = 10_000, 10_000, 8


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians: weights (k), means (k, n), square roots of the covariances (k, n, n)."""

    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    roots: NDArray[np.float64]

    def sample(self, n: int, rng: np.random.Generator) -> Rows:
        """Rows."""
        part = rng.choice(len(self.weights), n, p=self.weights)
        noise = rng.standard_normal((n, self.means.shape[1]))
        return self.means[part] + np.einsum("nij,nj->ni", self.roots[part], noise)

    def log_prob(self, x: Rows) -> Rows:
        """Log-likelihoods of rows."""
        terms = []
        for weight, mean, root in zip(self.weights, self.means, self.roots, strict=True):
            z = np.linalg.solve(root, (x - mean).T)
            size = np.linalg.slogdet(root)[1] + 0.5 * len(mean) * np.log(2 * np.pi)
            terms.append(np.log(weight) - 0.5 * (z * z).sum(0) - size)
        return logsumexp(np.array(terms), axis=0)


def target(name: str) -> Mixture:
    """The target of a name."""
    unit, m, ones = np.eye(20), 2 / np.sqrt(20), np.ones(20)
    match name:
        case "twonorm":
            return Mixture(np.full(2, 0.5), np.array([m * ones, -m * ones]), np.array([unit, unit]))
        case "ring":
            return Mixture(np.full(2, 0.5), np.array([0 * ones, m * ones]), np.array([2 * unit, unit]))
    n, rng = int(name.split("-")[1]), generator(name)
    weights, means = rng.dirichlet(np.ones(PARTS)), 3 * n**-0.25 * rng.standard_normal((PARTS, n))
    turns = [np.linalg.qr(rng.standard_normal((n, n)))[0] for _ in range(PARTS)]
    roots = [turn * np.exp(rng.uniform(np.log(0.1), 0, n)) for turn in turns]
    return Mixture(weights, means, np.array(roots))


def known_split(name: str, number: int) -> tuple[Split, Rows]:
    """Training and test rows, standardised by the training rows, and the test rows' true log-likelihoods in these units."""
    law, rng = target(name), generator(name, 1, number)
    train, test = law.sample(TRAIN_ROWS, rng), law.sample(TEST_ROWS, rng)
    mean, deviation = train.mean(0), train.std(0)
    split = Split((train - mean) / deviation, (test - mean) / deviation)
    return split, law.log_prob(test) + np.log(deviation).sum()
