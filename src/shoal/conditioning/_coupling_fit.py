"""An affine coupling fitted to rows without training: mean and variance of some coordinates given others, by ridge
regression.

a_i | b ~ N(m_i(b), e^{eta_i(b)}), both linear in the same features of b: coordinates, squares, and random tanh units of up
to three coordinates. Mean and log-variance take turns (Smyth 1989, Generalized linear models with varying dispersion): a
step of the weighted ridge regression of a, one of Fisher scoring with the squares of the residuals, which leave each row
out by its leverage. The Fisher information of a log-variance does not depend on it, so one eigendecomposition of the Gram
matrix serves all coordinates, steps and ridges. For each coordinate the ridge is the one that gains most on a quarter of
the rows that was kept back, or the coordinate stays as it is.
"""

from dataclasses import dataclass

import numpy as np

from shoal._scalars import FloatArray

EDGE = 4.0  # deviations at which b is cut, so that a row far out asks for nothing wild
UNITS, PER_ROW = 384, 8  # random features, at most, and the least rows of each
ROUNDS = 12
RIDGES = (
    (1e-3, 1e-2),
    (1e-2, 1e-1),
    (1e-1, 1e-1),
    (1e-1, 1.0),
    (1.0, 1.0),
    (10.0, 10.0),
)  # of mean and log-variance
LARGEST = 6.0  # of |log-variance|
SURPRISE = 10.0  # the squared residual, in variances, from which on a row moves the log-variance no further


@dataclass(frozen=True)
class Features:
    """u = (b - centre) / scale, cut at `EDGE`: u, u^2 and tanh(u W + o), of mean 0 and deviation 1 on the rows."""

    centre: FloatArray
    scale: FloatArray
    weights: FloatArray
    offsets: FloatArray
    mean: FloatArray
    deviation: FloatArray

    def __call__(self, b: FloatArray) -> FloatArray:
        """The features of rows, (rows, features)."""
        return (self._plain(b) - self.mean) / self.deviation

    def _plain(self, b: FloatArray) -> FloatArray:
        u = np.clip((b - self.centre) / self.scale, -EDGE, EDGE)
        return np.hstack([u, u**2, np.tanh(u @ self.weights + self.offsets)])

    @classmethod
    def of(cls, b: FloatArray, rng: np.random.Generator, units: int) -> "Features":
        """Drawn for rows b (rows, k); none for k = 0."""
        k = b.shape[1]
        count = min(units, len(b) // PER_ROW) if k else 0
        seen = np.zeros((k, count))
        for unit in range(count):
            seen[rng.choice(k, min(k, int(rng.integers(1, 4))), replace=False), unit] = 1.0
        weights = seen * rng.normal(size=(k, count)) * rng.choice([0.5, 1.0, 2.0], count)
        made = cls(
            b.mean(axis=0),
            np.maximum(b.std(axis=0), 1e-9),
            weights,
            rng.uniform(-2.0, 2.0, count),
            np.zeros(2 * k + count),
            np.ones(2 * k + count),
        )
        plain = made._plain(b)
        return cls(
            *(made.centre, made.scale, made.weights, made.offsets),
            plain.mean(axis=0),
            np.maximum(plain.std(axis=0), 1e-9),
        )


@dataclass(frozen=True)
class Law:
    """m and eta: a constant for each coordinate, and (features, coordinates) coefficients."""

    mean: FloatArray
    means: FloatArray
    log: FloatArray
    logs: FloatArray

    def gains(self, a: FloatArray, features: FloatArray) -> FloatArray:
        """a^2 / 2 - (a - m)^2 e^{-eta} / 2 - eta / 2, (rows, coordinates): what the coupling adds to log p."""
        eta = np.clip(self.log + features @ self.logs, -LARGEST, LARGEST)
        return 0.5 * (a**2 - (a - self.mean - features @ self.means) ** 2 * np.exp(-eta) - eta)


def coupling_gains(
    fit: tuple[FloatArray, FloatArray],
    held: tuple[FloatArray, FloatArray],
    *,
    seed: int,
    units: int = UNITS,
) -> tuple[FloatArray, float]:
    """What one affine coupling, fitted to rows (a, b) of `fit`, adds to log p of each row of `held`, (rows,).

    And what it may miss: the most that coordinates which stay as they are could gain within one standard error.
    """
    (a, b), rng = fit, np.random.default_rng(seed)
    features = Features.of(b, rng, units)
    phi, cut = features(b), 3 * len(b) // 4
    nothing = np.zeros((len(b) - cut, a.shape[1]))
    tried = [law.gains(a[cut:], phi[cut:]) for law in laws(a[:cut], Basis.of(phi[:cut]), (*RIDGES, None))]
    tried = np.stack([*tried, nothing])
    error = tried.std(axis=1) / np.sqrt(len(nothing))
    best = np.argmax(tried.mean(axis=1) - error, axis=0)
    reach = np.max(np.maximum(tried.mean(axis=1) + error, 0.0), axis=0)
    gains, seen, basis = np.zeros(len(held[0])), features(held[1]), Basis.of(phi)
    for choice, ridge in enumerate((*RIDGES, None)):
        at = best == choice
        if at.any():
            gains += laws(a[:, at], basis, (ridge,))[0].gains(held[0][:, at], seen).sum(axis=1)
    return gains, float(reach[best == len(RIDGES) + 1].sum())


@dataclass(frozen=True)
class Basis:
    """The eigenvalues and eigenvectors of the features' Gram matrix, and `psi`: the features of the rows in that basis."""

    values: FloatArray
    vectors: FloatArray
    psi: FloatArray

    @classmethod
    def of(cls, phi: FloatArray) -> "Basis":
        """Of features phi, (rows, features)."""
        values, vectors = np.linalg.eigh(phi.T @ phi)
        return cls(values, vectors, phi @ vectors)


def laws(a: FloatArray, basis: Basis, ridges: tuple[tuple[float, float] | None, ...]) -> list[Law]:
    """One for each pair of ridges, in units of the number of rows; None: constants."""
    rows, mean = len(a), a.mean(axis=0)
    values, vectors, psi = basis.values, basis.vectors, basis.psi
    found = []
    for ridge in ridges:
        zero = np.zeros((psi.shape[1], a.shape[1]))
        if ridge is None:
            found.append(Law(mean, zero, np.log(np.maximum(a.var(axis=0), 1e-12)), zero))
            continue
        r_mean, r_log = (values + r * rows for r in ridge)
        r_mean, r_log = r_mean[:, None], r_log[:, None]
        middle, means = mean, (psi.T @ a) / r_mean
        left_out = np.maximum(1.0 - 1.0 / rows - (psi**2) @ (1.0 / r_mean[:, 0]), 0.1)[:, None]
        residual = a - middle - psi @ means
        log, logs = np.log(np.maximum(np.mean((residual / left_out) ** 2, axis=0), 1e-12)), zero
        eta = np.broadcast_to(log, a.shape)
        for _ in range(ROUNDS):
            weight = np.exp(-eta)
            weight = weight / np.quantile(weight, 0.95, axis=0)
            weight = np.minimum(weight, 1.0)
            pull = weight * residual
            middle = middle + pull.mean(axis=0)
            means = means + (psi.T @ pull - ridge[0] * rows * means) / r_mean
            residual = a - middle - psi @ means
            surprise = np.minimum((residual / left_out) ** 2 * np.exp(-eta), SURPRISE) - 1.0
            log = log + surprise.mean(axis=0)
            logs = logs + (psi.T @ surprise - ridge[1] * rows * logs) / r_log
            eta = np.clip(log + psi @ logs, -LARGEST, LARGEST)
        found.append(Law(middle, vectors @ means, log, vectors @ logs))
    return found
