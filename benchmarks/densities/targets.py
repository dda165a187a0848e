"""Densities whose log Z, draws and moments are known: a funnel, a banana, eight modes, a Gaussian, a regression posterior.

A target is written once, for JAX and for PyTorch: `log_density(x, ops)` of one point, or of points along the first axes,
with the few functions that both have. Moments are those of `features`, which are known in closed form.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln, polygamma, psi

Array = Any


class Ops(NamedTuple):
    """The functions that differ between JAX and PyTorch, each over the last axis where it sums."""

    array: Callable[[np.ndarray], Array]
    exp: Callable[[Array], Array]
    total: Callable[[Array], Array]
    logsumexp: Callable[[Array], Array]


@dataclass(frozen=True)
class Target:
    """`log_z`: of `log_density` as it is written; `features`: (draws, k) of draws (draws, n), with their `mean` and `sd`."""

    name: str
    dim: int
    log_density: Callable[[Array, Ops], Array]
    log_z: float
    features: Callable[[np.ndarray], np.ndarray]
    mean: np.ndarray
    sd: np.ndarray
    modes: bool = False  # several, far from each other

    def in_jax(self) -> Callable[[Array], Array]:
        """The function of one point, for JAX."""
        import jax
        import jax.numpy as jnp

        total, lse = partial(jnp.sum, axis=-1), partial(jax.scipy.special.logsumexp, axis=-1)
        ops = Ops(lambda a: jnp.asarray(a, jnp.result_type(float)), jnp.exp, total, lse)
        return lambda x: self.log_density(x, ops)

    def in_torch(self) -> Callable[[Array], Array]:
        """The function of points along the first axis, for PyTorch."""
        import torch

        total, lse = partial(torch.sum, dim=-1), partial(torch.logsumexp, dim=-1)
        ops = Ops(lambda a: torch.tensor(a, dtype=torch.float32), torch.exp, total, lse)
        return lambda x: self.log_density(x, ops)


def funnel() -> Target:
    """Neal's funnel (2003) in 10 dimensions: v ~ N(0, 9), nine x_i ~ N(0, e^v). Features: v, and log|x_i|, i = 1 ... 9.

    log|x| = v / 2 + log|N(0, 1)|, the latter with mean -(log 2 + gamma) / 2 and variance pi^2 / 8.
    """

    def log_density(x: Array, ops: Ops) -> Array:
        v = x[..., 0]
        return -(v**2) / 18 - 4.5 * v - 0.5 * ops.total(x[..., 1:] ** 2) * ops.exp(-v)

    log_normal = 0.5 * (psi(0.5) + np.log(2)), 0.25 * polygamma(1, 0.5)
    mean = np.r_[0.0, np.full(9, log_normal[0])]
    sd = np.sqrt(np.r_[9.0, np.full(9, 9 / 4 + log_normal[1])])
    features = lambda x: np.concatenate([x[:, :1], np.log(np.abs(x[:, 1:]))], axis=1)
    return Target("funnel", 10, log_density, 5 * np.log(2 * np.pi) + np.log(3), features, mean, sd)


def banana() -> Target:
    """x_1 ~ N(0, 4), x_2 = (x_1^2 - 4) / 2 + N(0, 1/4)."""

    def log_density(x: Array, ops: Ops) -> Array:
        first, second = x[..., 0], x[..., 1]
        return -(first**2) / 8 - 2 * (second - 0.5 * (first**2 - 4)) ** 2

    sd = np.array([2.0, np.sqrt(8.0 + 0.25)])  # var of x_1^2 / 2 is 2 * 4^2 / 4
    return Target("banana", 2, log_density, np.log(2 * np.pi), lambda x: x, np.zeros(2), sd)


def eight_modes() -> Target:
    """Eight equal normals of deviation 0.2 on a circle of radius 2. Features: x, and which mode is nearest."""
    angles = np.arange(8) * np.pi / 4
    centres = 2 * np.c_[np.cos(angles), np.sin(angles)]

    def log_density(x: Array, ops: Ops) -> Array:
        return ops.logsumexp(-12.5 * ops.total((x[..., None, :] - ops.array(centres)) ** 2))

    def features(x: np.ndarray) -> np.ndarray:
        nearest = np.argmin(np.sum((x[:, None] - centres) ** 2, axis=2), axis=1)
        return np.concatenate([x, nearest[:, None] == np.arange(8)], axis=1)

    mean, share = np.r_[0.0, 0.0, np.full(8, 1 / 8)], np.full(8, np.sqrt(7) / 8)
    sd = np.r_[np.full(2, np.sqrt(2 + 0.04)), share]
    return Target("modes", 2, log_density, np.log(8 * 2 * np.pi * 0.04), features, mean, sd, modes=True)


def gaussian() -> Target:
    """N(0, S) in 50 dimensions, the eigenvalues of S from 1 to 1e4 (kappa(S) = 1e4) in random directions: the features."""
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(50, 50)))[0]
    values = np.logspace(0, 4, 50)
    root = vectors / np.sqrt(values)  # white = x @ root

    def log_density(x: Array, ops: Ops) -> Array:
        return -0.5 * ops.total((x @ ops.array(root)) ** 2)

    log_z = 0.5 * (50 * np.log(2 * np.pi) + np.log(values).sum())
    return Target("gaussian", 50, log_density, log_z, lambda x: x @ vectors, np.zeros(50), np.sqrt(values))


def regression() -> Target:
    """Linear regression with a conjugate prior: nine coefficients and log s^2, given 25 rows; features: these ten.

    s^2 ~ inverse gamma(2, 1), b | s^2 ~ N(0, 10 s^2 I), y | b, s^2 ~ N(X b, s^2 I). The posterior is of the same form, so b
    has Student marginals and log s^2 the mean log b_n - psi(a_n) and the variance psi'(a_n); log Z is the evidence.
    """
    rng = np.random.default_rng(1)
    rows, k, a, b, prior = 25, 9, 2.0, 1.0, 0.1
    shared = rng.normal(size=(rows, 1))
    x_rows = np.c_[np.ones(rows), 0.9 * shared + 0.45 * rng.normal(size=(rows, k - 1))]
    y_rows = x_rows @ rng.normal(size=k) + 0.7 * rng.normal(size=rows)
    precision = x_rows.T @ x_rows + prior * np.eye(k)
    centre = np.linalg.solve(precision, x_rows.T @ y_rows)
    a_n = a + rows / 2
    b_n = b + 0.5 * (y_rows @ y_rows - centre @ precision @ centre)

    def log_density(t: Array, ops: Ops) -> Array:
        """log p(y | b, s^2) + log p(b | s^2) + log p(log s^2)."""
        coefficients, log_s2 = t[..., :k], t[..., k]
        misfit = ops.total((ops.array(y_rows) - coefficients @ ops.array(x_rows.T)) ** 2)
        size = prior * ops.total(coefficients**2)
        powers = -0.5 * (rows + k) * (log_s2 + np.log(2 * np.pi)) + 0.5 * k * np.log(prior)
        own = a * np.log(b) - float(gammaln(a)) - a * log_s2
        return powers + own - (0.5 * (misfit + size) + b) * ops.exp(-log_s2)

    log_z = (
        -0.5 * rows * np.log(2 * np.pi)
        + 0.5 * (k * np.log(prior) - np.linalg.slogdet(precision)[1])
        + (a * np.log(b) - a_n * np.log(b_n) + gammaln(a_n) - gammaln(a))
    )
    mean = np.r_[centre, np.log(b_n) - psi(a_n)]
    sd = np.sqrt(np.r_[b_n / (a_n - 1) * np.diag(np.linalg.inv(precision)), polygamma(1, a_n)])
    return Target("regression", k + 1, log_density, float(log_z), lambda t: t, mean, sd)


@cache
def targets() -> dict[str, Target]:
    """All of them, by name."""
    made = (funnel(), banana(), eight_modes(), gaussian(), regression())
    return {target.name: target for target in made}
