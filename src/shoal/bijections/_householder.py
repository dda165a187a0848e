r"""Products of Householder reflections (Tomczak and Welling 2016): exactly orthogonal maps with free parameters.

H_1 ... H_k with H_i = 1 - 2 v_i v_i^T / |v_i|^2 is 1 - V S^{-1} V^T, V = (v_1, ..., v_k) of unit columns and S the strict
upper triangle of V^T V plus half its diagonal: products of matrices and one triangular solve, no loop over reflections.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from shoal._products import matmul
from shoal._types import Array, Context, Float, Key, Scalar, Vector
from shoal.bijections._amortized import amortizer, moved
from shoal.bijections._base import AbstractBijection, check_input
from shoal.bijections._reflections import triangle
from shoal.bijections.conditioners import Activation, DenseConditioner


class Householder(AbstractBijection):
    r"""x = H_1 ... H_k z, H_i = 1 - 2 v_i v_i^T / |v_i|^2.

    Orthogonal to rounding whatever the vectors: every singular value is 1 and log|det dx/dz| = 0. Both directions are in
    closed form, the inverse being the transpose: O(kn) a vector, and O(k²n) once a batch (once a row with a context).
    **Parameters:** kn. k = n reflections reach every orthogonal matrix whose determinant is (-1)^n, k = n - 1 every one of
    determinant (-1)^(n-1).
    **Arguments:** `reflections`: k; `context_dim`, `hidden`, `activation`: of the net by which a context moves the
    vectors (0: none). **Raises:** ValueError for dim or reflections below 1.
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
        if dim < 1 or reflections < 1:
            raise ValueError(
                f"`Householder(dim, reflections)` needs both at least 1; got {dim} and {reflections}."
            )
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
        return reflected_back(self._vectors(context), x), jnp.zeros((), x.dtype)

    def _vectors(self, context: Context) -> Float[Array, "k n"]:
        return moved(self.conditioner, context if self.context_shape else None, (self.vectors,))[0]


def reflected(vectors: Float[Array, "k n"], z: Vector) -> Vector:
    """H_1 ... H_k z = z - V S^{-1} V^T z. A vector of length 0 has no reflection: NaN."""
    unit, upper = _triangle(vectors)
    return z - matmul(unit.T, jax.scipy.linalg.solve_triangular(upper, matmul(unit, z), lower=False))


def reflected_back(vectors: Float[Array, "k n"], x: Vector) -> Vector:
    """H_k ... H_1 x = x - V S^{-T} V^T x."""
    unit, upper = _triangle(vectors)
    return x - matmul(
        unit.T, jax.scipy.linalg.solve_triangular(upper, matmul(unit, x), trans="T", lower=False)
    )


def _triangle(vectors: Float[Array, "k n"]) -> tuple[Float[Array, "k n"], Float[Array, "k k"]]:
    unit = vectors / jnp.linalg.norm(vectors, axis=1, keepdims=True)
    return unit, triangle(unit.T)
