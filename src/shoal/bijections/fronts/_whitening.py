"""`Whitening`: the affine map that makes the rows white, its density direction one product with a triangular matrix."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import solve_triangular

from shoal._errors import InputError
from shoal._products import matmul
from shoal._scalars import FloatArray
from shoal._types import Array, Context, Float, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input

FAR = 8.0  # deviations of the middle nine tenths of a column: beyond it a handful of rows is held
LEAST_SHARE = 1e-10  # of the largest eigenvalue: what the smallest one is raised to


class Whitening(AbstractBijection):
    """z = U L (x - mean - slopes c), L lower triangular with diagonal exp(log_diagonal), U unit upper triangular, I at
    the start.

    `lower`, `upper` (n, n): entries below and above the diagonal count; `mean`, `log_diagonal` (n,); `slopes` (n, c) where
    there is a context c, else None. All are trained.
    log|det dz/dx| = sum log_diagonal. Data -> latent is two products, latent -> data two triangular solves. With
    U = I and L^{-1} the Cholesky factor of a covariance, the flow on a standard normal base is that Gaussian, exactly.
    **Raises:** InputError for shapes that do not fit.
    """

    mean: Float[Array, "n"]
    lower: Float[Array, "n n"]
    upper: Float[Array, "n n"]
    log_diagonal: Float[Array, "n"]
    slopes: Float[Array, "n c"] | None
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, mean: Array, lower: Array, log_diagonal: Array, slopes: Array | None = None):
        self.mean, self.lower = jnp.asarray(mean), jnp.asarray(lower)
        self.log_diagonal = jnp.asarray(log_diagonal)
        n = self.mean.size
        if n < 1 or (self.mean.shape, self.lower.shape, self.log_diagonal.shape) != ((n,), (n, n), (n,)):
            raise InputError(
                f"`Whitening` needs (n,), (n, n), (n,); got {self.mean.shape}, {self.lower.shape}, "
                f"{self.log_diagonal.shape}."
            )
        self.upper = jnp.zeros_like(self.lower)
        self.slopes = None if slopes is None else jnp.asarray(slopes)
        if self.slopes is not None and (self.slopes.ndim != 2 or len(self.slopes) != n):
            raise InputError(f"`Whitening(slopes=...)` must be ({n}, c); got {self.slopes.shape}.")
        self.shape = (n,)
        self.context_shape = None if self.slopes is None else self.slopes.shape[1:]

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and sum log_diagonal."""
        check_input(self, x, context)
        away = x - self._centre(context)
        y = matmul(jnp.tril(self.lower, -1), away) + jnp.exp(self.log_diagonal) * away
        return matmul(jnp.triu(self.upper, 1), y) + y, jnp.sum(self.log_diagonal)

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and - sum log_diagonal."""
        check_input(self, z, context)
        solve = jax.scipy.linalg.solve_triangular
        y = solve(self.upper, z, lower=False, unit_diagonal=True)
        matrix = jnp.tril(self.lower, -1) + jnp.diag(jnp.exp(self.log_diagonal))
        return solve(matrix, y, lower=True) + self._centre(context), -jnp.sum(self.log_diagonal)

    def _centre(self, context: Context) -> Vector:
        if self.slopes is None or context is None:
            return self.mean
        return self.mean + matmul(self.slopes, context.astype(self.mean.dtype))


def whitening(
    x: FloatArray, weights: FloatArray | None = None, context: FloatArray | None = None
) -> Whitening:
    """The maximum-likelihood Gaussian of rows (rows, n) as a `Whitening`, its mean linear in the context (rows, c).

    The mean is the (weighted) least-squares fit, the covariance that of its residuals; eigenvalues below 1e-10 of the
    largest are raised to that, which makes it invertible where columns are (nearly) linear functions of each other, or rows
    are fewer than columns. A handful of rows (a thousandth, one at least) that lie beyond `FAR` deviations of the
    middle of a column are held at the next row, or at that distance: no single cell decides a covariance.
    """
    x = _held(np.asarray(x, np.float64))
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    w = w / w.sum()
    ones = np.ones((len(x), 1))
    features = ones if context is None else np.hstack([ones, np.asarray(context, np.float64)])
    root = np.sqrt(w)[:, None]
    fitted = np.linalg.lstsq(features * root, x * root, rcond=None)[0]
    away = x - features @ fitted
    values, vectors = np.linalg.eigh((away * w[:, None]).T @ away)
    values = np.maximum(values, max(LEAST_SHARE * values[-1], np.finfo(np.float64).tiny))
    factor = np.linalg.qr((vectors * np.sqrt(values)).T)[1].T  # lower triangular, its square the covariance
    factor = factor * np.sign(np.diag(factor))
    inverse = solve_triangular(factor, np.eye(x.shape[1]), lower=True)
    parts = (fitted[0], np.tril(inverse, -1), np.log(np.diag(inverse)), fitted[1:].T)
    mean, lower, diagonal, slopes = (jnp.asarray(part, jnp.result_type(float)) for part in parts)
    return Whitening(mean, lower, diagonal, None if context is None else slopes)


def _held(x: FloatArray) -> FloatArray:
    ordered, few = np.sort(x, axis=0), max(1, len(x) // 1000)
    if len(x) < 20:
        return x
    low, middle, high = np.quantile(ordered, [0.05, 0.5, 0.95], axis=0)
    reach = FAR * np.where(high > low, (high - low) / 3.29, np.inf)
    return np.clip(x, np.minimum(ordered[few], middle - reach), np.maximum(ordered[-1 - few], middle + reach))
