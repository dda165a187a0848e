"""Linear maps whose singular values lie in a stated interval [low, high], as values: SVD products, diagonal plus low rank.

Both have exact inverses and log-dets, det > 0, and matrices that depend on the parameters alone, so that a batch pays for
them once.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._errors import InputError
from shoal._products import matmul
from shoal._types import Array, Float, Key, Scalar, Vector
from shoal.bijections._base import between, whole
from shoal.bijections._householder import coordinates, orthogonal
from shoal.bijections._spectral import AbstractSpectralBound, ExactNorm, held_below


class AbstractBoundedLinear(eqx.Module):
    """y = A z with low <= every singular value of A <= high."""

    dim: eqx.AbstractVar[int]
    low: eqx.AbstractVar[float]
    high: eqx.AbstractVar[float]

    @abc.abstractmethod
    def apply(self, z: Vector) -> Vector:
        """A z."""

    @abc.abstractmethod
    def solve(self, y: Vector) -> Vector:
        """A^{-1} y."""

    @abc.abstractmethod
    def log_det(self) -> Scalar:
        """log|det A|."""


class SingularValues(AbstractBoundedLinear):
    """A = U diag(s) V^T, U and V products of k Householder reflections each, s_i = low^{1-t} high^t, t = sigmoid(raw).

    **Arguments:** `dim`: n; `low` < `high`: the interval, open; `reflections`: k, from 0 to n - 1 (None: n - 1, with which
    A is any matrix of det > 0 and singular values in the interval); `start`: the singular values at the start; `turned`:
    at the start U and V are drawn apart, and A is start times a random rotation; otherwise U = V and A = start.
    Numbers: n + 2 ((n - 1) + ... + (n - k)), that is n^2 for k = n - 1.
    log-det: sum log s. Cost: O(n^2 k) a batch, then n^2 a vector in both directions.
    """

    left: Float[Array, "p"]
    right: Float[Array, "p"]
    raw: Float[Array, "n"]
    dim: int = eqx.field(static=True)
    reflections: int = eqx.field(static=True)
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        low: float = 0.1,
        high: float = 10.0,
        *,
        reflections: int | None = None,
        start: float | None = None,
        turned: bool = False,
        key: Key,
    ):
        start = check_interval("SingularValues", dim, low, high, start)
        k = dim - 1 if reflections is None else reflections
        if not 0 <= k < dim:
            raise InputError(f"`SingularValues(reflections)` must be from 0 to dim - 1 = {dim - 1}; got {k}.")
        share = math.log(start / low) / math.log(high / low)
        k_left, k_right = jr.split(key)
        self.left = jr.normal(k_left, (coordinates(dim, k),))
        self.right = jr.normal(k_right, self.left.shape) if turned else self.left
        self.raw = jnp.full((dim,), math.log(share / (1.0 - share)))
        self.dim, self.reflections, self.low, self.high = dim, k, float(low), float(high)

    def apply(self, z: Vector) -> Vector:
        """U s V^T z."""
        u, v = self._factors()
        return matmul(matmul(u * jnp.exp(self._logs())[None, :], v.T), z)

    def solve(self, y: Vector) -> Vector:
        """V s^{-1} U^T y."""
        u, v = self._factors()
        return matmul(matmul(v * jnp.exp(-self._logs())[None, :], u.T), y)

    def log_det(self) -> Scalar:
        """sum log s."""
        return jnp.sum(self._logs())

    def _factors(self) -> tuple[Float[Array, "n n"], Float[Array, "n n"]]:
        u, v = (orthogonal(w, self.dim, self.reflections) for w in (self.left, self.right))
        return u, v

    def _logs(self) -> Float[Array, "n"]:
        return math.log(self.low) + math.log(self.high / self.low) * jax.nn.sigmoid(self.raw)


class DiagonalPlusLowRank(AbstractBoundedLinear):
    """A = diag(d) (1 + P Q^T), P and Q of shape (n, r) with |P|, |Q| <= sqrt(c) in the spectral norm, certified.

    Half of the interval's logarithm goes to each factor: c = (rho - 1)/(rho + 1) with rho = sqrt(high/low), so that 1 - c <=
    sigma(1 + P Q^T) <= 1 + c, and d in (low/(1 - c), high/(1 + c)) by a sigmoid of `raw` between the logarithms.

    **Arguments:** `dim`: n; `low` < `high`; `rank`: r >= 1; `start`: d at the start (P is then 0); `norm`: an upper bound of
    spectral norms (a value). Numbers: n (2 r + 1). log-det: sum log d + log det(1 + Q^T P), an r x r matrix, as is the
    inverse's (1 + P Q^T)^{-1} = 1 - P (1 + Q^T P)^{-1} Q^T. Cost of both directions: O(n r), and O(r^3) a batch.
    It can not rotate: A has P Q^T beside the diagonal, no more.
    """

    left: Float[Array, "n r"]
    right: Float[Array, "n r"]
    raw: Float[Array, "n"]
    norm: AbstractSpectralBound
    dim: int = eqx.field(static=True)
    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        low: float = 0.1,
        high: float = 10.0,
        *,
        rank: int = 1,
        start: float | None = None,
        norm: AbstractSpectralBound | None = None,
        key: Key,
    ):
        start = check_interval("DiagonalPlusLowRank", dim, low, high, start)
        whole("DiagonalPlusLowRank(rank)", rank)
        self.dim, self.low, self.high = dim, float(low), float(high)
        bottom, top = self._diagonal_range()
        between("DiagonalPlusLowRank(start)", start, bottom, top)
        share = math.log(start / bottom) / math.log(top / bottom)
        self.left = jnp.zeros((dim, rank))
        self.right = jr.normal(key, (dim, rank)) / dim**0.5
        self.raw = jnp.full((dim,), math.log(share / (1.0 - share)))
        self.norm = ExactNorm() if norm is None else norm

    def apply(self, z: Vector) -> Vector:
        """d (z + P Q^T z)."""
        p, q = self._factors()
        return jnp.exp(self._logs()) * (z + matmul(p, matmul(q.T, z)))

    def solve(self, y: Vector) -> Vector:
        """u - P (1 + Q^T P)^{-1} Q^T u with u = y / d."""
        p, q = self._factors()
        u = jnp.exp(-self._logs()) * y
        return u - matmul(jnp.linalg.solve(_small(p, q).T, p.T).T, matmul(q.T, u))

    def log_det(self) -> Scalar:
        """sum log d + log det(1 + Q^T P)."""
        return jnp.sum(self._logs()) + jnp.linalg.slogdet(_small(*self._factors()))[1]

    def _share(self) -> float:
        ratio = math.sqrt(self.high / self.low)
        return (ratio - 1.0) / (ratio + 1.0)

    def _diagonal_range(self) -> tuple[float, float]:
        c = self._share()
        return self.low / (1.0 - c), self.high / (1.0 + c)

    def _factors(self) -> tuple[Float[Array, "n r"], Float[Array, "n r"]]:
        limit = math.sqrt(self._share())
        return held_below(self.left, limit, self.norm), held_below(self.right, limit, self.norm)

    def _logs(self) -> Float[Array, "n"]:
        bottom, top = self._diagonal_range()
        return math.log(bottom) + math.log(top / bottom) * jax.nn.sigmoid(self.raw)


def check_interval(name: str, dim: int, low: float, high: float, start: float | None) -> float:
    """The start, sqrt(low high) for None. **Raises:** InputError for bad sizes or a start outside (low, high)."""
    whole(f"{name}(dim)", dim)
    if not 0.0 < low < high < math.inf:
        raise InputError(f"`{name}` needs 0 < low < high; got {low} and {high}.")
    return between(f"{name}(start)", math.sqrt(low * high) if start is None else start, low, high)


def _small(p: Float[Array, "n r"], q: Float[Array, "n r"]) -> Float[Array, "r r"]:
    return jnp.eye(p.shape[1], dtype=p.dtype) + matmul(q.T, p)
