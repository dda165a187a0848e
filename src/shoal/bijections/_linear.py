"""Linear layers between couplings: LU-parametrised and dense maps, and fixed permutations."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._errors import InputError
from shoal._products import matmul
from shoal._types import Array, Context, Float, Int, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input, whole
from shoal.bijections._partition import are_inverse


class LULinear(AbstractBijection):
    """x = L U z + b, L unit lower triangular, U upper triangular with diagonal exp(log_diagonal).

    log|det dx/dz| = sum log_diagonal; det > 0 always. Starts at the identity, or near it with `spread` > 0. Both
    directions cost O(n^2); the inverse is two triangular solves. (Glow's LU form, Kingma and Dhariwal 2018.)
    Entries of `lower` on and above the diagonal, and of `upper` on and below it, are not used.
    """

    lower: Float[Array, "n n"]
    upper: Float[Array, "n n"]
    log_diagonal: Float[Array, "n"]
    bias: Float[Array, "n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int, *, spread: float = 0.0, key: Key):
        whole("LULinear(dim)", dim)
        kl, ku = jr.split(key)
        self.lower = spread * jnp.tril(jr.normal(kl, (dim, dim)), -1)
        self.upper = spread * jnp.triu(jr.normal(ku, (dim, dim)), 1)
        self.log_diagonal, self.bias = jnp.zeros(dim), jnp.zeros(dim)
        self.shape, self.context_shape = (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and sum log_diagonal."""
        check_input(self, z, context)
        y = matmul(jnp.triu(self.upper, 1), z) + jnp.exp(self.log_diagonal) * z
        return matmul(jnp.tril(self.lower, -1), y) + y + self.bias, jnp.sum(self.log_diagonal)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and - sum log_diagonal."""
        check_input(self, x, context)
        solve = jax.scipy.linalg.solve_triangular
        y = solve(self.lower, x - self.bias, lower=True, unit_diagonal=True)
        u = jnp.triu(self.upper, 1) + jnp.diag(jnp.exp(self.log_diagonal))
        return solve(u, y, lower=False), -jnp.sum(self.log_diagonal)


class Permutation(AbstractBijection):
    """x_i = z_{order_i}; log-det 0. The order is array data, so that layers with different orders stack."""

    order: Int[Array, "n"]
    inverse_order: Int[Array, "n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, order: Sequence[int] | np.ndarray):
        values = np.asarray(order)
        if (
            values.ndim != 1
            or not np.array_equal(np.sort(values), np.arange(values.size))
            or values.size == 0
        ):
            raise InputError(f"`Permutation(order)` must hold each of 0 ... n-1 once; got {values.tolist()}.")
        self.order = jnp.asarray(values, jnp.int32)
        self.inverse_order = jnp.asarray(np.argsort(values), jnp.int32)
        self.shape, self.context_shape = (values.size,), None

    def __check_init__(self) -> None:
        if not are_inverse((self.order,), self.inverse_order):
            raise InputError("`Permutation`: `order` and `inverse_order` do not undo each other.")

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and 0."""
        check_input(self, z, context)
        return z[self.order], jnp.zeros((), z.dtype)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and 0."""
        check_input(self, x, context)
        return x[self.inverse_order], jnp.zeros((), x.dtype)


class DenseLinear(AbstractBijection):
    """x = W z + b, W any invertible matrix; starts at a random rotation, or reflection, with b = 0.

    log|det dx/dz| = log|det W| by an LU factorization, O(n^3); the inverse solves with the same factors, O(n^3).
    Bi-Lipschitz: the extreme singular values of W. n^2 + n parameters a layer. (Kingma and Dhariwal 2018, section
    3.2.) Nothing keeps W from becoming singular in training: then log-det tends to -inf and the inverse to infinity.
    `LULinear` and six couplings (`flows.from_factors`) can not become singular.
    """

    weight: Float[Array, "n n"]
    bias: Float[Array, "n"]
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, dim: int, *, key: Key):
        whole("DenseLinear(dim)", dim)
        q, r = jnp.linalg.qr(jr.normal(key, (dim, dim)))
        self.weight = q * jnp.sign(jnp.diagonal(r))[None, :]
        self.bias = jnp.zeros(dim)
        self.shape, self.context_shape = (dim,), None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """W z + b and log|det W|."""
        check_input(self, z, context)
        return matmul(self.weight, z) + self.bias, jnp.linalg.slogdet(self.weight)[1]

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """W^{-1} (x - b) and - log|det W|."""
        check_input(self, x, context)
        return jnp.linalg.solve(self.weight, x - self.bias), -jnp.linalg.slogdet(self.weight)[1]
