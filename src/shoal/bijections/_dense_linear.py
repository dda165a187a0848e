"""A dense linear layer: on channels, the "plain" invertible 1x1 convolution of Glow (Kingma and Dhariwal 2018)."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input


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
        if dim < 1:
            raise ValueError(f"`DenseLinear(dim)` must be at least 1; got {dim}.")
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
