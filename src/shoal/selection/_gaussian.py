r"""The Gaussian that is closest to a known density p by reverse KL: rung 0 of a ladder for densities.

At the best N(m, S), S = C C^T, x = m + C z: E[grad log p(x)] = 0 and S^{-1} = -C^{-T} E[z grad log p(x)^T] (by Stein's lemma
-E[Hessian of log p]; Opper and Archambeau 2009). Natural gradients go there (Khan and Rue 2023): S^{-1} <- (1 - r) S^{-1}
+ r times the right-hand side, m <- m + r S E[grad], r halved until the bound grows; a Gaussian p is reached in one step.
Expectations are means over fixed draws z whose mean and covariance are those of the standard normal exactly.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from shoal._compiling import quickly
from shoal._products import matmul
from shoal._scalars import FloatArray, Function
from shoal._types import Array
from shoal.bijections import Inverse, Whitening
from shoal.training import LogDensity

STEPS, HALVINGS = 40, 8
ENOUGH = 1e-6  # nats; a smaller gain ends the steps
DEVIATIONS = (1.0, 0.1, 10.0)  # of the first Gaussian around 0
LARGEST = 1024  # coordinates up to which a matrix is formed


def closest_gaussian(log_density: LogDensity, dim: int, beta: float, seed: int) -> Inverse:
    """The Gaussian closest to p^beta as x = U L (z - m), a product where samples are drawn.

    The identity where log p is not finite, or `dim` is above 1,024.
    """
    dtype = jnp.zeros(()).dtype
    mean, factor = np.zeros(dim), np.eye(dim)
    if dim <= LARGEST:
        look = partial(_looked, log_density, jnp.asarray(_draws(dim, seed), dtype), beta=beta)
        starts = [(mean, scale * factor) for scale in DEVIATIONS]
        bounds = [_bound(look, *start) for start in starts]
        if np.isfinite(bounds).any():
            mean, factor = _climb(look, *starts[int(np.nanargmax(bounds))])
    parts = -solve_triangular(factor, mean, lower=True), np.tril(factor, -1), np.log(np.diag(factor))
    return Inverse(Whitening(*(jnp.asarray(part, dtype) for part in parts)))


def _draws(dim: int, seed: int) -> FloatArray:
    """Antithetic normal draws (rows, dim), their mean 0 and their covariance the identity."""
    half = np.random.default_rng([seed, 7]).normal(size=(max(256, 4 * dim), dim))
    values, vectors = np.linalg.eigh(half.T @ half / len(half))
    half = half @ (vectors / np.sqrt(values)) @ vectors.T
    return np.concatenate([half, -half])


def _climb(look: Function, mean: FloatArray, factor: FloatArray) -> tuple[FloatArray, FloatArray]:
    bound = _bound(look, mean, factor)
    for _ in range(STEPS):
        _, gradient, product = look(mean, factor)
        target = -solve_triangular(factor, product, lower=True, trans=1)
        precision = np.linalg.inv(factor @ factor.T)
        gain, rate = 0.0, 1.0
        for _ in range(HALVINGS):
            tried = _moved(mean, precision, gradient, target, rate)
            new = -np.inf if tried is None else _bound(look, *tried)
            gain = new - bound
            if tried is not None and gain > 0:
                (mean, factor), bound = tried, new
                break
            rate *= 0.5
        if not gain > ENOUGH:
            break
    return mean, factor


def _moved(
    mean: FloatArray, precision: FloatArray, gradient: FloatArray, target: FloatArray, rate: float
) -> tuple[FloatArray, FloatArray] | None:
    """Mean and Cholesky factor after one step; None where the precision is not positive definite."""
    new = (1 - rate) * precision + rate * 0.5 * (target + target.T)
    if not np.isfinite(new).all():
        return None
    values, vectors = np.linalg.eigh(new)
    if values[0] <= 1e-12 * values[-1]:
        return None
    covariance = (vectors / values) @ vectors.T
    return mean + rate * covariance @ gradient, np.linalg.cholesky(covariance)


def _bound(look: Function, mean: FloatArray, factor: FloatArray) -> float:
    return look(mean, factor)[0] + float(np.log(np.diag(factor)).sum())


def _looked(
    log_density: LogDensity, z: Array, mean: FloatArray, factor: FloatArray, *, beta: float
) -> tuple[float, FloatArray, FloatArray]:
    """The means over draws of log p, of its gradient g and of z g^T, times beta; sums are of float64."""
    found = _at(log_density, z, jnp.asarray(mean, z.dtype), jnp.asarray(factor, z.dtype))
    values, gradients = (beta * np.asarray(part, np.float64) for part in found)
    draws = np.asarray(z, np.float64)
    return float(values.mean()), gradients.mean(axis=0), draws.T @ gradients / len(draws)


@quickly
def _at(log_density: LogDensity, z: Array, mean: Array, factor: Array) -> tuple[Array, Array]:
    return jax.vmap(jax.value_and_grad(log_density))(mean + matmul(z, factor.T))
