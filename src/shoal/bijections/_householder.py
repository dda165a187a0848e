"""Products of Householder reflections (Tomczak and Welling 2016): exactly orthogonal maps with free parameters.

H_1 ... H_k with H_i = 1 - 2 v_i v_i^T / |v_i|^2 is 1 - V T V^T, V = (v_1, ..., v_k) of unit columns and T^{-1} the strict
upper triangle of V^T V plus half its diagonal: products of matrices and one triangular solve, no loop over reflections.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._base import AbstractBijection, check_input, whole
from shoal.bijections.conditioners import Activation, DenseConditioner
from shoal.bijections.conditioners._dense import amortizer, moved


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


class Householder(AbstractBijection):
    r"""x = H_1 ... H_k z, H_i = 1 - 2 v_i v_i^T / |v_i|^2.

    Orthogonal to rounding whatever the vectors: every singular value is 1 and log|det dx/dz| = 0. Both directions are in
    closed form, the inverse being the transpose: O(kn) a vector, and O(k²n) once a batch (once a row with a context).
    **Parameters:** kn. k = n reflections reach every orthogonal matrix whose determinant is (-1)^n, k = n - 1 every one of
    determinant (-1)^(n-1).
    **Arguments:** `reflections`: k; `context_dim`, `hidden`, `activation`: of the net by which a context moves the
    vectors (0: none). **Raises:** InputError for dim or reflections below 1.
    Tomczak and Welling put it on a diagonal Gaussian posterior of a VAE, where the vectors come from the encoder, to reach
    full covariances. **Can not:** change a volume or bend anything: alone it leaves a standard normal as it is.
    """

    vectors: Float[Array, "k n"]
    conditioner: DenseConditioner | None
    shape: tuple[int, ...] = eqx.field(static=True)
    context_shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        dim: int,
        reflections: int,
        *,
        context_dim: int = 0,
        hidden: tuple[int, ...] = (64, 64),
        activation: Activation = "tanh",
        key: Key,
    ):
        whole("Householder(dim)", dim)
        whole("Householder(reflections)", reflections)
        kv, kc = jr.split(key)
        self.vectors = jr.normal(kv, (reflections, dim))
        self.conditioner = amortizer((self.vectors,), context_dim, hidden, activation, kc)
        self.shape, self.context_shape = (dim,), (context_dim,) if context_dim else None

    def forward_and_log_det(self, z: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """x and 0."""
        check_input(self, z, context)
        return reflected(self._vectors(context), z), jnp.zeros((), z.dtype)

    def inverse_and_log_det(self, x: Vector, context: Context = None) -> tuple[Vector, Scalar]:
        """z and 0."""
        check_input(self, x, context)
        return reflected(self._vectors(context), x, back=True), jnp.zeros((), x.dtype)

    def _vectors(self, context: Context) -> Float[Array, "k n"]:
        return moved(self.conditioner, context, (self.vectors,))[0]


def reflected(vectors: Float[Array, "k n"], z: Vector, *, back: bool = False) -> Vector:
    """H_1 ... H_k z = z - V T V^T z; `back`: H_k ... H_1 z, with T^T. A vector of length 0 has no reflection: NaN."""
    unit = vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)
    inner = jax.scipy.linalg.solve_triangular(triangle(unit.T), matmul(unit, z), trans=int(back), lower=False)
    return z - matmul(unit.T, inner)
