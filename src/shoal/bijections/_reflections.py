"""Orthogonal matrices as products of Householder reflections in minimal coordinates.

U = H_1 ... H_k, H_i = 1 - 2 v_i v_i^T / |v_i|^2, v_i = e_i + sum_{j > i} w_ij e_j, so H_i has n - i numbers (i from 1). With
k = n - 1, U runs over every orthogonal matrix of determinant (-1)^{n-1}: QR by Householder finds the factors, and of the two
reflections that take a unit vector to a multiple of e_i one has a leading entry that is not 0.
"""

import jax
import jax.numpy as jnp
import numpy as np

from shoal._products import matmul
from shoal._types import Array, Float


def coordinates(dim: int, reflections: int) -> int:
    """How many numbers k reflections take: (n - 1) + ... + (n - k)."""
    return sum(dim - 1 - i for i in range(reflections))


def orthogonal(numbers: Float[Array, "p"], dim: int, reflections: int) -> Float[Array, "n n"]:
    """The dense product, O(n^2 k): 1 - V T V^T with unit columns v_i in V, T^{-1} their `triangle`."""
    eye = jnp.eye(dim, dtype=numbers.dtype)
    if reflections == 0:
        return eye
    columns, rows = np.nonzero(np.arange(dim)[None, :] > np.arange(reflections)[:, None])
    v = eye[:, :reflections].at[rows, columns].set(numbers)
    v = v / jnp.sqrt(jnp.sum(v * v, axis=0, keepdims=True))
    return eye - matmul(v, jax.scipy.linalg.solve_triangular(triangle(v), v.T, lower=False))


def triangle(v: Float[Array, "n k"]) -> Float[Array, "k k"]:
    """T^{-1} = 1/2 + the strict upper part of V^T V, for which H_1 ... H_k = 1 - V T V^T, v_i the unit columns of V.

    (Induction: appending v to V makes T' = [[T, -2 T V^T v], [0, 2]], whose inverse is [[T^{-1}, V^T v], [0, 1/2]].)
    """
    return jnp.triu(matmul(v.T, v), 1) + 0.5 * jnp.eye(v.shape[1], dtype=v.dtype)
